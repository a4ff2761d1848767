//! Tests the store against an engine with DynamoDB's conditions, transactions and indexes.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a failed step is a failed test")]

mod simulated;
mod support;

use dayfly_ports::{Acquired, Store, StoreError};
use dayfly_records::{
    Bucket, BucketId, Change, CheckContent, CheckRun, Delivery, Job, Record, RecordId, Stored, TokenRequest, Version,
    Wake,
};
use dayfly_types::ids::{DeliveryId, InstallationId, JobId, JobKey, RunAttempt, RunId, RunKey};
use dayfly_types::time::Timestamp;
use futures_util::future::join_all;
use serde_json::json;

use support::{Engine, job, lossy, now, refusing};

fn wake(at: i64) -> Wake {
    Wake::on(Timestamp::from_millis(at))
}

async fn version_of(table: &impl Store, id: &RecordId) -> Option<Version> {
    table.load(id).await.unwrap().map(|stored| stored.version)
}

#[tokio::test]
async fn a_record_is_read_as_it_was_written() {
    let engine = Engine::start().await;
    let table = engine.table();
    assert_eq!(table.load(&RecordId::Wake).await.unwrap(), None);

    table.commit(vec![Change::create(wake(1))]).await.unwrap();
    let first = table.load(&RecordId::Wake).await.unwrap().unwrap();
    assert_eq!((&first.record, first.version), (&Record::Wake(wake(1)), Version(1)));

    table.commit(vec![Change::put(Some(&first), wake(2))]).await.unwrap();
    let second = table.load(&RecordId::Wake).await.unwrap().unwrap();
    assert_eq!((second.record, second.version), (Record::Wake(wake(2)), Version(2)));
}

#[tokio::test]
async fn a_job_is_found_by_its_key_and_attempt() {
    let engine = Engine::start().await;
    let table = engine.table();
    let (first, second) = (job(11, 1, None), job(11, 2, None));
    table
        .commit(vec![Change::create(first.clone()), Change::create(second.clone())])
        .await
        .unwrap();
    assert_eq!(table.job(first.key).await.unwrap().unwrap().record, first);
    assert_eq!(table.job(second.key).await.unwrap().unwrap().record, second);
}

#[tokio::test]
async fn all_attempts_of_a_job_are_found_earliest_first() {
    let engine = Engine::start().await;
    let table = engine.table();
    let all = [(11, 10), (11, 2), (12, 1), (11, 1)].map(|(id, attempt)| Change::create(job(id, attempt, None)));
    table.commit(all.to_vec()).await.unwrap();
    let found = table.jobs(JobId(11)).await.unwrap();
    let attempts: Vec<u32> = found.iter().map(|job| job.key.attempt.0).collect();
    assert_eq!(attempts, [1, 2, 10]);
    assert_eq!(table.jobs(JobId(13)).await.unwrap(), []);
}

#[tokio::test]
async fn the_second_creation_of_a_record_conflicts() {
    let engine = Engine::start().await;
    let table = engine.table();
    table.commit(vec![Change::create(wake(1))]).await.unwrap();
    let second = table.commit(vec![Change::create(wake(9))]).await;
    assert!(matches!(second, Err(StoreError::Conflict)), "{second:?}");
    assert_eq!(
        table.load(&RecordId::Wake).await.unwrap().unwrap().record,
        Record::Wake(wake(1))
    );
}

#[tokio::test]
async fn the_second_write_over_a_version_conflicts() {
    let engine = Engine::start().await;
    let table = engine.table();
    table.commit(vec![Change::create(wake(1))]).await.unwrap();
    let read = table.load(&RecordId::Wake).await.unwrap();
    table.commit(vec![Change::put(read.as_ref(), wake(2))]).await.unwrap();
    let late = table.commit(vec![Change::put(read.as_ref(), wake(3))]).await;
    assert!(matches!(late, Err(StoreError::Conflict)), "{late:?}");
}

#[tokio::test]
async fn a_deleted_record_is_not_recreated_by_an_update() {
    let engine = Engine::start().await;
    let table = engine.table();
    for changes in [
        vec![Change::update(Version(1), wake(1))],
        vec![Change::update(Version(1), wake(1)), Change::create(job(1, 1, None))],
        vec![Change::delete(Version(1), wake(1))],
    ] {
        let refused = table.commit(changes).await;
        assert!(matches!(refused, Err(StoreError::Conflict)), "{refused:?}");
    }
}

