//! A job's normal course, and its deviations.

use std::time::Duration;

use dayfly_engine::runner::interruption::Ec2Signal;
use dayfly_ports::FleetErrorKind;
use dayfly_records::event::{Conclusion, Event};
use dayfly_records::{Ending, JobState, Record, RunnerState};
use dayfly_types::ids::{InstanceId, JobId};

use crate::stage::{Answer, Call, RUN, Stage};

fn order(answer: &Answer) -> String {
    match answer {
        Answer::Http(200, body) => body["order"].as_str().unwrap().to_owned(),
        other => panic!("{other:?}"),
    }
}

pub(crate) fn state_of(stage: &Stage, job: u64) -> JobState {
    stage.job_state(job).unwrap()
}

/// The instance powers off, as it does after its goodbye.
fn power_off(stage: &Stage, instance: &InstanceId) {
    stage.world.cloud().end(instance);
    stage.make(Call::Ec2(instance.clone(), Ec2Signal::Ended));
    stage.deliver();
}

#[test]
fn a_queued_job_runs_on_an_instance_and_leaves_nothing() {
    let stage = Stage::new();
    stage.queue(11);
    assert!(stage.world.schedule_is_on());
    let instance = stage.instance();
    let runner = stage.boot(&instance);
    stage.start(runner, 11);
    assert_eq!(order(&stage.heartbeat(&instance, "running")), "continue");
    stage.complete(11, Conclusion::Success);
    assert_eq!(
        stage.instances(),
        [],
        "the instance is ended with the job, not at the next sweep"
    );
    stage.minutes(4);
    assert_eq!(stage.left(), Vec::<String>::new());
    assert_eq!(stage.world.cloud().launched_total(), 1);
}

#[test]
fn an_unused_runner_is_ended_after_its_idle_time() {
    let stage = Stage::new();
    stage.queue(11);
    let instance = stage.instance();
    stage.boot(&instance);
    // A runner of someone else took the job, and GitHub's webhook was lost.
    stage.world.hub().complete(JobId(11), Conclusion::Success);
    for _ in 0..5 {
        stage.heartbeat(&instance, "listening");
        stage.minute();
    }
    assert_eq!(stage.instances(), []);
    stage.minutes(4);
    assert_eq!(stage.left(), Vec::<String>::new());
    assert_eq!(
        stage.world.cloud().launched_total(),
        1,
        "a job that does not wait gets no other runner"
    );
}

#[test]
fn a_waiting_job_whose_runner_idled_out_gets_another() {
    let stage = Stage::new();
    stage.queue(11);
    let first = stage.instance();
    stage.boot(&first);
    for _ in 0..6 {
        stage.heartbeat(&first, "listening");
        stage.minute();
    }
    let second = stage.instance();
    assert_ne!(first, second);
    let runner = stage.boot(&second);
    stage.start(runner, 11);
    stage.complete(11, Conclusion::Success);
    stage.minutes(4);
    assert_eq!(stage.left(), Vec::<String>::new());
}

#[test]
fn a_runner_that_gets_a_job_at_the_last_second_is_not_ended() {
    let stage = Stage::new();
    stage.queue(11);
    let instance = stage.instance();
    let runner = stage.boot(&instance);
    stage.wait(Duration::from_mins(4));
    stage.heartbeat(&instance, "listening");
    // GitHub has assigned the job, and the webhook is not here yet.
    stage.world.hub().assign(runner, JobId(11));
    stage.minute();
    stage.heartbeat(&instance, "running");
    stage.minute();
    assert_eq!(stage.instance(), instance);
    stage.complete(11, Conclusion::Success);
    stage.minutes(4);
    assert_eq!(stage.left(), Vec::<String>::new());
}

#[test]
fn no_instance_outlives_its_maximum_lifetime() {
    let stage = Stage::new();
    stage.queue(11);
    let instance = stage.instance();
    let runner = stage.boot(&instance);
    stage.start(runner, 11);
    for _ in 0..(6 * 60) {
        stage.heartbeat(&instance, "running");
        stage.minute();
    }
    assert_eq!(stage.instances(), []);
    assert_eq!(order(&stage.heartbeat(&instance, "running")), "stop");
    stage.complete(11, Conclusion::Failure);
    stage.make(Call::JobEvents(stage.run_completed()));
    stage.minutes(5);
    assert_eq!(stage.left(), Vec::<String>::new());
    assert_eq!(
        stage.world.hub().reruns,
        [],
        "a job that took too long would take too long again"
    );
}

