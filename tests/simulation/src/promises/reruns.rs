//! The promise that exactly the jobs that lost their instance are re-run.

use std::time::Duration;

use dayfly_config::RerunWhat;
use dayfly_ports::JobStatus;
use dayfly_records::event::Conclusion;
use dayfly_types::ids::{JobId, JobKey, RunAttempt, RunId};

use super::{CONTROL, LAST_WORDS, MINUTE, RERUN};
use crate::hub::Job;
use crate::sim::Sim;

impl Sim {
    /// A job loses its instance, or its runner is ended, by no fault of its own.
    pub fn job_loses_its_instance(&self, job: JobId) {
        let mut hub = self.hub.borrow_mut();
        let Some(found) = hub.jobs.get_mut(&job).filter(|job| !job.is_over() && !job.cancelled) else {
            return;
        };
        // At the end of its lifetime it is its own fault.
        let cloud = self.cloud.borrow();
        let launched_at = found
            .instance
            .as_ref()
            .and_then(|instance| cloud.instances.get(instance));
        // An end announced before its lifetime was over counts as a lost instance, whenever it comes.
        let age = launched_at.map_or(Duration::ZERO, |one| {
            one.notice_at.unwrap_or(self.now()).since(one.view.launched_at)
        });
        if age >= self.plan.lifetime {
            return;
        }
        // Shortly before it, until a silent instance is given up, either may count as the reason.
        found.interrupted = age + 7 * MINUTE < self.plan.lifetime && !found.refused;
        let (run, attempt) = (found.run, found.attempt);
        if let Some(run) = hub.runs.get_mut(&run) {
            run.interrupted.insert(attempt);
        }
    }

    /// Whether an instance was lost after its job had failed by itself but before that was reported, or
    /// was about to be reclaimed when it failed: the order cannot be known.
    fn looks_interrupted(&self, job: &Job) -> bool {
        let key = JobKey {
            job: job.id,
            attempt: job.attempt,
        };
        let reported = self.promises.borrow().settled.get(&key).copied();
        let cloud = self.cloud.borrow();
        let ended = job
            .instance
            .as_ref()
            .and_then(|instance| cloud.instances.get(instance)?.ended_at);
        let machines = self.machines.borrow();
        let silent = job
            .instance
            .as_ref()
            .and_then(|instance| machines.get(instance))
            .is_some_and(|machine| machine.cut || machine.frozen);
        let noticed = job
            .instance
            .as_ref()
            .and_then(|instance| cloud.instances.get(instance)?.notice_at)
            .is_some_and(|at| job.ended_at.is_some_and(|ended| at <= ended));
        let lost = silent || noticed || ended.is_some_and(|ended| reported.is_none_or(|reported| ended < reported));
        job.status == JobStatus::Completed(Conclusion::Failure) && lost
    }

    /// We re-ran a run.
    pub fn rerun_was_due(&self, run: RunId, ended: Option<Conclusion>) {
        let hub = self.hub.borrow();
        let Some(of) = hub.runs.get(&run) else { return };
        let before = RunAttempt(of.attempt.0 - 1);
        let mut of_it = hub.jobs.values().filter(|job| job.run == run && job.attempt == before);
        // While reports of neither the instance nor GitHub arrive, a job that failed by itself looks
        // like one that lost its instance, and is re-run to be safe.
        let unreported = of.fails && self.calm_for(&[CONTROL, LAST_WORDS]) < 30 * MINUTE;
        let lost = of_it.any(|job| self.looks_interrupted(job));
        let due = of.interrupted.contains(&before) || unreported || lost;
        let (ours, theirs) = (of.our_reruns, of.their_reruns);
        if of.mistaken {
            // A job that a messenger took by mistake is re-run whatever the configuration.
            return;
        }
        let config = self.plan.config(&of.repository);
        let newer = hub.newer_than(run).and_then(|newer| hub.runs.get(&newer));
        // It may have started after the check.
        let moot = newer.filter(|newer| config.concurrency && self.now().since(newer.started_at) > 2 * MINUTE);
        // The count is lost with the table.
        let counted = self.promises.borrow().emptied_at.is_none_or(|at| at < of.started_at);
        let why_not = if config.rerun.what == RerunWhat::Never {
            Some("`rerun: never`")
        } else if counted && of.in_a_row > config.rerun.max {
            Some("more than `max_reruns`")
        } else if ended == Some(Conclusion::Cancelled) {
            Some("it was cancelled")
        } else {
            moot.map(|_| "a newer one has made it moot")
        };
        drop(hub);
        if let Some(why) = why_not {
            self.broken(
                RERUN,
                format!("run {run} is run again: {why} ({ours} of ours, {theirs} by people)"),
            );
        }
        if !due {
            self.broken(
                RERUN,
                format!(
                    "no job of run {run} lost its instance in attempt {before} ({ours} of ours, {theirs} by people)"
                ),
            );
        }
    }
}
