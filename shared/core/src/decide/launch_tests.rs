use std::time::Duration;

use super::*;
use crate::decide::fixtures::{claimed, deadlines, event, launched, now, plan};
use crate::event::Conclusion;

fn in_state(state: JobState) -> Job {
    Job {
        state,
        ..new_job(&event(11))
    }
}

fn need(known: Option<&Job>) -> Need {
    on_queued(known, &event(11), now(), &deadlines())
}

#[test]
fn a_queued_job_is_claimed_only_if_nothing_was_done_for_it() {
    assert_eq!(need(None), Need::Claim);
    for state in [
        JobState::Queued,
        JobState::Launching,
        JobState::Running { runner: "x".into() },
        JobState::Finished {
            conclusion: Conclusion::Success,
        },
        JobState::Refused { reason: "x".into() },
        JobState::Unlaunchable { reason: "x".into() },
    ] {
        assert!(
            matches!(need(Some(&in_state(state.clone()))), Need::Nothing(_)),
            "{state:?}"
        );
    }
}

#[test]
fn an_old_word_that_a_job_waits_is_not_believed_unasked() {
    let event = event(11);
    let limit = deadlines().webhook;
    for (late, expected) in [
        (limit, Need::Claim),
        (limit + Duration::from_millis(1), Need::ClaimIfWaiting),
    ] {
        assert_eq!(on_queued(None, &event, now().after(late), &deadlines()), expected);
    }
    let undated = JobEvent {
        created_at: None,
        ..event
    };
    assert_eq!(
        on_queued(None, &undated, now().after(2 * limit), &deadlines()),
        Need::Claim
    );
}

#[test]
fn a_job_that_is_heard_of_late_gets_none_of_the_names_of_before() {
    let name = |event: &JobEvent| claim(new_job(event), plan(), now(), &deadlines()).1.name;
    let at_once = event(11);
    let late = JobEvent {
        received_at: now().after(Duration::from_mins(15)),
        ..event(11)
    };
    assert_eq!(name(&at_once).as_str(), "dayfly-11-1-1");
    assert_eq!(name(&late).as_str(), "dayfly-11-1-151");
}

#[test]
fn a_launch_is_left_to_whoever_began_it_until_it_is_due() {
    let (job, runner) = claimed(11);
    assert!(matches!(on_runner_due(&runner, Some(&job), now()), Need::Nothing(_)));
    assert_eq!(on_runner_due(&runner, Some(&job), runner.launch_due), Need::Resume);
}

#[test]
fn a_launch_that_nobody_needs_any_more_is_dropped() {
    let (mut job, runner) = claimed(11);
    let (other, _) = claimed(12);
    let due = runner.launch_due;
    assert_eq!(on_runner_due(&runner, Some(&other), due), Need::Drop);
    assert_eq!(on_runner_due(&runner, None, due), Need::Drop);
    job.state = JobState::Running { runner: "x".into() };
    assert_eq!(on_runner_due(&runner, Some(&job), due), Need::Drop);
    let dropped = drop(runner, due, &deadlines());
    assert_eq!((dropped.state, dropped.due_at), (RunnerState::Done, Some(due)));
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
    runner.end(RunnerStep::DropNeed, Ending::NotNeeded, now(), &deadlines());
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
fn a_launch_of_which_nothing_is_ever_heard_is_given_up_and_left_to_its_tag() {
    let (job, mut runner) = claimed(11);
    let mut now = now();
    let mut last = Duration::ZERO;
    let given_up = loop {
        let words = "timeout".into();
        let recorded = record(
            runner,
            Some(job.clone()),
            Attempted::Unclear { words },
            now,
            &deadlines(),
        );
        runner = recorded.runner;
        if let Some(job) = recorded.job {
            break job;
        }
        assert!(
            runner.launch_due.since(now) >= last.min(Duration::from_mins(1)),
            "it backs off"
        );
        last = runner.launch_due.since(now);
        now = runner.launch_due;
    };
    assert!(matches!(given_up.state, JobState::Unlaunchable { .. }));
    assert_eq!(runner.state, RunnerState::Done);
    assert!(runner.due_at.is_some(), "its instance has to be looked for");
}

#[test]
fn a_job_that_nothing_could_be_decided_for_is_looked_at_again_for_as_long_as_github_lets_it_wait() {
    let job = new_job(&event(11));
    let soon = postpone(job.clone(), None, now(), &deadlines());
    assert_eq!(soon.state, JobState::Queued);
    assert!(soon.due_at >= Some(now().after(deadlines().retry(1))));
    let asked = Duration::from_mins(40);
    let told = postpone(job.clone(), Some(asked), now(), &deadlines());
    assert_eq!(
        told.due_at,
        Some(now().after(asked)),
        "GitHub's own word on when counts"
    );
    let late = postpone(job, None, now().after(QUEUE_LIMIT), &deadlines());
    assert!(matches!(late.state, JobState::Finished { .. }));
}
