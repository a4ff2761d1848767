//! The gate in the table: runners that are gone leave it, and it is reconciled with the runners' records.

use std::collections::BTreeMap;

use dayfly_engine::gate::slots::{self, SlotHolder};
use dayfly_ports::{Bus, Store, StoreError};
use dayfly_records::event::{Event, LaunchDue};
use dayfly_records::{Change, Gate, Record, Runner, Stored};
use dayfly_types::deadlines::{Deadlines, QUEUE_LIMIT};
use dayfly_types::ids::RunnerName;
use dayfly_types::time::Timestamp;

use crate::{FlowError, commit_if_current, commit_retrying};

/// Live records read at most: more runners than there are slots, with what belongs to them.
const MAX_LIVE: usize = 20_000;

/// Runners looked up one by one per reconciliation; the rest waits for the next.
const MAX_LOOKUPS: usize = 100;

/// Takes a runner that is gone out of the gate and publishes whose turn it is then. What fails is left to
/// [`reconcile_gate`].
pub async fn leave_gate<S: Store, B: Bus>(store: &S, bus: &B, runner: &Runner, now: Timestamp) {
    if runner.gate.is_none() {
        return;
    }
    match leave(store, runner, now).await {
        Ok(called) => publish_turns(bus, called).await,
        Err(error) => {
            tracing::warn!(runner = %runner.name, %error, "a runner that is gone keeps its slot until the gate is reconciled");
        }
    }
}

async fn leave<S: Store>(store: &S, runner: &Runner, now: Timestamp) -> Result<Vec<RunnerName>, StoreError> {
    commit_retrying(store, async || {
        let Some(Stored { record, version }) = store.gate().await? else {
            return Ok((Vec::new(), Vec::new()));
        };
        Ok(match slots::leave(&record, &runner.name, now) {
            Some((next, called)) => (vec![Change::update(version, next)], called),
            None => (Vec::new(), Vec::new()),
        })
    })
    .await
}

/// Publishes that it may be the turn of these runners. One whose event is lost is called again.
pub async fn publish_turns<B: Bus>(bus: &B, called: Vec<RunnerName>) {
    for runner in called {
        let Some(key) = runner.job() else { continue };
        let due = LaunchDue {
            key,
            runner: Some(runner),
        };
        if let Err(error) = bus.publish(&Event::LaunchDue(due)).await {
            tracing::warn!(job = %key, %error, "a job whose turn it is launches once the gate is reconciled");
        }
    }
}

/// Loads the live runners as the gate sees them. The index of due records may lag behind.
///
/// # Errors
/// The table does not answer.
pub async fn load_slot_holders<S: Store>(
    store: &S,
    now: Timestamp,
    deadlines: &Deadlines,
) -> Result<Vec<SlotHolder>, StoreError> {
    let live = load_live_runners(store, now, deadlines).await?;
    Ok(live.values().filter_map(slots::slot_of).collect())
}

/// Loads the runners that live, or are gone and not settled. The index of due records may lag behind.
///
/// # Errors
/// The table does not answer.
pub async fn load_live_runners<S: Store>(
    store: &S,
    now: Timestamp,
    deadlines: &Deadlines,
) -> Result<BTreeMap<RunnerName, Runner>, StoreError> {
    // Every live record is due by then.
    let horizon = now.after(2 * deadlines.lifetime + QUEUE_LIMIT);
    let live = store.due(horizon, MAX_LIVE).await?;
    let runners = live.into_iter().filter_map(|stored| match stored.record {
        Record::Runner(runner) => Some((runner.name.clone(), *runner)),
        _ => None,
    });
    Ok(runners.collect())
}

/// Reconciles the gate with the runners' records, and publishes whose turn it is.
///
/// # Errors
/// The table does not answer. The gate stays due.
pub async fn reconcile_gate<S: Store, B: Bus>(
    store: &S,
    bus: &B,
    now: Timestamp,
    deadlines: &Deadlines,
) -> Result<(), FlowError> {
    let Some(Stored { record, version }) = store.gate().await? else {
        return Ok(());
    };
    let index = load_live_runners(store, now, deadlines).await?;
    let (mut stale, mut living) = (Vec::new(), Vec::new());
    for name in mismatches(&record, &index).into_iter().take(MAX_LOOKUPS) {
        let runner = store.runner(&name).await?.map(|stored| stored.record);
        if slots::is_stale(runner.as_ref()) {
            stale.push(name);
        } else {
            living.extend(runner.as_ref().and_then(slots::slot_of));
        }
    }
    let has_slot = |one: &SlotHolder| slot_of(&record, &one.name).is_some();
    living.extend(index.values().filter_map(slots::slot_of).filter(has_slot));
    living.retain(|one| !stale.contains(&one.name));
    let (next, called) = slots::reconcile(&record, &stale, &living, now);
    // After a conflict, as with a runner that just passed, the gate is still due.
    if commit_if_current(store, vec![Change::update(version, next)]).await? {
        tracing::info!(?stale, call = ?called, "reconciled the gate");
        publish_turns(bus, called).await;
    }
    Ok(())
}

/// Returns the runners on which gate and index differ. The index may lag behind.
fn mismatches(gate: &Gate, index: &BTreeMap<RunnerName, Runner>) -> Vec<RunnerName> {
    let stale = slots::names(gate)
        .into_iter()
        .filter(|name| slots::is_stale(index.get(*name)))
        .cloned();
    let missing = index
        .values()
        .filter_map(slots::slot_of)
        .filter(|one| slot_of(gate, &one.name).is_none())
        .map(|one| one.name);
    stale.chain(missing).collect()
}

fn slot_of(gate: &Gate, runner: &RunnerName) -> Option<u32> {
    let lines = gate.repositories.values();
    lines.filter_map(|line| line.slots.get(runner)).copied().next()
}
