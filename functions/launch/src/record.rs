//! Records what came of a call for each of its runners: many in one transaction, and one by one if a runner
//! has moved on meanwhile.

use std::collections::BTreeMap;

use dayfly_engine::gate::slots;
use dayfly_engine::launch::fleet;
use dayfly_engine::launch::outcome::{self, AfterTry, TryOutcome};
use dayfly_flows::{FlowError, MAX_CONFLICTS, publish_check_run_due, release_ended_runner};
use dayfly_ports::{Bus as _, Store as _, StoreError};
use dayfly_records::event::{Event, LaunchDue};
use dayfly_records::{Change, CheckContent, CheckRun, Job, Runner, Stored};
use dayfly_types::ids::{FleetId, JobKey, QueueId, RunnerName};
use dayfly_types::time::Timestamp;

use crate::{Function, LaunchPorts};

/// How many items one transaction holds of DynamoDB's 100. The rest is left for what one more runner
/// brings with it.
const FULL: usize = 90;

/// What the outcome for one runner writes, and what follows once it is written.
#[derive(Default)]
struct RunnerUpdate {
    changes: Vec<Change>,
    /// The queue in which the runner waits now.
    queue: Option<QueueId>,
    /// The check run that is to be published.
    check_run: Option<CheckRun>,
    /// The job, if it is given up and a messenger is due.
    due_job: Option<JobKey>,
    /// The runner as it is written, if it has ended.
    ended: Option<Stored<Runner>>,
    /// Whether a cap has ended it.
    over_cap: bool,
}

/// Outcomes whose updates fit into one transaction.
type Batch = Vec<(RunnerName, TryOutcome, RunnerUpdate)>;

impl<P: LaunchPorts> Function<P> {
    /// Records the outcomes of a call to EC2, or of runners that were turned away before one. Returns the
    /// queues in which runners wait now for their next launch option.
    pub(crate) async fn record(
        &self,
        fleet: Option<&FleetId>,
        runners: Vec<Stored<Runner>>,
        outcomes: Vec<(RunnerName, TryOutcome)>,
        now: Timestamp,
    ) -> Result<Vec<QueueId>, FlowError> {
        let mut known: BTreeMap<RunnerName, Stored<Runner>> = runners
            .into_iter()
            .map(|stored| (stored.record.name.clone(), stored))
            .collect();
        let mut queues = Vec::new();
        let mut batch: Batch = Vec::new();
        for (name, outcome) in outcomes {
            let Some(runner) = known.remove(&name) else {
                // The record was deleted meanwhile; patrol finds the instance by its tags.
                tracing::error!(runner = %name, ?fleet, "the runner's record is gone");
                continue;
            };
            let update = self.update_for(fleet, runner, outcome.clone(), now).await?;
            if batch.iter().map(|(_, _, one)| one.changes.len()).sum::<usize>() + update.changes.len() > FULL {
                queues.extend(self.write_batch(fleet, std::mem::take(&mut batch), now).await?);
            }
            batch.push((name, outcome, update));
        }
        queues.extend(self.write_batch(fleet, batch, now).await?);
        Ok(queues)
    }

    /// Writes several updates in one transaction; if there is a conflict, each in one of its own.
    async fn write_batch(
        &self,
        fleet: Option<&FleetId>,
        batch: Batch,
        now: Timestamp,
    ) -> Result<Vec<QueueId>, FlowError> {
        let all: Vec<Change> = batch.iter().flat_map(|(_, _, one)| one.changes.clone()).collect();
        if all.is_empty() {
            return Ok(Vec::new());
        }
        let is_written = self.commit(all).await?;
        let mut queues = Vec::new();
        for (name, outcome, update) in batch {
            queues.extend(if is_written {
                self.publish_update(update, now).await?
            } else {
                self.write_alone(fleet, &name, outcome, now).await?
            });
        }
        Ok(queues)
    }