/// Boots the messenger, which takes the job, fails it and leaves.
pub(crate) fn fail_by_messenger(stage: &Stage, job: u64) {
    let instance = stage.instance();
    let Answer::Http(200, claimed) = stage.claim(&instance) else {
        panic!("the messenger got no config")
    };
    assert!(
        claimed["message"]["text"].as_str().is_some_and(|text| !text.is_empty()),
        "{claimed}"
    );
    let runner = *stage.world.hub().runners.keys().next().unwrap();
    stage.world.hub().queue(RUN, JobId(job));
    stage.start(runner, job);
    stage.complete(job, Conclusion::Failure);
    stage.minutes(4);
}

#[test]
fn an_instance_that_never_checks_in_is_replaced_then_given_up() {
    let stage = Stage::new();
    stage.queue(11);
    for _ in 0..5 {
        stage.minutes(11);
    }
    stage.minutes(2);
    assert_eq!(stage.world.cloud().launched_total(), 5 + 1, "and a messenger");
    assert!(matches!(state_of(&stage, 11), JobState::Unlaunchable { .. }));
    fail_by_messenger(&stage, 11);
    assert_eq!(stage.left(), Vec::<String>::new());
}

#[test]
fn an_instance_without_heartbeat_is_ended_and_its_job_rerun() {
    let stage = Stage::new();
    stage.queue(11);
    let instance = stage.instance();
    let runner = stage.boot(&instance);
    stage.start(runner, 11);
    stage.minutes(6);
    assert_eq!(stage.instances(), []);
    // GitHub notices later, and fails the job.
    stage.complete(11, Conclusion::Failure);
    stage.make(Call::JobEvents(stage.run_completed()));
    assert_eq!(stage.world.hub().reruns, [(RUN, Some(JobId(11)))]);
    stage.minutes(5);
    assert_eq!(stage.left(), Vec::<String>::new());
}

#[test]
fn an_interrupted_job_is_rerun_once_its_run_is_over() {
    let stage = Stage::new();
    stage.queue(11);
    stage.queue(12);
    let [first, second] = stage.instances().try_into().unwrap();
    let (one, two) = (stage.boot(&first), stage.boot(&second));
    stage.start(one, 11);
    stage.start(two, 12);
    stage.make(Call::Ec2(first.clone(), Ec2Signal::Warning));
    assert_eq!(order(&stage.heartbeat(&first, "running")), "drain");
    stage.complete(11, Conclusion::Failure);
    power_off(&stage, &first);
    assert_eq!(
        stage.world.hub().reruns,
        [],
        "GitHub refuses while another job of the run is running"
    );
    stage.minutes(2);
    stage.complete(12, Conclusion::Success);
    stage.make(Call::JobEvents(stage.run_completed()));
    stage.minutes(5);
    assert_eq!(stage.world.hub().reruns, [(RUN, Some(JobId(11)))]);
    assert_eq!(stage.left(), Vec::<String>::new());
}

/// A job interrupted at this age of its instance, whose runner has left.
fn left_after_a_notice(stage: &Stage, age: Duration) -> (InstanceId, String) {
    stage.queue(11);
    let instance = stage.instance();
    let runner = stage.boot(&instance);
    stage.start(runner, 11);
    let minutes = age.as_secs() / 60;
    for _ in 0..minutes {
        stage.heartbeat(&instance, "running");
        stage.minutes(1);
    }
    stage.make(Call::Ec2(instance.clone(), Ec2Signal::Warning));
    let body = serde_json::json!({ "instance": instance, "reason": "interrupted" });
    let order = order(&stage.make(Call::CheckIn(instance.clone(), "goodbye", body)));
    stage.complete(11, Conclusion::Failure);
    (instance, order)
}

#[test]
fn an_instance_interrupted_in_its_first_hour_is_left_to_ec2() {
    let stage = Stage::new();
    let (instance, order) = left_after_a_notice(&stage, Duration::from_mins(10));
    assert_eq!(order, "continue");
    stage.make(Call::JobEvents(stage.run_completed()));
    assert_eq!(stage.world.hub().reruns, [(RUN, Some(JobId(11)))]);
    stage.minutes(2);
    assert_eq!(
        stage.instances().as_slice(),
        std::slice::from_ref(&instance),
        "EC2 has not taken it yet"
    );
    power_off(&stage, &instance);
    stage.minutes(4);
    assert_eq!(stage.left(), Vec::<String>::new());
}

