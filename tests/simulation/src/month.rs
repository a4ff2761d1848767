//! A month, and its report.

use std::rc::Rc;
use std::time::Duration;

use dayfly_ports::JobStatus;
use dayfly_records::event::Conclusion;
use dayfly_records::{Cost, Ledger};
use dayfly_report::story::{GITHUB_GPU_MINUTE, minutes};
use dayfly_types::ids::JobKey;
use dayfly_types::money::MicroDollars;

use crate::hub::Job;
use crate::plan::Plan;
use crate::sim::Sim;
use crate::{Outcome, outcome};

/// How the jobs of a month ended, each counted once, however often it was re-run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct JobEnds {
    pub succeeded: usize,
    /// By themselves.
    pub failed: usize,
    /// They lost their instance and were not re-run.
    pub interrupted: usize,
    /// By a person.
    pub cancelled: usize,
    /// By a cap.
    pub refused: usize,
    /// For lack of capacity.
    pub unlaunchable: usize,
    pub open: usize,
}

impl JobEnds {
    #[must_use]
    pub fn all(&self) -> usize {
        let Self {
            succeeded,
            failed,
            interrupted,
            cancelled,
            refused,
            unlaunchable,
            open,
        } = *self;
        succeeded + failed + interrupted + cancelled + refused + unlaunchable + open
    }
}

pub struct Month {
    pub outcome: Outcome,
    pub runs: usize,
    pub ends: JobEnds,
    /// Our re-runs.
    pub reruns: u32,
    /// The waits of jobs that ran and were not given up before, the shortest first.
    pub waits: Vec<Duration>,
    /// The job minutes, as GitHub bills them.
    pub minutes: u64,
    pub costs: Vec<Cost>,
    pub ledgers: Vec<Ledger>,
}

impl Month {
    /// Returns the price of these minutes on GitHub's own GPU runner.
    #[must_use]
    pub fn on_github(&self) -> MicroDollars {
        GITHUB_GPU_MINUTE.times(self.minutes)
    }

    /// Returns the wait that this percentage of jobs did not exceed.
    #[must_use]
    pub fn waited(&self, percent: usize) -> Duration {
        let index = (self.waits.len() * percent).div_ceil(100).saturating_sub(1);
        self.waits.get(index).copied().unwrap_or_default()
    }
}

/// Runs a month and keeps the lines that contain `about`. `watch` receives the time as it passes.
#[must_use]
pub fn month(plan: Plan, about: Option<String>, watch: &dyn Fn(Duration)) -> Month {
    let sim = Sim::about(plan, about);
    sim.run(watch);
    let month = sim.reported();
    sim.end_all();
    month
}

impl Sim {
    fn reported(self: &Rc<Self>) -> Month {
        let hub = self.hub.borrow();
        let mut ends = JobEnds::default();
        for job in hub.runs.values().flat_map(|run| &run.jobs) {
            if let Some(job) = hub.jobs.get(job) {
                *self.end_of(job, &mut ends) += 1;
            }
        }
        let promises = self.promises.borrow();
        // A given-up job may still run, long after.
        let ran = |job: &&Job| job.instance.is_some() && !promises.given_up.contains_key(&key(job));
        let spans = hub.jobs.values().filter(ran).filter_map(|job| {
            let started = job.started_at?;
            Some((started.since(job.created_at), job.ended_at?.since(started)))
        });
        let (mut waits, ran): (Vec<Duration>, Vec<Duration>) = spans.unzip();
        waits.sort_unstable();
        let table = self.table.borrow();
        Month {
            outcome: outcome(self),
            runs: hub.runs.len(),
            ends,
            reruns: hub.runs.values().map(|run| run.our_reruns).sum(),
            waits,
            minutes: ran.into_iter().map(minutes).sum(),
            costs: table.costs().cloned().collect(),
            ledgers: table.ledgers_of_all().cloned().collect(),
        }
    }

    /// Returns the count that a job belongs to.
    fn end_of<'a>(&self, job: &Job, ends: &'a mut JobEnds) -> &'a mut usize {
        // A messenger may have failed it since, or another runner run it anyway.
        let ran = job.instance.is_some() && !job.refused;
        match self.promises.borrow().given_up.get(&key(job)).filter(|_| !ran) {
            Some(true) => return &mut ends.refused,
            Some(false) => return &mut ends.unlaunchable,
            None => {}
        }
        match job.status {
            JobStatus::Completed(Conclusion::Success) => &mut ends.succeeded,
            JobStatus::Completed(Conclusion::Cancelled) => &mut ends.cancelled,
            JobStatus::Completed(_) if job.interrupted => &mut ends.interrupted,
            JobStatus::Completed(_) => &mut ends.failed,
            JobStatus::Queued | JobStatus::Waiting | JobStatus::InProgress => &mut ends.open,
        }
    }
}

fn key(job: &Job) -> JobKey {
    JobKey {
        job: job.id,
        attempt: job.attempt,
    }
}

#[cfg(test)]
mod tests {
    use dayfly_report::sums::Sums;

    use super::*;

    #[test]
    fn a_small_month_keeps_every_promise_and_adds_up() {
        const JOBS: usize = 300;
        let month = month(Plan::month(1, JOBS), None, &|_| {});
        let tally = &month.outcome.tally;
        assert!(month.outcome.broken.is_none(), "{:?}", month.outcome.broken);
        assert_eq!((month.ends.all(), month.ends.open), (JOBS, 0), "{:?}", month.ends);
        assert!(month.ends.succeeded > JOBS * 8 / 10, "{:?}", month.ends);
        assert!(month.waits.len() >= month.ends.succeeded);
        assert!(month.waited(50) <= month.waited(95) && month.waited(95) <= month.waited(99));
        let sums = Sums::of(&month.costs);
        assert_eq!(sums.total.0, tally.settled, "what is reported is what was settled");
        assert!(tally.settled.abs_diff(tally.billed) * 100 <= tally.billed, "{tally:?}");
        assert!(tally.most_off <= 100, "no instance is off by more than 1 %: {tally:?}");
        assert!(
            tally.exact * 100 >= tally.instances * 95,
            "almost all is heard: {tally:?}"
        );
        assert_eq!(sums.instances as u64, tally.instances);
        assert!(sums.job_minutes >= month.minutes && month.on_github() > sums.total);
        let stack = month
            .ledgers
            .iter()
            .filter(|ledger| ledger.budget == dayfly_types::budget::Budget::Stack);
        assert_eq!(stack.map(|ledger| ledger.spent).sum::<MicroDollars>(), sums.total);
    }
}
