use std::time::Duration;

use super::*;
use crate::decide::fixtures::{claimed, deadlines, event, launched, now};
use crate::event::Conclusion;

fn in_state(state: JobState) -> Job {
    Job {
        state,
        ..new_job(&event(11))
    }
}

#[test]
fn a_queued_job_is_claimed_only_if_nothing_was_done_for_it() {
    assert_eq!(on_queued(None), Need::Claim);
    assert_eq!(on_queued(Some(&in_state(JobState::Queued))), Need::Claim);
    for state in [
        JobState::Launching,
        JobState::Running { runner: "x".into() },
        JobState::Finished {
            conclusion: Conclusion::Success,
        },
        JobState::Refused { reason: "x".into() },
        JobState::Unlaunchable { reason: "x".into() },
    ] {
        assert!(
            matches!(on_queued(Some(&in_state(state.clone()))), Need::Nothing(_)),
            "{state:?}"
        );
    }
}

#[test]
fn a_launch_is_left_to_whoever_began_it_until_it_is_due() {
    let (job, runner) = claimed(11);
    assert!(matches!(on_due(&job, Some(&runner), now()), Need::Nothing(_)));
    assert_eq!(on_due(&job, Some(&runner), runner.launch_due), Need::Resume);
}

#[test]
fn a_repeated_call_has_the_same_token_and_the_next_try_another() {
    let (job, runner) = claimed(11);
    let token = runner.client_token();
    let unclear = record(
        runner.clone(),
        Some(job.clone()),
        Attempted::Unclear {
            words: "timeout".into(),
        },
        now(),
        &deadlines(),
    );
    assert_eq!(unclear.runner.client_token(), token);
    let failed = record(
        runner,
        Some(job),
        Attempted::Failed {
            words: "none".into(),
            hopeless: false,
        },
        now(),
        &deadlines(),
    );
    assert_ne!(failed.runner.client_token(), token);
    assert!(
        failed.runner.client_token().len() <= 64,
        "EC2 takes tokens of up to 64 characters"
    );
}

#[test]
fn a_launch_that_failed_is_retried_and_then_given_up_in_ec2s_words() {
    let (job, mut runner) = claimed(11);
    let mut now = now();
    let mut retries = 0;
    loop {
        let words = format!("InsufficientInstanceCapacity {retries}");
        let recorded = record(
            runner,
            Some(job.clone()),
            Attempted::Failed { words, hopeless: false },
            now,
            &deadlines(),
        );
        runner = recorded.runner;
        if let Some(job) = recorded.job {
            let JobState::Unlaunchable { reason } = job.state else {
                panic!("{:?}", job.state)
            };
            assert!(
                reason.contains("InsufficientInstanceCapacity 0") && reason.contains("g5.xlarge"),
                "{reason}"
            );
            break;
        }
        assert_eq!(runner.due_at, Some(runner.launch_due));
        now = runner.launch_due;
        retries += 1;
    }
    assert_eq!((retries, runner.state, runner.due_at), (3, RunnerState::Gone, None));
}

#[test]
fn a_request_that_can_never_succeed_is_given_up_at_once() {
    let (job, runner) = claimed(11);
    let recorded = record(
        runner,
        Some(job),
        Attempted::Failed {
            words: "InvalidAMIID.NotFound".into(),
            hopeless: true,
        },
        now(),
        &deadlines(),
    );
    assert_eq!(recorded.runner.state, RunnerState::Gone);
    assert!(recorded.job.is_some());
}

#[test]
fn an_instance_that_came_after_its_job_was_over_is_left_to_the_sweeper() {
    let (_, mut runner) = claimed(11);
    runner.end(RunnerState::Done, Ending::NotNeeded, now(), &deadlines());
    let recorded = record(runner, None, Attempted::Launched(launched("i-9")), now(), &deadlines());
    assert_eq!(recorded.runner.state, RunnerState::Done);
    assert_eq!(recorded.runner.due_at, Some(now()));
    assert!(recorded.runner.launched.is_some() && recorded.instance.is_some());
}

#[test]
fn the_same_instance_reported_twice_changes_nothing_the_second_time() {
    let (_, runner) = claimed(11);
    let once = record(runner, None, Attempted::Launched(launched("i-9")), now(), &deadlines()).runner;
    let twice = record(
        once.clone(),
        None,
        Attempted::Launched(launched("i-9")),
        now(),
        &deadlines(),
    )
    .runner;
    assert_eq!(once, twice);
}

#[test]
fn a_job_that_nothing_could_be_decided_for_is_looked_at_again_and_in_the_end_given_up() {
    let job = new_job(&event(11));
    let soon = postpone(job.clone(), "GitHub did not answer".into(), now(), &deadlines());
    assert_eq!(
        (soon.state, soon.due_at),
        (JobState::Queued, Some(now().after(Duration::from_mins(1))))
    );
    let late = postpone(
        job,
        "GitHub did not answer".into(),
        now().after(deadlines().give_up),
        &deadlines(),
    );
    assert!(matches!(late.state, JobState::Unlaunchable { .. }));
}
