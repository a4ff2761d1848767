//! What the end of a runner means for the job it ran, or was launched for.

use crate::deadlines::{MAX_LAUNCHES, RERUN_RETRY};
use crate::ids::{JobKey, RunKey};
use crate::record::{Ending, Job, JobState, Rerun, Run, Runner};
use crate::time::Timestamp;

/// What has to follow when a runner ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Follows {
    /// Nothing: its job is over, or needs it no more.
    Nothing,
    /// The job that ran on it was interrupted.
    Interrupted {
        /// The job.
        job: JobKey,
        /// The attempt of its run.
        run: RunKey,
    },
    /// The job that it was launched for may still wait.
    MayWait(JobKey),
}

/// What the end of `runner` means, for the reason that it carries.
#[must_use]
pub fn follows(runner: &Runner) -> Follows {
    let Some(ending) = &runner.ending else {
        return Follows::Nothing;
    };
    match (runner.job, runner.job_run, ending) {
        (_, _, Ending::NotNeeded | Ending::JobOver | Ending::Unlaunchable { .. }) => Follows::Nothing,
        (Some(job), Some(run), ending) if ending.interrupts_its_job() => Follows::Interrupted {
            job,
            run: RunKey {
                run,
                attempt: job.attempt,
            },
        },
        (Some(_), _, _) => Follows::Nothing,
        (None, _, _) => Follows::MayWait(runner.wanted_by),
    }
}

/// Adds an interrupted job to its run. `known` is the run's record, if there is one; the answer is
/// nothing if that has it already.
#[must_use]
pub fn interrupt(known: Option<&Run>, runner: &Runner, job: JobKey, key: RunKey, now: Timestamp) -> Option<Run> {
    let mut run = known.cloned().unwrap_or_else(|| Run {
        key,
        repository: runner.repository.clone(),
        installation: runner.installation,
        interrupted: Vec::new(),
        completed: None,
        rerun: Rerun::NotYet,
        due_at: None,
        at: now,
    });
    if run.interrupted.contains(&job) || run.rerun != Rerun::NotYet {
        return None;
    }
    run.interrupted.push(job);
    // The run's own end comes by webhook; this look is for the case that it is lost.
    run.due_at = Some(now.after(3 * RERUN_RETRY));
    Some(run)
}

/// What becomes of a job whose runner ended before it took a job: it waits again, or is given up
/// after too many runners. Nothing if it has moved on, or has another runner.
#[must_use]
pub fn waits_again(job: &Job, runner: &Runner, now: Timestamp) -> Option<Job> {
    if job.state != JobState::Launching || job.runner.as_ref() != Some(&runner.name) {
        return None;
    }
    let mut job = job.clone();
    if job.launches >= MAX_LAUNCHES {
        let reason = format!(
            "{} runners were launched for it and none took it; the last, `{}`, ended because: {}",
            job.launches,
            runner.name,
            runner.ending.as_ref().map_or("unknown", Ending::words)
        );
        job.state = JobState::Unlaunchable { reason };
        job.due_at = None;
        job.ended_at = Some(now);
    } else {
        job.state = JobState::Queued;
        job.due_at = Some(now);
    }
    Some(job)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checkin::GoodbyeReason;
    use crate::decide::fixtures::{claimed, now, runner};
    use crate::record::RunnerState;

    #[test]
    fn the_reason_decides_what_follows() {
        let goodbye = |reason| Ending::Goodbye { reason };
        for (bound, ending, interrupted, waits) in [
            (true, Ending::Interrupted, true, false),
            (true, Ending::Vanished, true, false),
            (true, Ending::HeartbeatLost, true, false),
            (true, goodbye(GoodbyeReason::Unreachable), true, false),
            (true, goodbye(GoodbyeReason::Interrupted), true, false),
            (true, Ending::Lifetime, false, false),
            (true, Ending::JobOver, false, false),
            (true, goodbye(GoodbyeReason::Finished), false, false),
            (false, Ending::Interrupted, false, true),
            (false, Ending::NeverBooted, false, true),
            (false, Ending::Idle, false, true),
            (false, goodbye(GoodbyeReason::RunnerFailed), false, true),
            (false, Ending::NotNeeded, false, false),
        ] {
            let mut runner = runner(if bound {
                RunnerState::Busy
            } else {
                RunnerState::Enrolled
            });
            runner.ending = Some(ending.clone());
            let follows = follows(&runner);
            assert_eq!(
                matches!(follows, Follows::Interrupted { .. }),
                interrupted,
                "{ending:?}"
            );
            assert_eq!(matches!(follows, Follows::MayWait(_)), waits, "{ending:?}");
        }
    }

    #[test]
    fn a_job_waits_again_until_it_had_too_many_runners() {
        let (mut job, mut runner) = claimed(11);
        runner.ending = Some(Ending::NeverBooted);
        let again = waits_again(&job, &runner, now()).unwrap();
        assert_eq!((again.state, again.due_at), (JobState::Queued, Some(now())));
        job.launches = MAX_LAUNCHES;
        let given_up = waits_again(&job, &runner, now()).unwrap();
        assert!(matches!(given_up.state, JobState::Unlaunchable { .. }));
    }

    #[test]
    fn a_job_that_has_another_runner_does_not_wait() {
        let (job, _) = claimed(11);
        let (_, other) = claimed(12);
        assert_eq!(waits_again(&job, &other, now()), None);
    }
}
