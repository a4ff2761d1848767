//! Asks GitHub about a job that was queued some time ago, before a runner is launched for it.

use dayfly_engine::launch::claim;
use dayfly_flows::{FlowError, event_of_job};
use dayfly_ports::{ApiError, ApiErrorKind, Bus as _, GitHub as _, JobStatus, Scope};
use dayfly_records::event::Event;
use dayfly_records::{Change, Job, Runner, Stored, Version};
use dayfly_types::time::Timestamp;

use crate::{Function, Handled, LaunchPorts};

/// A job's state, as GitHub has it.
pub(crate) enum JobCheck {
    /// It waits for a runner.
    Waits,
    /// It has started or ended: the event of the webhook that was lost.
    MovedOn(Box<Event>),
    /// It does not exist any more, or its run is over.
    Over,
}

impl<P: LaunchPorts> Function<P> {
    /// Launches for a job if GitHub has it waiting: it may have started or ended with its webhook lost.
    pub(crate) async fn launch_if_waiting(
        &self,
        job: Job,
        version: Option<Version>,
        now: Timestamp,
    ) -> Result<Handled, FlowError> {
        // Due again later before GitHub is asked: a call that crashes while asking must not be repeated
        // at once for ever.
        let (job, version) = match version {
            Some(version) => {
                let postponed = claim::postpone(job, None, now, &self.deadlines);
                if !self.commit(vec![Change::update(version, postponed.clone())]).await? {
                    return Ok(Handled::Nothing("another invocation holds the job"));
                }
                (postponed, Some(version.next()))
            }
            None => (job, None),
        };
        if job.state.is_end() {
            return Ok(Handled::Nothing("GitHub lets no job wait for so long"));
        }
        match self.check_job(&job, now).await {
            Ok(JobCheck::Waits) => self.plan_and_launch(job, version, now).await,
            Ok(JobCheck::Over) => {
                let handled = Handled::Nothing("GitHub says that the job is over");
                self.record_job(claim::finish_unknown(job, now), version, handled).await
            }
            Ok(JobCheck::MovedOn(event)) => {
                // Still due, in case the event is lost on its way.
                let why = "GitHub says that the job has moved on".to_owned();
                let postponed = self.postpone(job, version, why, None, now).await?;
                self.ports.bus().publish(&event).await?;
                Ok(postponed)
            }
            Err(error) if error.kind == ApiErrorKind::Forbidden => {
                let reason = format!(
                    "{error}: give the GitHub App the permission `actions: read` in {}",
                    job.repository
                );
                self.refuse(job, version, reason, now).await
            }
            Err(error) => {
                let wait = error.wait();
                self.postpone(job, version, error.to_string(), wait, now).await
            }
        }
    }

    /// Lets a runner come to the gate again if GitHub has its job waiting.
    pub(crate) async fn resume_if_waiting(
        &self,
        runner: Stored<Runner>,
        job: Option<Stored<Job>>,
        now: Timestamp,
    ) -> Result<Handled, FlowError> {
        let Some(job) = job else {
            return Ok(Handled::Nothing("its job's record is gone"));
        };
        // Before GitHub is asked, as above.
        let asked = claim::recheck_job(runner.record, now, &self.deadlines);
        if !self.commit(vec![Change::update(runner.version, asked.clone())]).await? {
            return Ok(Handled::Nothing("another invocation holds the launch"));
        }
        let runner = Stored::over(runner.version, asked);
        match self.check_job(&job.record, now).await {
            Ok(JobCheck::Waits) => self.resume(runner, now).await,
            Ok(JobCheck::Over) => {
                let changes = vec![
                    Change::update(job.version, claim::finish_unknown(job.record, now)),
                    Change::update(runner.version, claim::drop_launch(runner.record, now, &self.deadlines)),
                ];
                self.commit(changes).await?;
                Ok(Handled::Nothing("GitHub says that the job is over"))
            }
            Ok(JobCheck::MovedOn(event)) => {
                self.ports.bus().publish(&event).await?;
                Ok(Handled::Nothing("GitHub says that the job has moved on"))
            }
            Err(error) => {
                tracing::warn!(job = %job.record.key, %error, "GitHub could not be asked about the job");
                Ok(Handled::Postponed)
            }
        }
    }

    pub(crate) async fn check_job(&self, job: &Job, now: Timestamp) -> Result<JobCheck, ApiError> {
        let scope = Scope::of_job(job);
        let view = match self.ports.github().job(&scope, job.key.job).await {
            Err(error) if error.kind == ApiErrorKind::NotFound => return Ok(JobCheck::Over),
            answer => answer?,
        };
        if matches!(view.status, JobStatus::Queued | JobStatus::Waiting) {
            // GitHub leaves the jobs of a run that could not start queued for ever.
            let run = self.ports.github().run(&scope, job.run).await?;
            let is_over = run.attempt > job.key.attempt || run.completed;
            return Ok(if is_over { JobCheck::Over } else { JobCheck::Waits });
        }
        Ok(event_of_job(view, &scope, now).map_or(JobCheck::Waits, |event| JobCheck::MovedOn(Box::new(event))))
    }
}
