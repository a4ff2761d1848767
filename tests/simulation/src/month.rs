//! A month, and what there is to report of it.

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

/// How the jobs of a month ended, each counted once, however often it was run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Ends {
    /// They succeeded.
    pub succeeded: usize,
    /// They failed by themselves.
    pub failed: usize,
    /// They lost their instance, and were not run again any more.
    pub interrupted: usize,
    /// A person cancelled them.
    pub cancelled: usize,
    /// A cap refused them.
    pub refused: usize,
    /// There was no capacity for them.
    pub unlaunchable: usize,
    /// None of that.
    pub open: usize,
}

impl Ends {
    /// All of them.
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

/// What there is to report.
pub struct Month {
    /// What became of it.
    pub outcome: Outcome,
    /// Its runs.
    pub runs: usize,
    /// How its jobs ended.
    pub ends: Ends,
    /// How often the control plane had a run run again.
    pub reruns: u32,
    /// How long each job waited that ran and was not given up before, the shortest first.
    pub waits: Vec<Duration>,
    /// For how many minutes jobs ran, as GitHub bills them.
    pub minutes: u64,
    /// What each instance has cost.
    pub costs: Vec<Cost>,
    /// The ledgers of all who pay.
    pub ledgers: Vec<Ledger>,
}

impl Month {
    /// What the minutes of its jobs would have cost on GitHub's own runner with a GPU.
    #[must_use]
    pub fn on_github(&self) -> MicroDollars {
        GITHUB_GPU_MINUTE.times(self.minutes)
    }

    /// How long the job waited that so many of a hundred did not wait longer than.
    #[must_use]
    pub fn waited(&self, percent: usize) -> Duration {
        let index = (self.waits.len() * percent).div_ceil(100).saturating_sub(1);
        self.waits.get(index).copied().unwrap_or_default()
    }
}

/// Lets a month happen, and keeps in words what names `about`. `watch` is told the time as it passes.
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
        let mut ends = Ends::default();
        for job in hub.runs.values().flat_map(|run| &run.jobs) {
            if let Some(job) = hub.jobs.get(job) {
                *self.end_of(job, &mut ends) += 1;
            }
        }
        let promises = self.promises.borrow();
        // One that was given up may run all the same, long after.
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

    /// Where a job is counted.
    fn end_of<'a>(&self, job: &Job, ends: &'a mut Ends) -> &'a mut usize {
        // A messenger may have failed it since, or another's runner run it all the same.
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
    fn a_small_month_keeps_every_promise_and_its_report_adds_up() {
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
