//! What the functions use while nothing happens, and for a job: `infra/prices.json` has the numbers, of which
//! `docs/costs.md` makes dollars.

use dayfly_core::event::{Conclusion, Event};
use dayfly_world::Units;

use crate::stage::{Call, Stage};

/// What was used so far: invocations, events, and units of reading and writing.
fn used(stage: &Stage) -> [usize; 4] {
    let Units { reads, writes } = stage.world.table().used();
    [stage.invocations(), stage.world.calls("publish"), reads, writes]
}

/// What `act` and these webhooks use is what is written down, or up to a half less. A webhook is an invocation
/// that looks whether its delivery is known, writes it down, and publishes an event.
fn is_as_written(name: &str, stage: &Stage, webhooks: usize, act: impl FnOnce(&Stage)) {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../infra/prices.json");
    let prices: serde_json::Value = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
    let written = &prices["acts"][name];
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
fn a_patrol_of_a_stack_at_rest_uses_what_is_written_down() {
    let stage = Stage::new();
    stage.make(Call::Patrol);
    is_as_written("patrol", &stage, 0, |stage| drop(stage.make(Call::Patrol)));
}

#[test]
fn a_job_uses_what_is_written_down() {
    let stage = Stage::new();
    let job = |stage: &Stage| {
        stage.world.hub().queue(crate::stage::RUN, dayfly_core::ids::JobId(11));
        stage.make(Call::Launch(Event::JobQueued(stage.job(11))));
        stage.deliver();
        let instance = stage.instance();
        let runner = stage.boot(&instance);
        for at in ["agent_up", "listening"] {
            let body = serde_json::json!({ "instance": instance, "stage": at, "at": stage.now(), "detail": "" });
            stage.make(Call::CheckIn(instance.clone(), "progress", body));
        }
        stage.start(runner, 11);
        stage.complete(11, Conclusion::Success);
        stage.make(Call::Settle(stage.run_completed()));
        let goodbye = serde_json::json!({ "instance": instance, "reason": "finished" });
        stage.make(Call::CheckIn(instance.clone(), "goodbye", goodbye));
        stage.minutes(4);
        assert_eq!(stage.left(), Vec::<String>::new());
    };
    // Its own three, and that of its run.
    is_as_written("job", &stage, 4, job);
}

#[test]
fn a_minute_of_a_runners_life_uses_what_is_written_down() {
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
    is_as_written("minute", &stage, 0, minute);
}
