//! Launches one instance for each queued job.
//!
//! [`Function::handle`] finds the job or the runner that an event is about. A launch then passes these
//! stages, each in the file of its name:
//!
//! | stage | what it does |
//! |---|---|
//! | `plan` | finds the launch options that the job's labels stand for; `admit` asks whether the policy lets it run |
//! | `claim` | records the job with its runner before anything is launched |
//! | `queue` | gathers the runners that launch alike, for one call to EC2 |
//! | `gate` | admits as many as the policy lets run at once |
//! | `reserve` | reserves what each can cost at most, within every cap |
//! | `open` | records the call, its gate slots and its reservations in one transaction |
//! | `call` | makes the call and reads EC2's answer |
//! | `record` | records what came of it for each runner; one without an instance queues for its next option |
//! | `give_up` | reports a job that cannot be launched: check run, messenger, cancelled run |
//!
//! A crash between any two of them leaves a record that is due, for the sweeper to find.
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used))]

mod admit;
mod call;
mod claim;
mod gate;
mod give_up;
mod job_check;
mod open;
mod plan;
mod pools;
mod ports;
mod queue;
mod record;
mod reserve;

use dayfly_engine::launch::claim::{self as decide, Need};
use dayfly_engine::launch::fleet::queue_of;
use dayfly_flows::{Blocked, FlowError, Policies, PriceCache, commit_if_current, ensure_schedule_on};
use dayfly_ports::{Store as _, StoreError};
use dayfly_records::event::{Event, JobEvent, LaunchDue, QueueDue};
use dayfly_records::{Change, Job, Stored, Version};
use dayfly_types::deadlines::Deadlines;
use dayfly_types::ids::{JobKey, QueueId, Region, RunnerName, SubnetId};
use dayfly_types::time::Timestamp;

use crate::claim::Claimed;
use crate::open::OpenCall;
pub use crate::plan::images::ImageCache;
pub use crate::pools::zones::ZoneCache;
pub use crate::ports::{LaunchPortSet, LaunchPorts};

/// What came of an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Handled {
    /// A launch was tried and its result recorded.
    LaunchTried,
    /// There was nothing to do, for this reason.
    Nothing(&'static str),
    /// The job cannot have what it asks for.
    Refused,
    /// Something did not answer; the job is due again.
    Postponed,
}

/// The launch function.
pub struct Function<P: LaunchPorts> {
    pub ports: P,
    /// The stack's region.
    pub region: Region,
    pub images: ImageCache,
    pub zones: ZoneCache,
    pub prices: PriceCache,
    /// The stack's own subnets, for entries that name none.
    pub subnets: Vec<SubnetId>,
    pub deadlines: Deadlines,
    pub policies: Policies,
}

impl<P: LaunchPorts> Function<P> {
    /// Handles one event.
    ///
    /// # Errors
    /// If the table, the schedule or EC2 cannot be reached: the event is delivered again, and if it is
    /// not, the record that was written is due.
    pub async fn handle(&self, event: Event, now: Timestamp) -> Result<Handled, FlowError> {
        let outcome = match event {
            Event::JobQueued(job) => self.on_job_queued(&job, now).await?,
            Event::LaunchDue(LaunchDue { runner: Some(name), .. }) => self.on_runner_due(&name, now).await?,
            Event::LaunchDue(LaunchDue { key, runner: None }) => self.on_job_due(key, now).await?,
            Event::QueueDue(due) => self.on_queue_due(due, now).await?,
            Event::JobInProgress(_)
            | Event::JobCompleted(_)
            | Event::RunCompleted(_)
            | Event::CheckRunDue(_)
            | Event::CommentDue(_)
            | Event::CapDue(_)
            | Event::CostDue(_) => Handled::Nothing("the event is for another function"),
        };
        tracing::info!(?outcome, "handled");
        Ok(outcome)
    }

    async fn on_job_queued(&self, event: &JobEvent, now: Timestamp) -> Result<Handled, FlowError> {
        let known = self.ports.store().job(event.key()).await?;
        match decide::on_queued(known.as_ref().map(|stored| &stored.record), event, now, &self.deadlines) {
            Need::Claim => self.plan_and_launch(decide::new_job(event), None, now).await,
            Need::ClaimIfWaiting => self.launch_if_waiting(decide::new_job(event), None, now).await,
            Need::Resume
            | Need::ResumeIfWaiting
            | Need::AwaitCall(_)
            | Need::Drop
            | Need::Messenger
            | Need::CancelRun => Ok(Handled::Nothing("the job or its runner is due by itself")),
            Need::Nothing(why) => Ok(Handled::Nothing(why)),
        }
    }

    async fn on_job_due(&self, key: JobKey, now: Timestamp) -> Result<Handled, FlowError> {
        let Some(Stored { record: job, version }) = self.ports.store().job(key).await? else {
            return Ok(Handled::Nothing("the job is not known"));
        };
        match decide::on_job_due(&job) {
            Need::Claim => self.plan_and_launch(job, Some(version), now).await,
            Need::ClaimIfWaiting => self.launch_if_waiting(job, Some(version), now).await,
            Need::Messenger => self.send_messenger(job, version, now).await,
            Need::CancelRun => self.cancel_run(job, version).await,
            Need::Resume | Need::ResumeIfWaiting | Need::AwaitCall(_) | Need::Drop => {
                Ok(Handled::Nothing("its runner is due by itself"))
            }
            Need::Nothing(why) => Ok(Handled::Nothing(why)),
        }
    }

