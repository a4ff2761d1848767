//! What a runner's end means for the job that it ran or was launched for.

use dayfly_config::{RerunOnDemand, RerunPolicy, RerunWhat};
use dayfly_records::{AfterInterruption, CheckContent, Ending, Job, JobState, Rerun, Run, Runner};
use dayfly_types::deadlines::{MAX_LAUNCHES, RERUN_RETRY, WEBHOOK_LAG};
use dayfly_types::ids::{JobKey, RunKey};
use dayfly_types::time::Timestamp;

use super::availability::has_run_unknown_job;
use crate::give_up;
use crate::rerun::{self, report};

/// What has to follow when a runner ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EndConsequence {
    /// Nothing: its job is over or does not need it any more.
    Nothing,
    /// The job that ran on it was interrupted.
    Interrupted { job: JobKey, run: RunKey },
    /// The job that it was launched for may still wait.
    MayWait(JobKey),
}

/// Decides what the end of a runner means, from the ending that it carries.
#[must_use]
pub fn consequence(runner: &Runner) -> EndConsequence {
    let Some(ending) = &runner.ending else {
        return EndConsequence::Nothing;
    };
    let to_fail = runner.message.as_ref().map(|message| message.job);
    if to_fail.is_some() && to_fail == runner.job {
        // The job was to fail, and fails either way.
        return EndConsequence::Nothing;
    }
    match (runner.job, runner.job_run, ending) {
        (_, _, Ending::NotNeeded | Ending::Unlaunchable { .. }) => EndConsequence::Nothing,
        (Some(job), Some(run), ending) if ending.interrupts_its_job() => EndConsequence::Interrupted {
            job,
            run: RunKey {
                run,
                attempt: job.attempt,
            },
        },
        (Some(_), _, _) => EndConsequence::Nothing,
        (None, _, _) => EndConsequence::MayWait(runner.wanted_by),
    }
}

/// Adds an interrupted job to its run, or returns `None` if the run has it already. `known` is the run's record
/// and `previous` that of the attempt before, whose count of our re-runs continues. `name` is the job's name in
/// the workflow.
#[must_use]
pub fn add_interrupted_job(
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
        our_reruns: previous.and_then(rerun::our_rerun_count).unwrap_or(0),
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
    // The run's end comes by webhook; this deadline is for the case that it is lost.
    run.due_at = Some(now.after(3 * RERUN_RETRY));
    Some(run)
}

/// Joins the policies of a run's interrupted jobs, as [`Run::policy`] describes.
fn joined(one: RerunPolicy, other: RerunPolicy) -> RerunPolicy {
    let rank_of_what = |what: RerunWhat| match what {
        RerunWhat::Never => 0,
        RerunWhat::Interrupted => 1,
        RerunWhat::Failed => 2,
    };
    let rank_of_on_demand = |on_demand: RerunOnDemand| match on_demand {
        RerunOnDemand::Never => 0,
        RerunOnDemand::Last => 1,
        RerunOnDemand::Always => 2,
    };
    RerunPolicy {
        what: if rank_of_what(other.what) > rank_of_what(one.what) {
            other.what
        } else {
            one.what
        },
        max: one.max.min(other.max),
        on_demand: if rank_of_on_demand(other.on_demand) > rank_of_on_demand(one.on_demand) {
            other.on_demand
        } else {
            one.on_demand
        },
    }
}

/// Queues a job again whose runner ended before it took a job, or gives it up after too many runners. Returns
/// `None` if it has moved on or has another runner.
fn requeue(job: &Job, runner: &Runner, now: Timestamp) -> Option<Job> {
    if let Some(job) = give_up::messenger_lost(job, runner, now) {
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
            runner.end_reason()
        );
        job = give_up::unlaunchable(job, reason, runner.tried.clone(), now).0;
    } else {
        job.state = JobState::Queued;
        job.due_at = Some(if has_run_unknown_job(runner) {
            now.after(WEBHOOK_LAG)
        } else {
            now
        });
    }
    Some(job)
}

