//! What is due.

use std::time::Duration;

use crate::deadlines::{ABSENCE_PROVES, Deadlines, LOOK_AGAIN};
use crate::record::{Ending, Job, JobState, Runner, RunnerState};
use crate::time::Timestamp;

/// What a runner needs that is due.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Look {
    /// Nothing yet: its deadline has moved on. Look again then.
    Early(Option<Timestamp>),
    /// Its launch is due.
    Launch,
    /// It must end, whatever GitHub says: record it, then end it.
    GiveUp(Box<Runner>),
    /// Its idle time is over: end it if GitHub lets it go.
    Idle,
    /// It is ending: bring it about.
    End,
}

/// Looks at a runner that is due.
#[must_use]
pub fn look(runner: &Runner, now: Timestamp, deadlines: &Deadlines) -> Look {
    let give_up = |ending: Ending| {
        let mut next = runner.clone();
        next.end(RunnerState::Lost, ending, now, deadlines);
        Look::GiveUp(Box::new(next))
    };
    let over = |deadline: Timestamp| deadline <= now;
    match runner.state {
        RunnerState::Requested if over(runner.launch_due) => Look::Launch,
        RunnerState::Launched | RunnerState::Enrolled | RunnerState::Busy | RunnerState::Draining
            if over(runner.lifetime_deadline(deadlines)) =>
        {
            give_up(Ending::Lifetime)
        }
        RunnerState::Launched if over(runner.boot_deadline(deadlines)) => give_up(Ending::NeverBooted),
        RunnerState::Enrolled | RunnerState::Busy if over(runner.heartbeat_deadline(deadlines)) => {
            give_up(Ending::HeartbeatLost)
        }
        RunnerState::Enrolled if over(runner.idle_deadline(deadlines)) => Look::Idle,
        RunnerState::Draining if over(runner.drain_deadline(deadlines)) => give_up(Ending::Interrupted),
        RunnerState::Done | RunnerState::Lost => Look::End,
        RunnerState::Requested
        | RunnerState::Launched
        | RunnerState::Enrolled
        | RunnerState::Busy
        | RunnerState::Draining
        | RunnerState::Gone => Look::Early(runner.next_look(deadlines)),
    }
}

/// What removing the runner from GitHub came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Registration {
    /// It is registered no more.
    Removed,
    /// GitHub says that it runs a job.
    Busy,
    /// GitHub did not answer.
    Unclear,
}

/// What to do with the instance of a runner that ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InstanceEnd {
    /// Whether to end it.
    pub terminate: bool,
    /// Whether to do so without waiting for its operating system.
    pub at_once: bool,
}

/// What to do with the instance, now that GitHub has answered. A runner that may be busy keeps its
/// instance, unless it is given up.
#[must_use]
pub fn instance_end(runner: &Runner, registration: Registration) -> InstanceEnd {
    let may_go = registration == Registration::Removed || runner.state == RunnerState::Lost;
    InstanceEnd {
        terminate: may_go && !runner.instance_ended,
        at_once: registration == Registration::Removed,
    }
}

/// The runner after its end was tried.
///
/// `ended` says whether its instance is ended, or proven never to have been.
#[must_use]
pub fn after_end(
    runner: &Runner,
    registration: Registration,
    ended: bool,
    now: Timestamp,
    deadlines: &Deadlines,
) -> Runner {
    let mut next = runner.clone();
    if ended {
        next.instance_ended = true;
    }
    match registration {
        Registration::Removed if ended => next.enter(RunnerState::Gone, now, deadlines),
        Registration::Busy if runner.state != RunnerState::Lost && may_be_taken(runner) => {
            // It was given a job at the last second.
            next.ending = None;
            next.enter(RunnerState::Busy, now, deadlines);
        }
        Registration::Removed | Registration::Busy | Registration::Unclear => {
            if runner.state == RunnerState::Enrolled {
                // Whether it is idle is not known yet, so it must not carry that as its reason.
                next.ending = None;
            }
            next.due_at = Some(now.after(LOOK_AGAIN));
        }
    }
    next
}

fn may_be_taken(runner: &Runner) -> bool {
    matches!(runner.state, RunnerState::Enrolled) || matches!(runner.ending, Some(Ending::Idle | Ending::NotNeeded))
}

/// Whether EC2's not naming any instance for this runner proves that there is none.
#[must_use]
pub fn absence_proves(runner: &Runner, now: Timestamp) -> bool {
    now.since(runner.requested_at) >= ABSENCE_PROVES
}

/// Whether a job that is due has to be launched for.
#[must_use]
pub fn job_waits(job: &Job) -> bool {
    job.state == JobState::Queued
}

