//! Timeouts: what a runner or a job needs when its deadline has passed, and how a runner's instance ends.

use std::time::Duration;

use dayfly_records::steps::{LifecycleStep as _, RunnerStep};
use dayfly_records::{Ending, Job, JobState, MessengerState, Runner, RunnerState};
use dayfly_types::deadlines::{Deadlines, LONGEST_CALL};
use dayfly_types::time::Timestamp;

/// What a runner that is due needs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RunnerDue {
    /// Nothing yet: its deadline has moved to this moment.
    Early(Option<Timestamp>),
    Launch,
    /// A deadline has passed: record this, then end the runner.
    Overdue(Box<Runner>),
    /// It runs an unknown job: record this, then ask GitHub about the job that it was launched for.
    Ask(Box<Runner>),
    /// Its idle time is over: end it if GitHub releases it.
    Idle,
    /// It is ending: carry on with that.
    End,
}

/// Decides what a due runner needs.
#[must_use]
pub fn check_runner(runner: &Runner, now: Timestamp, deadlines: &Deadlines) -> RunnerDue {
    if let Some((step, ending)) = overdue(runner, now, deadlines) {
        let mut next = runner.clone();
        if next.end(step, ending, now, deadlines) {
            return RunnerDue::Overdue(Box::new(next));
        }
    }
    match runner.state {
        RunnerState::Requested if runner.launch_due <= now => RunnerDue::Launch,
        RunnerState::Enrolled if runner.idle_deadline(deadlines) <= now => RunnerDue::Idle,
        RunnerState::Busy
            if runner
                .job_lookup_deadline(deadlines)
                .is_some_and(|deadline| deadline <= now) =>
        {
            let mut next = runner.clone();
            next.job_lookups = Some((runner.job_lookups.map_or(1, |(times, _)| times + 1), now));
            next.due_at = next.next_deadline(deadlines);
            RunnerDue::Ask(Box::new(next))
        }
        RunnerState::Done | RunnerState::Lost => RunnerDue::End,
        RunnerState::Requested
        | RunnerState::Launched
        | RunnerState::Enrolled
        | RunnerState::Busy
        | RunnerState::Draining
        | RunnerState::Gone => RunnerDue::Early(runner.next_deadline(deadlines)),
    }
}

/// Returns the step and the ending of the deadline that a runner has passed, if any.
fn overdue(runner: &Runner, now: Timestamp, deadlines: &Deadlines) -> Option<(RunnerStep, Ending)> {
    let over = |deadline: Timestamp| deadline <= now;
    if runner.lost_heartbeat_first(now, deadlines) {
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

/// The result of removing a runner from GitHub.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RemovalResult {
    Removed,
    /// It runs a job, so GitHub refused.
    Busy,
    /// GitHub did not answer, and may have said when to ask again.
    Unclear(Option<Duration>),
}

/// What to do with the instance of an ending runner.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InstanceEnd {
    pub terminate: bool,
    /// Whether to terminate it without waiting for its operating system.
    pub at_once: bool,
}

/// Decides on the instance after GitHub has answered. A runner that may be busy keeps its instance, unless it
/// is lost. One whose job is over takes no other, so a silent GitHub delays nothing.
#[must_use]
pub fn instance_end(
    runner: &Runner,
    registration: RemovalResult,
    now: Timestamp,
    deadlines: &Deadlines,
) -> InstanceEnd {
    let may_go = match registration {
        RemovalResult::Removed => true,
        RemovalResult::Unclear(_) if runner.is_past_job() => true,
        RemovalResult::Busy | RemovalResult::Unclear(_) => runner.state == RunnerState::Lost,
    };
    InstanceEnd {
        terminate: may_go && !runner.instance_ended && runner.left_to_ec2_until(now, deadlines).is_none(),
        at_once: registration == RemovalResult::Removed,
    }
}

