//! Launches one instance for a queued job: decides what, claims the job, makes one call to EC2,
//! records what came of it.
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used))]

mod attempt;
mod config;
mod image;
mod watch;

use std::time::Duration;

use dayfly_core::config::RunnerSpec;
use dayfly_core::deadlines::Deadlines;
use dayfly_core::decide::launch::{self, Need};
use dayfly_core::event::{Event, JobEvent, LaunchDue};
use dayfly_core::ids::SubnetId;
use dayfly_core::labels;
use dayfly_core::record::{Change, Job, LaunchPlan, Runner, Stored, Version};
use dayfly_core::time::Timestamp;
use dayfly_lifecycle::{FlowError, event_of, wake_up};
use dayfly_ports::{
    ApiError, ApiErrorKind, Bus, Fleet, GitHub, JobStatus, Parameters, Schedule, Scope, Store, StoreError,
};

pub use crate::image::ImageCache;

/// Why a plan for a job could not be made.
#[derive(Debug, thiserror::Error)]
enum NoPlan {
    /// The job asks for something that it cannot have, in words for its author.
    #[error("{0}")]
    Refused(String),
    /// Something did not answer: later, after the wait that it asked for.
    #[error("{0}")]
    Unavailable(String, Option<Duration>),
}

/// Where GitHub says that a job stands.
enum Standing {
    /// It waits for a runner.
    Waits,
    /// It has started or ended, and this would have told us.
    MovedOn(Box<Event>),
    /// It is not there any more, or its run is over.
    Over,
}

/// What came of an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// A launch was tried and its result recorded.
    Attempted,
    /// There was nothing to do, for this reason.
    Nothing(&'static str),
    /// The job cannot have what it asks for.
    Refused,
    /// Something did not answer; the job is looked at again.
    Postponed,
}

/// The launch function.
pub struct Function<S, G, F, B, C, P> {
    /// The table.
    pub store: S,
    /// GitHub.
    pub github: G,
    /// EC2.
    pub fleet: F,
    /// The bus.
    pub bus: B,
    /// The minute schedule.
    pub schedule: C,
    /// SSM.
    pub parameters: P,
    /// Images that were looked up.
    pub images: ImageCache,
    /// Where instances may be launched.
    pub subnets: Vec<SubnetId>,
    /// The stack's deadlines.
    pub deadlines: Deadlines,
}

impl<S: Store, G: GitHub, F: Fleet, B: Bus, C: Schedule, P: Parameters> Function<S, G, F, B, C, P> {
    /// Handles one event.
    ///
    /// # Errors
    /// If the table, the schedule or EC2 could not be reached: the event comes again, and if it
    /// does not, the record that was written is due.
    pub async fn handle(&self, event: Event, now: Timestamp) -> Result<Outcome, FlowError> {
        let outcome = match event {
            Event::JobQueued(job) => self.queued(&job, now).await?,
            Event::LaunchDue(due) => self.due(due, now).await?,
            Event::JobInProgress(_) | Event::JobCompleted(_) | Event::RunCompleted(_) | Event::NoticeDue(_) => {
                Outcome::Nothing("the event is for another function")
            }
        };
        tracing::info!(?outcome, "handled");
        Ok(outcome)
    }

    async fn queued(&self, event: &JobEvent, now: Timestamp) -> Result<Outcome, FlowError> {
        let known = self.store.job(event.key()).await?;
        match launch::on_queued(known.as_ref().map(|stored| &stored.record), event, now, &self.deadlines) {
            Need::Claim => self.claim(launch::new_job(event), None, now).await,
            Need::ClaimIfWaiting => self.claim_if_waiting(launch::new_job(event), None, now).await,
            Need::Resume | Need::Drop => Ok(Outcome::Nothing("its runner is due by itself")),
            Need::Nothing(why) => Ok(Outcome::Nothing(why)),
        }
    }

    async fn due(&self, due: LaunchDue, now: Timestamp) -> Result<Outcome, FlowError> {
        if let Some(name) = &due.runner {
            return match self.store.runner(name).await? {
                Some(runner) => self.runner_due(runner, now).await,
                None => Ok(Outcome::Nothing("its runner's record is gone")),
            };
        }
        let Some(Stored { record: job, version }) = self.store.job(due.key).await? else {
            return Ok(Outcome::Nothing("the job is not known"));
        };
        match launch::on_job_due(&job) {
            Need::Claim => self.claim(job, Some(version), now).await,
            Need::ClaimIfWaiting => self.claim_if_waiting(job, Some(version), now).await,
            Need::Resume | Need::Drop => Ok(Outcome::Nothing("its runner is due by itself")),
            Need::Nothing(why) => Ok(Outcome::Nothing(why)),
        }
    }

