//! What nobody told us, asked of GitHub: its answer goes the way of the webhook that was lost.

use dayfly_engine::{launch, sweep};
use dayfly_flows::{FlowError, event_of};
use dayfly_ports::{ApiErrorKind, Bus, Fleet, GitHub, JobStatus, Schedule, Scope, Store};
use dayfly_records::event::{Event, LaunchDue};
use dayfly_records::{Change, Job, Runner, Stored, Version};
use dayfly_types::time::Timestamp;

use crate::Function;

impl<S: Store, G: GitHub, F: Fleet, B: Bus, C: Schedule> Function<S, G, F, B, C> {
    /// Asks for the end of a job whose runner is gone.
    pub(crate) async fn ask_for_end(&self, job: Job, version: Version, now: Timestamp) -> Result<(), FlowError> {
        let scope = scope(&job);
        let asked = sweep::asked(&job, now, &self.deadlines);
        if !self.record(Change::update(version, asked)).await? {
            return Ok(());
        }
        match self.github.job(&scope, job.key.job).await {
            Ok(view) => {
                tracing::info!(job = %job.key, status = ?view.status, "asked GitHub for a job whose runner is gone");
                let ended = event_of(view, &scope, now).filter(|event| matches!(event, Event::JobCompleted(_)));
                if let Some(event) = ended {
                    self.bus.publish(&event).await?;
                }
                Ok(())
            }
            Err(error) if error.kind == ApiErrorKind::NotFound => {
                let over = launch::over(job, now);
                self.record(Change::update(version.next(), over)).await.map(drop)
            }
            Err(error) => Err(error.into()),
        }
    }

    /// Asks where the job stands that a runner is for which runs some job.
    pub(crate) async fn ask_for_job(&self, runner: &Runner, now: Timestamp) -> Result<(), FlowError> {
        let Some(Stored { record: job, version }) = self.store.job(runner.wanted_by).await? else {
            return Ok(());
        };
        if job.state.is_end() {
            return Ok(());
        }
        let scope = scope(&job);
        let view = self.github.job(&scope, job.key.job).await?;
        tracing::info!(runner = %runner.name, job = %job.key, status = ?view.status, runs_on = view.runner_name,
            "asked GitHub for the job of a busy runner");
        if view.status != JobStatus::Queued {
            if let Some(event) = event_of(view, &scope, now) {
                self.bus.publish(&event).await?;
            }
            return Ok(());
        }
        let key = job.key;
        if let Some(waits) = sweep::was_displaced(&job, runner, now)
            && self.record(Change::update(version, waits)).await?
        {
            self.bus.publish(&Event::LaunchDue(LaunchDue::of_job(key))).await?;
        }
        Ok(())
    }
}

fn scope(job: &Job) -> Scope {
    Scope {
        installation: job.installation,
        repository: job.repository.clone(),
    }
}
