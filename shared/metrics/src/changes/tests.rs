use dayfly_config::Config;
use dayfly_config::labels::Label;
use dayfly_engine::launch::claim;
use dayfly_engine::runner::interruption::{self, Ec2Signal};
use dayfly_records::event::JobEvent;
use dayfly_records::{LaunchOption, LaunchPlan, Launched, MessengerTask};
use dayfly_types::capacity::InstanceLifecycle;
use dayfly_types::deadlines::Deadlines;
use dayfly_types::ids::{
    DeliveryId, ImageId, InstallationId, InstanceId, InstanceType, JobId, RunAttempt, RunId, Zone,
};
use dayfly_types::time::Timestamp;

use super::*;

const START: Timestamp = Timestamp::from_seconds(1_800_000_000);

fn after(seconds: u64) -> Timestamp {
    START.after(Duration::from_secs(seconds))
}

fn deadlines() -> Deadlines {
    Deadlines::default()
}

fn queued() -> Job {
    claim::new_job(&JobEvent {
        delivery: DeliveryId::new("d"),
        received_at: START,
        created_at: None,
        installation: InstallationId(7),
        repository: "octo/gpu".parse().unwrap(),
        job: JobId(11),
        run: RunId(22),
        attempt: RunAttempt(1),
        name: "test".into(),
        workflow: None,
        actor: None,
        head_sha: "abc".into(),
        labels: vec![Label::new("dayfly-gpu")],
        runner_name: None,
        runner_id: None,
        conclusion: None,
    })
}

/// A job claimed two seconds after its webhook, and its runner.
fn claimed() -> (Job, Runner) {
    let option = LaunchOption {
        spec: Config::built_in().unwrap().runners.remove(0),
        image: ImageId::new("ami-01234567"),
        root_device: "/dev/sda1".into(),
        image_gib: None,
        lifecycle: InstanceLifecycle::Spot,
    };
    claim::claim(queued(), LaunchPlan::new(option, Vec::new()), after(2), &deadlines())
}

fn launched(mut runner: Runner) -> Runner {
    runner.launched = Some(Launched {
        instance: InstanceId::new("i-1"),
        instance_type: InstanceType::new("g5.xlarge"),
        zone: Zone::new("eu-west-1a"),
        lifecycle: InstanceLifecycle::Spot,
        price_per_hour: None,
        on_demand: None,
        at: after(5),
        at_by_ec2: false,
    });
    assert!(runner.take(RunnerStep::Launch, after(6), &deadlines()));
    runner
}

fn enrolled() -> Runner {
    let mut runner = launched(claimed().1);
    assert!(runner.take(RunnerStep::Enrol, after(65), &deadlines()));
    runner
}

pub(crate) fn busy() -> Runner {
    let mut runner = enrolled();
    runner.job = Some(runner.wanted_by);
    assert!(runner.take(RunnerStep::StartJob, after(72), &deadlines()));
    runner
}

fn running(runner: &Runner) -> Job {
    Job {
        state: JobState::Running {
            runner: runner.registration(1).unwrap(),
        },
        ..claimed().0
    }
}

fn measured(writes: &[(Option<Record>, Record)], known: &[Record]) -> Vec<Point> {
    let transitions: Vec<Transition> = writes
        .iter()
        .map(|(before, after)| Transition {
            before: before.clone(),
            after: after.clone(),
        })
        .collect();
    measure(&transitions, |id| {
        known.iter().find(|record| record.id() == *id).cloned()
    })
    .into_iter()
    .inspect(|it| assert!(transitions.iter().any(|one| one.after.id() == it.record), "{it:?}"))
    .map(|it| (it.metric, it.value))
    .collect()
}

fn of(before: impl Into<Record>, after: impl Into<Record>) -> Vec<Point> {
    measured(&[(Some(before.into()), after.into())], &[])
}

#[test]
fn each_completed_stage_is_measured() {
    let (job, runner) = claimed();
    let ms = |stage, millis| (Metric::QueueTime(stage), millis);
    assert_eq!(
        measured(
            &[
                (Some(queued().into()), job.clone().into()),
                (None, runner.clone().into())
            ],
            &[]
        ),
        [ms(WaitStage::Claim, 2000)]
    );
    assert_eq!(
        of(runner.clone(), launched(runner)),
        [(Metric::Launches(Purchase::Spot), 1), ms(WaitStage::Launch, 3000)]
    );
    assert_eq!(of(launched(claimed().1), enrolled()), [ms(WaitStage::Boot, 60_000)]);
    assert_eq!(of(enrolled(), busy()), [ms(WaitStage::Start, 7000)]);
    assert_eq!(
        measured(&[(Some(job.into()), running(&busy()).into())], &[busy().into()]),
        [ms(WaitStage::Whole, 72_000)]
    );
}

