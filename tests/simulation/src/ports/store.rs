//! The store port.

use dayfly_ports::{Acquired, Store, StoreError};
use dayfly_records::{Bucket, BucketId, Change, CheckRun, Cost, Ledger, QueuedRunner, Record, RecordId, Stored};
use dayfly_types::ids::{QueueId, RunKey};
use dayfly_types::month::Month;
use dayfly_types::time::Timestamp;

use super::{Ports, Service};
use crate::guards::Guard;
use crate::table::Table;

impl Store for Ports {
    async fn load(&self, id: &RecordId) -> Result<Option<Stored<Record>>, StoreError> {
        self.make(Service::Table, "load", |sim, _| {
            if matches!(id, RecordId::Delivery(_)) && !sim.has(Guard::Dedupe) {
                return None;
            }
            sim.table.borrow_mut().load(id)
        })
        .await
        .map_err(StoreError::Unavailable)
    }

    async fn commit(&self, changes: Vec<Change>) -> Result<(), StoreError> {
        if let Some(refusal) = Table::refusal(&changes) {
            return Err(StoreError::Unavailable(refusal));
        }
        self.make(Service::Table, "commit", |sim, dice| sim.commit(changes, dice))
            .await
            .map_err(StoreError::Unavailable)?
            .then_some(())
            .ok_or(StoreError::Conflict)
    }

    async fn due(&self, now: Timestamp, limit: usize) -> Result<Vec<Stored<Record>>, StoreError> {
        self.make(Service::Table, "due", |sim, _| {
            let mut due = sim.table.borrow_mut().due(sim.now(), now, limit);
            due.retain(|one| sim.has(Guard::SayAgain) || !matches!(one.record, Record::CheckRun(_)));
            due.retain(|one| sim.has(Guard::ToldLater) || !matches!(one.record, Record::Ledger(_)));
            due
        })
        .await
        .map_err(StoreError::Unavailable)
    }

    async fn waiting(&self, queue: &QueueId) -> Result<Vec<Stored<QueuedRunner>>, StoreError> {
        self.make(Service::Table, "waiting", |sim, _| {
            sim.table.borrow_mut().waiting(queue)
        })
        .await
        .map_err(StoreError::Unavailable)
    }

    async fn check_runs(&self, run: RunKey, limit: usize) -> Result<Vec<Stored<CheckRun>>, StoreError> {
        self.make(Service::Table, "check_runs", |sim, _| {
            sim.table.borrow_mut().check_runs(run, limit)
        })
        .await
        .map_err(StoreError::Unavailable)
    }

    async fn ledgers(&self, month: Month) -> Result<Vec<Stored<Ledger>>, StoreError> {
        self.make(Service::Table, "ledgers", |sim, _| {
            sim.table.borrow_mut().ledgers(month)
        })
        .await
        .map_err(StoreError::Unavailable)
    }

    async fn costs(&self, month: Month) -> Result<Vec<Cost>, StoreError> {
        self.make(Service::Table, "costs", |sim, _| {
            let table = sim.table.borrow();
            table
                .costs()
                .filter(|cost| cost.id().month() == month)
                .cloned()
                .collect()
        })
        .await
        .map_err(StoreError::Unavailable)
    }

    async fn latest_costs(&self, month: Month, limit: usize) -> Result<Vec<Cost>, StoreError> {
        let mut costs = self.costs(month).await?;
        costs.reverse();
        costs.truncate(limit);
        Ok(costs)
    }

    async fn acquire(&self, id: BucketId, latest: Timestamp, now: Timestamp) -> Result<Acquired, StoreError> {
        self.make(Service::Table, "draw", |sim, _| {
            if !sim.has(Guard::Buckets) {
                return Acquired::Taken(Bucket::full(id, now));
            }
            sim.table.borrow_mut().acquire(id, latest, now)
        })
        .await
        .map_err(StoreError::Unavailable)
    }

    async fn has_live_records(&self) -> Result<bool, StoreError> {
        self.make(Service::Table, "anything_lives", |sim, _| {
            sim.table.borrow_mut().has_live_records(sim.now())
        })
        .await
        .map_err(StoreError::Unavailable)
    }
}
