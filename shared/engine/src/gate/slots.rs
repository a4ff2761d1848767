//! The gate's slots: which runners may launch, which wait, and which are called because it is their turn.

use std::collections::BTreeSet;
use std::time::Duration;

use dayfly_config::machines::Table;
use dayfly_config::quota;
use dayfly_policy::{Limits, Refused};
use dayfly_records::{
    CheckContent, CheckRun, Gate, GateState, LaunchPlan, RepositorySlots, Runner, RunnerState, SlotRequest,
};
use dayfly_types::deadlines::TAKE_OVER;
use dayfly_types::ids::{InstanceType, Repository, RunnerName};
use dayfly_types::time::Timestamp;

use crate::gate::fair_queue::{self, LastTurns, QueuePosition, RunningLoad, Turns, WaitingRunner};

/// The slots of a stack whose policy has limits: the record must stay small.
pub const MAX_SLOTS: u32 = 1000;

/// The waiting runners that the record keeps. Beyond that, the latest of the repository with the most is
/// dropped and asks again later, so that no repository keeps another out.
pub const MAX_WAITING: usize = 400;

/// The idle repositories that are kept for the sake of their last turn.
const MAX_REMEMBERED: usize = 100;

/// The runners that are called at once.
const MAX_CALLS: usize = 25;

/// The runners that are called at once only because their place in the queue has changed.
const MAX_PLACE_UPDATES: usize = 5;

/// The pause before a runner is called again: until then it is on its way, or the call got lost.
const CALL_AGAIN: Duration = TAKE_OVER;

/// The interval of reconciliation while a runner waits.
const RECONCILE_WAITING: Duration = Duration::from_mins(2);

/// The interval of reconciliation while no runner waits but one holds a slot.
const RECONCILE_SLOTS: Duration = Duration::from_mins(10);

/// The pause between two reports of a place in the queue: GitHub takes few writes.
const REPORT_AGAIN: Duration = Duration::from_mins(5);

/// How long an uncalled runner waits until it asks by itself; up to half of it is added.
const ASK_AGAIN: Duration = Duration::from_mins(20);

/// The gate's answer to the runners that asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GateDecision {
    /// The gate after it.
    pub gate: Gate,
    /// The runners that may launch. Each holds a slot, if there are limits.
    pub go: BTreeSet<RunnerName>,
    /// The runners that wait, with the place to report.
    pub wait: Vec<QueuePosition<RunnerName>>,
    /// The runners whose turn can never come.
    pub never: Vec<(RunnerName, Refused)>,
    /// Other runners whose turn it is, to be called.
    pub call: Vec<RunnerName>,
}

/// Admits up to `most` of the asking runners whose turn it is. One whose turn it is beyond that is in
/// none of the lists and asks again at once.
#[must_use]
pub fn pass(
    known: &Gate,
    limits: &Limits,
    asking: &[WaitingRunner<RunnerName>],
    most: usize,
    now: Timestamp,
) -> GateDecision {
    let mut next = known.clone();
    next.limits = *limits;
    for one in asking {
        enqueue(&mut next, one);
    }
    let names: BTreeSet<&RunnerName> = asking.iter().map(|one| &one.id).collect();
    let Turns {
        next: turn,
        queued,
        never,
    } = turns_at(&next);
    let mut go = BTreeSet::new();
    for name in turn.iter().filter(|name| names.contains(name)).take(most) {
        take_slot(&mut next, name, now);
        go.insert(name.clone());
    }
    let (never, others_never): (Vec<_>, Vec<_>) = never.into_iter().partition(|(name, _)| names.contains(name));
    for (name, _) in &never {
        remove(&mut next, name);
    }
    let others = turn.iter().chain(others_never.iter().map(|(name, _)| name));
    let others: Vec<_> = others.filter(|name| !names.contains(name)).cloned().collect();
    let call = call(&mut next, others, now);
    let wait: Vec<_> = queued.into_iter().filter(|one| names.contains(&one.id)).collect();
    for one in &wait {
        note_report(&mut next, one, now);
    }
    prune(&mut next, known.due_at, now);
    GateDecision {
        gate: next,
        go,
        wait,
        never,
        call,
    }
}

