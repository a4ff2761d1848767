//! What becomes of the gate, and of those who are at it: who may be launched, who waits and is told
//! so, and who is called because it is his turn.

use std::collections::BTreeSet;
use std::time::Duration;

use dayfly_config::machines::Table;
use dayfly_config::quota;
use dayfly_policy::{Limits, Refused};
use dayfly_records::{CheckContent, CheckRun, Gate, LaunchPlan, Line, Runner, RunnerState, Turn, Waiter};
use dayfly_types::deadlines::{Deadlines, TAKE_OVER};
use dayfly_types::ids::{InstanceType, Repository, RunnerName};
use dayfly_types::time::Timestamp;

use crate::outcome::Recorded;
use crate::turns::{self, LastTurns, Queued, Running, Turns, Wanted};

/// How many have a place at most, in a stack whose policy has limits: the record must stay small.
pub const MOST_PLACES: u32 = 1000;

/// How many wait in the record at most. Of more, those of the repository with the most of them ask again
/// later, the last that came first, so that no repository keeps another out.
pub const MOST_WAITING: usize = 400;

/// How many repositories are remembered for their last turn alone.
const MOST_REMEMBERED: usize = 100;

/// How many are called at once.
const MOST_CALLS: usize = 25;

/// How many are called at once because there is something new to tell them.
const MOST_NEWS: usize = 5;

/// Nobody is called again sooner: he is at it, or it got lost.
const CALL_AGAIN: Duration = TAKE_OVER;

/// How often the gate is looked after while somebody waits.
const LOOK_WAITING: Duration = Duration::from_mins(2);

/// How often it is while somebody has a place.
const LOOK_PLACES: Duration = Duration::from_mins(10);

/// Nobody is told of another place in the queue sooner: few are the words that GitHub takes.
const TELL_AGAIN: Duration = Duration::from_mins(5);

/// How long whoever is not called waits before he asks by himself, and up to a half longer.
const ASK_AGAIN: Duration = Duration::from_mins(20);

/// Those who asked, and what becomes of each.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Passed {
    /// The gate then.
    pub gate: Gate,
    /// Those who may be launched. Each has a place, if there are limits.
    pub go: BTreeSet<RunnerName>,
    /// Those who wait, with what they are told.
    pub wait: Vec<Queued<RunnerName>>,
    /// Those whose turn can never come.
    pub never: Vec<(RunnerName, Refused)>,
    /// Others whose turn it is, to be called.
    pub call: Vec<RunnerName>,
}

/// Lets those in who ask and whose turn it is, `most` of them at once. One whose turn it is and who is not
/// among them is in none of the lists, and asks again at once.
#[must_use]
pub fn pass(known: &Gate, limits: &Limits, asking: &[Wanted<RunnerName>], most: usize, now: Timestamp) -> Passed {
    let mut next = known.clone();
    next.limits = *limits;
    for one in asking {
        wait_in_line(&mut next, one);
    }
    let names: BTreeSet<&RunnerName> = asking.iter().map(|one| &one.id).collect();
    let Turns {
        next: turn,
        queued,
        never,
    } = turns_at(&next);
    let mut go = BTreeSet::new();
    for name in turn.iter().filter(|name| names.contains(name)).take(most) {
        take_place(&mut next, name, now);
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
        tell(&mut next, one, now);
    }
    tidy(&mut next, known.due_at, now);
    Passed {
        gate: next,
        go,
        wait,
        never,
        call,
    }
}

/// Takes a runner out whose life is over. Nothing if it is not in.
#[must_use]
pub fn leave(known: &Gate, runner: &RunnerName, now: Timestamp) -> Option<(Gate, Vec<RunnerName>)> {
    let mut next = known.clone();
    if !remove(&mut next, runner) {
        return None;
    }
    let turns = turns_at(&next);
    let call = call(&mut next, turns.next, now);
    tidy(&mut next, known.due_at, now);
    Some((next, call))
}

/// A runner that lives, as its record has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seen {
    /// Its name.
    pub name: RunnerName,
    /// Its repository.
    pub repository: Repository,
    /// Its vCPUs.
    pub vcpus: u32,
}

