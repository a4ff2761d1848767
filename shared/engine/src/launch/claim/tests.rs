use std::time::Duration;

use dayfly_records::event::Conclusion;

use super::*;
use crate::fixtures::{claimed, deadlines, event, now, plan};
use crate::launch::fleet;

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
fn queued_job_is_claimed_only_if_it_is_new() {
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
fn old_queued_webhook_is_not_believed_without_asking() {
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
fn late_job_reuses_no_earlier_runner_name() {
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
fn launch_is_left_to_its_holder_until_it_is_due() {
    let (job, runner) = claimed(11);
    assert!(matches!(
        on_runner_due(&runner, Some(&job), None, now()),
        Need::Nothing(_)
    ));
    assert_eq!(
        on_runner_due(&runner, Some(&job), None, runner.launch_due),
        Need::Resume
    );
}

#[test]
fn runner_is_launched_again_only_once_its_call_is_over() {
    let (job, runner) = claimed(11);
    let (call, mut runners) = fleet::open_call(vec![runner], Vec::new(), now(), &deadlines()).unwrap();
    let runner = runners.remove(0);
    let due = runner.launch_due;
    let next_try = due.after(Duration::from_mins(4));
    let again = FleetCall {
        due_at: Some(next_try),
        ..call.clone()
    };
    let over = FleetCall { due_at: None, ..call };
    for (job, call, expected) in [
        (Some(&job), Some(&again), Need::AwaitCall(next_try)),
        (Some(&job), Some(&over), Need::Resume),
        (Some(&job), None, Need::Resume),
        (None, Some(&again), Need::Drop),
    ] {
        assert_eq!(on_runner_due(&runner, job, call, due), expected, "{call:?}");
    }
    for call_due_at in [next_try, now()] {
        let awaits = await_call(runner.clone(), call_due_at, due, &deadlines());
        assert!(
            awaits.launch_due > due.max(call_due_at),
            "the call's next try comes first"
        );
        assert_eq!(
            (awaits.due_at, awaits.fleet),
            (Some(awaits.launch_due), runner.fleet.clone())
        );
    }
}

#[test]
fn unneeded_launch_is_dropped() {
    let (mut job, runner) = claimed(11);
    let (other, _) = claimed(12);
    let due = runner.launch_due;
    assert_eq!(on_runner_due(&runner, Some(&other), None, due), Need::Drop);
    assert_eq!(on_runner_due(&runner, None, None, due), Need::Drop);
    job.state = JobState::Running { runner: "x".into() };
    assert_eq!(on_runner_due(&runner, Some(&job), None, due), Need::Drop);
    let dropped = drop_launch(runner, due, &deadlines());
    assert_eq!((dropped.state, dropped.due_at), (RunnerState::Done, Some(due)));
}

#[test]
fn postponed_job_is_retried_while_github_lets_it_wait() {
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
