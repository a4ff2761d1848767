//! Whether a run of which jobs were interrupted is run again, and how.

use std::time::Duration;

use dayfly_config::{CONFIG_PATH, RerunOnDemand, RerunWhat};
use dayfly_records::event::{Conclusion, RunEvent};
use dayfly_records::{Job, JobState, Rerun, Run, RunEnd};
use dayfly_types::deadlines::{LONGEST_PAUSE, RERUN_RETRY};
use dayfly_types::ids::{JobId, RunAttempt, RunId};
use dayfly_types::time::Timestamp;

use crate::job_events;

/// The run once GitHub has said that it is over; nothing if that changes nothing.
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

/// Where GitHub says that the run stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Seen {
    /// Its latest attempt.
    pub attempt: RunAttempt,
    /// Whether that is over.
    pub completed: bool,
    /// How it ended.
    pub conclusion: Option<Conclusion>,
}

/// The jobs of a run that is over.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Jobs {
    /// Those that were interrupted.
    pub interrupted: Vec<Job>,
    /// The names of the others, and how they ended.
    pub others: Vec<(String, Conclusion)>,
}

/// What to ask of GitHub.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ask {
    /// To run this job again, and those that depend on it.
    Job(JobId),
    /// To run all failed and cancelled jobs again: a call for each job would lose all but the first.
    FailedJobs,
}

/// What to do about a run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Next {
    /// Nothing more.
    Settled,
    /// Record this; there is nothing to ask of GitHub now.
    Record(Run),
    /// Unless a newer run has made it [`moot`], record this, then ask GitHub.
    Ask(Run, Ask),
}

/// Whether anything about a run with interrupted jobs is still to be decided.
#[must_use]
pub fn is_open(run: &Run) -> bool {
    matches!(run.rerun, Rerun::NotYet | Rerun::Intended) && !run.interrupted.is_empty()
}

/// Decides on a run with interrupted jobs. `jobs` matter only once GitHub says that it is over.
#[must_use]
pub fn decide(run: &Run, seen: Seen, jobs: &Jobs, now: Timestamp) -> Next {
    if !is_open(run) {
        return if run.due_at.is_none() {
            Next::Settled
        } else {
            Next::Record(Run {
                due_at: None,
                ..run.clone()
            })
        };
    }
    if seen.attempt > run.key.attempt {
        // By our own call, whose answer was lost, or by a person: there is one either way.
        let rerun = if run.rerun == Rerun::Intended {
            Rerun::Accepted
        } else {
            declined("it was run again already")
        };
        return Next::Record(settled(run, rerun));
    }
    if !seen.completed {
        return Next::Record(Run {
            due_at: Some(now.after(until_next_look(run, now))),
            ..run.clone()
        });
    }
    if let Some(reason) = refusal(run, seen) {
        return Next::Record(settled(run, declined(&reason)));
    }
    let again: Vec<&Job> = jobs.interrupted.iter().filter(|job| needs_another_go(job)).collect();
    if again.is_empty() {
        return Next::Record(settled(run, declined("its interrupted jobs ended well all the same")));
    }
    let ask = ask(run.policy.what, &again, &jobs.others);
    Next::Ask(
        Run {
            rerun: Rerun::Intended,
            with_failed: ask == Ask::FailedJobs && any_failed(&jobs.others),
            due_at: Some(now.after(RERUN_RETRY)),
            ..run.clone()
        },
        ask,
    )
}

/// Why a run that is over is not run again, whatever became of its jobs.
fn refusal(run: &Run, seen: Seen) -> Option<String> {
    match seen.conclusion {
        Some(Conclusion::Cancelled) => return Some("the run was cancelled".to_owned()),
        // Its workflow can do without the job, or has tried it again by itself.
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

/// One interrupted job has an endpoint of its own, which leaves alone what failed by itself. But if it
/// took the other jobs of its matrix with it (`fail-fast`), only the call for all brings those back.
fn ask(what: RerunWhat, again: &[&Job], others: &[(String, Conclusion)]) -> Ask {
    match again {
        [job] if what != RerunWhat::Failed && !took_others_with_it(job, others) => Ask::Job(job.key.job),
        _ => Ask::FailedJobs,
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
    let failed_by_itself = beside.iter().any(|conclusion| job_events::was_interrupted(*conclusion));
    beside.contains(&Conclusion::Cancelled) && !failed_by_itself
}

/// The job of the workflow whose matrix a job is of: GitHub names it `test (a10g, 3.13)`, unless the
/// workflow has another name for it.
fn matrix(name: &str) -> Option<&str> {
    let (job, values) = name.split_once(" (")?;
    values.ends_with(')').then_some(job)
}

fn any_failed(others: &[(String, Conclusion)]) -> bool {
    others
        .iter()
        .any(|(_, conclusion)| job_events::was_interrupted(*conclusion))
}

/// Its end comes by webhook; a run that is long over and was not said to be is looked at seldom.
fn until_next_look(run: &Run, now: Timestamp) -> Duration {
    (now.since(run.at) / 4).clamp(RERUN_RETRY, LONGEST_PAUSE)
}

fn needs_another_go(job: &Job) -> bool {
    match &job.state {
        JobState::Finished { conclusion } => job_events::was_interrupted(*conclusion),
        // The run is over, so the job is; its own end was not told to us yet.
        JobState::Queued | JobState::Launching | JobState::Running { .. } => true,
        JobState::Refused { .. } | JobState::Unlaunchable { .. } => false,
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

/// The run once GitHub has taken the re-run.
#[must_use]
pub fn accepted(run: &Run) -> Run {
    settled(run, Rerun::Accepted)
}

/// A run in whose place there is a newer one: its workflow has a `concurrency` group, in which the old
/// run would cancel the newer or be cancelled by it, or hold it up.
#[must_use]
pub fn moot(run: &Run, newer: RunId) -> Run {
    let reason =
        format!("run {newer} of the same branch is newer, and the workflow's `concurrency` allows one of them");
    settled(run, declined(&reason))
}

/// How often we have run a run again with the attempt after `previous`; nothing if that is not our
/// doing. A call whose answer is not known yet was taken, since there is an attempt after it.
#[must_use]
pub fn ours(previous: &Run) -> Option<u32> {
    is_ours(previous).then(|| previous.our_reruns + 1)
}

/// Whether we have had GitHub make the attempt after `previous`.
#[must_use]
pub fn is_ours(previous: &Run) -> bool {
    matches!(previous.rerun, Rerun::Accepted | Rerun::Intended)
}

/// Whether the jobs of the attempt after `previous` get on-demand capacity, which nobody interrupts.
#[must_use]
pub fn on_demand(previous: &Run) -> bool {
    let Some(times) = ours(previous) else {
        // A person runs it again: as the configuration says.
        return false;
    };
    let policy = &previous.policy;
    // More than it allows are those of jobs that a messenger took by mistake.
    times <= policy.max
        && match policy.on_demand {
            RerunOnDemand::Always => true,
            RerunOnDemand::Last => times == policy.max,
            RerunOnDemand::Never => false,
        }
}

#[cfg(test)]
mod tests;