/// What a runner's record says of its place; nothing if it has none and needs none.
#[must_use]
pub fn seen(runner: &Runner) -> Option<Seen> {
    let asked_for = runner.launched.is_some() || runner.fleet.is_some();
    let is_next = runner.state == RunnerState::Requested && matches!(runner.turn, Some(Turn::Has { .. }));
    let lives = runner.is_live() && !runner.instance_ended && (asked_for || is_next);
    (lives && runner.message.is_none()).then(|| Seen {
        name: runner.name.clone(),
        repository: runner.repository.clone(),
        vcpus: vcpus_of(runner),
    })
}

/// Whether a runner's record shows that it is in the gate for nothing: it has had its place, or
/// needs none any more.
#[must_use]
pub fn is_stale(runner: Option<&Runner>) -> bool {
    let Some(runner) = runner else { return true };
    let waits = runner.state == RunnerState::Requested;
    !waits && seen(runner).is_none()
}

/// Whether all who live have their places there: the policy was the same when somebody last passed, and
/// not all have left since.
#[must_use]
pub fn is_kept(gate: &Gate, limits: &Limits) -> bool {
    let somebody = gate.lines.values().any(|line| !line.places.is_empty());
    gate.limits == *limits && somebody || !limits.any()
}

/// Gives a place to each who lives and has none there: it was launched under no limits, or the record of
/// the places was lost.
#[must_use]
pub fn counted(known: &Gate, living: &[Seen]) -> Gate {
    let mut next = known.clone();
    for one in living {
        let line = next.lines.entry(one.repository.clone()).or_default();
        line.waiting.remove(&one.name);
        line.places.insert(one.name.clone(), one.vcpus);
    }
    next
}

/// Looks after the gate: those who are in it for nothing go, those who live and are not have their
/// places, and those are called whose turn it is, or for whom there is news. The first of those who wait is
/// called in any case, for what he asks with is the policy as it is now.
#[must_use]
pub fn look_after(known: &Gate, stale: &[RunnerName], living: &[Seen], now: Timestamp) -> (Gate, Vec<RunnerName>) {
    let mut next = counted(known, living);
    for name in stale {
        remove(&mut next, name);
    }
    let turns = turns_at(&next);
    let has_news = |one: &&Queued<RunnerName>| match waiter(&next, &one.id).and_then(|waiter| waiter.told) {
        Some((place, at)) => place != one.place && now.since(at) >= TELL_AGAIN,
        None => true,
    };
    let mut wanted: Vec<RunnerName> = turns.next;
    wanted.extend(turns.never.into_iter().map(|(name, _)| name));
    wanted.extend(turns.queued.first().map(|one| one.id.clone()));
    let news = turns.queued.iter().skip(1).filter(has_news).take(MOST_NEWS);
    wanted.extend(news.map(|one| one.id.clone()));
    let call = call(&mut next, wanted, now);
    tidy(&mut next, None, now);
    (next, call)
}

/// The names of all who are in it.
#[must_use]
pub fn names(gate: &Gate) -> BTreeSet<&RunnerName> {
    let lines = gate.lines.values();
    lines
        .flat_map(|line| line.places.keys().chain(line.waiting.keys()))
        .collect()
}

/// The runner as it asks for its place, among those who ask.
#[must_use]
pub fn asks(runner: &Runner) -> Wanted<RunnerName> {
    Wanted {
        id: runner.name.clone(),
        repository: runner.repository.clone(),
        vcpus: most_vcpus(&runner.plan),
        since: runner.requested_at,
    }
}

/// The runner once it has its place. A launch that is given up for want of an instance was tried from now
/// on.
#[must_use]
pub fn placed(mut runner: Runner, now: Timestamp) -> Runner {
    runner.turn = Some(Turn::Has {
        vcpus: most_vcpus(&runner.plan),
        since: now,
    });
    runner
}

/// Whether a runner must have a place before it is launched, and has none.
#[must_use]
pub fn needs_place(runner: &Runner) -> bool {
    runner.message.is_none() && !matches!(runner.turn, Some(Turn::Has { .. }))
}