/// Takes a runner that is gone out of the gate. Returns the gate and the runners to call, or `None` if
/// the runner was not in it.
#[must_use]
pub fn leave(known: &Gate, runner: &RunnerName, now: Timestamp) -> Option<(Gate, Vec<RunnerName>)> {
    let mut next = known.clone();
    if !remove(&mut next, runner) {
        return None;
    }
    let turns = turns_at(&next);
    let call = call(&mut next, turns.next, now);
    prune(&mut next, known.due_at, now);
    Some((next, call))
}

/// A live runner that needs a slot, by its record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SlotHolder {
    pub name: RunnerName,
    pub repository: Repository,
    pub vcpus: u32,
}

/// Returns the slot that a runner's record calls for, or `None` if it calls for none.
#[must_use]
pub fn slot_of(runner: &Runner) -> Option<SlotHolder> {
    let asked_for = runner.launched.is_some() || runner.fleet.is_some();
    let is_next = runner.state == RunnerState::Requested && matches!(runner.gate, Some(GateState::Admitted { .. }));
    let lives = runner.is_live() && !runner.instance_ended && (asked_for || is_next);
    (lives && runner.message.is_none()).then(|| SlotHolder {
        name: runner.name.clone(),
        repository: runner.repository.clone(),
        vcpus: vcpus_of(runner),
    })
}

/// Whether a runner's record shows that it no longer belongs in the gate.
#[must_use]
pub fn is_stale(runner: Option<&Runner>) -> bool {
    let Some(runner) = runner else { return true };
    let waits = runner.state == RunnerState::Requested;
    !waits && slot_of(runner).is_none()
}

/// Whether the gate knows all live runners: the limits have not changed since the last request, and it
/// has not been emptied since.
#[must_use]
pub fn is_kept(gate: &Gate, limits: &Limits) -> bool {
    let has_slots = gate.repositories.values().any(|line| !line.slots.is_empty());
    gate.limits == *limits && has_slots || !limits.any()
}

/// Returns the gate with a slot for each of these live runners. One without a slot was launched while
/// there were no limits, or the gate's record was lost.
#[must_use]
pub fn add_slots(known: &Gate, living: &[SlotHolder]) -> Gate {
    let mut next = known.clone();
    for one in living {
        let line = next.repositories.entry(one.repository.clone()).or_default();
        line.waiting.remove(&one.name);
        line.slots.insert(one.name.clone(), one.vcpus);
    }
    next
}

/// Reconciles the gate with the runners' records. Stale runners leave, live ones get their slots, and the
/// runners to call are those whose turn it is and those whose place has changed. The first in the queue
/// is always called, because its request brings the current policy.
#[must_use]
pub fn reconcile(known: &Gate, stale: &[RunnerName], living: &[SlotHolder], now: Timestamp) -> (Gate, Vec<RunnerName>) {
    let mut next = add_slots(known, living);
    for name in stale {
        remove(&mut next, name);
    }
    let turns = turns_at(&next);
    let has_moved = |one: &&QueuePosition<RunnerName>| match waiter(&next, &one.id).and_then(|waiter| waiter.reported) {
        Some((place, at)) => place != one.place && now.since(at) >= REPORT_AGAIN,
        None => true,
    };
    let mut wanted: Vec<RunnerName> = turns.next;
    wanted.extend(turns.never.into_iter().map(|(name, _)| name));
    wanted.extend(turns.queued.first().map(|one| one.id.clone()));
    let moved = turns.queued.iter().skip(1).filter(has_moved).take(MAX_PLACE_UPDATES);
    wanted.extend(moved.map(|one| one.id.clone()));
    let call = call(&mut next, wanted, now);
    prune(&mut next, None, now);
    (next, call)
}

/// Returns the names of all runners that hold or wait for a slot.
#[must_use]
pub fn names(gate: &Gate) -> BTreeSet<&RunnerName> {
    let lines = gate.repositories.values();
    lines
        .flat_map(|line| line.slots.keys().chain(line.waiting.keys()))
        .collect()
}

/// Returns a runner's request for a slot.
#[must_use]
pub fn slot_request(runner: &Runner) -> WaitingRunner<RunnerName> {
    WaitingRunner {
        id: runner.name.clone(),
        repository: runner.repository.clone(),
        vcpus: most_vcpus(&runner.plan),
        since: runner.requested_at,
    }
}

