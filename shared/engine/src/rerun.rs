//! Re-runs: whether a run with interrupted jobs runs again, and by which call.

pub mod report;

use std::time::Duration;

use dayfly_config::{CONFIG_PATH, RerunOnDemand, RerunWhat};
use dayfly_records::event::{Conclusion, RunEvent};
use dayfly_records::{Job, JobState, Rerun, Run, RunEnd};
use dayfly_types::deadlines::{MAX_RETRY_PAUSE, RERUN_RETRY};
use dayfly_types::ids::{JobId, RunAttempt, RunId};
use dayfly_types::time::Timestamp;

/// Returns the run after its `run.completed`, or `None` if that changes nothing.
#[must_use]
pub fn completed(run: &Run, event: &RunEvent, now: Timestamp) -> Option<Run> {
    if run.completed.is_some() {
        return None;
    }
    let mut next = run.clone();
    next.completed = Some(RunEnd {
        at: now,
        conclusion: event.conclusion.unwrap_or(Conclusion::Unknown),
    });
    next.due_at = Some(now);
    Some(next)
}

/// A run's state on GitHub.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RunOnGitHub {
    /// Its latest attempt.
    pub attempt: RunAttempt,
    /// Whether that attempt is over.
    pub completed: bool,
    pub conclusion: Option<Conclusion>,
}

/// The jobs of a run that is over.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RunJobs {
    pub interrupted: Vec<Job>,
    /// The names and conclusions of the others.
    pub others: Vec<(String, Conclusion)>,
}

/// The call to GitHub that re-runs jobs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RerunCall {
    /// Re-run this job and those that depend on it.
    Job(JobId),
    /// Re-run all failed and cancelled jobs: of several calls for single jobs GitHub takes only the first.
    FailedJobs,
}

/// What to do about a run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RerunDecision {
    /// Nothing more.
    Settled,
    /// Record this; GitHub need not be called now.
    Record(Run),
    /// Unless a newer run has [`superseded`] it, record this, then call GitHub.
    Call(Run, RerunCall),
}

/// Whether a run with interrupted jobs is undecided.
#[must_use]
pub fn is_open(run: &Run) -> bool {
    matches!(run.rerun, Rerun::NotYet | Rerun::Intended) && !run.interrupted.is_empty()
}

/// Decides on a run with interrupted jobs. `jobs` matters only once the run is over.
#[must_use]
pub fn decide(run: &Run, on_github: RunOnGitHub, jobs: &RunJobs, now: Timestamp) -> RerunDecision {
    if !is_open(run) {
        return if run.due_at.is_none() {
            RerunDecision::Settled
        } else {
            RerunDecision::Record(Run {
                due_at: None,
                ..run.clone()
            })
        };
    }
    if on_github.attempt > run.key.attempt {
        // By our own call with a lost answer, or by a person: the next attempt exists either way.
        let rerun = if run.rerun == Rerun::Intended {
            Rerun::Accepted
        } else {
            declined("it was run again already")
        };
        return RerunDecision::Record(settled(run, rerun));
    }
    if !on_github.completed {
        return RerunDecision::Record(Run {
            due_at: Some(now.after(next_check_after(run, now))),
            ..run.clone()
        });
    }
    if let Some(reason) = refusal(run, on_github) {
        return RerunDecision::Record(settled(run, declined(&reason)));
    }
    let again: Vec<&Job> = jobs.interrupted.iter().filter(|job| job_needs_rerun(job)).collect();
    if again.is_empty() {
        return RerunDecision::Record(settled(run, declined("its interrupted jobs succeeded all the same")));
    }
    let call = choose_call(run.policy.what, &again, &jobs.others);
    RerunDecision::Call(
        Run {
            rerun: Rerun::Intended,
            with_failed: call == RerunCall::FailedJobs && any_failed(&jobs.others),
            due_at: Some(now.after(RERUN_RETRY)),
            ..run.clone()
        },
        call,
    )
}

/// Returns why a run that is over does not run again, whatever became of its jobs.
fn refusal(run: &Run, on_github: RunOnGitHub) -> Option<String> {
    match on_github.conclusion {
        Some(Conclusion::Cancelled) => return Some("the run was cancelled".to_owned()),
        // Its workflow can do without the job, or has retried it by itself.
        Some(Conclusion::Success) => return Some("the run succeeded all the same".to_owned()),
        _ => {}
    }
    if run.policy.what == RerunWhat::Never {
        return Some(format!("`{CONFIG_PATH}` says `rerun: never`"));
    }
    (run.our_reruns >= run.policy.max).then(|| match run.our_reruns {
        0 => format!("`{CONFIG_PATH}` says `max_reruns: 0`"),
        1 => format!("it was run again once, and `{CONFIG_PATH}` allows no more (`max_reruns: 1`)"),
        times => format!("it was run again {times} times, and `{CONFIG_PATH}` allows no more (`max_reruns`)"),
    })
}

