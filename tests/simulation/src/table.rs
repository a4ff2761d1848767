//! The table: conditional writes, and a lagging index.

use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use dayfly_engine::cost::costing::MOST_CHANGES;
use dayfly_ports::Acquired;
use dayfly_records::{
    Bucket, BucketId, Change, CheckRun, CheckRunKey, CheckSubject, Cost, Ledger, QueuedRunner, Record, RecordId,
    Stored, Version,
};
use dayfly_types::ids::{QueueId, RunKey};
use dayfly_types::month::Month;
use dayfly_types::time::Timestamp;

use crate::coverage::Stages;

/// A stored record.
pub type Kept = Rc<Stored<Record>>;

/// The records, and the due index.
#[derive(Default)]
pub struct Table {
    records: BTreeMap<RecordId, Kept>,
    /// The index: due records by their time, as they were then.
    index: BTreeMap<(Timestamp, RecordId), Kept>,
    at: BTreeMap<RecordId, Timestamp>,
    /// What the index does not show yet. It shows the changes of different records in any order.
    ///
    /// <https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/GSI.html>
    lagging: BTreeSet<(Timestamp, RecordId)>,
    /// The records with a due time.
    live: BTreeSet<RecordId>,
    ledgers: BTreeSet<RecordId>,
    /// The waiting entries, by queue.
    waiting: BTreeMap<QueueId, BTreeSet<RecordId>>,
    /// The states of the live records, until the next write.
    stages: Option<Stages>,
    /// The number of items read.
    pub reads: u64,
}

/// A write and what it replaced.
pub struct Written {
    pub before: Option<Kept>,
    /// `None` for a deletion.
    pub after: Option<Kept>,
}

impl Table {
    pub fn load(&mut self, id: &RecordId) -> Option<Stored<Record>> {
        self.reads += 1;
        self.records.get(id).map(|kept| Stored::clone(kept))
    }

    /// Returns a record without counting the read.
    #[must_use]
    pub fn peek(&self, id: &RecordId) -> Option<&Record> {
        self.records.get(id).map(|kept| &kept.record)
    }

    /// Returns the version of a record.
    #[must_use]
    pub fn version(&self, id: &RecordId) -> Option<Version> {
        self.records.get(id).map(|kept| kept.version)
    }

    /// Returns the records with a due time.
    pub fn live(&self) -> impl Iterator<Item = &Record> {
        self.live.iter().filter_map(|id| self.peek(id))
    }

    /// Returns why DynamoDB refuses a transaction whatever is in the table, if it does.
    ///
    /// <https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_TransactWriteItems.html>
    #[must_use]
    pub fn refusal(changes: &[Change]) -> Option<String> {
        if changes.len() > MOST_CHANGES {
            return Some(format!(
                "a transaction of {} items, and {MOST_CHANGES} are the most",
                changes.len()
            ));
        }
        let ids: BTreeSet<RecordId> = changes.iter().map(|change| change.record.id()).collect();
        (ids.len() < changes.len()).then(|| "a transaction with several operations on one item".to_owned())
    }

    /// Writes all changes, or none if one of them names an outdated version. With `blind`, versions are
    /// ignored.
    pub fn commit(&mut self, changes: Vec<Change>, shown_at: Timestamp, blind: bool) -> Option<Vec<Written>> {
        let version = |id: &RecordId| self.records.get(id).map(|kept| kept.version);
        if !blind
            && changes
                .iter()
                .any(|change| version(&change.record.id()) != change.expected)
        {
            return None;
        }
        Some(changes.into_iter().map(|change| self.write(change, shown_at)).collect())
    }

    /// Returns the states of the live records.
    pub fn stages(&mut self) -> Stages {
        if let Some(stages) = self.stages {
            return stages;
        }
        let stages = self.live().collect();
        self.stages = Some(stages);
        stages
    }

    fn write(&mut self, change: Change, shown_at: Timestamp) -> Written {
        self.stages = None;
        let id = change.record.id();
        let before = self.records.get(&id).cloned();
        let after = (!change.delete).then(|| {
            let version = before.as_ref().map_or(Version::FIRST, |kept| kept.version.next());
            Rc::new(Stored {
                record: change.record,
                version,
            })
        });
        match &after {
            Some(kept) => self.records.insert(id.clone(), Rc::clone(kept)),
            None => self.records.remove(&id),
        };
        if let RecordId::QueuedRunner(queue, _) = &id {
            let there = self.waiting.entry(queue.clone()).or_default();
            if after.is_some() {
                there.insert(id.clone());
            } else {
                there.remove(&id);
            }
        }
        if matches!(id, RecordId::Ledger(_)) {
            self.ledgers.insert(id.clone());
        }
        let due = after.as_ref().is_some_and(|kept| kept.record.due_at().is_some());
        if due {
            self.live.insert(id.clone());
        } else {
            self.live.remove(&id);
        }
        if due || before.as_ref().is_some_and(|kept| kept.record.due_at().is_some()) {
            self.lagging.insert((shown_at, id));
        }
        Written { before, after }
    }

