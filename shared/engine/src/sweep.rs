//! What is due.

use std::time::Duration;

use dayfly_records::lifecycle::{RunnerStep, Step as _};
use dayfly_records::{Ending, Job, JobState, MessengerState, Runner, RunnerState};
use dayfly_types::deadlines::{Deadlines, LONGEST_CALL};
use dayfly_types::time::Timestamp;

/// What a runner needs that is due.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Look {
    /// Nothing yet: its deadline has moved on. Look again then.
    Early(Option<Timestamp>),
    /// Its launch is due.
    Launch,
    /// A deadline has passed: record this, then end it.
    Overdue(Box<Runner>),
    /// It runs a job and nobody said which: record this, then ask GitHub where the job stands that
    /// it is for.
    Ask(Box<Runner>),
    /// Its idle time is over: end it if GitHub lets it go.
    Idle,
    /// It is ending: bring it about.
    End,
}

/// Looks at a runner that is due.
#[must_use]
pub fn look(runner: &Runner, now: Timestamp, deadlines: &Deadlines) -> Look {
    if let Some((step, ending)) = overdue(runner, now, deadlines) {
        let mut next = runner.clone();
        if next.end(step, ending, now, deadlines) {
            return Look::Overdue(Box::new(next));
        }
    }
    match runner.state {
        RunnerState::Requested if runner.launch_due <= now => Look::Launch,
        RunnerState::Enrolled if runner.idle_deadline(deadlines) <= now => Look::Idle,
        RunnerState::Busy if runner.ask_deadline(deadlines).is_some_and(|deadline| deadline <= now) => {
            let mut next = runner.clone();
            next.asked = Some((runner.asked.map_or(1, |(times, _)| times + 1), now));
            next.due_at = next.next_look(deadlines);
            Look::Ask(Box::new(next))
        }
        RunnerState::Done | RunnerState::Lost => Look::End,
        RunnerState::Requested
        | RunnerState::Launched
        | RunnerState::Enrolled
        | RunnerState::Busy
        | RunnerState::Draining
        | RunnerState::Gone => Look::Early(runner.next_look(deadlines)),
    }
}

/// The deadline that a runner has passed, if any: the step that follows, and its reason.
fn overdue(runner: &Runner, now: Timestamp, deadlines: &Deadlines) -> Option<(RunnerStep, Ending)> {
    let over = |deadline: Timestamp| deadline <= now;
    if runner.fell_silent_first(now, deadlines) {
        return Some((RunnerStep::MissHeartbeat, Ending::HeartbeatLost));
    }
    let has_instance = runner.launched.is_some() && !runner.instance_ended;
    if has_instance && RunnerStep::Outlive.leads_from(runner.state) && over(runner.lifetime_deadline(deadlines)) {
        return Some((RunnerStep::Outlive, Ending::Lifetime));
    }
    match runner.state {
        RunnerState::Launched if over(runner.boot_deadline(deadlines)) => {
            Some((RunnerStep::MissBoot, Ending::NeverBooted))
        }
        RunnerState::Enrolled | RunnerState::Busy if over(runner.heartbeat_deadline(deadlines)) => {
            Some((RunnerStep::MissHeartbeat, Ending::HeartbeatLost))
        }
        RunnerState::Busy if runner.leave_deadline(deadlines).is_some_and(over) => {
            Some((RunnerStep::FinishJob, Ending::JobOver))
        }
        RunnerState::Draining if over(runner.drain_deadline(deadlines)) => {
            Some((RunnerStep::OutstayDrain, Ending::Interrupted))
        }
        RunnerState::Done if runner.linger_deadline(deadlines).is_some_and(over) => {
            Some((RunnerStep::Linger, Ending::JobOver))
        }
        _ => None,
    }
}