/// Chooses the call. The one for a single job leaves other failures alone. But if the interrupted job cancelled the
/// rest of its matrix (`fail-fast`), only the call for all failed jobs brings those back.
fn choose_call(what: RerunWhat, again: &[&Job], others: &[(String, Conclusion)]) -> RerunCall {
    match again {
        [job] if what != RerunWhat::Failed && !took_others_with_it(job, others) => RerunCall::Job(job.key.job),
        _ => RerunCall::FailedJobs,
    }
}

fn took_others_with_it(job: &Job, others: &[(String, Conclusion)]) -> bool {
    let Some(matrix) = matrix(&job.name) else {
        return false;
    };
    let beside: Vec<Conclusion> = others
        .iter()
        .filter(|(name, _)| self::matrix(name) == Some(matrix))
        .map(|(_, conclusion)| *conclusion)
        .collect();
    let failed_by_itself = beside.iter().any(|conclusion| needs_rerun(*conclusion));
    beside.contains(&Conclusion::Cancelled) && !failed_by_itself
}

/// Returns the name that the jobs of a matrix share: GitHub names one `test (a10g, 3.13)`, unless the workflow
/// names it otherwise.
fn matrix(name: &str) -> Option<&str> {
    let (job, values) = name.split_once(" (")?;
    values.ends_with(')').then_some(job)
}

fn any_failed(others: &[(String, Conclusion)]) -> bool {
    others.iter().any(|(_, conclusion)| needs_rerun(*conclusion))
}

/// Returns the pause before a run is checked again, in case the webhook of its end was lost: ever longer.
fn next_check_after(run: &Run, now: Timestamp) -> Duration {
    (now.since(run.at) / 4).clamp(RERUN_RETRY, MAX_RETRY_PAUSE)
}

fn job_needs_rerun(job: &Job) -> bool {
    match &job.state {
        JobState::Finished { conclusion } => needs_rerun(*conclusion),
        // The run is over, so the job is too; its own event has not come yet.
        JobState::Queued | JobState::Launching | JobState::Running { .. } => true,
        JobState::Refused { .. } | JobState::Unlaunchable { .. } => false,
    }
}

/// Whether a job with this conclusion has to run again if its runner was interrupted.
#[must_use]
pub fn needs_rerun(conclusion: Conclusion) -> bool {
    match conclusion {
        Conclusion::Success
        | Conclusion::Skipped
        | Conclusion::Cancelled
        | Conclusion::Neutral
        | Conclusion::ActionRequired
        | Conclusion::Stale => false,
        Conclusion::Failure | Conclusion::TimedOut | Conclusion::StartupFailure | Conclusion::Unknown => true,
    }
}

fn declined(reason: &str) -> Rerun {
    Rerun::Declined {
        reason: reason.to_owned(),
    }
}

fn settled(run: &Run, rerun: Rerun) -> Run {
    Run {
        rerun,
        due_at: None,
        ..run.clone()
    }
}

/// Returns the run after GitHub has accepted the re-run.
#[must_use]
pub fn accepted(run: &Run) -> Run {
    settled(run, Rerun::Accepted)
}

/// Settles a run that a newer one of the same `concurrency` group supersedes: either would cancel the other, or wait
/// for it.
#[must_use]
pub fn superseded(run: &Run, newer: RunId) -> Run {
    let reason =
        format!("run {newer} of the same branch is newer, and the workflow's `concurrency` allows one of them");
    settled(run, declined(&reason))
}

/// Returns how often we have re-run a run up to the attempt after `previous`, or `None` if that attempt is not ours.
/// Since it exists, a call with an unknown answer was accepted.
#[must_use]
pub fn our_rerun_count(previous: &Run) -> Option<u32> {
    is_ours(previous).then(|| previous.our_reruns + 1)
}

/// Whether the attempt after `previous` is our re-run.
#[must_use]
pub fn is_ours(previous: &Run) -> bool {
    matches!(previous.rerun, Rerun::Accepted | Rerun::Intended)
}

/// Whether the jobs of the attempt after `previous` get on-demand capacity, which is never interrupted.
#[must_use]
pub fn on_demand(previous: &Run) -> bool {
    let Some(times) = our_rerun_count(previous) else {
        // A person re-ran it: the configuration decides.
        return false;
    };
    let policy = &previous.policy;
    // Beyond the maximum are only re-runs of jobs that a messenger took by mistake.
    times <= policy.max
        && match policy.on_demand {
            RerunOnDemand::Always => true,
            RerunOnDemand::Last => times == policy.max,
            RerunOnDemand::Never => false,
        }
}

#[cfg(test)]
mod tests;