/// Whether a runner is on its way to the gate, or in it, whatever the policy says now.
#[must_use]
pub fn is_at_it(runner: &Runner) -> bool {
    matches!(runner.turn, Some(Turn::Waits | Turn::Asks))
}

/// A runner whose turn it is not.
#[must_use]
pub fn wait(mut runner: Runner, queued: &Queued<RunnerName>, now: Timestamp, deadlines: &Deadlines) -> Recorded {
    if runner.state != RunnerState::Requested || !needs_place(&runner) {
        // It has moved on since it asked.
        return Recorded::of(runner);
    }
    runner.turn = Some(Turn::Waits);
    runner.launch_due = now.after(ask_again(&runner.name));
    runner.due_at = runner.next_look(deadlines);
    let content = CheckContent::Queued {
        place: queued.place,
        of: queued.of,
        words: queued.words(),
    };
    Recorded {
        content: Some(content),
        ..Recorded::of(runner)
    }
}

/// Whether something else is to be said of a job than what is said of it. That it waits at another place
/// is, but not every moment.
#[must_use]
pub fn is_news(known: Option<&CheckRun>, content: &CheckContent, now: Timestamp) -> bool {
    let Some(known) = known else { return true };
    match (&known.content, content) {
        (CheckContent::Queued { place, .. }, CheckContent::Queued { place: other, .. }) => {
            place != other && now.since(known.since) >= TELL_AGAIN
        }
        _ => true,
    }
}

/// The most vCPUs that an instance of the plan has.
fn most_vcpus(plan: &LaunchPlan) -> u32 {
    let types = plan.options().flat_map(|option| &option.spec.instance_types);
    types.map(vcpus).max().unwrap_or_default()
}

/// What a runner has, once it has an instance.
fn vcpus_of(runner: &Runner) -> u32 {
    runner
        .launched
        .as_ref()
        .map_or_else(|| most_vcpus(&runner.plan), |launched| vcpus(&launched.instance_type))
}

/// The vCPUs of a type; of one that nobody knows, as many as the largest that is known has.
fn vcpus(instance_type: &InstanceType) -> u32 {
    let table = Table::embedded().ok();
    let known = table.and_then(|table| table.get(instance_type)).map(|one| one.vcpus);
    known
        .or_else(|| quota::vcpus(instance_type))
        .or_else(|| table?.types().iter().map(|one| one.vcpus).max())
        .unwrap_or(u32::MAX)
}

fn ask_again(runner: &RunnerName) -> Duration {
    let hash = runner
        .as_str()
        .bytes()
        .fold(0u32, |hash, byte| hash.wrapping_mul(16_777_619) ^ u32::from(byte));
    ASK_AGAIN + ASK_AGAIN * (hash % 64) / 128
}

/// The limits that are kept: whatever the policy says, only so many fit into the record.
fn kept(limits: &Limits) -> Limits {
    let mut kept = *limits;
    if limits.any() {
        kept.stack.runners = Some(limits.stack.runners.unwrap_or(MOST_PLACES).min(MOST_PLACES));
    }
    kept
}

/// Whose turn it is among those who wait there.
fn turns_at(gate: &Gate) -> Turns<RunnerName> {
    let mut running = Vec::new();
    let mut waiting = Vec::new();
    let mut last = LastTurns::new();
    for (repository, line) in &gate.lines {
        running.extend(line.places.values().map(|vcpus| Running {
            repository: repository.clone(),
            vcpus: *vcpus,
        }));
        waiting.extend(line.waiting.iter().map(|(name, waiter)| Wanted {
            id: name.clone(),
            repository: repository.clone(),
            vcpus: waiter.vcpus,
            since: waiter.since,
        }));
        if let Some(at) = line.last {
            last.insert(repository.clone(), at);
        }
    }
    turns::turns(&kept(&gate.limits), &running, &last, waiting)
}

fn wait_in_line(gate: &mut Gate, one: &Wanted<RunnerName>) {
    let line = gate.lines.entry(one.repository.clone()).or_default();
    // Should it have a place there, its own record does not know of it: it asks anew.
    line.places.remove(&one.id);
    let waiter = line.waiting.entry(one.id.clone()).or_insert(Waiter {
        vcpus: one.vcpus,
        since: one.since,
        called: None,
        told: None,
    });
    waiter.vcpus = one.vcpus;
}

