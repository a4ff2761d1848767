//! Orphans: instances and GitHub registrations that no live runner owns.

use std::time::Duration;

use dayfly_records::Runner;
use dayfly_types::deadlines::Deadlines;
use dayfly_types::ids::{InstanceId, RunnerName};
use dayfly_types::time::Timestamp;

use crate::cost::costing;

/// What to do with an instance that carries this stack's tag.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OrphanCheck {
    /// A live runner owns it, or may yet.
    Owned,
    End,
    /// No record knows it, but GitHub may: end it if none of its registrations is busy.
    AskGitHub,
}

/// Decides on an instance of this stack. `runner` is the record that its tag names; `registered` says
/// that its tags name where it is registered.
#[must_use]
pub fn check_instance(
    runner: Option<&Runner>,
    instance: &InstanceId,
    registered: bool,
    age: Duration,
    deadlines: &Deadlines,
) -> OrphanCheck {
    // A younger one's launch may be under way, its result not recorded yet.
    let settled = age >= 2 * deadlines.absence;
    match runner {
        Some(runner) if runner.instance() == Some(instance) => {
            if runner.is_live() {
                OrphanCheck::Owned
            } else {
                OrphanCheck::End
            }
        }
        _ if !settled => OrphanCheck::Owned,
        None if registered && age < deadlines.lifetime => OrphanCheck::AskGitHub,
        // Its runner has, or had, another instance: this one never got a JIT config.
        Some(_) | None => OrphanCheck::End,
    }
}

/// Whether an ended instance's cost is recorded as an orphan's. `runner` is the record that its tag
/// names. A young instance's launch may not be recorded yet, and a live runner is settled with its own.
#[must_use]
pub fn is_orphan_cost(runner: Option<&Runner>, instance: &InstanceId, age: Duration, deadlines: &Deadlines) -> bool {
    match runner {
        Some(runner) if runner.instance() == Some(instance) => {
            !runner.is_live() && !costing::is_counted_with(runner, instance)
        }
        Some(_) | None => age >= 2 * deadlines.absence,
    }
}

/// Whether a runner's instance is gone although no event said so: EC2 does not list it and it is old
/// enough to be listed.
#[must_use]
pub fn has_vanished(runner: &Runner, is_listed: bool, now: Timestamp, deadlines: &Deadlines) -> bool {
    let old = runner
        .launched
        .as_ref()
        .is_some_and(|launched| now.since(launched.at) >= deadlines.absence);
    old && !is_listed && runner.is_live() && !runner.instance_ended
}

/// A runner as GitHub lists it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ListedRunner<'a> {
    /// The name it is registered under.
    pub name: &'a str,
    pub online: bool,
    pub busy: bool,
}

/// Whether a registration is an orphan: ours, offline, and not about to be used by a live runner.
/// `runner` is the record that its name leads to.
#[must_use]
pub fn is_orphan_registration(listed: ListedRunner<'_>, runner: Option<&Runner>) -> bool {
    if listed.online || listed.busy || RunnerName::from_registered(listed.name).is_none() {
        return false;
    }
    runner.is_none_or(|runner| !runner.is_live() || runner.registration(runner.mints).as_deref() != Some(listed.name))
}

#[cfg(test)]
mod tests;
