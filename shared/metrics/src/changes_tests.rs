use dayfly_config::Config;
use dayfly_config::labels::Label;
use dayfly_engine::interruption::{self, Word};
use dayfly_engine::launch;
use dayfly_records::event::JobEvent;
use dayfly_records::{LaunchOption, LaunchPlan, Launched, Message};
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
    launch::new_job(&JobEvent {
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

/// The job, claimed two seconds after it was heard of, and its runner.
fn claimed() -> (Job, Runner) {
    let option = LaunchOption {
        spec: Config::built_in().unwrap().runners.remove(0),
        image: ImageId::new("ami-01234567"),
        root_device: "/dev/sda1".into(),
        image_gib: None,
        lifecycle: InstanceLifecycle::Spot,
    };
    launch::claim(queued(), LaunchPlan::new(option, Vec::new()), after(2), &deadlines())
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

fn told(moved: &[(Option<Record>, Record)], known: &[Record]) -> Vec<Point> {
    let moved: Vec<Moved> = moved
        .iter()
        .map(|(before, after)| Moved {
            before: before.clone(),
            after: after.clone(),
        })
        .collect();
    of_changes(&moved, |id| known.iter().find(|record| record.id() == *id).cloned())
        .into_iter()
        .inspect(|told| assert!(moved.iter().any(|one| one.after.id() == told.of), "{told:?}"))
        .map(|told| (told.metric, told.number))
        .collect()
}

fn of(before: impl Into<Record>, after: impl Into<Record>) -> Vec<Point> {
    told(&[(Some(before.into()), after.into())], &[])
}

#[test]
fn each_stage_that_a_runner_ends_is_told_with_how_long_it_took() {
    let (job, runner) = claimed();
    let ms = |stage, millis| (Metric::QueueTime(stage), millis);
    assert_eq!(
        told(
            &[
                (Some(queued().into()), job.clone().into()),
                (None, runner.clone().into())
            ],
            &[]
        ),
        [ms(Wait::Claim, 2000)]
    );
    assert_eq!(
        of(runner.clone(), launched(runner)),
        [(Metric::Launches(Bought::Spot), 1), ms(Wait::Launch, 3000)]
    );
    assert_eq!(of(launched(claimed().1), enrolled()), [ms(Wait::Boot, 60_000)]);
    assert_eq!(of(enrolled(), busy()), [ms(Wait::Start, 7000)]);
    assert_eq!(
        told(&[(Some(job.into()), running(&busy()).into())], &[busy().into()]),
        [ms(Wait::Whole, 72_000)]
    );
}

#[test]
fn what_was_waited_for_a_turn_is_no_part_of_the_launch() {
    let mut runner = claimed().1;
    runner.turn = Some(dayfly_records::Turn::Has {
        vcpus: 4,
        since: after(4),
    });
    let told = of(runner.clone(), launched(runner));
    assert!(told.contains(&(Metric::QueueTime(Wait::Turn), 2000)), "{told:?}");
    assert!(told.contains(&(Metric::QueueTime(Wait::Launch), 1000)), "{told:?}");
}

#[test]
fn the_second_runner_of_a_job_says_nothing_of_how_fast_it_was_claimed() {
    let (mut job, runner) = claimed();
    job.launches = 2;
    assert_eq!(
        told(&[(Some(queued().into()), job.into()), (None, runner.into())], &[]),
        []
    );
}

#[test]
fn a_messenger_is_a_launch_and_keeps_no_job_waiting() {
    let messenger = |runner: Runner| Runner {
        message: Some(Message {
            job: runner.wanted_by,
            run: runner.run,
            text: "no".to_owned(),
        }),
        ..runner
    };
    let (job, runner) = claimed();
    let runner = messenger(runner);
    assert_eq!(
        told(
            &[(Some(queued().into()), job.into()), (None, runner.clone().into())],
            &[]
        ),
        []
    );
    assert_eq!(
        of(runner.clone(), launched(runner)),
        [(Metric::Launches(Bought::Messenger), 1)]
    );
    assert_eq!(of(messenger(launched(claimed().1)), messenger(enrolled())), []);
    assert_eq!(of(messenger(enrolled()), messenger(busy())), []);
}

#[test]
fn a_job_ends_once_and_as_github_says_unless_its_instance_was_the_reason() {
    use Conclusion::{Cancelled, Failure, Skipped, Success, TimedOut};
    let mut lost = busy();
    lost.ending = Some(Ending::Interrupted);
    for (conclusion, runner, outcome) in [
        (Success, busy(), Some(Outcome::Succeeded)),
        (Failure, busy(), Some(Outcome::Failed)),
        (TimedOut, busy(), Some(Outcome::Failed)),
        (Cancelled, busy(), Some(Outcome::Cancelled)),
        (Skipped, busy(), None),
        (Failure, lost.clone(), Some(Outcome::Interrupted)),
        (Success, lost.clone(), Some(Outcome::Succeeded)),
        (Cancelled, lost, Some(Outcome::Cancelled)),
    ] {
        let before = running(&runner);
        let over = Job {
            state: JobState::Finished { conclusion },
            ..before.clone()
        };
        let expected: Vec<Point> = outcome.map(|outcome| (Metric::Jobs(outcome), 1)).into_iter().collect();
        let change = [(Some(before.clone().into()), over.clone().into())];
        assert_eq!(told(&change, &[runner.clone().into()]), expected, "{conclusion:?}");
        // Told of its end before its start, with the runner written at the same time.
        let waiting = Job {
            state: JobState::Launching,
            ..before
        };
        let change = [
            (Some(waiting.into()), over.clone().into()),
            (Some(runner.clone().into()), runner.into()),
        ];
        assert_eq!(told(&change, &[]), expected, "{conclusion:?}");
        assert_eq!(of(over.clone(), over), []);
    }
}

#[test]
fn a_job_that_was_told_no_is_not_told_again_when_it_ends() {
    let reason = String::from("why");
    let refused = JobState::Refused { reason: reason.clone() };
    let given_up = JobState::Unlaunchable { reason };
    for (state, outcome) in [(refused, Outcome::Refused), (given_up, Outcome::GivenUp)] {
        let job = Job { state, ..claimed().0 };
        assert_eq!(of(claimed().0, job.clone()), [(Metric::Jobs(outcome), 1)]);
        assert_eq!(told(&[(None, job.clone().into())], &[]), [(Metric::Jobs(outcome), 1)]);
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
fn an_instance_that_ec2_takes_is_an_interruption_once() {
    let warned = interruption::heard(&busy(), Word::Warning, after(100), after(100), &deadlines()).unwrap();
    let ended = interruption::heard(&warned, Word::Ended, after(200), after(200), &deadlines()).unwrap();
    assert_eq!(of(busy(), warned.clone()), [(Metric::Interruptions, 1)]);
    assert_eq!(of(warned, ended), []);
    let mut job_over = busy();
    job_over.job_over_at = Some(after(90));
    let ended = interruption::heard(&job_over, Word::Ended, after(100), after(100), &deadlines()).unwrap();
    assert_eq!(of(job_over, ended), []);
}
