//! What came of a call, recorded for each of its runners: many in one transaction, and singly where
//! one of them has moved on meanwhile.

use std::collections::BTreeMap;

use dayfly_engine::outcome::{self, Attempted, Next};
use dayfly_engine::{fleet, gate};
use dayfly_flows::{FlowError, MAX_CONFLICTS, announce, part_with};
use dayfly_ports::{Bus, Clock, Fleet, GitHub, Parameters, Quotas, Schedule, Store, StoreError};
use dayfly_records::event::{Event, LaunchDue};
use dayfly_records::{Change, CheckContent, CheckRun, Runner, Stored, Waiting};
use dayfly_types::ids::{FleetId, JobKey, QueueId, RunnerName};
use dayfly_types::time::Timestamp;

use crate::Function;

/// DynamoDB takes 100 items in a transaction; some are left for what one runner brings with it.
const FULL: usize = 90;

/// What one runner's outcome writes.
struct Outcome {
    runner: RunnerName,
    attempted: Attempted,
    changes: Vec<Change>,
    queue: Option<QueueId>,
    /// What is to be said.
    check_run: Option<CheckRun>,
    /// The job, if it is given up and is to be told so.
    due: Option<JobKey>,
    /// The runner as it is written, if its life is over.
    gone: Option<Stored<Runner>>,
    /// Whether it is a cap that ends it.
    over_cap: bool,
}