#[tokio::test]
async fn a_commit_is_atomic() {
    let engine = Engine::start().await;
    let table = engine.table();
    table.commit(vec![Change::create(wake(1))]).await.unwrap();
    let job = job(11, 1, None);
    let refused = table
        .commit(vec![Change::create(job.clone()), Change::create(wake(2))])
        .await;
    assert!(matches!(refused, Err(StoreError::Conflict)), "{refused:?}");
    assert_eq!(table.job(job.key).await.unwrap(), None);

    table
        .commit(vec![Change::create(job.clone()), Change::update(Version(1), wake(2))])
        .await
        .unwrap();
    assert_eq!(version_of(&table, &RecordId::Job(job.key)).await, Some(Version(1)));
    assert_eq!(version_of(&table, &RecordId::Wake).await, Some(Version(2)));
}

#[tokio::test]
async fn a_record_is_deleted_only_at_the_version_read() {
    let engine = Engine::start().await;
    let table = engine.table();
    table.commit(vec![Change::create(wake(1))]).await.unwrap();
    table.commit(vec![Change::update(Version(1), wake(2))]).await.unwrap();
    let late = table.commit(vec![Change::delete(Version(1), wake(1))]).await;
    assert!(matches!(late, Err(StoreError::Conflict)), "{late:?}");
    table.commit(vec![Change::delete(Version(2), wake(2))]).await.unwrap();
    assert_eq!(table.load(&RecordId::Wake).await.unwrap(), None);
}

#[tokio::test]
async fn an_empty_commit_makes_no_call() {
    // Without a table, any call would fail.
    let engine = Engine::without_table().await;
    engine.table().commit(vec![]).await.unwrap();
}

#[tokio::test]
async fn due_records_come_earliest_first_up_to_the_limit() {
    let engine = Engine::start().await;
    let table = engine.table();
    let due_in = |seconds: i64| Timestamp::from_seconds(now().seconds() + seconds);
    for (id, due) in [(1, Some(-5)), (2, Some(-50)), (3, Some(0)), (4, Some(1)), (5, None)] {
        let change = Change::create(job(id, 1, due.map(due_in)));
        table.commit(vec![change]).await.unwrap();
    }
    let ids = |found: Vec<Stored<Record>>| -> Vec<u64> {
        found
            .into_iter()
            .map(|stored| Job::try_from(stored.record).unwrap().key.job.0)
            .collect()
    };
    assert_eq!(ids(table.due(now(), 10).await.unwrap()), [2, 1, 3]);
    assert_eq!(ids(table.due(now(), 2).await.unwrap()), [2, 1]);
    assert_eq!(ids(table.due(due_in(-100), 10).await.unwrap()), [0u64; 0]);
    assert_eq!(ids(table.due(now(), 0).await.unwrap()), [0u64; 0]);
}

#[tokio::test]
async fn something_lives_while_any_record_has_a_due_time() {
    let engine = Engine::start().await;
    let table = engine.table();
    let far = Timestamp::from_seconds(now().seconds() + 1_000_000);
    table
        .commit(vec![Change::create(Delivery {
            delivery: DeliveryId::new("d-1"),
            at: now(),
            published: true,
        })])
        .await
        .unwrap();
    assert!(!table.has_live_records().await.unwrap());

    table.commit(vec![Change::create(job(1, 1, Some(far)))]).await.unwrap();
    assert!(table.has_live_records().await.unwrap());

    let over = job(1, 1, None);
    table.commit(vec![Change::update(Version(1), over)]).await.unwrap();
    assert!(!table.has_live_records().await.unwrap());
}

#[tokio::test]
async fn an_unreadable_due_item_does_not_hide_later_ones() {
    let engine = Engine::start().await;
    let table = engine.table();
    engine.put(&json!({
        "pk": {"S": "JOB#1"}, "sk": {"S": "ATTEMPT#1"}, "version": {"N": "1"},
        "due": {"S": "due"}, "due_at": {"N": "1"},
    }));
    table
        .commit(vec![Change::create(job(2, 1, Some(now())))])
        .await
        .unwrap();
    let found = table.due(now(), 1).await.unwrap();
    let key = JobKey {
        job: JobId(2),
        attempt: RunAttempt(1),
    };
    assert_eq!(found[0].record.id(), RecordId::Job(key));

    let broken = JobKey { job: JobId(1), ..key };
    let refused = table.job(broken).await.unwrap_err().to_string();
    assert!(refused.contains("JOB#1 ATTEMPT#1"), "{refused}");
}

#[tokio::test]
async fn a_missing_table_is_reported() {
    let engine = Engine::without_table().await;
    let error = engine.table().load(&RecordId::Wake).await.unwrap_err().to_string();
    assert!(error.contains("ResourceNotFoundException"), "{error}");
}

#[tokio::test]
async fn a_repeated_write_does_not_conflict_with_itself() {
    let engine = Engine::start().await;
    for changes in [
        vec![Change::create(wake(1))],
        vec![Change::update(Version(1), wake(2))],
        vec![Change::update(Version(2), wake(3)), Change::create(job(1, 1, None))],
        vec![Change::delete(Version(3), wake(3))],
    ] {
        let (server, table) = lossy(&engine).await;
        table.commit(changes).await.unwrap();
        assert_eq!(server.received_requests().await.unwrap().len(), 2);
    }
    assert_eq!(engine.table().load(&RecordId::Wake).await.unwrap(), None);
}