/// Returns the runner with its slot. The time limit of its launch counts from now.
#[must_use]
pub fn with_slot(mut runner: Runner, now: Timestamp) -> Runner {
    runner.gate = Some(GateState::Admitted {
        vcpus: most_vcpus(&runner.plan),
        since: now,
    });
    runner
}

/// Whether a runner lacks a slot. A messenger needs none.
#[must_use]
pub fn needs_slot(runner: &Runner) -> bool {
    runner.message.is_none() && !matches!(runner.gate, Some(GateState::Admitted { .. }))
}

/// Whether a runner waits at the gate or was called to it, whatever the policy says now.
#[must_use]
pub fn is_at_gate(runner: &Runner) -> bool {
    matches!(runner.gate, Some(GateState::Waiting | GateState::Called))
}

/// Whether `content` is worth a new report. A changed place in the queue is, but not at every moment.
#[must_use]
pub fn is_worth_reporting(known: Option<&CheckRun>, content: &CheckContent, now: Timestamp) -> bool {
    let Some(known) = known else { return true };
    match (&known.content, content) {
        (CheckContent::Queued { place, .. }, CheckContent::Queued { place: other, .. }) => {
            place != other && now.since(known.since) >= REPORT_AGAIN
        }
        _ => true,
    }
}

/// Returns the vCPUs of the largest instance type of the plan.
fn most_vcpus(plan: &LaunchPlan) -> u32 {
    let types = plan.options().flat_map(|option| &option.spec.instance_types);
    types.map(vcpus).max().unwrap_or_default()
}

/// Returns the vCPUs of a runner's instance, or before it has one the most that it may get.
fn vcpus_of(runner: &Runner) -> u32 {
    runner
        .launched
        .as_ref()
        .map_or_else(|| most_vcpus(&runner.plan), |launched| vcpus(&launched.instance_type))
}

/// Returns the vCPUs of a type. An unknown type counts as the largest known one.
fn vcpus(instance_type: &InstanceType) -> u32 {
    let table = Table::embedded().ok();
    let known = table.and_then(|table| table.get(instance_type)).map(|one| one.vcpus);
    known
        .or_else(|| quota::vcpus(instance_type))
        .or_else(|| table?.types().iter().map(|one| one.vcpus).max())
        .unwrap_or(u32::MAX)
}

/// Returns how long an uncalled runner waits, spread by its name.
pub(crate) fn ask_again(runner: &RunnerName) -> Duration {
    let hash = runner
        .as_str()
        .bytes()
        .fold(0u32, |hash, byte| hash.wrapping_mul(16_777_619) ^ u32::from(byte));
    ASK_AGAIN + ASK_AGAIN * (hash % 64) / 128
}

/// Returns the limits to apply: whatever the policy says, only `MAX_SLOTS` fit into the record.
fn effective_limits(limits: &Limits) -> Limits {
    let mut effective = *limits;
    if limits.any() {
        effective.stack.runners = Some(limits.stack.runners.unwrap_or(MAX_SLOTS).min(MAX_SLOTS));
    }
    effective
}

fn turns_at(gate: &Gate) -> Turns<RunnerName> {
    let mut running = Vec::new();
    let mut waiting = Vec::new();
    let mut last = LastTurns::new();
    for (repository, line) in &gate.repositories {
        running.extend(line.slots.values().map(|vcpus| RunningLoad {
            repository: repository.clone(),
            vcpus: *vcpus,
        }));
        waiting.extend(line.waiting.iter().map(|(name, waiter)| WaitingRunner {
            id: name.clone(),
            repository: repository.clone(),
            vcpus: waiter.vcpus,
            since: waiter.since,
        }));
        if let Some(at) = line.last_turn_at {
            last.insert(repository.clone(), at);
        }
    }
    fair_queue::turns(&effective_limits(&gate.limits), &running, &last, waiting)
}

fn enqueue(gate: &mut Gate, one: &WaitingRunner<RunnerName>) {
    let line = gate.repositories.entry(one.repository.clone()).or_default();
    // A slot that the runner's own record does not know of is requested again.
    line.slots.remove(&one.id);
    let waiter = line.waiting.entry(one.id.clone()).or_insert(SlotRequest {
        vcpus: one.vcpus,
        since: one.since,
        called_at: None,
        reported: None,
    });
    waiter.vcpus = one.vcpus;
}

