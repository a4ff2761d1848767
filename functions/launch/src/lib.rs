//! Launches one instance for a queued job: decides what, claims the job, makes one call to EC2,
//! records what came of it.
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used))]

mod attempt;
mod config;
mod image;

use dayfly_core::config::RunnerSpec;
use dayfly_core::deadlines::Deadlines;
use dayfly_core::decide::launch::{self, Need};
use dayfly_core::event::{Event, JobEvent, LaunchDue};
use dayfly_core::ids::SubnetId;
use dayfly_core::labels;
use dayfly_core::record::{Change, Job, LaunchPlan, Runner, Stored, Version};
use dayfly_core::time::Timestamp;
use dayfly_lifecycle::{FlowError, wake_up};
use dayfly_ports::{Fleet, GitHub, JobStatus, Parameters, Schedule, Scope, Store, StoreError};

pub use crate::image::ImageCache;

/// Why a plan for a job could not be made.
#[derive(Debug, thiserror::Error)]
enum NoPlan {
    /// The job asks for something that it cannot have, in words for its author.
    #[error("{0}")]
    Refused(String),
    /// Something did not answer: later.
    #[error("{0}")]
    Unavailable(String),
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
pub struct Function<S, G, F, C, P> {
    /// The table.
    pub store: S,
    /// GitHub.
    pub github: G,
    /// EC2.
    pub fleet: F,
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

impl<S: Store, G: GitHub, F: Fleet, C: Schedule, P: Parameters> Function<S, G, F, C, P> {
    /// Handles one event.
    ///
    /// # Errors
    /// If the table, the schedule or EC2 could not be reached: the event comes again, and if it
    /// does not, the record that was written is due.
    pub async fn handle(&self, event: Event, now: Timestamp) -> Result<Outcome, FlowError> {
        let outcome = match event {
            Event::JobQueued(job) => self.queued(&job, now).await?,
            Event::LaunchDue(due) => self.due(due, now).await?,
            Event::JobInProgress(_) | Event::JobCompleted(_) | Event::RunCompleted(_) => {
                Outcome::Nothing("the event is for another function")
            }
        };
        tracing::info!(?outcome, "handled");
        Ok(outcome)
    }

    async fn queued(&self, event: &JobEvent, now: Timestamp) -> Result<Outcome, FlowError> {
        let known = self.store.job(event.key()).await?;
        match launch::on_queued(known.as_ref().map(|stored| &stored.record)) {
            Need::Claim => {
                let version = known.as_ref().map(|stored| stored.version);
                let job = known.map_or_else(|| launch::new_job(event), |stored| stored.record);
                self.claim(job, version, now).await
            }
            Need::Resume => Ok(Outcome::Nothing("its launch is resumed when it is due")),
            Need::Nothing(why) => Ok(Outcome::Nothing(why)),
        }
    }

    async fn due(&self, due: LaunchDue, now: Timestamp) -> Result<Outcome, FlowError> {
        let Some(Stored { record: job, version }) = self.store.job(due.key).await? else {
            return Ok(Outcome::Nothing("the job is not known"));
        };
        let runner = match &job.runner {
            Some(name) => self.store.runner(name).await?,
            None => None,
        };
        match launch::on_due(&job, runner.as_ref().map(|stored| &stored.record), now) {
            Need::Claim if job.launches > 0 => self.claim_again(job, version, now).await,
            Need::Claim => self.claim(job, Some(version), now).await,
            Need::Resume => match runner {
                Some(runner) => self.resume(job, runner, now).await,
                None => Ok(Outcome::Nothing("its runner's record is gone")),
            },
            Need::Nothing(why) => Ok(Outcome::Nothing(why)),
        }
    }

    /// Gives a job another runner, if GitHub says that it still waits: its start may have been
    /// told to us and lost.
    async fn claim_again(&self, job: Job, version: Version, now: Timestamp) -> Result<Outcome, FlowError> {
        let view = self.github.job(&scope(&job), job.key.job).await?;
        let running_on = match view.status {
            JobStatus::Queued | JobStatus::Waiting => return self.claim(job, Some(version), now).await,
            JobStatus::InProgress => Some(view.runner_name.unwrap_or_default()),
            JobStatus::Completed(_) => None,
        };
        let outcome = Outcome::Nothing("GitHub says that the job no longer waits");
        self.record_job(launch::no_longer_waits(job, running_on, now), Some(version), outcome)
            .await
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
            Err(NoPlan::Unavailable(why)) => {
                tracing::warn!(job = %job.key, why, "postponed the job");
                wake_up(&self.store, &self.schedule, now, &self.deadlines).await?;
                let postponed = launch::postpone(job, why, now, &self.deadlines);
                return self.record_job(postponed, version, Outcome::Postponed).await;
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
        Ok(Outcome::Attempted)
    }

    async fn resume(&self, job: Job, runner: Stored<Runner>, now: Timestamp) -> Result<Outcome, FlowError> {
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
        tracing::info!(job = %job.key, runner = %resumed.name, tries = resumed.plan.tries, "took the launch up again");
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
        let Some(spec) = config.resolve(&job.labels) else {
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
