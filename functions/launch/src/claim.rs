//! The claim: a job's record and its runner's, written together before anything is launched.

use std::time::Duration;

use dayfly_engine::launch::claim;
use dayfly_engine::launch::fleet::queue_of;
use dayfly_engine::rerun::report;
use dayfly_flows::{FlowError, attempt_before, ensure_schedule_on};
use dayfly_ports::{Clock as _, Store as _, StoreError};
use dayfly_records::{Change, CheckRun, Job, QueuedRunner, RecordId, Runner, Stored, Version};
use dayfly_types::capacity::InstanceLifecycle;
use dayfly_types::time::Timestamp;

use crate::{Function, Handled, LaunchPorts};

/// A claim that is to be written.
pub(crate) struct Claimed {
    pub(crate) job: Job,
    /// The version of the job's record, if it has one.
    pub(crate) version: Option<Version>,
    pub(crate) runner: Runner,
    /// What the job's check run shows from now on, if that changes.
    pub(crate) check_run: Option<Change>,
}

impl Claimed {
    /// The changes of the claim, without the runner's record.
    pub(crate) fn changes(&self) -> Vec<Change> {
        let mut changes: Vec<Change> = self.check_run.iter().cloned().collect();
        changes.push(job_change(self.job.clone(), self.version));
        changes
    }
}

impl<P: LaunchPorts> Function<P> {
    /// Writes a claim whose runner waits in its queue. Returns `false` if another invocation holds the job.
    pub(crate) async fn enqueue(&self, claimed: &Claimed) -> Result<bool, FlowError> {
        let mut changes = claimed.changes();
        let entry = self.queue_entry(&claimed.runner).await?;
        changes.extend([Change::create(claimed.runner.clone()), entry]);
        Ok(self.commit(changes).await?)
    }

    /// The entry of a runner in its queue, over one that was left there.
    pub(crate) async fn queue_entry(&self, runner: &Runner) -> Result<Change, StoreError> {
        let entry = QueuedRunner {
            queue: queue_of(runner),
            runner: runner.name.clone(),
            since: self.ports.clock().now(),
        };
        let id = RecordId::QueuedRunner(entry.queue.clone(), entry.runner.clone());
        let known = self.ports.store().load(&id).await?;
        Ok(Change {
            expected: known.map(|stored| stored.version),
            record: entry.into(),
            delete: false,
        })
    }

    /// Queues a runner again whose launch was begun.
    pub(crate) async fn resume(&self, runner: Stored<Runner>, now: Timestamp) -> Result<Handled, FlowError> {
        ensure_schedule_on(self.ports.store(), self.ports.schedule(), now, &self.deadlines).await?;
        let resumed = claim::resume(runner.record, now, &self.deadlines);
        let entry = self.queue_entry(&resumed).await?;
        let changes = vec![Change::update(runner.version, resumed.clone()), entry];
        if !self.commit(changes).await? {
            return Ok(Handled::Nothing("another invocation holds the launch"));
        }
        tracing::info!(job = %resumed.wanted_by, runner = %resumed.name, round = resumed.plan.round, "resumed the launch");
        self.serve_queues(queue_of(&resumed), None).await?;
        Ok(Handled::LaunchTried)
    }

    /// Makes a job due again later, because something did not answer.
    pub(crate) async fn postpone(
        &self,
        job: Job,
        version: Option<Version>,
        why: String,
        wait: Option<Duration>,
        now: Timestamp,
    ) -> Result<Handled, FlowError> {
        tracing::warn!(job = %job.key, why, "postponed the job");
        ensure_schedule_on(self.ports.store(), self.ports.schedule(), now, &self.deadlines).await?;
        let postponed = claim::postpone(job, wait, now, &self.deadlines);
        self.record_job(postponed, version, Handled::Postponed).await
    }

    /// Writes a job's record. Returns `handled`, unless another invocation wrote it first.
    pub(crate) async fn record_job(
        &self,
        job: Job,
        version: Option<Version>,
        handled: Handled,
    ) -> Result<Handled, FlowError> {
        if !self.commit(vec![job_change(job, version)]).await? {
            return Ok(Handled::Nothing("another invocation holds the job"));
        }
        Ok(handled)
    }

    /// The check run of a job that runs again because it was interrupted in the run attempt before.
    pub(crate) async fn rerun_check_run(
        &self,
        job: &Job,
        lifecycle: InstanceLifecycle,
        now: Timestamp,
    ) -> Result<Option<Change>, StoreError> {
        let previous = attempt_before(self.ports.store(), job.run_key()).await?;
        let Some(content) = previous.and_then(|previous| report::rerun_content(&previous, job, lifecycle)) else {
            return Ok(None);
        };
        let known = self.ports.store().check_run(job.run, job.key).await?;
        let check_run = CheckRun::of(known.as_ref().map(|stored| stored.record.clone()), job, content, now);
        Ok(Some(Change::put(known.as_ref(), check_run)))
    }

    /// Records that the job's repository has jobs, for patrol to look there.
    pub(crate) async fn watch_repository(&self, job: &Job, now: Timestamp) {
        let recorded: Result<(), StoreError> = async {
            let known = self.ports.store().watched().await?;
            let watched = known.as_ref().map(|stored| stored.record.clone()).unwrap_or_default();
            match watched.with(&job.repository, job.installation, now) {
                Some(next) => self.ports.store().commit(vec![Change::put(known.as_ref(), next)]).await,
                None => Ok(()),
            }
        }
        .await;
        if let Err(error) = recorded {
            // The next job does it, and patrol has GitHub's own list besides.
            tracing::warn!(job = %job.key, repository = %job.repository, %error, "the repository could not be recorded for patrol");
        }
    }
}

/// The change that writes a job's record over the version that was loaded.
pub(crate) fn job_change(job: Job, loaded: Option<Version>) -> Change {
    Change {
        record: job.into(),
        expected: loaded,
        delete: false,
    }
}