/// Returns the runner after a try to end it. `ended` says that its instance is terminated, or proven never to
/// have existed.
#[must_use]
pub fn after_end(
    runner: &Runner,
    registration: RemovalResult,
    ended: bool,
    now: Timestamp,
    deadlines: &Deadlines,
) -> Runner {
    let mut next = runner.clone();
    if ended {
        if runner.launched.is_some() && !runner.instance_ended {
            // That happened some time after this invocation began.
            next.terminated_at.get_or_insert(now.after(LONGEST_CALL));
        }
        next.instance_ended = true;
    }
    if registration == RemovalResult::Removed && ended {
        // A check-in may have moved it on meanwhile: then the next sweep ends it.
        let _ = next.take(RunnerStep::EndIdle, now, deadlines)
            || next.take(RunnerStep::Reap, now, deadlines)
            || next.take(RunnerStep::Vanish, now, deadlines);
        return next;
    }
    if registration == RemovalResult::Busy && !ended && runner.may_take_job() {
        next.ending = None;
        if next.take(RunnerStep::KeepForJob, now, deadlines) {
            return next;
        }
    }
    if runner.state == RunnerState::Enrolled {
        // It may not be idle, so it must not carry that as its ending yet.
        next.ending = None;
    } else {
        next.ending.clone_from(&runner.ending);
    }
    if registration == RemovalResult::Removed
        && let Some(until) = runner.left_to_ec2_until(now, deadlines)
    {
        next.due_at = Some(until);
        return next;
    }
    next.end_tries += 1;
    let wait = match registration {
        RemovalResult::Unclear(Some(wait)) => wait,
        RemovalResult::Removed | RemovalResult::Busy | RemovalResult::Unclear(None) => Duration::ZERO,
    };
    let pause = deadlines.jittered_retry(next.end_tries, next.name.as_str());
    next.due_at = Some(now.after(pause.max(wait)));
    next
}

/// Whether what was ended of a runner is what its current record has: EC2 may have answered with an instance
/// meanwhile.
#[must_use]
pub fn is_same_end(ended: &Runner, current: &Runner) -> bool {
    current.is_live() && current.instance() == ended.instance()
}

/// Queues a job that still waits on GitHub although the runner launched for it is busy. Returns `None` if it has
/// another runner.
#[must_use]
pub fn was_displaced(job: &Job, runner: &Runner, now: Timestamp) -> Option<Job> {
    let waits = job.state == JobState::Launching && job.runner.as_ref() == Some(&runner.name);
    waits.then(|| Job {
        state: JobState::Queued,
        due_at: Some(now),
        ..job.clone()
    })
}

/// What a job that is due needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum JobDue {
    Launch,
    /// Its runner is gone and no event of its end has come: ask GitHub.
    Ask,
    Nothing,
}

/// Decides what a due job needs.
#[must_use]
pub fn check_job(job: &Job) -> JobDue {
    match job.state {
        JobState::Queued => JobDue::Launch,
        JobState::Running { .. } => JobDue::Ask,
        JobState::Refused { .. } | JobState::Unlaunchable { .. }
            if matches!(job.messenger_state, MessengerState::Due | MessengerState::Cancel) =>
        {
            JobDue::Launch
        }
        JobState::Launching | JobState::Finished { .. } | JobState::Refused { .. } | JobState::Unlaunchable { .. } => {
            JobDue::Nothing
        }
    }
}

/// Makes a running job due whose runner is gone, for the case that the event of its end was lost. Returns `None`
/// if that is not needed.
#[must_use]
pub fn await_missing_end(job: &Job, runner: &Runner, now: Timestamp, deadlines: &Deadlines) -> Option<Job> {
    let on_it = matches!(&job.state, JobState::Running { runner: name }
        if dayfly_types::ids::RunnerName::from_registered(name).as_ref() == Some(&runner.name));
    (on_it && job.due_at.is_none()).then(|| Job {
        due_at: Some(now.after(deadlines.webhook)),
        ..job.clone()
    })
}