    async fn runner_due(&self, runner: Stored<Runner>, now: Timestamp) -> Result<Outcome, FlowError> {
        let job = self
            .store
            .job(runner.record.wanted_by)
            .await?
            .map(|stored| stored.record);
        match launch::on_runner_due(&runner.record, job.as_ref(), now) {
            Need::Resume => self.resume(runner, now).await,
            Need::Drop => {
                tracing::info!(runner = %runner.record.name, "nobody needs the runner any more");
                let dropped = launch::drop(runner.record, now, &self.deadlines);
                match self.store.commit(vec![Change::update(runner.version, dropped)]).await {
                    Err(StoreError::Conflict) => {}
                    done => done?,
                }
                Ok(Outcome::Nothing("nobody needs it any more"))
            }
            Need::Claim | Need::ClaimIfWaiting => Ok(Outcome::Nothing("the job is due by itself")),
            Need::Nothing(why) => Ok(Outcome::Nothing(why)),
        }
    }

    /// Gives a job a runner, if GitHub says that it still waits: it may have started, or ended, and
    /// nobody told us.
    async fn claim_if_waiting(&self, job: Job, version: Option<Version>, now: Timestamp) -> Result<Outcome, FlowError> {
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
                let refused = launch::refuse(job, reason, now);
                return self.record_job(refused, version, Outcome::Refused).await;
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

    async fn standing(&self, job: &Job, now: Timestamp) -> Result<Standing, ApiError> {
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

    async fn postpone(
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

    async fn claim(&self, job: Job, version: Option<Version>, now: Timestamp) -> Result<Outcome, FlowError> {
        let plan = match self.plan(&job, now).await {
            Ok(Some(plan)) => plan,
            Ok(None) => return Ok(Outcome::Nothing("no runner of the configuration has its labels")),
            Err(NoPlan::Refused(reason)) => {
                tracing::warn!(job = %job.key, reason, "refused the job");
                let refused = launch::refuse(job, reason, now);
                return self.record_job(refused, version, Outcome::Refused).await;
            }
            Err(NoPlan::Unavailable(why, wait)) => {
                return self.postpone(job, version, why, wait, now).await;
            }
        };
        // Before the claim: whoever dies after that leaves a record that a sweep has to find.
        wake_up(&self.store, &self.schedule, now, &self.deadlines).await?;
        let (job, runner) = launch::claim(job, plan, now, &self.deadlines);
        let job_change = Change {
            record: job.clone().into(),
            expected: version,
            delete: false,
        };
        match self
            .store
            .commit(vec![job_change, Change::create(runner.clone())])
            .await
        {
            Err(StoreError::Conflict) => return Ok(Outcome::Nothing("another call holds the job")),
            done => done?,
        }
        tracing::info!(job = %job.key, run = %job.run, repository = %job.repository, runner = %runner.name,
            spec = runner.plan.spec.name, "claimed the job");
        self.attempt(runner, now).await?;
        watch::note(&self.store, &job, now).await;
        Ok(Outcome::Attempted)
    }

    async fn resume(&self, runner: Stored<Runner>, now: Timestamp) -> Result<Outcome, FlowError> {
        wake_up(&self.store, &self.schedule, now, &self.deadlines).await?;
        let resumed = launch::resume(runner.record, now, &self.deadlines);
        match self
            .store
            .commit(vec![Change::update(runner.version, resumed.clone())])
            .await
        {
            Err(StoreError::Conflict) => return Ok(Outcome::Nothing("another call holds the launch")),
            done => done?,
        }
        tracing::info!(job = %resumed.wanted_by, runner = %resumed.name, tries = resumed.plan.tries, "took the launch up again");
        self.attempt(resumed, now).await?;
        Ok(Outcome::Attempted)
    }

    async fn record_job(&self, job: Job, version: Option<Version>, outcome: Outcome) -> Result<Outcome, FlowError> {
        match self
            .store
            .commit(vec![Change {
                record: job.into(),
                expected: version,
                delete: false,
            }])
            .await
        {
            Err(StoreError::Conflict) => Ok(Outcome::Nothing("another call holds the job")),
            done => {
                done?;
                Ok(outcome)
            }
        }
    }

    /// What to launch for a job. Nothing if no runner has its labels and they may be meant for
    /// somebody else's runners.
    async fn plan(&self, job: &Job, now: Timestamp) -> Result<Option<LaunchPlan>, NoPlan> {
        let config = config::load(&self.store, &self.github, &scope(job), now).await?;
        let Some(spec) = config.resolve(&job.labels).first().copied() else {
            return if labels::must_be_ours(&job.labels) {
                Err(no_such_label(job))
            } else {
                Ok(None)
            };
        };
        self.plan_for(spec, now).await.map(Some)
    }

    async fn plan_for(&self, spec: &RunnerSpec, now: Timestamp) -> Result<LaunchPlan, NoPlan> {
        let image = self
            .images
            .find(&self.parameters, &self.fleet, &spec.image, now)
            .await?;
        Ok(LaunchPlan {
            spec: spec.clone(),
            image: image.image,
            root_device: image.root_device,
            tries: 1,
        })
    }
}

fn scope(job: &Job) -> Scope {
    Scope {
        installation: job.installation,
        repository: job.repository.clone(),
    }
}

fn no_such_label(job: &Job) -> NoPlan {
    NoPlan::Refused(format!(
        "no runner in `{path}` of the default branch of {repository} has all of the labels {labels}: add one, or mend the job's `runs-on`",
        path = dayfly_core::config::CONFIG_PATH,
        repository = job.repository,
        labels = labels::listed(&job.labels),
    ))
}