/// A job that [`requeue`] has changed, with what follows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Requeued {
    pub job: Job,
    /// What its check run shows now, if that changes.
    pub content: Option<CheckContent>,
    /// Whether its launch is due at once.
    pub is_due: bool,
}

/// Decides what becomes of a job whose runner ended before it took the job: record, check run and launch.
#[must_use]
pub fn requeue_job(job: &Job, runner: &Runner, now: Timestamp) -> Option<Requeued> {
    let next = requeue(job, runner, now)?;
    let content = if next.state == JobState::Queued && report::is_interruption(runner) {
        Some(report::interrupted(runner, AfterInterruption::AnotherInstance, now))
    } else if next.state.is_given_up() && !job.state.is_given_up() {
        Some(give_up::check_run_content(&next, runner.tried.clone()))
    } else {
        None
    };
    Some(Requeued {
        content,
        is_due: next.due_at.is_some_and(|at| at <= now),
        job: next,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixtures::{claimed, now, runner};
    use dayfly_records::{MessengerTask, RunnerState};
    use dayfly_types::checkin::{GoodbyeReason, Stage};

    #[test]
    fn ending_decides_the_consequence() {
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
            // Which job it ran is unknown: the one that it was for may still wait, or be over.
            (false, Ending::JobOver, false, true),
        ] {
            let mut runner = runner(if bound {
                RunnerState::Busy
            } else {
                RunnerState::Enrolled
            });
            runner.ending = Some(ending.clone());
            let consequence = consequence(&runner);
            assert_eq!(
                matches!(consequence, EndConsequence::Interrupted { .. }),
                interrupted,
                "{ending:?}"
            );
            assert_eq!(matches!(consequence, EndConsequence::MayWait(_)), waits, "{ending:?}");
        }
    }

    #[test]
    fn job_that_a_messenger_was_failing_is_not_run_again() {
        for (job, expected) in [(11, true), (12, false)] {
            let mut messenger = runner(RunnerState::Busy);
            let sent_to = claimed(job).0;
            messenger.message = Some(MessengerTask {
                job: sent_to.key,
                run: sent_to.run,
                text: "no capacity".to_owned(),
            });
            messenger.ending = Some(Ending::Vanished);
            assert_eq!(consequence(&messenger) == EndConsequence::Nothing, expected, "{job}");
        }
    }

    #[test]
    fn job_is_requeued_until_it_had_too_many_runners() {
        let (mut job, mut runner) = claimed(11);
        runner.ending = Some(Ending::NeverBooted);
        let again = requeue(&job, &runner, now()).unwrap();
        assert_eq!((again.state, again.due_at), (JobState::Queued, Some(now())));
        job.launches = MAX_LAUNCHES;
        let given_up = requeue(&job, &runner, now()).unwrap();
        assert!(matches!(given_up.state, JobState::Unlaunchable { .. }));
    }

    #[test]
    fn job_waits_for_the_webhook_of_the_job_its_runner_ran() {
        let (job, mut runner) = claimed(11);
        runner.ending = Some(Ending::Goodbye {
            reason: GoodbyeReason::Finished,
        });
        runner.stages.push((Stage::JobStarted, now()));
        let again = requeue(&job, &runner, now()).unwrap();
        assert_eq!(
            (again.state, again.due_at),
            (JobState::Queued, Some(now().after(WEBHOOK_LAG)))
        );
    }

    #[test]
    fn job_with_another_runner_is_not_requeued() {
        let (job, _) = claimed(11);
        let (_, other) = claimed(12);
        assert_eq!(requeue(&job, &other, now()), None);
    }

    #[test]
    fn run_joins_policies_to_the_most_willing_and_smallest_count() {
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
    fn reruns_are_counted_across_attempts_until_a_person_reruns() {
        let busy = runner(RunnerState::Busy);
        let key = |attempt| RunKey {
            run: busy.run,
            attempt: dayfly_types::ids::RunAttempt(attempt),
        };
        let job = busy.wanted_by;
        let begun = |previous: Option<&Run>, attempt| {
            add_interrupted_job(None, previous, &busy, (job, Some("test")), key(attempt), now()).unwrap()
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
