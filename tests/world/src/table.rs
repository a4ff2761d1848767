//! The table, the bus, the schedule and the parameters.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use dayfly_engine::cost::costing::MOST_CHANGES;
use dayfly_ports::{
    Acquired, Bus, BusError, Clock, ParameterError, Parameters, Schedule, ScheduleError, Store, StoreError,
};
use dayfly_records::event::Event;
use dayfly_records::{
    Bucket, BucketId, Change, CheckRun, CheckSubject, Cost, Ledger, QueuedRunner, Record, RecordId, Stored, Version,
};
use dayfly_types::ids::{QueueId, RunKey};
use dayfly_types::month::Month;
use dayfly_types::time::Timestamp;
use secrecy::SecretString;
use serde::Serialize;

use crate::World;

/// The records, with their versions.
#[derive(Debug, Default)]
pub struct Table {
    records: BTreeMap<RecordId, Stored<Record>>,
    used: Units,
}

/// The units that DynamoDB bills.
///
/// <https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/on-demand-capacity-mode.html>
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Units {
    /// One per 4 KiB read.
    pub reads: usize,
    /// One per KiB written, twice that in a transaction, and another for what is in the index.
    pub writes: usize,
}

impl Units {
    fn read(&mut self, record: Option<&Record>) {
        self.reads += record.map_or(1, |record| size(record).div_ceil(4096));
    }

    fn query<'a>(&mut self, found: impl Iterator<Item = &'a Record>) {
        self.reads += found.map(size).sum::<usize>().div_ceil(4096).max(1);
    }

    fn write(&mut self, before: Option<&Record>, after: &Record, in_transaction: bool) {
        let units = size(after).div_ceil(1024);
        self.writes += if in_transaction { 2 * units } else { units };
        let indexed = [before, Some(after)].into_iter().flatten();
        if indexed.into_iter().any(|record| record.due_at().is_some()) {
            self.writes += units;
        }
    }
}

/// Approximates a record's size as an item: JSON has the same names and values.
fn size(record: &Record) -> usize {
    match record {
        Record::Delivery(record) => length(record),
        Record::Job(record) => length(record),
        Record::CheckRun(record) => length(record),
        Record::Pull(record) => length(record),
        Record::Runner(record) => length(record),
        Record::FleetCall(record) => length(record),
        Record::Queue(record) => length(record),
        Record::QueuedRunner(record) => length(record),
        Record::Pools(record) => length(record),
        Record::Bucket(record) => length(record),
        Record::Instance(record) => length(record),
        Record::Run(record) => length(record),
        Record::Config(record) => length(record),
        Record::Wake(record) => length(record),
        Record::Watched(record) => length(record),
        Record::Patrol(record) => length(record),
        Record::Gate(record) => length(record),
        Record::Ledger(record) => length(record),
        Record::Cost(record) => length(record),
        Record::Prices(record) => length(record),
        Record::Volumes(record) => length(record),
    }
}

fn length(record: &impl Serialize) -> usize {
    serde_json::to_vec(record).map_or(0, |text| text.len())
}

/// The size of an item besides its record: the attributes for version, commit and expiry, and
/// DynamoDB's overhead.
///
/// <https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/bp-indexes-general.html>
const ITEM_OVERHEAD: usize = 100 + 100;

/// How long DynamoDB keeps an expired item: it documents a few days.
///
/// <https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/howitworks-ttl.html>
const EXPIRY_DELAY: Duration = Duration::from_hours(2 * 24);

/// Returns the storage that these records use from `now` until they are deleted, in bytes times days.
///
/// # Panics
/// If one of them never expires.
pub fn byte_days<'a>(records: impl Iterator<Item = &'a Record>, now: Timestamp) -> u64 {
    records
        .map(|record| {
            let id = record.id();
            let bytes = size(record) + id.pk().len() + id.sk().len() + ITEM_OVERHEAD;
            let until = record.expires_at().unwrap_or_else(|| panic!("{id} is never forgotten"));
            let hours = until.after(EXPIRY_DELAY).since(now).as_secs() / 3600;
            u64::try_from(bytes).unwrap() * hours / 24
        })
        .sum()
}