/// What removing the runner from GitHub came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Registration {
    /// It is registered no more.
    Removed,
    /// GitHub says that it runs a job.
    Busy,
    /// GitHub did not answer, and may have said when to ask again.
    Unclear(Option<Duration>),
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
/// instance, unless it is given up; one whose job is over takes no other, so that GitHub's silence
/// holds up nothing.
#[must_use]
pub fn instance_end(runner: &Runner, registration: Registration, now: Timestamp, deadlines: &Deadlines) -> InstanceEnd {
    let may_go = match registration {
        Registration::Removed => true,
        Registration::Unclear(_) if runner.has_had_its_job() => true,
        Registration::Busy | Registration::Unclear(_) => runner.state == RunnerState::Lost,
    };
    InstanceEnd {
        terminate: may_go && !runner.instance_ended && runner.left_to_ec2_until(now, deadlines).is_none(),
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
        if runner.launched.is_some() && !runner.instance_ended {
            // It was done some time after this call of a function began.
            next.terminated_at.get_or_insert(now.after(LONGEST_CALL));
        }
        next.instance_ended = true;
    }
    if registration == Registration::Removed && ended {
        // What it said last may have moved it on while it was ended: then the next look is its last.
        let _ = next.take(RunnerStep::EndIdle, now, deadlines)
            || next.take(RunnerStep::Reap, now, deadlines)
            || next.take(RunnerStep::Vanish, now, deadlines);
        return next;
    }
    if registration == Registration::Busy && !ended && runner.may_be_taken() {
        next.ending = None;
        if next.take(RunnerStep::KeepForJob, now, deadlines) {
            return next;
        }
    }
    if runner.state == RunnerState::Enrolled {
        // Whether it is idle is not known yet, so it must not carry that as its reason.
        next.ending = None;
    } else {
        next.ending.clone_from(&runner.ending);
    }
    if registration == Registration::Removed
        && let Some(until) = runner.left_to_ec2_until(now, deadlines)
    {
        next.due_at = Some(until);
        return next;
    }
    next.end_tries += 1;
    let wait = match registration {
        Registration::Unclear(Some(wait)) => wait,
        Registration::Removed | Registration::Busy | Registration::Unclear(None) => Duration::ZERO,
    };
    let pause = deadlines.pause(next.end_tries, next.name.as_str());
    next.due_at = Some(now.after(pause.max(wait)));
    next
}

/// A job that GitHub says still waits although the runner that was launched for it is busy: it waits
/// for another. Nothing if it has another already.
#[must_use]
pub fn was_displaced(job: &Job, runner: &Runner, now: Timestamp) -> Option<Job> {
    let waits = job.state == JobState::Launching && job.runner.as_ref() == Some(&runner.name);
    waits.then(|| Job {
        state: JobState::Queued,
        due_at: Some(now),
        ..job.clone()
    })
}

/// What a job needs that is due.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum JobLook {
    /// A runner is to be launched for it.
    Launch,
    /// Its runner is gone, and its end was not told: ask GitHub.
    Ask,
    /// Nothing.
    Nothing,
}

/// Looks at a job that is due.
#[must_use]
pub fn look_at_job(job: &Job) -> JobLook {
    match job.state {
        JobState::Queued => JobLook::Launch,
        JobState::Running { .. } => JobLook::Ask,
        JobState::Refused { .. } | JobState::Unlaunchable { .. }
            if matches!(job.messenger_state, MessengerState::Due | MessengerState::Cancel) =>
        {
            JobLook::Launch
        }
        JobState::Launching | JobState::Finished { .. } | JobState::Refused { .. } | JobState::Unlaunchable { .. } => {
            JobLook::Nothing
        }
    }
}

/// A job whose runner is gone and whose end was not told, to be looked up when that should have
/// come; nothing if there is no need.
#[must_use]
pub fn end_is_missing(job: &Job, runner: &Runner, now: Timestamp, deadlines: &Deadlines) -> Option<Job> {
    let on_it = matches!(&job.state, JobState::Running { runner: name }
        if dayfly_types::ids::RunnerName::from_registered(name).as_ref() == Some(&runner.name));
    (on_it && job.due_at.is_none()).then(|| Job {
        due_at: Some(now.after(deadlines.webhook)),
        ..job.clone()
    })
}