    async fn write_alone(
        &self,
        fleet: Option<&FleetId>,
        name: &RunnerName,
        outcome: TryOutcome,
        now: Timestamp,
    ) -> Result<Option<QueueId>, FlowError> {
        for _ in 0..MAX_CONFLICTS {
            let Some(runner) = self.ports.store().runner(name).await? else {
                tracing::error!(runner = %name, ?fleet, "the runner's record is gone");
                return Ok(None);
            };
            let update = self.update_for(fleet, runner, outcome.clone(), now).await?;
            if update.changes.is_empty() {
                return Ok(None);
            }
            if self.commit(update.changes.clone()).await? {
                return self.publish_update(update, now).await;
            }
        }
        Err(StoreError::Conflict.into())
    }

    /// Does what follows from an update that was written. Returns the queue in which the runner waits now.
    async fn publish_update(&self, update: RunnerUpdate, now: Timestamp) -> Result<Option<QueueId>, FlowError> {
        if update.over_cap {
            dayfly_metrics::cap_refused();
        }
        if let Some(ended) = update.ended {
            release_ended_runner(&self.ports, &self.prices, ended, now, &self.deadlines).await;
        }
        if let Some(check_run) = &update.check_run {
            publish_check_run_due(self.ports.bus(), check_run).await;
        }
        if let Some(key) = update.due_job {
            self.ports
                .bus()
                .publish(&Event::LaunchDue(LaunchDue::of_job(key)))
                .await?;
        }
        Ok(update.queue)
    }

    /// What an outcome writes over the runner's current record. Nothing if the runner is in another call
    /// already: then this call's outcome was recorded before.
    async fn update_for(
        &self,
        fleet: Option<&FleetId>,
        runner: Stored<Runner>,
        outcome: TryOutcome,
        now: Timestamp,
    ) -> Result<RunnerUpdate, FlowError> {
        let (runner, version) = (runner.record, runner.version);
        let mut update = RunnerUpdate::default();
        if runner.fleet.as_ref() != fleet {
            return Ok(update);
        }
        let failed = !matches!(outcome, TryOutcome::Launched(_));
        let job = if failed || !runner.tried.is_empty() || runner.gate.is_some() {
            self.ports.store().job(runner.wanted_by).await?
        } else {
            None
        };
        let is_refusal = runner.is_live() && matches!(outcome, TryOutcome::Unaffordable(_));
        let known_job = job.as_ref().map(|stored| stored.record.clone());
        let recorded = outcome::record(runner, known_job, outcome, now, &self.deadlines);
        if let (Some(content), Some(job)) = (recorded.content, &job) {
            self.add_check_run(&mut update, &job.record, content, now).await?;
        }
        if let Some(instance) = recorded.instance {
            let known = self.ports.store().instance(&instance.instance).await?;
            update.changes.push(Change::put(known.as_ref(), instance));
        }
        if let (Some(next), Some(job)) = (recorded.job, &job) {
            update.due_job = next.due_at.map(|_| next.key);
            update.changes.push(Change::update(job.version, next));
        }
        if recorded.next == AfterTry::NextOption {
            update.changes.push(self.queue_entry(&recorded.runner).await?);
            update.queue = Some(fleet::queue_of(&recorded.runner));
        }
        let ended = Some(&recorded.runner).filter(|runner| !runner.is_live());
        update.over_cap = is_refusal && ended.is_some();
        update.ended = ended.map(|runner| Stored::over(version, runner.clone()));
        update.changes.push(Change::update(version, recorded.runner));
        Ok(update)
    }

    /// Adds the job's check run with new content. A launch appears there only if a problem was reported
    /// before.
    async fn add_check_run(
        &self,
        update: &mut RunnerUpdate,
        job: &Job,
        content: CheckContent,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let known = self.ports.store().check_run(job.run, job.key).await?;
        let before = known.as_ref().map(|stored| &stored.record);
        let is_wanted = known.is_some() || !matches!(content, CheckContent::Launched { .. });
        if is_wanted && slots::is_worth_reporting(before, &content, now) {
            let check_run = CheckRun::of(before.cloned(), job, content, now);
            update.changes.push(Change::put(known.as_ref(), check_run.clone()));
            update.check_run = Some(check_run);
        }
        Ok(())
    }
}