/// Has GitHub asked about a job again later: the answer is on its way over the bus, and the job may not be over.
#[must_use]
pub fn ask_again_later(job: &Job, now: Timestamp, deadlines: &Deadlines) -> Job {
    let end_lookups = job.end_lookups + 1;
    Job {
        end_lookups,
        due_at: Some(now.after(deadlines.jittered_retry(end_lookups, &job.name))),
        ..job.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixtures::{deadlines, now, runner};
    use dayfly_types::capacity::InstanceLifecycle;

    fn gives_up(runner: &Runner, at: Timestamp) -> Option<Ending> {
        match check_runner(runner, at, &deadlines()) {
            RunnerDue::Overdue(next) => {
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
                check_runner(&runner, early, &limits),
                RunnerDue::Early(Some(now().after(at))),
                "{state:?}"
            );
            assert_eq!(gives_up(&runner, now().after(at)), Some(ending), "{state:?}");
        }
        let mut beating = runner(Enrolled);
        beating.heartbeat_at = Some(now().after(limits.idle));
        assert_eq!(
            check_runner(&beating, now().after(limits.idle), &limits),
            RunnerDue::Idle
        );
    }

    #[test]
    fn maximum_lifetime_holds_in_every_state() {
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
    fn instance_silent_before_its_lifetime_ended_is_lost() {
        let mut silent = runner(RunnerState::Busy);
        silent.heartbeat_at = Some(now());
        let late = now().after(2 * deadlines().lifetime);
        assert_eq!(gives_up(&silent, late), Some(Ending::HeartbeatLost));
    }

    #[test]
    fn busy_runner_keeps_its_instance_unless_it_is_lost() {
        use RemovalResult::{Busy, Removed, Unclear};
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
    fn instance_interrupted_in_its_first_hour_is_left_to_ec2() {
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
            let end = instance_end(&runner, RemovalResult::Removed, at, &limits);
            assert_eq!(end.terminate, !left, "{age:?} {spot} {after:?}");
            if left {
                let next = after_end(&runner, RemovalResult::Removed, false, at, &limits);
                let until = now().after(age + 3 * MINUTE);
                assert_eq!((next.due_at, next.end_tries), (Some(until), 0));
            }
        }
    }

    #[test]
    fn runner_that_left_leaves_its_instance_to_ec2_within_its_lifetime() {
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
    fn runner_is_gone_once_its_instance_and_registration_are() {
        let lost = runner(RunnerState::Lost);
        assert_eq!(
            after_end(&lost, RemovalResult::Removed, true, now(), &deadlines()).state,
            RunnerState::Gone
        );
        for (registration, ended) in [
            (RemovalResult::Busy, true),
            (RemovalResult::Unclear(None), true),
            (RemovalResult::Removed, false),
        ] {
            let next = after_end(&lost, registration, ended, now(), &deadlines());
            assert_eq!(next.state, RunnerState::Lost);
            assert!(next.due_at >= Some(now().after(deadlines().retry(1))), "{next:?}");
        }
    }

    #[test]
    fn runner_that_moved_on_while_ending_still_ends() {
        for state in [RunnerState::Busy, RunnerState::Draining] {
            let next = after_end(&runner(state), RemovalResult::Removed, true, now(), &deadlines());
            assert_eq!((next.state, next.due_at), (RunnerState::Lost, Some(now())), "{state:?}");
            let last = after_end(&next, RemovalResult::Removed, true, now(), &deadlines());
            assert_eq!(last.state, RunnerState::Gone);
        }
    }

    #[test]
    fn idle_runner_that_got_a_job_at_the_last_second_continues() {
        let next = after_end(
            &runner(RunnerState::Enrolled),
            RemovalResult::Busy,
            false,
            now(),
            &deadlines(),
        );
        assert_eq!((next.state, next.ending), (RunnerState::Busy, None));
    }

    #[test]
    fn runner_is_not_idle_while_github_does_not_answer() {
        let mut asked = runner(RunnerState::Enrolled);
        asked.ending = Some(Ending::Idle);
        let next = after_end(&asked, RemovalResult::Unclear(None), false, now(), &deadlines());
        assert_eq!((next.state, next.ending), (RunnerState::Enrolled, None));
    }

    #[test]
    fn instance_that_came_meanwhile_is_not_ended() {
        let without = runner(RunnerState::Requested);
        let with = runner(RunnerState::Done);
        let gone = runner(RunnerState::Gone);
        for (ended, current, expected) in [
            (&without, &without, true),
            (&without, &with, false),
            (&with, &with, true),
            (&with, &gone, false),
        ] {
            assert_eq!(is_same_end(ended, current), expected);
        }
    }
}
