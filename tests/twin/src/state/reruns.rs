//! Re-runs: a new attempt of a run that is done.

use std::collections::BTreeSet;

use jiff::{SignedDuration, Timestamp};

use super::State;
use crate::config::CarriedOver;
use crate::model::{Account, Conclusion, EarlierAttempt, Job, JobId, RunId, Status};

/// GitHub allows this many re-runs of a run.
const MOST_RERUNS: u32 = 50;
/// The age limit of GitHub's re-runs.
const OLDEST_RERUN: SignedDuration = SignedDuration::from_hours(30 * 24);

/// The jobs of a re-run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rerun {
    /// Every job.
    All,
    /// The failed and cancelled ones, and what needs them.
    Failed,
    /// One job, and what needs it.
    Job(JobId),
}

/// Why a run cannot be re-run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RerunRefusal {
    /// There is no such run or job.
    NotFound,
    /// Not every job is done.
    StillRunning,
    /// The job belongs to an earlier attempt.
    EarlierAttempt,
    /// Nothing failed, or there were too many attempts.
    CannotBeRetried,
    /// The run is more than 30 days old.
    TooOld,
}

impl State {
    /// Starts a new attempt of a run for a user.
    pub(crate) fn rerun(&mut self, id: RunId, what: Rerun, by: &Account, now: Timestamp) -> Result<(), RerunRefusal> {
        let run = self.runs.get(&id).ok_or(RerunRefusal::NotFound)?;
        if run.status != Status::Completed {
            return Err(RerunRefusal::StillRunning);
        }
        if now.duration_since(run.created_at) > OLDEST_RERUN {
            return Err(RerunRefusal::TooOld);
        }
        if run.attempt > MOST_RERUNS {
            return Err(RerunRefusal::CannotBeRetried);
        }
        let again = self.slots_to_run_again(id, what)?;
        self.change_run(id, now, |run| {
            run.earlier.push(EarlierAttempt {
                attempt: run.attempt,
                conclusion: run.conclusion,
                triggering_actor: run.triggering_actor.clone(),
                started_at: run.started_at,
                updated_at: run.updated_at,
            });
            run.attempt += 1;
            run.triggering_actor = by.clone();
            run.status = Status::Queued;
            run.conclusion = None;
            run.started_at = now;
            run.cancelled = false;
        });
        self.enter_group(id, now);
        self.announce_attempt(id);
        for slot in 0..self.runs[&id].slots.len() {
            if again.contains(&slot) {
                self.change_run(id, now, |run| run.slots[slot].job = None);
            } else if self.rules.carried_over == CarriedOver::Copied {
                self.carry_over(id, slot, now);
            }
        }
        self.advance_run(id, now);
        Ok(())
    }

    fn slots_to_run_again(&self, id: RunId, what: Rerun) -> Result<BTreeSet<usize>, RerunRefusal> {
        let run = &self.runs[&id];
        let job_of = |slot: usize| run.slots[slot].job.and_then(|job| self.jobs.get(&job));
        let chosen = |job: &Job| match what {
            Rerun::All => true,
            Rerun::Failed => matches!(job.conclusion, Some(Conclusion::Failure | Conclusion::Cancelled)),
            Rerun::Job(wanted) => job.id == wanted,
        };
        let mut again: BTreeSet<usize> = (0..run.slots.len())
            .filter(|slot| job_of(*slot).is_some_and(chosen))
            .collect();
        if again.is_empty() {
            return Err(match what {
                Rerun::Job(_) => RerunRefusal::EarlierAttempt,
                Rerun::All | Rerun::Failed => RerunRefusal::CannotBeRetried,
            });
        }
        loop {
            let keys: BTreeSet<&String> = again.iter().map(|slot| &run.slots[*slot].spec.key).collect();
            let dependents: Vec<usize> = (0..run.slots.len())
                .filter(|slot| !again.contains(slot))
                .filter(|slot| run.slots[*slot].spec.needs.iter().any(|need| keys.contains(need)))
                .collect();
            if dependents.is_empty() {
                return Ok(again);
            }
            again.extend(dependents);
        }
    }

    /// Lists a job that is not re-run in the new attempt, under a new id.
    fn carry_over(&mut self, run: RunId, slot: usize, now: Timestamp) {
        let attempt = self.runs[&run].attempt;
        let Some(old) = self.runs[&run].slots[slot].job.and_then(|job| self.jobs.get(&job)) else {
            return;
        };
        let mut copy = old.clone();
        copy.id = JobId(self.ids.next("job"));
        copy.attempt = attempt;
        copy.created_at = now;
        let id = copy.id;
        self.jobs.insert(id, copy);
        self.change_run(run, now, |run| run.slots[slot].job = Some(id));
        self.send_job(id, "completed");
    }
}
