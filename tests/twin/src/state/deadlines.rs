//! The twin's deadlines.

use jiff::Timestamp;

use super::State;
use super::jobs::lost_annotation;
use crate::clock;
use crate::event::{Happening, RunnerRemoval};
use crate::model::{Conclusion, Job, JobId, Runner, RunnerId, Status};

/// A deadline and what comes of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Due {
    /// The offered runner did not answer.
    Requeue(JobId),
    Lose(JobId),
    /// The job's runner did not cancel it.
    Cancel(JobId),
    /// No runner took the job in time.
    Expire(JobId),
    Remove(RunnerId, RunnerRemoval),
}

impl State {
    /// The next moment at which [`State::expire`] has something to do.
    pub(crate) fn next_deadline(&self) -> Option<Timestamp> {
        self.deadlines().map(|(at, _)| at).min()
    }

    /// Does all that is due.
    pub(crate) fn expire(&mut self, now: Timestamp) {
        let mut due: Vec<(Timestamp, Due)> = self.deadlines().filter(|(at, _)| *at <= now).collect();
        due.sort_by_key(|(at, _)| *at);
        for (_, what) in due {
            self.do_due(what, now);
        }
    }

    fn do_due(&mut self, what: Due, now: Timestamp) {
        match what {
            Due::Requeue(job) => {
                if let Some(runner) = self.withdraw_offer(job) {
                    if let Some(runner) = self.runners.get_mut(&runner) {
                        runner.unresponsive = true;
                    }
                    self.publish(Happening::JobRequeued { job, runner });
                }
            }
            Due::Lose(job) => {
                let runner = self.jobs[&job].runner.as_ref();
                let name = runner.map(|taken| taken.name.clone()).unwrap_or_default();
                self.annotate(job, lost_annotation(&name));
                self.finish_job_because(job, Conclusion::Failure, RunnerRemoval::LostCommunication, now);
            }
            Due::Cancel(job) => self.finish_job(job, Conclusion::Cancelled, now),
            Due::Expire(job) => {
                self.annotate(job, "The job was not picked up by a runner within 24 hours.".to_owned());
                self.finish_job(job, Conclusion::Failure, now);
            }
            Due::Remove(runner, why) => self.remove_runner(runner, why),
        }
    }

    fn deadlines(&self) -> impl Iterator<Item = (Timestamp, Due)> {
        let jobs = self.jobs.values().filter_map(|job| self.job_deadline(job));
        let runners = self.runners.values().filter_map(|runner| self.runner_deadline(runner));
        jobs.chain(runners)
    }

    fn job_deadline(&self, job: &Job) -> Option<(Timestamp, Due)> {
        let timings = &self.rules.timings;
        match (job.status, &job.offer) {
            (Status::Queued, Some(offer)) => {
                Some((clock::after(offer.at, timings.acknowledge_within), Due::Requeue(job.id)))
            }
            (Status::Queued, None) => Some((
                clock::after(job.created_at, timings.queued_at_most),
                Due::Expire(job.id),
            )),
            (Status::InProgress, _) => {
                let lost = clock::after(job.renewed_at?, timings.lost_after);
                let cancel = job.cancel_since.map(|since| clock::after(since, timings.cancel_within));
                match cancel {
                    Some(cancel) if cancel < lost => Some((cancel, Due::Cancel(job.id))),
                    _ => Some((lost, Due::Lose(job.id))),
                }
            }
            (Status::Pending | Status::Waiting | Status::Completed, _) => None,
        }
    }

    fn runner_deadline(&self, runner: &Runner) -> Option<(Timestamp, Due)> {
        let timings = &self.rules.timings;
        if runner.job.is_some() {
            return None;
        }
        match &runner.session {
            Some(session) => Some((
                clock::after(session.opened_at, timings.unused_runner_after?),
                Due::Remove(runner.id, RunnerRemoval::Unused),
            )),
            None => Some((
                clock::after(runner.registered_at, timings.unused_config_after?),
                Due::Remove(runner.id, RunnerRemoval::ConfigExpired),
            )),
        }
    }
}