impl Table {
    pub fn records(&self) -> impl Iterator<Item = &Record> {
        self.records.values().map(|stored| &stored.record)
    }

    /// Returns the records with a due time.
    pub fn live(&self) -> impl Iterator<Item = &Record> {
        self.records().filter(|record| record.due_at().is_some())
    }

    /// Returns the units used so far.
    #[must_use]
    pub fn used(&self) -> Units {
        self.used
    }

    /// Overwrites a record regardless of its version, as no function does.
    pub fn overwrite(&mut self, record: impl Into<Record>) {
        let record = record.into();
        let id = record.id();
        let version = self
            .records
            .get(&id)
            .map_or(Version::FIRST, |known| known.version.next());
        self.records.insert(id, Stored { record, version });
    }

    pub fn forget_prices(&mut self) {
        self.records
            .retain(|_, stored| !matches!(stored.record, Record::Prices(_) | Record::Volumes(_)));
    }

    pub fn clear(&mut self) {
        self.records.clear();
    }

    fn acquire(&mut self, id: BucketId, latest: Timestamp, now: Timestamp) -> Acquired {
        let key = RecordId::Bucket(id);
        let known = match self.records.get(&key).map(|stored| &stored.record) {
            Some(Record::Bucket(bucket)) => *bucket,
            _ => Bucket::full(id, now),
        };
        let Some(bucket) = known.take_by(latest, now) else {
            return Acquired::Short(known);
        };
        let stored = Stored {
            record: bucket.into(),
            version: Version::FIRST,
        };
        self.used.writes += 1;
        self.records.insert(key, stored);
        Acquired::Taken(bucket)
    }

    fn commit(&mut self, changes: Vec<Change>) -> Result<(), StoreError> {
        if changes.len() > MOST_CHANGES {
            let refused = format!(
                "a transaction of {} items, and {MOST_CHANGES} are the most",
                changes.len()
            );
            return Err(StoreError::Unavailable(refused));
        }
        let ids: BTreeSet<RecordId> = changes.iter().map(|change| change.record.id()).collect();
        if ids.len() < changes.len() {
            let refused = "a transaction with several operations on one item";
            return Err(StoreError::Unavailable(refused.to_owned()));
        }
        let at = |id: &RecordId| self.records.get(id).map(|stored| stored.version);
        if changes.iter().any(|change| at(&change.record.id()) != change.expected) {
            return Err(StoreError::Conflict);
        }
        let in_transaction = changes.len() > 1;
        for Change {
            record,
            expected,
            delete,
        } in changes
        {
            let id = record.id();
            let before = self.records.get(&id).map(|stored| &stored.record);
            self.used.write(before, &record, in_transaction);
            if delete {
                self.records.remove(&id);
            } else {
                let version = expected.map_or(Version::FIRST, Version::next);
                self.records.insert(id, Stored { record, version });
            }
        }
        Ok(())
    }
}

impl Store for World {
    async fn load(&self, id: &RecordId) -> Result<Option<Stored<Record>>, StoreError> {
        self.call("load").await.map_err(StoreError::Unavailable)?;
        let mut table = self.table();
        let found = table.records.get(id).cloned();
        table.used.read(found.as_ref().map(|stored| &stored.record));
        Ok(found)
    }

    async fn commit(&self, changes: Vec<Change>) -> Result<(), StoreError> {
        self.call("commit").await.map_err(StoreError::Unavailable)?;
        self.table().commit(changes)
    }

    async fn due(&self, now: Timestamp, limit: usize) -> Result<Vec<Stored<Record>>, StoreError> {
        self.call("due").await.map_err(StoreError::Unavailable)?;
        let mut table = self.table();
        let is_due = |stored: &&Stored<Record>| stored.record.due_at().is_some_and(|at| at <= now);
        let mut due: Vec<_> = table.records.values().filter(is_due).cloned().collect();
        due.sort_by_key(|stored| stored.record.due_at());
        due.truncate(limit);
        table.used.query(due.iter().map(|stored| &stored.record));
        Ok(due)
    }

