//! The table, the bus, the schedule and the parameters.

use std::collections::BTreeMap;
use std::time::Duration;

use dayfly_core::event::Event;
use dayfly_core::ids::{QueueId, RunKey};
use dayfly_core::record::{Bucket, BucketId, Change, Notice, Record, RecordId, Stored, Version, Waiting};
use dayfly_core::time::Timestamp;
use dayfly_ports::{
    Bus, BusError, Clock, Draw, ParameterError, Parameters, Schedule, ScheduleError, Store, StoreError,
};
use secrecy::SecretString;

use crate::World;

/// The records, with their versions.
#[derive(Debug, Default)]
pub struct Table {
    records: BTreeMap<RecordId, Stored<Record>>,
}

impl Table {
    /// All records.
    pub fn records(&self) -> impl Iterator<Item = &Record> {
        self.records.values().map(|stored| &stored.record)
    }

    /// The records that somebody must look at, now or later.
    pub fn live(&self) -> impl Iterator<Item = &Record> {
        self.records().filter(|record| record.due_at().is_some())
    }

    /// Forgets everything.
    pub fn clear(&mut self) {
        self.records.clear();
    }

    fn draw(&mut self, id: BucketId, latest: Timestamp, now: Timestamp) -> Draw {
        let key = RecordId::Bucket(id);
        let known = match self.records.get(&key).map(|stored| &stored.record) {
            Some(Record::Bucket(bucket)) => *bucket,
            _ => Bucket::full(id, now),
        };
        let Some(bucket) = known.drawn(latest, now) else {
            return Draw::Short(known);
        };
        let stored = Stored {
            record: bucket.into(),
            version: Version::FIRST,
        };
        self.records.insert(key, stored);
        Draw::Taken(bucket)
    }

    fn commit(&mut self, changes: Vec<Change>) -> Result<(), StoreError> {
        let at = |id: &RecordId| self.records.get(id).map(|stored| stored.version);
        if changes.iter().any(|change| at(&change.record.id()) != change.expected) {
            return Err(StoreError::Conflict);
        }
        for Change {
            record,
            expected,
            delete,
        } in changes
        {
            let id = record.id();
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
        Ok(self.table().records.get(id).cloned())
    }

    async fn commit(&self, changes: Vec<Change>) -> Result<(), StoreError> {
        self.call("commit").await.map_err(StoreError::Unavailable)?;
        self.table().commit(changes)
    }

    async fn due(&self, now: Timestamp, limit: usize) -> Result<Vec<Stored<Record>>, StoreError> {
        self.call("due").await.map_err(StoreError::Unavailable)?;
        let table = self.table();
        let mut due: Vec<_> = table
            .records
            .values()
            .filter(|stored| stored.record.due_at().is_some_and(|at| at <= now))
            .collect();
        due.sort_by_key(|stored| stored.record.due_at());
        Ok(due.into_iter().take(limit).cloned().collect())
    }

    async fn waiting(&self, queue: &QueueId) -> Result<Vec<Stored<Waiting>>, StoreError> {
        self.call("query").await.map_err(StoreError::Unavailable)?;
        let table = self.table();
        let there = table.records.values().filter_map(|stored| match &stored.record {
            Record::Waiting(waiting) if waiting.queue == *queue => Some(Stored {
                record: waiting.clone(),
                version: stored.version,
            }),
            _ => None,
        });
        Ok(there.collect())
    }

    async fn notices(&self, run: RunKey, limit: usize) -> Result<Vec<Stored<Notice>>, StoreError> {
        self.call("notices").await.map_err(StoreError::Unavailable)?;
        let table = self.table();
        let there = table.records.values().filter_map(|stored| match &stored.record {
            Record::Notice(notice) if notice.run == run.run && notice.key.attempt == run.attempt => Some(Stored {
                record: Notice::clone(notice),
                version: stored.version,
            }),
            _ => None,
        });
        Ok(there.take(limit).collect())
    }

    async fn draw(&self, id: BucketId, latest: Timestamp, now: Timestamp) -> Result<Draw, StoreError> {
        self.call("draw").await.map_err(StoreError::Unavailable)?;
        Ok(self.table().draw(id, latest, now))
    }

    async fn anything_lives(&self) -> Result<bool, StoreError> {
        self.call("anything_lives").await.map_err(StoreError::Unavailable)?;
        Ok(self.table().live().next().is_some())
    }
}

impl Clock for World {
    fn now(&self) -> Timestamp {
        self.cloud().time()
    }

    /// Nobody waits here: time goes on at once.
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