#[test]
fn an_instance_left_to_ec2_but_not_reclaimed_is_ended() {
    let stage = Stage::new();
    left_after_a_notice(&stage, Duration::from_mins(10));
    stage.minutes(4);
    assert_eq!(stage.instances(), []);
    stage.make(Call::JobEvents(stage.run_completed()));
    stage.minutes(5);
    assert_eq!(stage.left(), Vec::<String>::new());
}

#[test]
fn an_instance_interrupted_after_its_first_hour_is_ended_at_once() {
    let stage = Stage::new();
    let (_, order) = left_after_a_notice(&stage, Duration::from_mins(61));
    assert_eq!(order, "stop");
    stage.minutes(1);
    assert_eq!(stage.instances(), []);
}

#[test]
fn several_interrupted_jobs_are_rerun_with_one_call() {
    let stage = Stage::new();
    for job in [11, 12] {
        stage.queue(job);
    }
    for (instance, job) in stage.instances().into_iter().zip([11, 12]) {
        let runner = stage.boot(&instance);
        stage.start(runner, job);
        stage.make(Call::Ec2(instance.clone(), Ec2Signal::Warning));
    }
    for job in [11, 12] {
        stage.complete(job, Conclusion::Failure);
    }
    for _ in 0..3 {
        stage.make(Call::JobEvents(stage.run_completed()));
    }
    stage.minutes(7);
    assert_eq!(stage.world.hub().reruns, [(RUN, None)]);
    assert_eq!(stage.left(), Vec::<String>::new());
}

#[test]
fn an_interrupted_run_is_rerun_even_if_its_end_was_lost() {
    let stage = Stage::new();
    stage.queue(11);
    let instance = stage.instance();
    let runner = stage.boot(&instance);
    stage.start(runner, 11);
    stage.make(Call::Ec2(instance.clone(), Ec2Signal::Warning));
    stage.complete(11, Conclusion::Failure);
    power_off(&stage, &instance);
    stage.minutes(5);
    assert_eq!(stage.world.hub().reruns, [(RUN, Some(JobId(11)))]);
    assert_eq!(stage.left(), Vec::<String>::new());
}

#[test]
fn an_instance_interrupted_before_its_job_is_replaced_at_once() {
    let stage = Stage::new();
    stage.queue(11);
    let first = stage.instance();
    stage.make(Call::Ec2(first.clone(), Ec2Signal::Warning));
    stage.deliver();
    assert_eq!(stage.instances().len(), 2);
    power_off(&stage, &first);
    let runner = stage.boot(&stage.instance());
    stage.start(runner, 11);
    stage.complete(11, Conclusion::Success);
    stage.minutes(5);
    assert_eq!(stage.left(), Vec::<String>::new());
    assert_eq!(stage.world.hub().reruns, []);
}

#[test]
fn jobs_that_swap_runners_both_run() {
    let stage = Stage::new();
    stage.queue(11);
    stage.queue(12);
    let [first, second] = stage.instances().try_into().unwrap();
    let one = stage.boot(&first);
    stage.start(one, 12);
    stage.complete(12, Conclusion::Success);
    assert_eq!(
        stage.instances(),
        std::slice::from_ref(&second),
        "the other instance is for the job that waits"
    );
    let two = stage.boot(&second);
    stage.start(two, 11);
    stage.complete(11, Conclusion::Success);
    stage.minutes(4);
    assert_eq!(stage.left(), Vec::<String>::new());
    assert_eq!(stage.world.cloud().launched_total(), 2);
}

#[test]
fn completed_before_queued_launches_nothing() {
    let stage = Stage::new();
    stage.world.hub().queue(RUN, JobId(11));
    stage.complete(11, Conclusion::Cancelled);
    stage.make(Call::Launch(Event::JobQueued(stage.job(11))));
    assert_eq!(stage.world.cloud().launched_total(), 0);
    assert_eq!(stage.left(), Vec::<String>::new());
}

#[test]
fn a_job_cancelled_in_any_state_leaves_nothing() {
    for boots in [false, true] {
        let stage = Stage::new();
        stage.queue(11);
        let instance = stage.instance();
        if boots {
            stage.boot(&instance);
        }
        stage.complete(11, Conclusion::Cancelled);
        stage.minutes(5);
        assert_eq!(stage.left(), Vec::<String>::new(), "boots: {boots}");
    }
}

