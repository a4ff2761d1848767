//! What follows from interruptions: another instance, another attempt, or neither, and what is
//! reported.

use dayfly_engine::rerun;
use dayfly_engine::rerun::report;
use dayfly_engine::runner::interruption::Ec2Signal;
use dayfly_records::event::{Conclusion, Event, JobEvent, RunEvent};
use dayfly_records::{AfterInterruption, CheckContent, CheckRun, CheckSubject, Record, Rerun, Run, RunnerState};
use dayfly_types::capacity::InstanceLifecycle;
use dayfly_types::ids::{InstanceId, JobId, JobKey, RunAttempt, RunId, RunKey};

use crate::stage::{Call, RUN, Stage};

fn configured(lines: &str) -> Stage {
    let stage = Stage::new();
    stage.world.hub().config = Some(format!(
        "runners:\n  - name: gpu\n    labels: [dayfly-gpu]\n    instance_type: g5.xlarge\n    machine_image: ami-0123456789abcdef0\n{lines}"
    ));
    stage
}

fn check_run(stage: &Stage, job: u64) -> Option<CheckRun> {
    let table = stage.world.table();
    table.records().find_map(|record| match record {
        Record::CheckRun(check_run) if check_run.key.of == CheckSubject::Job(JobId(job)) => Some((**check_run).clone()),
        _ => None,
    })
}

fn next_of(stage: &Stage, job: u64) -> AfterInterruption {
    match check_run(stage, job).expect("something is said of it").content {
        CheckContent::Interrupted { next, .. } => next,
        other => panic!("{other:?}"),
    }
}

fn record_of_run(stage: &Stage, attempt: u32) -> Run {
    let table = stage.world.table();
    let key = RunKey {
        run: RUN,
        attempt: RunAttempt(attempt),
    };
    table
        .records()
        .find_map(|record| match record {
            Record::Run(run) if run.key == key => Some(run.clone()),
            _ => None,
        })
        .expect("the run has a record")
}

fn in_attempt(stage: &Stage, job: u64, attempt: u32) -> JobEvent {
    JobEvent {
        attempt: RunAttempt(attempt),
        ..stage.job(job)
    }
}

/// Queues and starts a job of an attempt, interrupts its instance, and ends the run.
fn interrupted_in(stage: &Stage, job: u64, attempt: u32) {
    stage.world.hub().queue(RUN, JobId(job));
    stage.make(Call::Launch(Event::JobQueued(in_attempt(stage, job, attempt))));
    let instance = stage.instance();
    let runner = stage.boot(&instance);
    stage.world.hub().assign(runner, JobId(job));
    stage.make(Call::JobEvents(Event::JobInProgress(in_attempt(stage, job, attempt))));
    stage.make(Call::Ec2(instance.clone(), Ec2Signal::Warning));
    stage.world.hub().complete(JobId(job), Conclusion::Failure);
    stage.make(Call::JobEvents(Event::JobCompleted(JobEvent {
        conclusion: Some(Conclusion::Failure),
        ..in_attempt(stage, job, attempt)
    })));
    stage.world.cloud().end(&instance);
    stage.make(Call::Ec2(instance, Ec2Signal::Ended));
    let Event::RunCompleted(over) = stage.run_completed() else {
        unreachable!("it is the end of a run")
    };
    stage.make(Call::JobEvents(Event::RunCompleted(RunEvent {
        attempt: RunAttempt(attempt),
        ..over
    })));
    stage.deliver();
}

fn imds_notice(instance: &InstanceId) -> Call {
    let body = serde_json::json!({
        "instance": instance, "phase": "listening",
        "interruption": { "action": "terminate", "at": "2027-01-15T08:02:00Z" },
    });
    Call::CheckIn(instance.clone(), "heartbeat", body)
}