fn take_place(gate: &mut Gate, runner: &RunnerName, now: Timestamp) {
    let line = gate.lines.values_mut().find(|line| line.waiting.contains_key(runner));
    let Some((line, waiter)) = line.and_then(|line| line.waiting.remove(runner).map(|waiter| (line, waiter))) else {
        return;
    };
    line.places.insert(runner.clone(), waiter.vcpus);
    line.last = Some(now);
}

/// Answers whether it was there.
fn remove(gate: &mut Gate, runner: &RunnerName) -> bool {
    gate.lines.values_mut().any(|line| {
        let waited = line.waiting.remove(runner).is_some();
        line.places.remove(runner).is_some() || waited
    })
}

fn waiter<'a>(gate: &'a Gate, runner: &RunnerName) -> Option<&'a Waiter> {
    gate.lines.values().find_map(|line| line.waiting.get(runner))
}

fn waiter_mut<'a>(gate: &'a mut Gate, runner: &RunnerName) -> Option<&'a mut Waiter> {
    gate.lines.values_mut().find_map(|line| line.waiting.get_mut(runner))
}

/// Notes that these are called, but for those who were just now. Answers whom to call.
fn call(gate: &mut Gate, wanted: Vec<RunnerName>, now: Timestamp) -> Vec<RunnerName> {
    let mut call = Vec::new();
    for name in wanted {
        let Some(waiter) = waiter_mut(gate, &name) else {
            continue;
        };
        let is_at_it = waiter.called.is_some_and(|at| now.since(at) < CALL_AGAIN);
        if !is_at_it && call.len() < MOST_CALLS {
            waiter.called = Some(now);
            call.push(name);
        }
    }
    call
}

fn tell(gate: &mut Gate, one: &Queued<RunnerName>, now: Timestamp) {
    if let Some(waiter) = waiter_mut(gate, &one.id) {
        // Whoever waits was answered: the next call is another.
        waiter.called = None;
        let stale = |(place, at): (usize, Timestamp)| place != one.place && now.since(at) >= TELL_AGAIN;
        if waiter.told.is_none_or(stale) {
            waiter.told = Some((one.place, now));
        }
    }
}

/// Keeps it small, and due as long as anybody is in it. `due_at` is when it was due before, which nobody
/// who passes puts off.
fn tidy(gate: &mut Gate, due_at: Option<Timestamp>, now: Timestamp) {
    while gate.lines.values().map(|line| line.waiting.len()).sum::<usize>() > MOST_WAITING {
        let latest = |line: &Line| line.waiting.values().map(|waiter| waiter.since).max();
        let lines = gate.lines.values_mut();
        let longest = lines.max_by_key(|line| (line.waiting.len(), latest(line)));
        let Some(line) = longest else { break };
        let last = line.waiting.iter().max_by_key(|(name, waiter)| (waiter.since, *name));
        let Some(last) = last.map(|(name, _)| name.clone()) else {
            break;
        };
        line.waiting.remove(&last);
    }
    let empty = gate.lines.iter().filter(|(_, line)| line.is_empty());
    let mut forgotten: Vec<_> = empty
        .map(|(repository, line)| (line.last, repository.clone()))
        .collect();
    forgotten.sort();
    let keep = forgotten.len().saturating_sub(MOST_REMEMBERED);
    for (index, (last, repository)) in forgotten.into_iter().enumerate() {
        if last.is_none() || index < keep {
            gate.lines.remove(&repository);
        }
    }
    let waits = gate.lines.values().any(|line| !line.waiting.is_empty());
    let lives = waits || gate.lines.values().any(|line| !line.places.is_empty());
    let fresh = now.after(if waits { LOOK_WAITING } else { LOOK_PLACES });
    gate.due_at = lives.then(|| due_at.map_or(fresh, |at| at.min(fresh)));
}

#[cfg(test)]
#[path = "gate_tests.rs"]
mod tests;
