//! Launches instances for queued jobs: decides what, claims the job, makes one call to EC2 for all that
//! are launched alike, records what came of it.
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used))]

mod again;
mod entries;
mod fleet;
mod gate;
mod giving_up;
mod image;
mod memory;
mod money;
mod plan;
mod queue;
mod quota;
mod record;
mod standing;
mod watch;
mod zones;

use dayfly_engine::fleet::queue_of;
use dayfly_engine::launch::{self, Need};
use dayfly_flows::{Blocked, FlowError, Policies, PriceCache, wake_up};
use dayfly_ports::{Bus, Clock, Fleet, GitHub, Parameters, Quotas, Schedule, Scope, Store, StoreError};
use dayfly_records::event::{Event, JobEvent, LaunchDue, QueueDue};
use dayfly_records::{Change, Job, Runner, Stored, Version, Waiting};
use dayfly_types::deadlines::Deadlines;
use dayfly_types::ids::{Region, SubnetId};
use dayfly_types::time::Timestamp;

pub use crate::image::ImageCache;
pub use crate::zones::ZoneCache;

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
pub struct Function<S, G, F, B, C, P, K, Q> {
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
    /// The time, for what waits.
    pub clock: K,
    /// The account's quotas.
    pub quotas: Q,
    /// The region that the stack is in.
    pub region: Region,
    /// Images that were looked up.
    pub images: ImageCache,
    /// Zones that were looked up.
    pub zones: ZoneCache,
    /// Prices that were looked up.
    pub prices: PriceCache,
    /// Where instances may be launched.
    pub subnets: Vec<SubnetId>,
    /// The stack's deadlines.
    pub deadlines: Deadlines,
    /// The stack policy.
    pub policies: Policies,
}

