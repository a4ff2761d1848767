//! The gate in the table: whoever is gone leaves it, and it is looked after.

use std::collections::BTreeMap;

use dayfly_engine::gate::{self, Seen};
use dayfly_ports::{Bus, Store, StoreError};
use dayfly_records::event::{Event, LaunchDue};
use dayfly_records::{Change, Gate, Record, Runner, Stored};
use dayfly_types::deadlines::{Deadlines, QUEUE_LIMIT};
use dayfly_types::ids::RunnerName;
use dayfly_types::time::Timestamp;

use crate::{FlowError, MAX_CONFLICTS};

/// How many live records are looked at: more runners than have a place, with what belongs to them.
const MAX_LIVE: usize = 20_000;

/// How many records are looked up one by one at a time: what is left over is looked up the next time.
const MAX_LOOKUPS: usize = 100;

/// Takes a runner out that is gone, and calls those whose turn it is then. What fails is left to whoever
/// looks after the gate.
pub async fn leave_gate<S: Store, B: Bus>(store: &S, bus: &B, runner: &Runner, now: Timestamp) {
    if runner.turn.is_none() {
        return;
    }
    match leave(store, runner, now).await {
        Ok(next) => call_to_gate(bus, next).await,
        Err(error) => {
            tracing::warn!(runner = %runner.name, %error, "a runner that is gone keeps its place until the gate is looked after");
        }
    }
}

async fn leave<S: Store>(store: &S, runner: &Runner, now: Timestamp) -> Result<Vec<RunnerName>, StoreError> {
    for _ in 0..MAX_CONFLICTS {
        let Some(Stored { record, version }) = store.gate().await? else {
            return Ok(Vec::new());
        };
        let Some((next, call)) = gate::leave(&record, &runner.name, now) else {
            return Ok(Vec::new());
        };
        match store.commit(vec![Change::update(version, next)]).await {
            Err(StoreError::Conflict) => {}
            done => return done.map(|()| call),
        }
    }
    Err(StoreError::Conflict)
}

/// Tells those who were called that it may be their turn. One that is not reached is called again.
pub async fn call_to_gate<B: Bus>(bus: &B, called: Vec<RunnerName>) {
    for runner in called {
        let Some(key) = runner.job() else { continue };
        let due = LaunchDue {
            key,
            runner: Some(runner),
        };
        if let Err(error) = bus.publish(&Event::LaunchDue(due)).await {
            tracing::warn!(job = %key, %error, "a job whose turn it is learns of it when the gate is looked after");
        }
    }
}

/// The runners that live, as far as the index of what is due shows them, which may lag behind.
///
/// # Errors
/// If the table does not answer.
pub async fn count_living<S: Store>(store: &S, now: Timestamp, deadlines: &Deadlines) -> Result<Vec<Seen>, StoreError> {
    let living = living(store, now, deadlines).await?;
    Ok(living.values().filter_map(gate::seen).collect())
}

/// The runners that live, or have lived and are not settled, as far as the index of what is due shows them.
///
/// # Errors
/// If the table does not answer.
pub async fn living<S: Store>(
    store: &S,
    now: Timestamp,
    deadlines: &Deadlines,
) -> Result<BTreeMap<RunnerName, Runner>, StoreError> {
    // Whatever lives is due one day.
    let one_day = now.after(2 * deadlines.lifetime + QUEUE_LIMIT);
    let live = store.due(one_day, MAX_LIVE).await?;
    let runners = live.into_iter().filter_map(|stored| match stored.record {
        Record::Runner(runner) => Some((runner.name.clone(), *runner)),
        _ => None,
    });
    Ok(runners.collect())
}

/// Looks after the gate: compares it with the runners' records, and calls those whose turn it is.
///
/// # Errors
/// If the table does not answer. It stays due.
pub async fn look_after_gate<S: Store, B: Bus>(
    store: &S,
    bus: &B,
    now: Timestamp,
    deadlines: &Deadlines,
) -> Result<(), FlowError> {
    let Some(Stored { record, version }) = store.gate().await? else {
        return Ok(());
    };
    let index = living(store, now, deadlines).await?;
    let (mut stale, mut living) = (Vec::new(), Vec::new());
    for suspect in suspects(&record, &index).into_iter().take(MAX_LOOKUPS) {
        let runner = store.runner(&suspect).await?.map(|stored| stored.record);
        if gate::is_stale(runner.as_ref()) {
            stale.push(suspect);
        } else {
            living.extend(runner.as_ref().and_then(gate::seen));
        }
    }
    let has_place = |one: &Seen| place_of(&record, &one.name).is_some();
    living.extend(index.values().filter_map(gate::seen).filter(has_place));
    living.retain(|one| !stale.contains(&one.name));
    let (next, call) = gate::look_after(&record, &stale, &living, now);
    match store.commit(vec![Change::update(version, next)]).await {
        // Somebody has just passed. It is due still.
        Err(StoreError::Conflict) => return Ok(()),
        done => done?,
    }
    tracing::info!(?stale, ?call, "looked after the gate");
    call_to_gate(bus, call).await;
    Ok(())
}

/// Those of whom the index says something else than the gate. It may lag behind.
fn suspects(gate: &Gate, index: &BTreeMap<RunnerName, Runner>) -> Vec<RunnerName> {
    let there = gate::names(gate)
        .into_iter()
        .filter(|name| gate::is_stale(index.get(*name)))
        .cloned();
    let missing = index
        .values()
        .filter_map(gate::seen)
        .filter(|one| place_of(gate, &one.name).is_none())
        .map(|one| one.name);
    there.chain(missing).collect()
}

fn place_of(gate: &Gate, runner: &RunnerName) -> Option<u32> {
    let lines = gate.lines.values();
    lines.filter_map(|line| line.places.get(runner)).copied().next()
}
