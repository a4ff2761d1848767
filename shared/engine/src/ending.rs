//! What the end of a runner means for the job it ran, or was launched for.

use dayfly_config::{RerunOnDemand, RerunPolicy, RerunWhat};
use dayfly_records::{Ending, Job, JobState, Rerun, Run, Runner};
use dayfly_types::checkin::Stage;
use dayfly_types::deadlines::{BEHIND, MAX_LAUNCHES, RERUN_RETRY};
use dayfly_types::ids::{JobKey, RunKey};
use dayfly_types::time::Timestamp;

use crate::giving_up;
use crate::rerun;

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
    let told = runner.message.as_ref().map(|message| message.job);
    if told.is_some() && told == runner.job {
        // It was to fail, and fails either way.
        return Follows::Nothing;
    }
    match (runner.job, runner.job_run, ending) {
        (_, _, Ending::NotNeeded | Ending::Unlaunchable { .. }) => Follows::Nothing,
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

/// Adds an interrupted job to its run. `known` is the run's record, if there is one, and `previous` that
/// of the attempt before, which the count of our re-runs goes on from; the answer is nothing if the run
/// has the job already. `name` is the job's in the workflow, if that is known.
#[must_use]
pub fn interrupt(
    known: Option<&Run>,
    previous: Option<&Run>,
    runner: &Runner,
    (job, name): (JobKey, Option<&str>),
    key: RunKey,
    now: Timestamp,
) -> Option<Run> {
    let policy = runner.plan.spec().rerun;
    let mut run = known.cloned().unwrap_or_else(|| Run {
        key,
        repository: runner.repository.clone(),
        installation: runner.installation,
        interrupted: Vec::new(),
        names: Vec::new(),
        policy,
        our_reruns: previous.and_then(rerun::ours).unwrap_or(0),
        with_failed: false,
        completed: None,
        rerun: Rerun::NotYet,
        due_at: None,
        at: now,
    });
    if run.interrupted.contains(&job) || run.rerun != Rerun::NotYet {
        return None;
    }
    run.interrupted.push(job);
    if let Some(name) = name.filter(|name| run.names.iter().all(|known| known != name)) {
        run.names.push(name.to_owned());
    }
    run.policy = joined(run.policy, policy);
    // The run's own end comes by webhook; this look is for the case that it is lost.
    run.due_at = Some(now.after(3 * RERUN_RETRY));
    Some(run)
}

/// One policy for a run whose interrupted jobs have several, as [`Run::policy`] describes it.
fn joined(one: RerunPolicy, other: RerunPolicy) -> RerunPolicy {
    let willing = |what: RerunWhat| match what {
        RerunWhat::Never => 0,
        RerunWhat::Interrupted => 1,
        RerunWhat::Failed => 2,
    };
    let asks_for = |on_demand: RerunOnDemand| match on_demand {
        RerunOnDemand::Never => 0,
        RerunOnDemand::Last => 1,
        RerunOnDemand::Always => 2,
    };
    RerunPolicy {
        what: if willing(other.what) > willing(one.what) {
            other.what
        } else {
            one.what
        },
        max: one.max.min(other.max),
        on_demand: if asks_for(other.on_demand) > asks_for(one.on_demand) {
            other.on_demand
        } else {
            one.on_demand
        },
    }
}

/// What becomes of a job whose runner ended before it took a job: it waits again, or is given up
/// after too many runners. Nothing if it has moved on, or has another runner.
#[must_use]
pub fn waits_again(job: &Job, runner: &Runner, now: Timestamp) -> Option<Job> {
    if let Some(job) = giving_up::lost(job, runner, now) {
        return Some(job);
    }
    if job.state != JobState::Launching || job.runner.as_ref() != Some(&runner.name) {
        return None;
    }
    let mut job = job.clone();
    if job.launches >= MAX_LAUNCHES {
        let reason = format!(
            "{} runners were launched for it and none took it; the last, `{}`, ended because: {}",
            job.launches,
            runner.name,
            runner.why_it_ended()
        );
        job = giving_up::unlaunchable(job, reason, runner.tried.clone(), now).0;
    } else {
        job.state = JobState::Queued;
        job.due_at = Some(if has_run_another(runner) {
            now.after(BEHIND)
        } else {
            now
        });
    }
    Some(job)
}

/// Whether a runner has run a job of which only it has told so far: once its webhook comes, the one for
/// which it was launched gets that job's runner in exchange.
pub(super) fn has_run_another(runner: &Runner) -> bool {
    runner.job.is_none() && runner.stages.iter().any(|(stage, _)| *stage == Stage::JobStarted)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixtures::{claimed, now, runner};
    use dayfly_records::{Message, RunnerState};
    use dayfly_types::checkin::GoodbyeReason;

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
            (false, Ending::Rebalanced, false, true),
            (true, Ending::Rebalanced, false, false),
            (false, Ending::NeverBooted, false, true),
            (false, Ending::Idle, false, true),
            (false, goodbye(GoodbyeReason::RunnerFailed), false, true),
            (false, Ending::NotNeeded, false, false),
            // Nobody has told which job it was: the one that it was for may still wait, or be over.
            (false, Ending::JobOver, false, true),
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
    fn a_job_that_was_to_be_told_that_it_is_given_up_is_not_run_again() {
        for (told, follows_nothing) in [(11, true), (12, false)] {
            let mut messenger = runner(RunnerState::Busy);
            let job = claimed(told).0;
            messenger.message = Some(Message {
                job: job.key,
                run: job.run,
                text: "no capacity".to_owned(),
            });
            messenger.ending = Some(Ending::Vanished);
            assert_eq!(follows(&messenger) == Follows::Nothing, follows_nothing, "{told}");
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
    fn a_job_whose_runner_has_run_another_waits_until_it_is_told_which() {
        let (job, mut runner) = claimed(11);
        runner.ending = Some(Ending::Goodbye {
            reason: GoodbyeReason::Finished,
        });
        runner.stages.push((Stage::JobStarted, now()));
        let again = waits_again(&job, &runner, now()).unwrap();
        assert_eq!(
            (again.state, again.due_at),
            (JobState::Queued, Some(now().after(BEHIND)))
        );
    }

    #[test]
    fn a_job_that_has_another_runner_does_not_wait() {
        let (job, _) = claimed(11);
        let (_, other) = claimed(12);
        assert_eq!(waits_again(&job, &other, now()), None);
    }

    #[test]
    fn a_run_with_several_policies_gets_the_most_willing_and_the_smallest_count() {
        use RerunOnDemand as D;
        use RerunWhat as W;
        let policy = |what, max, on_demand| RerunPolicy { what, max, on_demand };
        for (one, other, both) in [
            (
                policy(W::Never, 5, D::Last),
                policy(W::Interrupted, 2, D::Never),
                policy(W::Interrupted, 2, D::Last),
            ),
            (
                policy(W::Failed, 1, D::Never),
                policy(W::Interrupted, 3, D::Always),
                policy(W::Failed, 1, D::Always),
            ),
            (
                policy(W::Never, 2, D::Never),
                policy(W::Never, 3, D::Never),
                policy(W::Never, 2, D::Never),
            ),
        ] {
            assert_eq!(joined(one, other), both);
            assert_eq!(joined(other, one), both);
        }
    }

    #[test]
    fn our_re_runs_are_counted_from_attempt_to_attempt_until_a_person_runs_it_again() {
        let busy = runner(RunnerState::Busy);
        let key = |attempt| RunKey {
            run: busy.run,
            attempt: dayfly_types::ids::RunAttempt(attempt),
        };
        let job = busy.wanted_by;
        let begun = |previous: Option<&Run>, attempt| {
            interrupt(None, previous, &busy, (job, Some("test")), key(attempt), now()).unwrap()
        };
        let first = begun(None, 1);
        assert_eq!(
            (first.our_reruns, first.names.as_slice()),
            (0, ["test".to_owned()].as_slice())
        );
        let second = begun(Some(&rerun::accepted(&first)), 2);
        assert_eq!(second.our_reruns, 1);
        let asked = Run {
            rerun: Rerun::Intended,
            ..second.clone()
        };
        assert_eq!(
            begun(Some(&asked), 3).our_reruns,
            2,
            "there is an attempt after it, so it was taken"
        );
        assert_eq!(
            begun(Some(&second), 3).our_reruns,
            0,
            "a person ran it again before we asked"
        );
    }
}
