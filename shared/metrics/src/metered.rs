//! A table that publishes metrics for what is written to it.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use dayfly_ports::{Acquired, Clock, Store, StoreError};
use dayfly_records::{
    BucketId, Change, CheckRun, Cost, Ledger, Purpose, QueuedRunner, Record, RecordId, Stored, Version,
};
use dayfly_types::budget::Budget;
use dayfly_types::ids::{QueueId, RunKey};
use dayfly_types::money::MicroDollars;
use dayfly_types::month::Month;
use dayfly_types::time::Timestamp;

use crate::changes::{Transition, measure};
use crate::publish;

/// Many more records than one event touches. A record that is forgotten too early yields no metric.
const MAX_KNOWN: usize = 4096;

/// A table that publishes metrics once a write succeeds. It needs no extra reads: a write names the version it
/// was decided on, which was read through this table.
#[derive(Debug)]
pub struct Metered<S, K> {
    store: S,
    clock: K,
    known: Mutex<HashMap<RecordId, Stored<Record>>>,
}

impl<S, K: Clock> Metered<S, K> {
    /// The clock says which month's cap is the current one.
    pub fn new(store: S, clock: K) -> Self {
        Self {
            store,
            clock,
            known: Mutex::default(),
        }
    }

    fn known(&self) -> MutexGuard<'_, HashMap<RecordId, Stored<Record>>> {
        // A panic cannot leave the map inconsistent.
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn remember(&self, stored: &Stored<Record>) {
        // Other records yield no metrics.
        if matches!(stored.record, Record::Job(_) | Record::Runner(_) | Record::Run(_)) {
            let mut known = self.known();
            if known.len() >= MAX_KNOWN {
                known.clear();
            }
            known.insert(stored.record.id(), stored.clone());
        }
    }

    /// Returns the transitions whose previous record is known.
    fn transitions(&self, changes: &[Change]) -> Vec<Transition> {
        let known = self.known();
        let kept = changes.iter().filter(|change| !change.delete);
        kept.filter_map(|change| {
            let before = match change.expected {
                None => None,
                Some(version) => Some(known.get(&change.record.id()).filter(|it| it.version == version)?),
            };
            Some(Transition {
                before: before.map(|stored| stored.record.clone()),
                after: change.record.clone(),
            })
        })
        .collect()
    }

    /// Publishes what was written, and remembers it.
    fn written(&self, transitions: &[Transition], changes: &[Change]) {
        let measurements = measure(transitions, |id| {
            self.known().get(id).map(|stored| stored.record.clone())
        });
        for measurement in measurements {
            measurement.publish();
        }
        let month = Month::of(self.clock.now());
        for change in changes.iter().filter(|change| !change.delete) {
            publish_money(change, month);
            self.remember(&Stored {
                record: change.record.clone(),
                version: change.expected.map_or(Version::FIRST, Version::next),
            });
        }
    }
}

/// Publishes what a change says about money. Cap use is published for the current month only: jobs that ran
/// past the month's end are still settled in the previous one.
fn publish_money(change: &Change, month: Month) {
    match &change.record {
        Record::Cost(cost) if change.expected.is_none() => {
            let wasted = match cost.purpose {
                Purpose::Interrupted => cost.total(),
                Purpose::Job | Purpose::Idle | Purpose::Message | Purpose::Orphan => MicroDollars::default(),
            };
            publish::cost_settled(cost.total(), cost.saved(), wasted);
        }
        Record::Ledger(ledger) if ledger.budget == Budget::Stack && ledger.month == month => {
            if let Some(cap) = ledger.cap {
                publish::cap_used(ledger.committed(), cap);
            }
        }
        _ => {}
    }
}

impl<S: Store, K: Clock> Store for Metered<S, K> {
    async fn load(&self, id: &RecordId) -> Result<Option<Stored<Record>>, StoreError> {
        let loaded = self.store.load(id).await?;
        if let Some(stored) = &loaded {
            self.remember(stored);
        }
        Ok(loaded)
    }

    async fn commit(&self, changes: Vec<Change>) -> Result<(), StoreError> {
        let transitions = self.transitions(&changes);
        self.store.commit(changes.clone()).await?;
        self.written(&transitions, &changes);
        Ok(())
    }

    async fn due(&self, now: Timestamp, limit: usize) -> Result<Vec<Stored<Record>>, StoreError> {
        let due = self.store.due(now, limit).await?;
        for stored in &due {
            self.remember(stored);
        }
        Ok(due)
    }

    async fn ledgers(&self, month: Month) -> Result<Vec<Stored<Ledger>>, StoreError> {
        self.store.ledgers(month).await
    }

    async fn costs(&self, month: Month) -> Result<Vec<Cost>, StoreError> {
        self.store.costs(month).await
    }

    async fn latest_costs(&self, month: Month, limit: usize) -> Result<Vec<Cost>, StoreError> {
        self.store.latest_costs(month, limit).await
    }

    async fn acquire(&self, bucket: BucketId, latest: Timestamp, now: Timestamp) -> Result<Acquired, StoreError> {
        self.store.acquire(bucket, latest, now).await
    }

    async fn has_live_records(&self) -> Result<bool, StoreError> {
        self.store.has_live_records().await
    }

    async fn waiting(&self, queue: &QueueId) -> Result<Vec<Stored<QueuedRunner>>, StoreError> {
        self.store.waiting(queue).await
    }

    async fn check_runs(&self, run: RunKey, limit: usize) -> Result<Vec<Stored<CheckRun>>, StoreError> {
        self.store.check_runs(run, limit).await
    }
}