#[test]
fn a_notice_from_either_source_replaces_an_idle_runner_at_once() {
    for by_imds in [false, true] {
        let stage = Stage::new();
        stage.queue(11);
        let first = stage.instance();
        stage.boot(&first);
        let call = if by_imds {
            imds_notice(&first)
        } else {
            Call::Ec2(first.clone(), Ec2Signal::Warning)
        };
        stage.make(call);
        stage.deliver();
        assert_eq!(stage.instances().len(), 2, "by IMDS: {by_imds}");
        assert_eq!(next_of(&stage, 11), AfterInterruption::AnotherInstance);
        // The other source reports the same, and changes nothing.
        stage.make(Call::Ec2(first.clone(), Ec2Signal::Warning));
        stage.make(imds_notice(&first));
        stage.deliver();
        assert_eq!(stage.world.cloud().launched_total(), 2, "by IMDS: {by_imds}");
    }
}

#[test]
fn a_heartbeat_completes_what_an_interrupted_one_left_undone() {
    for fatal in 0..20 {
        let stage = Stage::new();
        stage.queue(11);
        let first = stage.instance();
        stage.boot(&first);
        let died = stage.make_and_die(imds_notice(&first), fatal);
        stage.make(imds_notice(&first));
        stage.deliver();
        // Had it died between table and bus, the job would be due.
        stage.minute();
        assert_eq!(stage.instances().len(), 2, "after a death before call {fatal}");
        if !died {
            return;
        }
    }
    panic!("the heartbeat never came to its end");
}

#[test]
fn a_rebalance_replaces_an_idle_runner_where_enabled() {
    for (lines, instances) in [("", 1), ("    rebalance: drain-if-idle\n", 2)] {
        let stage = configured(lines);
        stage.queue(11);
        let first = stage.instance();
        stage.boot(&first);
        stage.make(Call::Ec2(first.clone(), Ec2Signal::Rebalance));
        stage.deliver();
        assert_eq!(stage.instances().len(), instances, "{lines}");
        if instances == 2 {
            stage.minutes(2);
            let second = stage.instance();
            assert_ne!(first, second, "the first is ended once GitHub has let it go");
            let runner = stage.boot(&second);
            stage.start(runner, 11);
            stage.complete(11, Conclusion::Success);
            stage.minutes(5);
            assert_eq!(stage.left(), Vec::<String>::new());
        }
    }
}

#[test]
fn a_runner_that_gets_a_job_while_rebalanced_keeps_it() {
    let stage = configured("    rebalance: drain-if-idle\n");
    stage.queue(11);
    let first = stage.instance();
    let runner = stage.boot(&first);
    // GitHub has assigned the job, and the webhook is not here yet.
    stage.world.hub().assign(runner, JobId(11));
    stage.make(Call::Ec2(first.clone(), Ec2Signal::Rebalance));
    stage.deliver();
    stage.minute();
    let kept = stage
        .runners()
        .into_iter()
        .find(|runner| runner.instance() == Some(&first))
        .unwrap();
    assert_eq!(kept.state, RunnerState::Busy);
    assert!(stage.instances().contains(&first));
    stage.complete(11, Conclusion::Success);
    stage.minutes(12);
    assert_eq!(stage.left(), Vec::<String>::new());
}

#[test]
fn an_interrupted_job_reports_what_happened_and_what_follows() {
    let stage = Stage::new();
    stage.queue(11);
    let instance = stage.instance();
    let runner = stage.boot(&instance);
    stage.start(runner, 11);
    stage.make(Call::Ec2(instance, Ec2Signal::Warning));
    let said = check_run(&stage, 11).unwrap();
    assert_eq!(said.due_at, Some(stage.now()), "it is to be said now");
    let CheckContent::Interrupted { what, ran_on, next, .. } = said.content else {
        panic!("{:?}", said.content)
    };
    assert_eq!(what, "EC2 gave notice at 08:00:00 UTC that it takes the instance back");
    let (pool, lifecycle) = ran_on.unwrap();
    assert_eq!(
        (pool.to_string().as_str(), lifecycle),
        ("g4dn.xlarge in eu-west-1a", InstanceLifecycle::Spot)
    );
    assert_eq!(next, AfterInterruption::WhenRunIsOver);
    stage.complete(11, Conclusion::Failure);
    stage.make(Call::JobEvents(stage.run_completed()));
    let again = AfterInterruption::Rerun {
        attempt: RunAttempt(2),
        with_failed: false,
    };
    assert_eq!(next_of(&stage, 11), again);
}

