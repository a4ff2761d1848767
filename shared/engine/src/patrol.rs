//! What was lost, and what nobody owns.

use std::collections::BTreeMap;
use std::time::Duration;

use dayfly_records::{Job, JobState, Patrol, Runner};
use dayfly_types::deadlines::{Deadlines, MAX_REDELIVERIES};
use dayfly_types::ids::{DeliveryId, InstanceId, Repository, RunnerName};
use dayfly_types::time::Timestamp;

use crate::costing;

/// How often patrol comes, as the template has it.
const PATROL_EVERY: Duration = Duration::from_mins(15);

/// What to do with an instance that carries this stack's tag.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Orphan {
    /// A live runner owns it, or may come to own it.
    Owned,
    /// End it.
    End,
    /// No record knows it, but GitHub may: end it if none of its registrations is busy.
    AskGitHub,
}

/// Looks at an instance of ours. `runner` is the record that its tag leads to, and `registered`
/// whether its tags say where that is registered.
#[must_use]
pub fn orphan(
    runner: Option<&Runner>,
    instance: &InstanceId,
    registered: bool,
    age: Duration,
    deadlines: &Deadlines,
) -> Orphan {
    // Its launch may be under way, and what it came to not yet recorded.
    let settled = age >= 2 * deadlines.absence;
    match runner {
        Some(runner) if runner.instance() == Some(instance) => {
            if runner.is_live() {
                Orphan::Owned
            } else {
                Orphan::End
            }
        }
        _ if !settled => Orphan::Owned,
        None if registered && age < deadlines.lifetime => Orphan::AskGitHub,
        // Its runner has, or had, another instance: this one never got a JIT config.
        Some(_) | None => Orphan::End,
    }
}

/// Whether what an instance that has ended has cost is counted with no runner. `runner` is the record that its
/// tag leads to. What its launch came to may not be recorded yet, and a live runner is settled with its own.
#[must_use]
pub fn is_nobodys_cost(runner: Option<&Runner>, instance: &InstanceId, age: Duration, deadlines: &Deadlines) -> bool {
    match runner {
        Some(runner) if runner.instance() == Some(instance) => {
            !runner.is_live() && !costing::is_counted_with(runner, instance)
        }
        Some(_) | None => age >= 2 * deadlines.absence,
    }
}

/// Whether EC2's not naming the instance of a runner proves that it is gone, although nobody said
/// so.
#[must_use]
pub fn has_vanished(runner: &Runner, named: bool, now: Timestamp, deadlines: &Deadlines) -> bool {
    let old = runner
        .launched
        .as_ref()
        .is_some_and(|launched| now.since(launched.at) >= deadlines.absence);
    old && !named && runner.is_live() && !runner.instance_ended
}

/// A runner as GitHub lists it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Listed<'a> {
    /// The name that it is registered under.
    pub name: &'a str,
    /// Whether it is connected.
    pub online: bool,
    /// Whether it runs a job.
    pub busy: bool,
}

/// Whether a registration is left over: one of ours that is not connected and that no live runner
/// is about to use. `runner` is the record that its name leads to.
#[must_use]
pub fn is_left_over(listed: Listed<'_>, runner: Option<&Runner>) -> bool {
    if listed.online || listed.busy || RunnerName::from_registered(listed.name).is_none() {
        return false;
    }
    runner.is_none_or(|runner| !runner.is_live() || runner.registration(runner.mints).as_deref() != Some(listed.name))
}

/// Where GitHub says that a job stands that may be ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// It waits for a runner.
    Queued,
    /// A runner runs it: one of ours, or not.
    Running {
        /// Whether its runner's name is one of ours.
        ours: bool,
    },
    /// It is over.
    Over,
}

/// Whether what GitHub says of a job is news to us, so that its webhook was lost. `age` is the time
/// since GitHub made the job: a young one's webhook may be under way.
#[must_use]
pub fn is_news(known: Option<&Job>, standing: Standing, age: Duration, deadlines: &Deadlines) -> bool {
    if age < deadlines.webhook {
        return false;
    }
    match (standing, known.map(|job| &job.state)) {
        (Standing::Queued | Standing::Running { ours: true }, None)
        | (Standing::Running { .. }, Some(JobState::Queued | JobState::Launching)) => true,
        (Standing::Over, Some(state)) => !matches!(state, JobState::Finished { .. }),
        (Standing::Queued | Standing::Running { .. } | Standing::Over, _) => false,
    }
}

/// A delivery that failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failed {
    /// GitHub's number of the try.
    pub number: u64,
    /// What was delivered.
    pub delivery: DeliveryId,
}

/// Which of the deliveries that failed are to be asked for again, by the number of their last try,
/// the earliest first, each with what to remember once it was asked for.
#[must_use]
pub fn redeliveries(patrol: &Patrol, mut failed: Vec<Failed>) -> Vec<(Failed, Patrol)> {
    failed.sort_by_key(|one| one.number);
    let mut known = patrol.clone();
    // What is not among the failures of late any more was delivered, or given up.
    known
        .redelivered
        .retain(|delivery, _| failed.iter().any(|one| one.delivery == *delivery));
    let mut asked = Vec::new();
    for index in 0..failed.len() {
        let one = &failed[index];
        known.deliveries_seen = known.deliveries_seen.max(one.number);
        let again_later = failed[index + 1..].iter().any(|later| later.delivery == one.delivery);
        let times = known.redelivered.get(&one.delivery).copied().unwrap_or(0);
        if again_later || times >= MAX_REDELIVERIES {
            continue;
        }
        known.redelivered.insert(one.delivery.clone(), times + 1);
        asked.push((one.clone(), known.clone()));
    }
    asked
}

/// The repositories to look at now, where they are too many for one patrol: those behind the one that was looked
/// at last, by name, and then the first again. Which there are changes from one patrol to the next, and none is
/// left out for that.
#[must_use]
pub fn next_behind<T: Clone>(
    all: &BTreeMap<Repository, T>,
    looked_at: Option<&Repository>,
    most: usize,
) -> Vec<(Repository, T)> {
    let is_behind = |name: &Repository| looked_at.is_none_or(|last| name > last);
    let behind = all.iter().filter(|(name, _)| is_behind(name));
    let again = all.iter().filter(|(name, _)| !is_behind(name));
    let next = behind.chain(again).take(most);
    next.map(|(name, of)| (name.clone(), of.clone())).collect()
}

/// Some of what there is to look at, where it is too much for one patrol: others with each, so that nothing
/// is left out for good.
#[must_use]
pub fn some_of<T>(mut all: Vec<T>, most: usize, now: Timestamp) -> Vec<T> {
    if all.len() > most {
        let patrols = now.seconds().unsigned_abs() / PATROL_EVERY.as_secs();
        let first = patrols.wrapping_mul(most as u64) % all.len() as u64;
        all.rotate_left(usize::try_from(first).unwrap_or(0));
        all.truncate(most);
    }
    all
}

#[cfg(test)]
mod tests;