    async fn waiting(&self, queue: &QueueId) -> Result<Vec<Stored<QueuedRunner>>, StoreError> {
        self.call("query").await.map_err(StoreError::Unavailable)?;
        let mut table = self.table();
        table.used.query(std::iter::empty());
        let there = table.records.values().filter_map(|stored| match &stored.record {
            Record::QueuedRunner(waiting) if waiting.queue == *queue => Some(Stored {
                record: waiting.clone(),
                version: stored.version,
            }),
            _ => None,
        });
        Ok(there.collect())
    }

    async fn check_runs(&self, run: RunKey, limit: usize) -> Result<Vec<Stored<CheckRun>>, StoreError> {
        self.call("check_runs").await.map_err(StoreError::Unavailable)?;
        let mut table = self.table();
        table.used.query(std::iter::empty());
        let there = table.records.values().filter_map(|stored| match &stored.record {
            Record::CheckRun(check_run)
                if check_run.run == run.run
                    && check_run.key.attempt == run.attempt
                    && check_run.key.of != CheckSubject::Story =>
            {
                Some(Stored {
                    record: CheckRun::clone(check_run),
                    version: stored.version,
                })
            }
            _ => None,
        });
        Ok(there.take(limit).collect())
    }

    async fn ledgers(&self, month: Month) -> Result<Vec<Stored<Ledger>>, StoreError> {
        self.call("query").await.map_err(StoreError::Unavailable)?;
        let table = self.table();
        let there = table.records.values().filter_map(|stored| match &stored.record {
            Record::Ledger(ledger) if ledger.month == month => Some(Stored {
                record: ledger.clone(),
                version: stored.version,
            }),
            _ => None,
        });
        Ok(there.collect())
    }

    async fn costs(&self, month: Month) -> Result<Vec<Cost>, StoreError> {
        self.call("query").await.map_err(StoreError::Unavailable)?;
        let table = self.table();
        let there = table.records().filter_map(|record| match record {
            Record::Cost(cost) if cost.id().month() == month => Some(Cost::clone(cost)),
            _ => None,
        });
        Ok(there.collect())
    }

    async fn latest_costs(&self, month: Month, limit: usize) -> Result<Vec<Cost>, StoreError> {
        let mut costs = self.costs(month).await?;
        costs.reverse();
        costs.truncate(limit);
        Ok(costs)
    }

    async fn acquire(&self, id: BucketId, latest: Timestamp, now: Timestamp) -> Result<Acquired, StoreError> {
        self.call("draw").await.map_err(StoreError::Unavailable)?;
        Ok(self.table().acquire(id, latest, now))
    }

    async fn has_live_records(&self) -> Result<bool, StoreError> {
        self.call("anything_lives").await.map_err(StoreError::Unavailable)?;
        let mut table = self.table();
        table.used.query(std::iter::empty());
        Ok(table.live().next().is_some())
    }
}

impl Clock for World {
    fn now(&self) -> Timestamp {
        self.cloud().time()
    }

    /// Sleeping takes no time here.
    async fn sleep(&self, span: Duration) {
        let later = self.cloud().time().after(span);
        self.cloud().set_time(later);
    }
}

impl Bus for World {
    async fn publish(&self, event: &Event) -> Result<(), BusError> {
        self.call("publish").await.map_err(|error| BusError {
            kind: event.kind(),
            error,
        })?;
        self.inner.bus.borrow_mut().push_back(event.clone());
        Ok(())
    }
}

impl Schedule for World {
    async fn switch(&self, on: bool) -> Result<(), ScheduleError> {
        self.call("switch").await.map_err(ScheduleError)?;
        self.inner.schedule_on.set(on);
        Ok(())
    }

    async fn is_on(&self) -> Result<bool, ScheduleError> {
        self.call("is_on").await.map_err(ScheduleError)?;
        Ok(self.inner.schedule_on.get())
    }
}

impl Parameters for World {
    async fn read(&self, name: &str) -> Result<SecretString, ParameterError> {
        self.call("read").await.map_err(|error| ParameterError::Unavailable {
            name: name.to_owned(),
            error,
        })?;
        let parameters = self.inner.parameters.borrow();
        let value = parameters
            .get(name)
            .ok_or_else(|| ParameterError::Missing(name.to_owned()))?;
        Ok(SecretString::from(value.clone()))
    }
}