    pub fn clear(&mut self) {
        *self = Self {
            reads: self.reads,
            ..Self::default()
        };
    }

    /// Returns the due records in the index, the earliest first.
    pub fn due(&mut self, now: Timestamp, until: Timestamp, limit: usize) -> Vec<Stored<Record>> {
        self.catch_up(now);
        let found: Vec<_> = self
            .index
            .iter()
            .take_while(|((at, _), _)| *at <= until)
            .take(limit)
            .map(|(_, kept)| Stored::clone(kept))
            .collect();
        self.reads += found.len() as u64;
        found
    }

    /// Returns the check runs of an attempt.
    pub fn check_runs(&mut self, run: RunKey, limit: usize) -> Vec<Stored<CheckRun>> {
        let key = |of| RecordId::CheckRun(run.run, CheckRunKey::new(of, run.attempt));
        let of_run = self.records.range(key(CheckSubject::Jobs)..key(CheckSubject::Story));
        let found: Vec<_> = of_run
            .filter_map(|(_, kept)| match &kept.record {
                Record::CheckRun(check_run) if check_run.key.attempt == run.attempt => Some(Stored {
                    record: CheckRun::clone(check_run),
                    version: kept.version,
                }),
                _ => None,
            })
            .take(limit)
            .collect();
        self.reads += 1 + found.len() as u64;
        found
    }

    /// Returns the ledgers of a month.
    pub fn ledgers(&mut self, month: Month) -> Vec<Stored<Ledger>> {
        let found: Vec<_> = self
            .ledgers
            .iter()
            .filter_map(|id| self.records.get(id))
            .filter_map(|kept| match &kept.record {
                Record::Ledger(ledger) if ledger.month == month => Some(Stored {
                    record: ledger.clone(),
                    version: kept.version,
                }),
                _ => None,
            })
            .collect();
        self.reads += 1 + found.len() as u64;
        found
    }

    /// Returns all ledgers.
    pub fn ledgers_of_all(&self) -> impl Iterator<Item = &Ledger> {
        self.ledgers.iter().filter_map(|id| match self.peek(id)? {
            Record::Ledger(ledger) => Some(ledger),
            _ => None,
        })
    }

    /// Returns the costs of all months.
    pub fn costs(&self) -> impl Iterator<Item = &Cost> {
        self.records.values().filter_map(|kept| match &kept.record {
            Record::Cost(cost) => Some(&**cost),
            _ => None,
        })
    }

    /// Takes a token from a bucket, if one is available by `latest`.
    pub fn acquire(&mut self, id: BucketId, latest: Timestamp, now: Timestamp) -> Acquired {
        self.reads += 1;
        let key = RecordId::Bucket(id);
        let known = match self.peek(&key) {
            Some(Record::Bucket(bucket)) => *bucket,
            _ => Bucket::full(id, now),
        };
        let Some(bucket) = known.take_by(latest, now) else {
            return Acquired::Short(known);
        };
        self.write(Change::create(bucket), now);
        Acquired::Taken(bucket)
    }

    /// Returns the waiting entries of a queue.
    pub fn waiting(&mut self, queue: &QueueId) -> Vec<Stored<QueuedRunner>> {
        let ids = self.waiting.get(queue).into_iter().flatten();
        let found: Vec<_> = ids
            .filter_map(|id| {
                let kept = self.records.get(id)?;
                let record = QueuedRunner::try_from(kept.record.clone()).ok()?;
                Some(Stored {
                    record,
                    version: kept.version,
                })
            })
            .collect();
        self.reads += 1 + found.len() as u64;
        found
    }

    /// Whether the index shows anything.
    pub fn has_live_records(&mut self, now: Timestamp) -> bool {
        self.catch_up(now);
        self.reads += 1;
        !self.index.is_empty()
    }

    fn catch_up(&mut self, now: Timestamp) {
        while self.lagging.first().is_some_and(|(at, _)| *at <= now) {
            let Some((_, id)) = self.lagging.pop_first() else {
                return;
            };
            if let Some(at) = self.at.remove(&id) {
                self.index.remove(&(at, id.clone()));
            }
            let Some(kept) = self.records.get(&id) else {
                continue;
            };
            if let Some(at) = kept.record.due_at() {
                self.index.insert((at, id.clone()), Rc::clone(kept));
                self.at.insert(id, at);
            }
        }
    }
}