impl<S: Store, G: GitHub, F: Fleet, B: Bus, C: Schedule, P: Parameters, K: Clock, Q: Quotas>
    Function<S, G, F, B, C, P, K, Q>
{
    /// Records the outcomes of a call, or of none. Answers in which queues somebody waits now.
    pub(crate) async fn record(
        &self,
        fleet: Option<&FleetId>,
        runners: Vec<Stored<Runner>>,
        outcomes: Vec<(RunnerName, Attempted)>,
        now: Timestamp,
    ) -> Result<Vec<QueueId>, FlowError> {
        let mut known: BTreeMap<RunnerName, Stored<Runner>> = runners
            .into_iter()
            .map(|stored| (stored.record.name.clone(), stored))
            .collect();
        let mut queues = Vec::new();
        let mut together: Vec<Outcome> = Vec::new();
        for (name, attempted) in outcomes {
            let Some(runner) = known.remove(&name) else {
                // The table was emptied under us; the instance's tags lead patrol to it.
                tracing::error!(runner = %name, ?fleet, "the runner's record is gone");
                continue;
            };
            let outcome = self.outcome(fleet, runner, attempted, now).await?;
            if together.iter().map(|one| one.changes.len()).sum::<usize>() + outcome.changes.len() > FULL {
                queues.extend(self.write(fleet, std::mem::take(&mut together), now).await?);
            }
            together.push(outcome);
        }
        queues.extend(self.write(fleet, together, now).await?);
        Ok(queues)
    }

    /// Writes several outcomes, all or none; if one of them cannot be, each by itself.
    async fn write(
        &self,
        fleet: Option<&FleetId>,
        outcomes: Vec<Outcome>,
        now: Timestamp,
    ) -> Result<Vec<QueueId>, FlowError> {
        let all: Vec<Change> = outcomes.iter().flat_map(|one| one.changes.clone()).collect();
        if all.is_empty() {
            return Ok(Vec::new());
        }
        match self.store.commit(all).await {
            Ok(()) => {
                let mut queues = Vec::new();
                for one in outcomes {
                    queues.extend(self.written(one, now).await?);
                }
                Ok(queues)
            }
            Err(StoreError::Conflict) => {
                let mut queues = Vec::new();
                for one in outcomes {
                    queues.extend(self.write_singly(fleet, one, now).await?);
                }
                Ok(queues)
            }
            Err(error) => Err(error.into()),
        }
    }

    async fn write_singly(
        &self,
        fleet: Option<&FleetId>,
        one: Outcome,
        now: Timestamp,
    ) -> Result<Option<QueueId>, FlowError> {
        for _ in 0..MAX_CONFLICTS {
            let Some(runner) = self.store.runner(&one.runner).await? else {
                tracing::error!(runner = %one.runner, ?fleet, "the runner's record is gone");
                return Ok(None);
            };
            let outcome = self.outcome(fleet, runner, one.attempted.clone(), now).await?;
            if outcome.changes.is_empty() {
                return Ok(None);
            }
            match self.store.commit(outcome.changes.clone()).await {
                Err(StoreError::Conflict) => {}
                done => {
                    done?;
                    return self.written(outcome, now).await;
                }
            }
        }
        Err(StoreError::Conflict.into())
    }

    /// Tells whoever goes on with what was written. Answers in which queue the runner waits now.
    async fn written(&self, outcome: Outcome, now: Timestamp) -> Result<Option<QueueId>, FlowError> {
        if outcome.over_cap {
            dayfly_metrics::cap_refused();
        }
        if let Some(gone) = outcome.gone {
            let ends = (&self.store, &self.fleet, &self.bus, &self.prices);
            part_with(ends, gone, now, &self.deadlines).await;
        }
        if let Some(check_run) = &outcome.check_run {
            announce(&self.bus, check_run).await;
        }
        if let Some(key) = outcome.due {
            self.bus.publish(&Event::LaunchDue(LaunchDue::of_job(key))).await?;
        }
        Ok(outcome.queue)
    }

    /// What an outcome writes, on what the runner is now. Nothing if it is in another call already:
    /// then this one's outcome was recorded before.
    async fn outcome(
        &self,
        fleet: Option<&FleetId>,
        runner: Stored<Runner>,
        attempted: Attempted,
        now: Timestamp,
    ) -> Result<Outcome, FlowError> {
        let Stored {
            record: runner,
            version,
        } = runner;
        let mut outcome = Outcome {
            runner: runner.name.clone(),
            attempted: attempted.clone(),
            changes: Vec::new(),
            queue: None,
            check_run: None,
            due: None,
            gone: None,
            over_cap: false,
        };
        if runner.fleet.as_ref() != fleet {
            return Ok(outcome);
        }
        let failed = !matches!(attempted, Attempted::Launched(_));
        let job = if failed || !runner.tried.is_empty() || runner.turn.is_some() {
            self.store.job(runner.wanted_by).await?
        } else {
            None
        };
        let is_refusal = runner.is_live() && matches!(attempted, Attempted::Unaffordable(_));
        let recorded = outcome::record(
            runner,
            job.as_ref().map(|stored| stored.record.clone()),
            attempted,
            now,
            &self.deadlines,
        );
        if let (Some(content), Some(job)) = (recorded.content, &job) {
            let known = self.store.check_run(job.record.run, job.record.key).await?;
            // That all is well is news only where it was said that it is not.
            let before = known.as_ref().map(|stored| &stored.record);
            let is_news = known.is_some() || !matches!(content, CheckContent::Launched { .. });
            if is_news && gate::is_news(before, &content, now) {
                let check_run = CheckRun::of(
                    known.as_ref().map(|stored| stored.record.clone()),
                    &job.record,
                    content,
                    now,
                );
                outcome.changes.push(Change::put(known.as_ref(), check_run.clone()));
                outcome.check_run = Some(check_run);
            }
        }
        if let Some(instance) = recorded.instance {
            let known = self.store.instance(&instance.instance).await?;
            outcome.changes.push(Change::put(known.as_ref(), instance));
        }
        if let (Some(next), Some(job)) = (recorded.job, &job) {
            outcome.due = next.due_at.map(|_| next.key);
            outcome.changes.push(Change::update(job.version, next));
        }
        if recorded.next == Next::Attempt {
            let queue = fleet::queue_of(&recorded.runner);
            let waiting = Waiting {
                queue: queue.clone(),
                runner: recorded.runner.name.clone(),
                since: self.clock.now(),
            };
            outcome.changes.push(self.waiting(waiting).await?);
            outcome.queue = Some(queue);
        }
        let gone = Some(&recorded.runner).filter(|runner| !runner.is_live());
        outcome.over_cap = is_refusal && gone.is_some();
        outcome.gone = gone.map(|runner| Stored::over(version, runner.clone()));
        outcome.changes.push(Change::update(version, recorded.runner));
        Ok(outcome)
    }

    /// The entry of a runner in its queue, over one that was left there.
    pub(crate) async fn waiting(&self, waiting: Waiting) -> Result<Change, StoreError> {
        let id = dayfly_records::RecordId::Waiting(waiting.queue.clone(), waiting.runner.clone());
        let known = self.store.load(&id).await?;
        Ok(Change {
            expected: known.map(|stored| stored.version),
            record: waiting.into(),
            delete: false,
        })
    }
}