#[test]
fn a_launch_without_capacity_is_retried_then_given_up_with_reason() {
    let stage = Stage::new();
    stage
        .world
        .cloud()
        .refuse(vec![(FleetErrorKind::Capacity, "InsufficientInstanceCapacity"); 2]);
    stage.queue(11);
    assert_eq!(stage.instances(), []);
    stage.minutes(5);
    assert_eq!(stage.instances().len(), 1, "the third try has found capacity");

    let stage = Stage::new();
    stage
        .world
        .cloud()
        .refuse(vec![(FleetErrorKind::Capacity, "InsufficientInstanceCapacity"); 4]);
    stage.queue(11);
    stage.minutes(12);
    let JobState::Unlaunchable { reason } = state_of(&stage, 11) else {
        panic!()
    };
    assert!(reason.contains("InsufficientInstanceCapacity"), "{reason}");
    fail_by_messenger(&stage, 11);
    assert_eq!(stage.left(), Vec::<String>::new());
}

#[test]
fn a_launch_that_timed_out_but_succeeded_is_not_repeated() {
    let stage = Stage::new();
    stage.world.cloud().refuse([(FleetErrorKind::Unknown, "Timeout")]);
    stage.queue(11);
    stage.minutes(2);
    assert_eq!(stage.world.cloud().launched_total(), 1);
    let runner = stage.boot(&stage.instance());
    stage.start(runner, 11);
    stage.complete(11, Conclusion::Success);
    stage.minutes(4);
    assert_eq!(stage.left(), Vec::<String>::new());
}

#[test]
fn the_jit_config_is_issued_once_and_to_its_instance_only() {
    let stage = Stage::new();
    stage.queue(11);
    let instance = stage.instance();
    let stranger = InstanceId::new("i-ffffffffffffffff0");
    let mixed_up = Call::CheckIn(
        instance.clone(),
        "claim",
        serde_json::json!({ "instance": stranger, "agent_version": "1" }),
    );
    assert!(matches!(stage.make(mixed_up), Answer::Http(403, _)));
    assert!(matches!(stage.claim(&stranger), Answer::Http(409, _)));
    assert_eq!(stage.world.calls("mint"), 0);
    stage.boot(&instance);
    assert!(matches!(stage.claim(&instance), Answer::Http(403, _)));
    assert_eq!(stage.world.calls("mint"), 1);
}

#[test]
fn a_registration_that_failed_but_succeeded_leaves_nothing() {
    let stage = Stage::new();
    stage.queue(11);
    let instance = stage.instance();
    stage.world.break_down("mint");
    assert!(matches!(stage.claim(&instance), Answer::Http(503, _)));
    stage.world.restore();
    let runner = stage.boot(&instance);
    assert_eq!(stage.world.hub().runners.len(), 2, "the one that errored was made too");
    stage.start(runner, 11);
    stage.complete(11, Conclusion::Success);
    stage.minutes(4);
    assert_eq!(stage.left(), Vec::<String>::new());
}

#[test]
fn a_job_with_unknown_labels_is_refused_with_the_reason() {
    let stage = Stage::new();
    let mut event = stage.job(11);
    event.labels = vec![dayfly_config::labels::Label::new("dayfly-tpu")];
    stage.make(Call::Launch(Event::JobQueued(event)));
    let JobState::Refused { reason } = state_of(&stage, 11) else {
        panic!()
    };
    assert!(
        reason.contains("dayfly-tpu") && reason.contains(".dayfly.yml"),
        "{reason}"
    );
    stage.deliver();
    fail_by_messenger(&stage, 11);
    assert_eq!(stage.left(), Vec::<String>::new());
}

#[test]
fn a_job_for_other_runners_is_left_alone() {
    let stage = Stage::new();
    let mut event = stage.job(11);
    event.labels = vec![
        dayfly_config::labels::Label::new("self-hosted"),
        dayfly_config::labels::Label::new("theirs"),
    ];
    stage.make(Call::Launch(Event::JobQueued(event)));
    assert_eq!(
        stage
            .world
            .table()
            .records()
            .filter(|record| matches!(record, Record::Job(_)))
            .count(),
        0
    );
}

#[test]
fn patrol_ends_orphans() {
    let stage = Stage::new();
    stage.queue(11);
    stage.world.table().clear();
    stage.make(Call::Patrol);
    assert_eq!(stage.instances().len(), 1, "its launch might not be recorded yet");
    stage.wait(Duration::from_mins(15));
    stage.make(Call::Patrol);
    assert_eq!(stage.instances(), []);
}

#[test]
fn a_leaving_runner_reports_why() {
    let stage = Stage::new();
    stage.queue(11);
    stage.minutes(11);
    let first = stage
        .runners()
        .into_iter()
        .find(|runner| runner.name.as_str().ends_with("-1-1"))
        .unwrap();
    assert_eq!(
        (first.state, first.ending),
        (RunnerState::Gone, Some(Ending::NeverBooted))
    );
}