    async fn on_runner_due(&self, name: &RunnerName, now: Timestamp) -> Result<Handled, FlowError> {
        let Some(runner) = self.ports.store().runner(name).await? else {
            return Ok(Handled::Nothing("its runner's record is gone"));
        };
        let job = self.ports.store().job(runner.record.wanted_by).await?;
        let call = self.call_of(&runner.record).await?;
        match decide::on_runner_due(
            &runner.record,
            job.as_ref().map(|stored| &stored.record),
            call.as_ref(),
            now,
        ) {
            Need::Resume => self.resume(runner, now).await,
            Need::ResumeIfWaiting => self.resume_if_waiting(runner, job, now).await,
            Need::AwaitCall(due_at) => {
                let awaits = decide::await_call(runner.record, due_at, now, &self.deadlines);
                self.commit(vec![Change::update(runner.version, awaits)]).await?;
                Ok(Handled::Nothing("its call to EC2 is not over"))
            }
            Need::Drop => {
                tracing::info!(runner = %name, "the runner is not needed any more");
                let dropped = decide::drop_launch(runner.record, now, &self.deadlines);
                self.commit(vec![Change::update(runner.version, dropped)]).await?;
                Ok(Handled::Nothing("the runner is not needed any more"))
            }
            Need::Claim | Need::ClaimIfWaiting | Need::Messenger | Need::CancelRun => {
                Ok(Handled::Nothing("the job is due by itself"))
            }
            Need::Nothing(why) => Ok(Handled::Nothing(why)),
        }
    }

    async fn on_queue_due(&self, due: QueueDue, now: Timestamp) -> Result<Handled, FlowError> {
        let mut queues = Vec::new();
        if let Some(fleet) = &due.fleet {
            let Some(call) = self.ports.store().fleet_call(fleet).await? else {
                return Ok(Handled::Nothing("the call's record is gone"));
            };
            if call.record.due_at.is_none_or(|at| at > now) {
                return Ok(Handled::Nothing("the call is answered, or under way"));
            }
            if let Some(open) = self.take_over_call(call, now).await? {
                queues = self.run_call(open).await?;
            }
        }
        queues.push(due.queue);
        for queue in queues {
            self.serve_queues(queue, None).await?;
        }
        Ok(Handled::LaunchTried)
    }

    /// Plans what to launch for a job, claims the job and launches its runner.
    async fn plan_and_launch(
        &self,
        mut job: Job,
        version: Option<Version>,
        now: Timestamp,
    ) -> Result<Handled, FlowError> {
        let plan = match self.plan(&mut job, now).await {
            Ok(Some(plan)) => plan,
            Ok(None) => return Ok(Handled::Nothing("no runner of the configuration has the job's labels")),
            Err(Blocked::Denied(reason)) => return self.refuse(job, version, reason, now).await,
            Err(Blocked::Unavailable(why, wait)) => return self.postpone(job, version, why, wait, now).await,
        };
        let (job, runner) = decide::claim(job, plan, now, &self.deadlines);
        let check_run = self.rerun_check_run(&job, runner.plan.option().lifecycle, now).await?;
        let claimed = Claimed {
            job,
            version,
            runner,
            check_run,
        };
        self.launch(claimed, now).await
    }

    /// Records a claim and launches its runner: at once in a call of its own, or with those in its queue.
    async fn launch(&self, claimed: Claimed, now: Timestamp) -> Result<Handled, FlowError> {
        // Before the claim: a crash after it leaves a record that only a sweep finds.
        ensure_schedule_on(self.ports.store(), self.ports.schedule(), now, &self.deadlines).await?;
        let open = self.open_for_one(&claimed, now).await?;
        if open.is_none() && !self.enqueue(&claimed).await? {
            return Ok(Handled::Nothing("another invocation holds the job"));
        }
        let Claimed { job, runner, .. } = &claimed;
        tracing::info!(job = %job.key, run = %job.run, repository = %job.repository, runner = %runner.name,
            spec = runner.plan.spec().name, alone = open.is_some(), "claimed the job");
        self.serve_queues(queue_of(runner), open).await?;
        self.watch_repository(job, now).await;
        Ok(Handled::LaunchTried)
    }

    /// Makes an open call and records what comes of it. Returns the queues in which runners wait now for
    /// their next launch option.
    async fn run_call(&self, open: OpenCall) -> Result<Vec<QueueId>, FlowError> {
        let (answer, now) = self.create_fleet(&open).await;
        let OpenCall { call, runners } = open;
        let Some(outcomes) = self.outcomes(&call, answer, now).await? else {
            // The answer is not clear, and the same call is due again.
            return Ok(Vec::new());
        };
        let queues = self.record(Some(&call.record.id), runners, outcomes, now).await?;
        self.close_call(call).await?;
        Ok(queues)
    }

    /// Writes all of the changes, or none. Returns `false` if another writer came first.
    async fn commit(&self, changes: Vec<Change>) -> Result<bool, StoreError> {
        commit_if_current(self.ports.store(), changes).await
    }
}