/// What to do with an instance that carries this stack's tag.
#[must_use]
pub fn is_orphan(runner: Option<&Runner>, instance: &crate::ids::InstanceId, age: Duration) -> bool {
    match runner {
        Some(runner) if runner.instance() == Some(instance) => !runner.is_live(),
        // Its launch may be under way, and what it came to not yet recorded.
        _ => age >= 2 * ABSENCE_PROVES,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decide::fixtures::{deadlines, now, runner};
    use crate::ids::InstanceId;

    fn gives_up(runner: &Runner, at: Timestamp) -> Option<Ending> {
        match look(runner, at, &deadlines()) {
            Look::GiveUp(next) => {
                assert_eq!(next.state, RunnerState::Lost);
                next.ending.clone()
            }
            _ => None,
        }
    }

    #[test]
    fn each_state_has_its_deadline() {
        use RunnerState::{Busy, Draining, Enrolled, Launched};
        let limits = deadlines();
        for (state, at, ending) in [
            (Launched, limits.boot, Ending::NeverBooted),
            (Busy, limits.heartbeat_lost, Ending::HeartbeatLost),
            (Draining, limits.drain, Ending::Interrupted),
        ] {
            let runner = runner(state);
            let early = now().after(at.checked_sub(Duration::from_millis(1)).unwrap());
            assert_eq!(
                look(&runner, early, &limits),
                Look::Early(Some(now().after(at))),
                "{state:?}"
            );
            assert_eq!(gives_up(&runner, now().after(at)), Some(ending), "{state:?}");
        }
        let mut beating = runner(Enrolled);
        beating.heartbeat_at = Some(now().after(limits.idle));
        assert_eq!(look(&beating, now().after(limits.idle), &limits), Look::Idle);
    }

    #[test]
    fn the_maximum_lifetime_holds_in_every_state() {
        use RunnerState::{Busy, Draining, Enrolled, Launched};
        for state in [Launched, Enrolled, Busy, Draining] {
            let mut runner = runner(state);
            let end = now().after(deadlines().lifetime);
            runner.heartbeat_at = Some(end);
            runner.since = end;
            assert_eq!(gives_up(&runner, end), Some(Ending::Lifetime), "{state:?}");
        }
    }

    #[test]
    fn a_runner_that_github_calls_busy_keeps_its_instance_unless_it_is_given_up() {
        use Registration::{Busy, Removed, Unclear};
        for (state, registration, terminate, at_once) in [
            (RunnerState::Done, Removed, true, true),
            (RunnerState::Done, Busy, false, false),
            (RunnerState::Done, Unclear, false, false),
            (RunnerState::Enrolled, Busy, false, false),
            (RunnerState::Enrolled, Removed, true, true),
            (RunnerState::Lost, Removed, true, true),
            (RunnerState::Lost, Busy, true, false),
            (RunnerState::Lost, Unclear, true, false),
        ] {
            let end = instance_end(&runner(state), registration);
            assert_eq!(end, InstanceEnd { terminate, at_once }, "{state:?} {registration:?}");
        }
    }

    #[test]
    fn a_runner_is_gone_only_when_both_its_instance_and_its_registration_are() {
        let lost = runner(RunnerState::Lost);
        assert_eq!(
            after_end(&lost, Registration::Removed, true, now(), &deadlines()).state,
            RunnerState::Gone
        );
        for (registration, ended) in [
            (Registration::Busy, true),
            (Registration::Unclear, true),
            (Registration::Removed, false),
        ] {
            let next = after_end(&lost, registration, ended, now(), &deadlines());
            assert_eq!(
                (next.state, next.due_at),
                (RunnerState::Lost, Some(now().after(LOOK_AGAIN)))
            );
        }
    }

    #[test]
    fn an_idle_runner_that_got_a_job_at_the_last_second_goes_on() {
        let next = after_end(
            &runner(RunnerState::Enrolled),
            Registration::Busy,
            false,
            now(),
            &deadlines(),
        );
        assert_eq!((next.state, next.ending), (RunnerState::Busy, None));
    }

    #[test]
    fn a_runner_that_github_did_not_answer_for_is_not_yet_idle() {
        let mut asked = runner(RunnerState::Enrolled);
        asked.ending = Some(Ending::Idle);
        let next = after_end(&asked, Registration::Unclear, false, now(), &deadlines());
        assert_eq!((next.state, next.ending), (RunnerState::Enrolled, None));
    }

    #[test]
    fn an_instance_is_an_orphan_when_no_live_runner_owns_it() {
        let (mine, other) = (InstanceId::new("i-1"), InstanceId::new("i-2"));
        let (young, old) = (Duration::from_secs(10), 2 * ABSENCE_PROVES);
        for (runner, instance, age, orphan) in [
            (Some(runner(RunnerState::Busy)), &mine, old, false),
            (Some(runner(RunnerState::Gone)), &mine, young, true),
            (Some(runner(RunnerState::Busy)), &other, young, false),
            (Some(runner(RunnerState::Busy)), &other, old, true),
            (None, &mine, young, false),
            (None, &mine, old, true),
        ] {
            assert_eq!(
                is_orphan(runner.as_ref(), instance, age),
                orphan,
                "{runner:?} {instance} {age:?}"
            );
        }
    }
}
