//! The table, with what is written into it told as metrics.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use dayfly_ports::{Acquired, Clock, Store, StoreError};
use dayfly_records::{BucketId, Change, CheckRun, Cost, Ledger, Purpose, Record, RecordId, Stored, Version, Waiting};
use dayfly_types::budget::Budget;
use dayfly_types::ids::{QueueId, RunKey};
use dayfly_types::money::MicroDollars;
use dayfly_types::month::Month;
use dayfly_types::time::Timestamp;

use crate::changes::{Moved, of_changes};
use crate::tell;

/// So many records are remembered at most: many more than one event concerns. Of one that is forgotten too
/// early nothing is told.
const REMEMBERED: usize = 4096;

/// A table that tells what becomes of the records in it, once a write is answered. It reads nothing for that:
/// a write names the version that it was decided on, and whoever decided had read it here.
#[derive(Debug)]
pub struct Metered<S, K> {
    store: S,
    clock: K,
    known: Mutex<HashMap<RecordId, Stored<Record>>>,
}

impl<S, K: Clock> Metered<S, K> {
    /// A table that is told of. The clock says which month's cap is the current one.
    pub fn new(store: S, clock: K) -> Self {
        Self {
            store,
            clock,
            known: Mutex::default(),
        }
    }

    fn known(&self) -> MutexGuard<'_, HashMap<RecordId, Stored<Record>>> {
        // Nothing is left half done while it is locked.
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn remember(&self, stored: &Stored<Record>) {
        // Nothing is told of the others.
        if matches!(stored.record, Record::Job(_) | Record::Runner(_) | Record::Run(_)) {
            let mut known = self.known();
            if known.len() >= REMEMBERED {
                known.clear();
            }
            known.insert(stored.record.id(), stored.clone());
        }
    }

    /// What the changes move, as far as it is known what was there before.
    fn moved(&self, changes: &[Change]) -> Vec<Moved> {
        let known = self.known();
        let kept = changes.iter().filter(|change| !change.delete);
        kept.filter_map(|change| {
            let before = match change.expected {
                None => None,
                Some(version) => Some(known.get(&change.record.id()).filter(|it| it.version == version)?),
            };
            Some(Moved {
                before: before.map(|stored| stored.record.clone()),
                after: change.record.clone(),
            })
        })
        .collect()
    }

    /// Tells what was written, and remembers it.
    fn written(&self, moved: &[Moved], changes: &[Change]) {
        let told = of_changes(moved, |id| self.known().get(id).map(|stored| stored.record.clone()));
        for one in told {
            one.tell();
        }
        let month = Month::of(self.clock.now());
        for change in changes.iter().filter(|change| !change.delete) {
            tell_money(change, month);
            self.remember(&Stored {
                record: change.record.clone(),
                version: change.expected.map_or(Version::FIRST, Version::next),
            });
        }
    }
}

/// What a change says of money. How much of a cap is used is told of this month's only: what ran over its end
/// is still settled in the month before.
fn tell_money(change: &Change, month: Month) {
    match &change.record {
        Record::Cost(cost) if change.expected.is_none() => {
            let wasted = match cost.purpose {
                Purpose::Interrupted => cost.total(),
                Purpose::Job | Purpose::Idle | Purpose::Message | Purpose::Orphan => MicroDollars::default(),
            };
            tell::settled(cost.total(), cost.saved(), wasted);
        }
        Record::Ledger(ledger) if ledger.budget == Budget::Stack && ledger.month == month => {
            if let Some(cap) = ledger.cap {
                tell::cap_used(ledger.committed(), cap);
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
        let moved = self.moved(&changes);
        self.store.commit(changes.clone()).await?;
        self.written(&moved, &changes);
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

    async fn anything_lives(&self) -> Result<bool, StoreError> {
        self.store.anything_lives().await
    }

    async fn waiting(&self, queue: &QueueId) -> Result<Vec<Stored<Waiting>>, StoreError> {
        self.store.waiting(queue).await
    }

    async fn check_runs(&self, run: RunKey, limit: usize) -> Result<Vec<Stored<CheckRun>>, StoreError> {
        self.store.check_runs(run, limit).await
    }
}