#[test]
fn reruns_are_limited_and_the_last_one_is_on_demand() {
    let stage = configured("    max_reruns: 2\n");
    for (attempt, job) in [(1, 11), (2, 12), (3, 13)] {
        interrupted_in(&stage, job, attempt);
        assert_eq!(record_of_run(&stage, attempt).our_reruns, attempt - 1);
    }
    let reruns = [(RUN, Some(JobId(11))), (RUN, Some(JobId(12)))];
    assert_eq!(stage.world.hub().reruns, reruns);
    let on_demand: Vec<bool> = [1, 2, 3]
        .map(|attempt| rerun::on_demand(&record_of_run(&stage, attempt)))
        .into();
    assert_eq!(on_demand, [false, true, false], "of the attempt after each");
    let AfterInterruption::NotRerun { reason } = next_of(&stage, 13) else {
        panic!("{:?}", check_run(&stage, 13))
    };
    assert!(reason.contains("again 2 times"), "{reason}");
    let second = JobEvent {
        attempt: RunAttempt(2),
        ..stage.job(12)
    };
    let job = dayfly_engine::launch::claim::new_job(&second);
    let content = report::rerun_content(&record_of_run(&stage, 1), &job, InstanceLifecycle::Spot);
    assert!(
        matches!(content, Some(CheckContent::Rerun { of: RunAttempt(1), .. })),
        "{content:?}"
    );
    stage.minutes(5);
    assert_eq!(stage.left(), Vec::<String>::new());
}

#[test]
fn a_run_without_a_rerun_reports_why() {
    type Set = fn(&Stage);
    let cases: [(&str, Set, &str); 4] = [
        ("    rerun: never\n", |_| {}, "`rerun: never`"),
        ("    max_reruns: 0\n", |_| {}, "`max_reruns: 0`"),
        (
            "",
            |stage| {
                stage.world.hub().superseded.insert(RUN, RunId(501));
            },
            "run 501",
        ),
        (
            "",
            |stage| {
                stage.world.hub().ended.insert(RUN, Conclusion::Success);
            },
            "the run succeeded",
        ),
    ];
    for (lines, set, why) in cases {
        let stage = configured(lines);
        set(&stage);
        interrupted_in(&stage, 11, 1);
        stage.minutes(5);
        assert_eq!(stage.world.hub().reruns, [], "{why}");
        let Rerun::Declined { reason } = record_of_run(&stage, 1).rerun else {
            panic!("{why}")
        };
        assert!(reason.contains(why), "{reason}");
        assert_eq!(next_of(&stage, 11), AfterInterruption::NotRerun { reason });
        assert_eq!(stage.left(), Vec::<String>::new(), "{why}");
    }
}

#[test]
fn newer_runs_are_looked_up_only_before_a_rerun() {
    let stage = configured("    rerun: never\n");
    interrupted_in(&stage, 11, 1);
    assert_eq!(stage.world.calls("superseded"), 0);
}

#[test]
fn genuine_failures_are_rerun_with_interrupted_jobs_and_reported() {
    let stage = Stage::new();
    for job in [11, 12, 13] {
        stage.queue(job);
    }
    for (instance, job) in stage.instances().into_iter().zip([11, 12, 13]) {
        let runner = stage.boot(&instance);
        stage.start(runner, job);
        if job != 13 {
            stage.make(Call::Ec2(instance, Ec2Signal::Warning));
        }
    }
    for job in [11, 12, 13] {
        stage.complete(job, Conclusion::Failure);
    }
    stage.make(Call::JobEvents(stage.run_completed()));
    assert_eq!(stage.world.hub().reruns, [(RUN, None)]);
    let again = AfterInterruption::Rerun {
        attempt: RunAttempt(2),
        with_failed: true,
    };
    for job in [11, 12] {
        assert_eq!(next_of(&stage, job), again);
    }
    let failed = JobKey {
        job: JobId(13),
        attempt: RunAttempt(1),
    };
    assert_eq!(check_run(&stage, failed.job.0), None, "it was not interrupted");
}
