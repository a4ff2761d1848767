//! What the functions use at rest, and for a job: `infra/prices.json` has the numbers, which
//! `docs/costs.md` turns into dollars.

use dayfly_records::event::{Conclusion, Event};
use dayfly_records::{Delivery, Record};
use dayfly_types::ids::{DeliveryId, JobId};
use dayfly_world::{Units, byte_days};

use crate::stage::{Call, RUN, Stage};

/// Returns the usage so far: invocations, events, and read and write units.
fn used(stage: &Stage) -> [usize; 4] {
    let Units { reads, writes } = stage.world.table().used();
    [stage.invocations(), stage.world.calls("publish"), reads, writes]
}

/// Returns the documented usage of an act.
pub fn written(act: &str) -> serde_json::Value {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../infra/prices.json");
    let prices: serde_json::Value = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
    prices["acts"][act].clone()
}

/// Checks that `act` with its webhooks uses what is documented, or up to half less. A webhook is an
/// invocation that looks up its delivery, records it, and publishes an event.
fn uses_as_documented(name: &str, stage: &Stage, webhooks: usize, act: impl FnOnce(&Stage)) {
    let written = written(name);
    let before = used(stage);
    act(stage);
    let after = used(stage);
    let measured: Vec<usize> = after
        .iter()
        .zip(before)
        .map(|(after, before)| after - before + webhooks)
        .collect();
    let written = ["invocations", "events", "reads", "writes"].map(|what| written[what].as_u64().unwrap());
    let is_near = |(measured, written): (&usize, u64)| {
        let written = usize::try_from(written).unwrap();
        *measured <= written && written <= measured + measured / 2
    };
    assert!(
        measured.iter().zip(written).all(is_near),
        "{name}: {measured:?} invocations, events, reads and writes are used, and {written:?} are in infra/prices.json"
    );
}

#[test]
fn a_patrol_at_rest_uses_what_is_documented() {
    let stage = Stage::new();
    stage.make(Call::Patrol);
    uses_as_documented("patrol", &stage, 0, |stage| drop(stage.make(Call::Patrol)));
}

/// A job's webhooks: three of its own, and one of its run.
const WEBHOOKS: usize = 4;

/// A job from its webhook to the end of its instance.
fn job(stage: &Stage) {
    stage.world.hub().queue(RUN, JobId(11));
    stage.make(Call::Launch(Event::JobQueued(stage.job(11))));
    stage.deliver();
    let instance = stage.instance();
    let runner = stage.boot(&instance);
    for at in ["agent_up", "runner_started"] {
        let body = serde_json::json!({ "instance": instance, "stage": at, "at": stage.now(), "detail": "" });
        stage.make(Call::CheckIn(instance.clone(), "progress", body));
    }
    stage.start(runner, 11);
    stage.complete(11, Conclusion::Success);
    stage.make(Call::JobEvents(stage.run_completed()));
    let goodbye = serde_json::json!({ "instance": instance, "reason": "finished" });
    stage.make(Call::CheckIn(instance.clone(), "goodbye", goodbye));
    stage.minutes(4);
    assert_eq!(stage.left(), Vec::<String>::new());
}

#[test]
fn a_job_uses_what_is_documented() {
    let stage = Stage::new();
    uses_as_documented("job", &stage, WEBHOOKS, job);
}

#[test]
fn a_jobs_records_are_as_large_as_documented() {
    let stage = Stage::new();
    job(&stage);
    let delivery = |n: usize| {
        Record::from(Delivery {
            delivery: DeliveryId::new(format!("72d3162e-cc78-11e3-81ab-4c9367dc09{n:02}")),
            at: stage.now(),
            published: true,
        })
    };
    let deliveries: Vec<Record> = (0..WEBHOOKS).map(delivery).collect();
    let table = stage.world.table();
    let measured = byte_days(
        table.records().filter(|record| is_of_a_job(record)).chain(&deliveries),
        stage.now(),
    );
    let written = written("job")["byte_days"].as_u64().unwrap();
    assert!(
        measured <= written && written <= measured + measured / 5,
        "{measured} bytes times days are measured, and {written} are in infra/prices.json"
    );
}

/// Whether each job adds such a record: others exist once for many jobs.
fn is_of_a_job(record: &Record) -> bool {
    match record {
        Record::Delivery(_)
        | Record::Job(_)
        | Record::CheckRun(_)
        | Record::Pull(_)
        | Record::Runner(_)
        | Record::FleetCall(_)
        | Record::Instance(_)
        | Record::Run(_)
        | Record::Cost(_) => true,
        Record::Queue(_)
        | Record::QueuedRunner(_)
        | Record::Pools(_)
        | Record::Bucket(_)
        | Record::Config(_)
        | Record::Wake(_)
        | Record::Watched(_)
        | Record::Patrol(_)
        | Record::Gate(_)
        | Record::Ledger(_)
        | Record::Prices(_)
        | Record::Volumes(_) => false,
    }
}

#[test]
fn a_minute_of_a_runners_life_uses_what_is_documented() {
    let stage = Stage::new();
    stage.queue(11);
    let instance = stage.instance();
    let runner = stage.boot(&instance);
    stage.start(runner, 11);
    stage.minute();
    let minute = |stage: &Stage| {
        for _ in 0..2 {
            stage.heartbeat(&instance, "running");
        }
        stage.minute();
    };
    uses_as_documented("minute", &stage, 0, minute);
}
