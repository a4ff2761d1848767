//! The simulation's table takes and returns what an engine with DynamoDB's rules does, for the same scripts.

use std::collections::BTreeSet;
use std::time::Duration;

use dayfly_ports::{Store, StoreError};
use dayfly_records::{BucketId, Change, Record, RecordId, Stored, Version, Wake};
use dayfly_types::ids::InstallationId;
use dayfly_types::time::Timestamp;
use fastrand::Rng;
use simulation::SimulatedTable;

use crate::support::{Engine, job, now};

/// How far from now records are due at most, in seconds.
const SPREAD: u64 = 100;

struct Script(Rng);

impl Script {
    /// Returns a record that the table may or may not have.
    fn record(&mut self) -> Record {
        if self.0.u8(..8) == 0 {
            let at = now().after(Duration::from_secs(self.0.u64(..SPREAD)));
            return Wake {
                on: self.0.bool(),
                at,
                empty_since: None,
            }
            .into();
        }
        let due_at = self
            .0
            .bool()
            .then(|| now().after(Duration::from_secs(self.0.u64(..SPREAD))));
        job(self.0.u64(1..5), self.0.u32(1..3), due_at).into()
    }

    /// Returns one to four changes of different records, some of which were decided on an outdated version.
    fn changes(&mut self, table: &SimulatedTable) -> Vec<Change> {
        let mut changes: Vec<Change> = Vec::new();
        for _ in 0..self.0.usize(1..5) {
            let record = self.record();
            if changes.iter().any(|change| change.record.id() == record.id()) {
                continue;
            }
            let current = table.version(&record.id());
            let expected = match self.0.u8(..8) {
                0 => None,
                1 => Some(Version(self.0.u64(1..4))),
                _ => current,
            };
            let delete = expected.is_some() && self.0.u8(..4) == 0;
            changes.push(Change {
                record,
                expected,
                delete,
            });
        }
        changes
    }
}

fn sorted(mut records: Vec<Stored<Record>>) -> Vec<Stored<Record>> {
    records.sort_by_key(|stored| stored.record.id());
    records
}

async fn assert_same_reads(
    simulated: &mut SimulatedTable,
    real: &impl Store,
    known: &BTreeSet<RecordId>,
    until: Timestamp,
) {
    for id in known {
        assert_eq!(simulated.load(id), real.load(id).await.unwrap(), "{id}");
    }
    let due = simulated.due(until, until, 100);
    assert_eq!(sorted(due), sorted(real.due(until, 100).await.unwrap()));
    assert_eq!(
        simulated.has_live_records(until),
        real.has_live_records().await.unwrap()
    );
}

#[tokio::test]
async fn both_tables_take_and_return_the_same() {
    let mut refused = 0;
    for seed in 0..12 {
        let (engine, mut script) = (Engine::start().await, Script(Rng::with_seed(seed)));
        let (real, mut simulated) = (engine.table(), SimulatedTable::default());
        let mut known = BTreeSet::new();
        for step in 0..40 {
            let changes = script.changes(&simulated);
            known.extend(changes.iter().map(|change| change.record.id()));
            let taken = simulated.commit(changes.clone(), now(), false).is_some();
            let by_engine = match real.commit(changes.clone()).await {
                Ok(()) => true,
                Err(StoreError::Conflict) => false,
                Err(error) => panic!("seed {seed}, step {step}: {error}"),
            };
            assert_eq!(taken, by_engine, "seed {seed}, step {step}: {changes:#?}");
            refused += u32::from(!taken);
            let until = now().after(Duration::from_secs(script.0.u64(..SPREAD)));
            assert_same_reads(&mut simulated, &real, &known, until).await;
        }
    }
    assert!(refused > 50, "the scripts are too tame: {refused} commits were refused");
}

#[tokio::test]
async fn both_buckets_give_the_same_tokens() {
    let engine = Engine::start().await;
    let (real, mut simulated) = (engine.table(), SimulatedTable::default());
    let bucket = BucketId::ContentWrites(InstallationId(7));
    let mut script = Rng::with_seed(1);
    let mut at = now();
    for step in 0..200 {
        at = at.after(Duration::from_millis(script.u64(..900)));
        let latest = at.after(Duration::from_secs(script.u64(..4)));
        let given = real.acquire(bucket, latest, at).await.unwrap();
        assert_eq!(simulated.acquire(bucket, latest, at), given, "step {step}");
    }
}

// https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_TransactWriteItems.html: no two actions
// can target the same item.
#[tokio::test]
async fn neither_table_writes_an_item_twice_at_once() {
    let engine = Engine::start().await;
    let real = engine.table();
    let twice = vec![Change::create(job(1, 1, None)), Change::create(job(1, 1, Some(now())))];
    let refused = real.commit(twice.clone()).await;
    assert!(matches!(refused, Err(StoreError::Unavailable(_))), "{refused:?}");
    assert!(SimulatedTable::refusal(&twice).is_some());
}