#[tokio::test]
async fn a_repeated_write_conflicts_with_other_writes() {
    let engine = Engine::start().await;
    engine.table().commit(vec![Change::create(wake(7))]).await.unwrap();
    let (_server, table) = lossy(&engine).await;
    let refused = table.commit(vec![Change::create(wake(1))]).await;
    assert!(matches!(refused, Err(StoreError::Conflict)), "{refused:?}");
}

#[tokio::test]
async fn a_concurrent_transaction_is_a_conflict() {
    let (_server, table) = refusing(json!({"__type": "TransactionConflictException"})).await;
    let refused = table.commit(vec![Change::create(wake(1))]).await;
    assert!(matches!(refused, Err(StoreError::Conflict)), "{refused:?}");

    let (_server, table) = refusing(json!({
        "__type": "TransactionCanceledException",
        "CancellationReasons": [{"Code": "None"}, {"Code": "TransactionConflict", "Message": "ongoing"}],
    }))
    .await;
    let refused = table
        .commit(vec![Change::create(wake(1)), Change::create(job(1, 1, None))])
        .await;
    assert!(matches!(refused, Err(StoreError::Conflict)), "{refused:?}");
}

#[tokio::test]
async fn a_transaction_cancelled_for_load_is_no_conflict() {
    let (_server, table) = refusing(json!({
        "__type": "TransactionCanceledException",
        "CancellationReasons": [{"Code": "ThrottlingError", "Message": "slower"}, {"Code": "None"}],
    }))
    .await;
    let refused = table.commit(vec![Change::delete(Version(1), wake(1))]).await;
    let Err(StoreError::Unavailable(words)) = refused else {
        panic!("{refused:?}")
    };
    assert_eq!(words, "the transaction was cancelled: ThrottlingError: slower");
}

#[tokio::test]
async fn concurrent_acquires_each_get_their_own_token_up_to_the_limit() {
    let engine = Engine::start().await;
    let table = engine.table();
    let id = BucketId::Registrations(InstallationId(7));
    let (size, every) = id.limits();
    let latest = Bucket::latest(id, TokenRequest::Within(every * 10), now());
    let draws = (0..size + 20).map(|_| table.acquire(id, latest, now()));
    let mut turns = Vec::new();
    for draw in join_all(draws).await {
        match draw.unwrap() {
            Acquired::Taken(bucket) => turns.push(bucket.ready_at(now()).since(now())),
            Acquired::Short(bucket) => assert!(bucket.full_at > latest),
        }
    }
    turns.sort();
    let expected: Vec<_> = (0..size + 10)
        .map(|one| every * (one + 1).saturating_sub(size))
        .collect();
    assert_eq!(turns, expected);

    let later = now().after(every * 3);
    let latest = Bucket::latest(id, TokenRequest::Now { leaving: 0 }, later);
    assert!(
        matches!(table.acquire(id, latest, later).await.unwrap(), Acquired::Short(_)),
        "others come first"
    );
    let much_later = now().after(every * 1000);
    let latest = Bucket::latest(id, TokenRequest::Now { leaving: size - 1 }, much_later);
    let full = table.acquire(id, latest, much_later).await.unwrap();
    assert_eq!(
        full,
        Acquired::Taken(Bucket {
            id,
            full_at: much_later.after(every)
        }),
        "it has filled again"
    );
}

#[tokio::test]
async fn check_runs_of_an_attempt_are_found_together() {
    let engine = Engine::start().await;
    let table = engine.table();
    let content = CheckContent::Ended { tried: Vec::new() };
    for (number, attempt, run) in [(11, 1, 500), (12, 1, 500), (13, 1, 500), (11, 10, 500), (14, 1, 5000)] {
        let of = Job {
            run: RunId(run),
            ..job(number, attempt, None)
        };
        let check_run = CheckRun::of(None, &of, content.clone(), now());
        table.commit(vec![Change::create(check_run)]).await.unwrap();
    }
    let run = RunKey {
        run: RunId(500),
        attempt: RunAttempt(1),
    };
    let found = |check_runs: Vec<Stored<CheckRun>>| {
        check_runs
            .iter()
            .filter_map(|one| one.record.key.job())
            .map(|key| key.job.0)
            .collect::<Vec<_>>()
    };
    assert_eq!(found(table.check_runs(run, 100).await.unwrap()), [11, 12, 13]);
    assert_eq!(found(table.check_runs(run, 2).await.unwrap()), [11, 12]);
    let one = table.check_runs(run, 100).await.unwrap().remove(0);
    let same = table.check_run(run.run, one.record.key).await.unwrap();
    assert_eq!(same, Some(one));
}