/// A job that GitHub was asked about, to be asked about again later: what was learnt is on its way
/// over the bus, and the job may not be over yet.
#[must_use]
pub fn asked(job: &Job, now: Timestamp, deadlines: &Deadlines) -> Job {
    let asked = job.asked + 1;
    Job {
        asked,
        due_at: Some(now.after(deadlines.pause(asked, &job.name))),
        ..job.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixtures::{deadlines, now, runner};
    use dayfly_types::capacity::InstanceLifecycle;

    fn gives_up(runner: &Runner, at: Timestamp) -> Option<Ending> {
        match look(runner, at, &deadlines()) {
            Look::Overdue(next) => {
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
        use RunnerState::{Busy, Done, Enrolled, Launched};
        for state in [Launched, Enrolled, Busy, Done] {
            let mut runner = runner(state);
            let end = now().after(deadlines().lifetime);
            runner.heartbeat_at = Some(end);
            runner.since = end;
            assert_eq!(gives_up(&runner, end), Some(Ending::Lifetime), "{state:?}");
        }
    }

    #[test]
    fn an_instance_that_fell_silent_before_its_lifetime_was_over_is_lost_for_that() {
        let mut silent = runner(RunnerState::Busy);
        silent.heartbeat_at = Some(now());
        let late = now().after(2 * deadlines().lifetime);
        assert_eq!(gives_up(&silent, late), Some(Ending::HeartbeatLost));
    }

    #[test]
    fn a_runner_that_github_calls_busy_keeps_its_instance_unless_it_is_given_up() {
        use Registration::{Busy, Removed, Unclear};
        let unclear = Unclear(None);
        for (state, registration, terminate, at_once) in [
            (RunnerState::Done, Removed, true, true),
            (RunnerState::Done, Busy, false, false),
            (RunnerState::Done, unclear, false, false),
            (RunnerState::Enrolled, Busy, false, false),
            (RunnerState::Enrolled, Removed, true, true),
            (RunnerState::Lost, Removed, true, true),
            (RunnerState::Lost, Busy, true, false),
            (RunnerState::Lost, unclear, true, false),
        ] {
            let end = instance_end(&runner(state), registration, now(), &deadlines());
            assert_eq!(end, InstanceEnd { terminate, at_once }, "{state:?} {registration:?}");
        }
    }

    /// A spot runner that said goodbye at `now` after a notice, so long after its instance's launch.
    fn left_after_a_notice(age: Duration) -> Runner {
        let mut left = runner(RunnerState::Lost);
        left.step = RunnerStep::Leave;
        left.ending = Some(Ending::Interrupted);
        left.interrupted_at = Some(now().after(age));
        left
    }

    #[test]
    fn an_instance_that_ec2_takes_within_its_first_hour_is_left_to_it() {
        const MINUTE: Duration = Duration::from_mins(1);
        let limits = deadlines();
        for (age, spot, after, left) in [
            (10 * MINUTE, true, MINUTE, true),
            (57 * MINUTE, true, MINUTE, true),
            (58 * MINUTE, true, MINUTE, false),
            (10 * MINUTE, false, MINUTE, false),
            (10 * MINUTE, true, 3 * MINUTE, false),
        ] {
            let mut runner = left_after_a_notice(age);
            if let Some(launched) = &mut runner.launched {
                launched.lifecycle = if spot {
                    InstanceLifecycle::Spot
                } else {
                    InstanceLifecycle::OnDemand
                };
            }
            let at = now().after(age + after);
            let end = instance_end(&runner, Registration::Removed, at, &limits);
            assert_eq!(end.terminate, !left, "{age:?} {spot} {after:?}");
            if left {
                let next = after_end(&runner, Registration::Removed, false, at, &limits);
                let until = now().after(age + 3 * MINUTE);
                assert_eq!((next.due_at, next.end_tries), (Some(until), 0));
            }
        }
    }

    #[test]
    fn an_instance_is_left_to_ec2_by_a_runner_that_has_left_and_never_past_its_lifetime() {
        let limits = deadlines();
        let left = left_after_a_notice(Duration::from_mins(10));
        let noticed = now().after(Duration::from_mins(10));
        for (step, expected) in [
            (RunnerStep::Leave, true),
            (RunnerStep::LeaveAfterJob, true),
            (RunnerStep::FinishJob, true),
            (RunnerStep::OutstayDrain, false),
            (RunnerStep::Outlive, false),
            (RunnerStep::Linger, false),
        ] {
            let runner = Runner { step, ..left.clone() };
            let until = runner.left_to_ec2_until(noticed, &limits);
            assert_eq!(until.is_some(), expected, "{step:?}");
        }
        let mut short = left.clone();
        let mut option = crate::fixtures::option(InstanceLifecycle::Spot);
        option.spec.max_lifetime = Some(Duration::from_mins(11));
        short.plan = dayfly_records::LaunchPlan::new(option, Vec::new());
        let end = short.lifetime_deadline(&limits);
        assert_eq!(short.left_to_ec2_until(noticed, &limits), Some(end));
        assert_eq!(short.left_to_ec2_until(end, &limits), None);
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
            (Registration::Unclear(None), true),
            (Registration::Removed, false),
        ] {
            let next = after_end(&lost, registration, ended, now(), &deadlines());
            assert_eq!(next.state, RunnerState::Lost);
            assert!(next.due_at >= Some(now().after(deadlines().retry(1))), "{next:?}");
        }
    }

    #[test]
    fn a_runner_that_moved_on_while_it_was_ended_is_ended_all_the_same() {
        for state in [RunnerState::Busy, RunnerState::Draining] {
            let next = after_end(&runner(state), Registration::Removed, true, now(), &deadlines());
            assert_eq!((next.state, next.due_at), (RunnerState::Lost, Some(now())), "{state:?}");
            let last = after_end(&next, Registration::Removed, true, now(), &deadlines());
            assert_eq!(last.state, RunnerState::Gone);
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
        let next = after_end(&asked, Registration::Unclear(None), false, now(), &deadlines());
        assert_eq!((next.state, next.ending), (RunnerState::Enrolled, None));
    }
}