impl<S: Store, G: GitHub, F: Fleet, B: Bus, C: Schedule, P: Parameters, K: Clock, Q: Quotas>
    Function<S, G, F, B, C, P, K, Q>
{
    /// Handles one event.
    ///
    /// # Errors
    /// If the table, the schedule or EC2 could not be reached: the event comes again, and if it
    /// does not, the record that was written is due.
    pub async fn handle(&self, event: Event, now: Timestamp) -> Result<Outcome, FlowError> {
        let outcome = match event {
            Event::JobQueued(job) => self.queued(&job, now).await?,
            Event::LaunchDue(due) => self.due(due, now).await?,
            Event::QueueDue(due) => self.queue_due(due, now).await?,
            Event::JobInProgress(_)
            | Event::JobCompleted(_)
            | Event::RunCompleted(_)
            | Event::CheckRunDue(_)
            | Event::CommentDue(_)
            | Event::CapDue(_)
            | Event::CostDue(_) => Outcome::Nothing("the event is for another function"),
        };
        tracing::info!(?outcome, "handled");
        Ok(outcome)
    }

    async fn queued(&self, event: &JobEvent, now: Timestamp) -> Result<Outcome, FlowError> {
        let known = self.store.job(event.key()).await?;
        match launch::on_queued(known.as_ref().map(|stored| &stored.record), event, now, &self.deadlines) {
            Need::Claim => self.claim(launch::new_job(event), None, now).await,
            Need::ClaimIfWaiting => self.claim_if_waiting(launch::new_job(event), None, now).await,
            Need::Resume | Need::ResumeIfWaiting | Need::Drop | Need::Messenger | Need::CancelRun => {
                Ok(Outcome::Nothing("it is due by itself"))
            }
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
            Need::Messenger => self.send_messenger(job, version, now).await,
            Need::CancelRun => self.cancel_run(job, version).await,
            Need::Resume | Need::ResumeIfWaiting | Need::Drop => Ok(Outcome::Nothing("its runner is due by itself")),
            Need::Nothing(why) => Ok(Outcome::Nothing(why)),
        }
    }

    async fn runner_due(&self, runner: Stored<Runner>, now: Timestamp) -> Result<Outcome, FlowError> {
        let job = self.store.job(runner.record.wanted_by).await?;
        match launch::on_runner_due(&runner.record, job.as_ref().map(|stored| &stored.record), now) {
            Need::Resume => self.resume(runner, now).await,
            Need::ResumeIfWaiting => self.resume_if_waiting(runner, job, now).await,
            Need::Drop => {
                tracing::info!(runner = %runner.record.name, "nobody needs the runner any more");
                let dropped = launch::drop(runner.record, now, &self.deadlines);
                match self.store.commit(vec![Change::update(runner.version, dropped)]).await {
                    Err(StoreError::Conflict) => {}
                    done => done?,
                }
                Ok(Outcome::Nothing("nobody needs it any more"))
            }
            Need::Claim | Need::ClaimIfWaiting | Need::Messenger | Need::CancelRun => {
                Ok(Outcome::Nothing("the job is due by itself"))
            }
            Need::Nothing(why) => Ok(Outcome::Nothing(why)),
        }
    }

    async fn claim(&self, mut job: Job, version: Option<Version>, now: Timestamp) -> Result<Outcome, FlowError> {
        let plan = match self.plan(&mut job, now).await {
            Ok(Some(plan)) => plan,
            Ok(None) => return Ok(Outcome::Nothing("no runner of the configuration has its labels")),
            Err(Blocked::Denied(reason)) => return self.refuse(job, version, reason, now).await,
            Err(Blocked::Unavailable(why, wait)) => {
                return self.postpone(job, version, why, wait, now).await;
            }
        };
        let (job, runner) = launch::claim(job, plan, now, &self.deadlines);
        let again = self.again(&job, runner.plan.option().lifecycle, now).await?;
        self.launch(job, version, runner, again, now).await
    }

    /// Records a claim with whatever goes with it, and launches the runner.
    pub(crate) async fn launch(
        &self,
        job: Job,
        version: Option<Version>,
        runner: Runner,
        mut claim: Vec<Change>,
        now: Timestamp,
    ) -> Result<Outcome, FlowError> {
        // Before the claim: whoever dies after that leaves a record that a sweep has to find.
        wake_up(&self.store, &self.schedule, now, &self.deadlines).await?;
        claim.push(Change {
            record: job.clone().into(),
            expected: version,
            delete: false,
        });
        let queue = queue_of(&runner);
        let begun = self.begin_alone(&claim, &runner, now).await?;
        if begun.is_none() {
            let waiting = self.waiting(waiting(&runner, self.clock.now())).await?;
            claim.extend([Change::create(runner.clone()), waiting]);
            match self.store.commit(claim).await {
                Err(StoreError::Conflict) => return Ok(Outcome::Nothing("another call holds the job")),
                done => done?,
            }
        }
        tracing::info!(job = %job.key, run = %job.run, repository = %job.repository, runner = %runner.name,
            spec = runner.plan.spec().name, alone = begun.is_some(), "claimed the job");
        self.launch_all(queue, begun).await?;
        watch::note(&self.store, &job, now).await;
        Ok(Outcome::Attempted)
    }

    async fn queue_due(&self, due: QueueDue, now: Timestamp) -> Result<Outcome, FlowError> {
        if let Some(fleet) = &due.fleet {
            let Some(call) = self.store.fleet_call(fleet).await? else {
                return Ok(Outcome::Nothing("the call's record is gone"));
            };
            if call.record.due_at.is_none_or(|at| at > now) {
                return Ok(Outcome::Nothing("the call is answered, or under way"));
            }
            for queue in self.call_due(call, now).await? {
                self.launch_all(queue, None).await?;
            }
        }
        self.launch_all(due.queue, None).await?;
        Ok(Outcome::Attempted)
    }

    async fn resume(&self, runner: Stored<Runner>, now: Timestamp) -> Result<Outcome, FlowError> {
        wake_up(&self.store, &self.schedule, now, &self.deadlines).await?;
        let resumed = launch::resume(runner.record, now, &self.deadlines);
        let waiting = self.waiting(waiting(&resumed, self.clock.now())).await?;
        match self
            .store
            .commit(vec![Change::update(runner.version, resumed.clone()), waiting])
            .await
        {
            Err(StoreError::Conflict) => return Ok(Outcome::Nothing("another call holds the launch")),
            done => done?,
        }
        tracing::info!(job = %resumed.wanted_by, runner = %resumed.name, round = resumed.plan.round, "took the launch up again");
        self.launch_all(queue_of(&resumed), None).await?;
        Ok(Outcome::Attempted)
    }

    pub(crate) async fn record_job(
        &self,
        job: Job,
        version: Option<Version>,
        outcome: Outcome,
    ) -> Result<Outcome, FlowError> {
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
}

fn waiting(runner: &Runner, now: Timestamp) -> Waiting {
    Waiting {
        queue: queue_of(runner),
        runner: runner.name.clone(),
        since: now,
    }
}

fn scope(job: &Job) -> Scope {
    Scope {
        installation: job.installation,
        repository: job.repository.clone(),
    }
}