#[test]
fn launch_time_excludes_the_wait_for_a_turn() {
    let mut runner = claimed().1;
    runner.gate = Some(dayfly_records::GateState::Admitted {
        vcpus: 4,
        since: after(4),
    });
    let points = of(runner.clone(), launched(runner));
    assert!(
        points.contains(&(Metric::QueueTime(WaitStage::Turn), 2000)),
        "{points:?}"
    );
    assert!(
        points.contains(&(Metric::QueueTime(WaitStage::Launch), 1000)),
        "{points:?}"
    );
}

#[test]
fn a_jobs_second_runner_measures_no_claim() {
    let (mut job, runner) = claimed();
    job.launches = 2;
    assert_eq!(
        measured(&[(Some(queued().into()), job.into()), (None, runner.into())], &[]),
        []
    );
}

#[test]
fn a_messenger_counts_only_as_a_launch() {
    let messenger = |runner: Runner| Runner {
        message: Some(MessengerTask {
            job: runner.wanted_by,
            run: runner.run,
            text: "no".to_owned(),
        }),
        ..runner
    };
    let (job, runner) = claimed();
    let runner = messenger(runner);
    assert_eq!(
        measured(
            &[(Some(queued().into()), job.into()), (None, runner.clone().into())],
            &[]
        ),
        []
    );
    assert_eq!(
        of(runner.clone(), launched(runner)),
        [(Metric::Launches(Purchase::Messenger), 1)]
    );
    assert_eq!(of(messenger(launched(claimed().1)), messenger(enrolled())), []);
    assert_eq!(of(messenger(enrolled()), messenger(busy())), []);
}

#[test]
fn a_job_counts_once_with_githubs_conclusion_unless_interrupted() {
    use Conclusion::{Cancelled, Failure, Skipped, Success, TimedOut};
    let mut lost = busy();
    lost.ending = Some(Ending::Interrupted);
    for (conclusion, runner, outcome) in [
        (Success, busy(), Some(JobOutcome::Succeeded)),
        (Failure, busy(), Some(JobOutcome::Failed)),
        (TimedOut, busy(), Some(JobOutcome::Failed)),
        (Cancelled, busy(), Some(JobOutcome::Cancelled)),
        (Skipped, busy(), None),
        (Failure, lost.clone(), Some(JobOutcome::Interrupted)),
        (Success, lost.clone(), Some(JobOutcome::Succeeded)),
        (Cancelled, lost, Some(JobOutcome::Cancelled)),
    ] {
        let before = running(&runner);
        let over = Job {
            state: JobState::Finished { conclusion },
            ..before.clone()
        };
        let expected: Vec<Point> = outcome.map(|outcome| (Metric::Jobs(outcome), 1)).into_iter().collect();
        let change = [(Some(before.clone().into()), over.clone().into())];
        assert_eq!(measured(&change, &[runner.clone().into()]), expected, "{conclusion:?}");
        // Its end is reported before its start, and the runner is written at the same time.
        let waiting = Job {
            state: JobState::Launching,
            ..before
        };
        let change = [
            (Some(waiting.into()), over.clone().into()),
            (Some(runner.clone().into()), runner.into()),
        ];
        assert_eq!(measured(&change, &[]), expected, "{conclusion:?}");
        assert_eq!(of(over.clone(), over), []);
    }
}

#[test]
fn a_refused_or_given_up_job_is_not_counted_again() {
    let reason = String::from("why");
    let refused = JobState::Refused { reason: reason.clone() };
    let given_up = JobState::Unlaunchable { reason };
    for (state, outcome) in [(refused, JobOutcome::Refused), (given_up, JobOutcome::GivenUp)] {
        let job = Job { state, ..claimed().0 };
        assert_eq!(of(claimed().0, job.clone()), [(Metric::Jobs(outcome), 1)]);
        assert_eq!(
            measured(&[(None, job.clone().into())], &[]),
            [(Metric::Jobs(outcome), 1)]
        );
        let over = Job {
            state: JobState::Finished {
                conclusion: Conclusion::Failure,
            },
            ..job.clone()
        };
        assert_eq!(of(job, over), []);
    }
}

#[test]
fn an_interruption_is_counted_once() {
    let warned = interruption::apply(&busy(), Ec2Signal::Warning, after(100), after(100), &deadlines()).unwrap();
    let ended = interruption::apply(&warned, Ec2Signal::Ended, after(200), after(200), &deadlines()).unwrap();
    assert_eq!(of(busy(), warned.clone()), [(Metric::Interruptions, 1)]);
    assert_eq!(of(warned, ended), []);
    let mut job_over = busy();
    job_over.job_over_at = Some(after(90));
    let ended = interruption::apply(&job_over, Ec2Signal::Ended, after(100), after(100), &deadlines()).unwrap();
    assert_eq!(of(job_over, ended), []);
}
