//! Jobs whose webhook may be lost, looked up at GitHub: the answer is published in the webhook's place.

use dayfly_engine::launch::claim;
use dayfly_engine::runner::timeouts;
use dayfly_flows::{FlowError, event_of_job};
use dayfly_ports::{ApiErrorKind, Bus, GitHub, JobStatus, Ports, Schedule, Scope, Store};
use dayfly_records::event::{Event, LaunchDue};
use dayfly_records::{Change, Job, Runner, Stored, Version};
use dayfly_types::time::Timestamp;

use crate::Function;

impl<P: Ports, C: Schedule> Function<P, C> {
    /// Looks up the end of a job whose runner is gone.
    pub(crate) async fn look_up_end(&self, job: Job, version: Version, now: Timestamp) -> Result<(), FlowError> {
        let scope = Scope::of_job(&job);
        let asked = timeouts::ask_again_later(&job, now, &self.deadlines);
        if !self.record(Change::update(version, asked)).await? {
            return Ok(());
        }
        match self.ports.github().job(&scope, job.key.job).await {
            Ok(view) => {
                tracing::info!(job = %job.key, status = ?view.status, "asked GitHub for a job whose runner is gone");
                let ended = event_of_job(view, &scope, now).filter(|event| matches!(event, Event::JobCompleted(_)));
                if let Some(event) = ended {
                    self.ports.bus().publish(&event).await?;
                }
                Ok(())
            }
            Err(error) if error.kind == ApiErrorKind::NotFound => {
                let over = claim::finish_unknown(job, now);
                self.record(Change::update(version.next(), over)).await.map(drop)
            }
            Err(error) => Err(error.into()),
        }
    }

    /// Looks up the job that a busy runner was launched for.
    pub(crate) async fn look_up_job(&self, runner: &Runner, now: Timestamp) -> Result<(), FlowError> {
        let Some(Stored { record: job, version }) = self.ports.store().job(runner.wanted_by).await? else {
            return Ok(());
        };
        if job.state.is_end() {
            return Ok(());
        }
        let scope = Scope::of_job(&job);
        let view = self.ports.github().job(&scope, job.key.job).await?;
        tracing::info!(runner = %runner.name, job = %job.key, status = ?view.status, runs_on = view.runner_name,
            "asked GitHub for the job of a busy runner");
        if view.status != JobStatus::Queued {
            if let Some(event) = event_of_job(view, &scope, now) {
                self.ports.bus().publish(&event).await?;
            }
            return Ok(());
        }
        let key = job.key;
        if let Some(waits) = timeouts::was_displaced(&job, runner, now)
            && self.record(Change::update(version, waits)).await?
        {
            self.ports
                .bus()
                .publish(&Event::LaunchDue(LaunchDue::of_job(key)))
                .await?;
        }
        Ok(())
    }
}
