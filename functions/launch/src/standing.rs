//! Where a job stands at GitHub, before a runner is launched for one that was said to wait some time
//! ago.

use std::time::Duration;

use dayfly_engine::launch;
use dayfly_flows::{FlowError, event_of, wake_up};
use dayfly_ports::{
    ApiError, ApiErrorKind, Bus, Clock, Fleet, GitHub, JobStatus, Parameters, Quotas, Schedule, Store, StoreError,
};
use dayfly_records::event::Event;
use dayfly_records::{Change, Job, Runner, Stored, Version};
use dayfly_types::time::Timestamp;

use crate::{Function, Outcome, scope};

/// Where GitHub says that a job stands.
pub(crate) enum Standing {
    /// It waits for a runner.
    Waits,
    /// It has started or ended, and this would have told us.
    MovedOn(Box<Event>),
    /// It is not there any more, or its run is over.
    Over,
}

impl<S: Store, G: GitHub, F: Fleet, B: Bus, C: Schedule, P: Parameters, K: Clock, Q: Quotas>
    Function<S, G, F, B, C, P, K, Q>
{
    /// Gives a job a runner, if GitHub says that it still waits: it may have started, or ended, and
    /// nobody told us.
    pub(crate) async fn claim_if_waiting(
        &self,
        job: Job,
        version: Option<Version>,
        now: Timestamp,
    ) -> Result<Outcome, FlowError> {
        // Due again later, before anybody is asked: whoever dies while asking must not have it asked
        // again at once, for ever.
        let (job, version) = match version {
            Some(version) => {
                let postponed = launch::postpone(job, None, now, &self.deadlines);
                let change = Change::update(version, postponed.clone());
                match self.store.commit(vec![change]).await {
                    Err(StoreError::Conflict) => return Ok(Outcome::Nothing("another call holds the job")),
                    done => done?,
                }
                (postponed, Some(version.next()))
            }
            None => (job, None),
        };
        if job.state.is_end() {
            return Ok(Outcome::Nothing("GitHub lets no job wait for so long"));
        }
        let standing = match self.standing(&job, now).await {
            Ok(standing) => standing,
            Err(error) if error.kind == ApiErrorKind::Forbidden => {
                let reason = format!(
                    "{error}: give the GitHub App the permission `actions: read` in {}",
                    job.repository
                );
                return self.refuse(job, version, reason, now).await;
            }
            Err(error) => {
                let wait = error.wait();
                return self.postpone(job, version, error.to_string(), wait, now).await;
            }
        };
        match standing {
            Standing::Waits => self.claim(job, version, now).await,
            Standing::Over => {
                let over = launch::over(job, now);
                let outcome = Outcome::Nothing("GitHub says that it is over");
                self.record_job(over, version, outcome).await
            }
            Standing::MovedOn(event) => {
                // Due still, should the event be lost on its way.
                let why = "GitHub says that the job has moved on".to_owned();
                let postponed = self.postpone(job, version, why, None, now).await?;
                self.bus.publish(&event).await?;
                Ok(postponed)
            }
        }
    }

    /// Lets a runner ask anew whether it is its turn, if GitHub says that its job still waits.
    pub(crate) async fn resume_if_waiting(
        &self,
        runner: Stored<Runner>,
        job: Option<Stored<Job>>,
        now: Timestamp,
    ) -> Result<Outcome, FlowError> {
        let Some(job) = job else {
            return Ok(Outcome::Nothing("its job's record is gone"));
        };
        // Before anybody is asked, as above.
        let asked = launch::ask_for_job(runner.record, now, &self.deadlines);
        match self
            .store
            .commit(vec![Change::update(runner.version, asked.clone())])
            .await
        {
            Err(StoreError::Conflict) => return Ok(Outcome::Nothing("another call holds the launch")),
            done => done?,
        }
        let runner = Stored::over(runner.version, asked);
        match self.standing(&job.record, now).await {
            Ok(Standing::Waits) => self.resume(runner, now).await,
            Ok(Standing::Over) => {
                let changes = vec![
                    Change::update(job.version, launch::over(job.record, now)),
                    Change::update(runner.version, launch::drop(runner.record, now, &self.deadlines)),
                ];
                match self.store.commit(changes).await {
                    Err(StoreError::Conflict) => {}
                    done => done?,
                }
                Ok(Outcome::Nothing("GitHub says that it is over"))
            }
            Ok(Standing::MovedOn(event)) => {
                self.bus.publish(&event).await?;
                Ok(Outcome::Nothing("GitHub says that it has moved on"))
            }
            Err(error) => {
                tracing::warn!(job = %job.record.key, %error, "GitHub does not say where the job stands");
                Ok(Outcome::Postponed)
            }
        }
    }

    pub(crate) async fn standing(&self, job: &Job, now: Timestamp) -> Result<Standing, ApiError> {
        let scope = scope(job);
        let view = match self.github.job(&scope, job.key.job).await {
            Err(error) if error.kind == ApiErrorKind::NotFound => return Ok(Standing::Over),
            answer => answer?,
        };
        if matches!(view.status, JobStatus::Queued | JobStatus::Waiting) {
            // GitHub leaves the jobs of a run that could not start as queued, for ever.
            let run = self.github.run(&scope, job.run).await?;
            let over = run.attempt > job.key.attempt || run.completed;
            return Ok(if over { Standing::Over } else { Standing::Waits });
        }
        Ok(event_of(view, &scope, now).map_or(Standing::Waits, |event| Standing::MovedOn(Box::new(event))))
    }

    pub(crate) async fn postpone(
        &self,
        job: Job,
        version: Option<Version>,
        why: String,
        wait: Option<Duration>,
        now: Timestamp,
    ) -> Result<Outcome, FlowError> {
        tracing::warn!(job = %job.key, why, "postponed the job");
        wake_up(&self.store, &self.schedule, now, &self.deadlines).await?;
        let postponed = launch::postpone(job, wait, now, &self.deadlines);
        self.record_job(postponed, version, Outcome::Postponed).await
    }
}