fn take_slot(gate: &mut Gate, runner: &RunnerName, now: Timestamp) {
    let line = gate
        .repositories
        .values_mut()
        .find(|line| line.waiting.contains_key(runner));
    let Some((line, waiter)) = line.and_then(|line| line.waiting.remove(runner).map(|waiter| (line, waiter))) else {
        return;
    };
    line.slots.insert(runner.clone(), waiter.vcpus);
    line.last_turn_at = Some(now);
}

/// Returns whether the runner was in the gate.
fn remove(gate: &mut Gate, runner: &RunnerName) -> bool {
    gate.repositories.values_mut().any(|line| {
        let waited = line.waiting.remove(runner).is_some();
        line.slots.remove(runner).is_some() || waited
    })
}

fn waiter<'a>(gate: &'a Gate, runner: &RunnerName) -> Option<&'a SlotRequest> {
    gate.repositories.values().find_map(|line| line.waiting.get(runner))
}

fn waiter_mut<'a>(gate: &'a mut Gate, runner: &RunnerName) -> Option<&'a mut SlotRequest> {
    gate.repositories
        .values_mut()
        .find_map(|line| line.waiting.get_mut(runner))
}

/// Notes these runners as called and returns them, without those that were called just now.
fn call(gate: &mut Gate, wanted: Vec<RunnerName>, now: Timestamp) -> Vec<RunnerName> {
    let mut call = Vec::new();
    for name in wanted {
        let Some(waiter) = waiter_mut(gate, &name) else {
            continue;
        };
        let was_called = waiter.called_at.is_some_and(|at| now.since(at) < CALL_AGAIN);
        if !was_called && call.len() < MAX_CALLS {
            waiter.called_at = Some(now);
            call.push(name);
        }
    }
    call
}

fn note_report(gate: &mut Gate, one: &QueuePosition<RunnerName>, now: Timestamp) {
    if let Some(waiter) = waiter_mut(gate, &one.id) {
        // It has its answer, so it may be called again.
        waiter.called_at = None;
        let stale = |(place, at): (usize, Timestamp)| place != one.place && now.since(at) >= REPORT_AGAIN;
        if waiter.reported.is_none_or(stale) {
            waiter.reported = Some((one.place, now));
        }
    }
}

/// Keeps the record small, and due while a runner is in it. A request never postpones `due_at`, the time
/// at which it was due before.
fn prune(gate: &mut Gate, due_at: Option<Timestamp>, now: Timestamp) {
    while gate.repositories.values().map(|line| line.waiting.len()).sum::<usize>() > MAX_WAITING {
        let latest = |line: &RepositorySlots| line.waiting.values().map(|waiter| waiter.since).max();
        let lines = gate.repositories.values_mut();
        let longest = lines.max_by_key(|line| (line.waiting.len(), latest(line)));
        let Some(line) = longest else { break };
        let last = line.waiting.iter().max_by_key(|(name, waiter)| (waiter.since, *name));
        let Some(last) = last.map(|(name, _)| name.clone()) else {
            break;
        };
        line.waiting.remove(&last);
    }
    let empty = gate.repositories.iter().filter(|(_, line)| line.is_empty());
    let mut forgotten: Vec<_> = empty
        .map(|(repository, line)| (line.last_turn_at, repository.clone()))
        .collect();
    forgotten.sort();
    let keep = forgotten.len().saturating_sub(MAX_REMEMBERED);
    for (index, (last, repository)) in forgotten.into_iter().enumerate() {
        if last.is_none() || index < keep {
            gate.repositories.remove(&repository);
        }
    }
    let waits = gate.repositories.values().any(|line| !line.waiting.is_empty());
    let lives = waits || gate.repositories.values().any(|line| !line.slots.is_empty());
    let fresh = now.after(if waits { RECONCILE_WAITING } else { RECONCILE_SLOTS });
    gate.due_at = lives.then(|| due_at.map_or(fresh, |at| at.min(fresh)));
}

#[cfg(test)]
mod tests;
