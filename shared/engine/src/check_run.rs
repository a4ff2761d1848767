//! Whether and how a check run is said now: by a check run that is made, found or changed.

use std::time::Duration;

use dayfly_records::CheckConclusion;
use dayfly_records::CheckRun;
use dayfly_types::deadlines::{Deadlines, QUEUE_LIMIT, SAYING};
use dayfly_types::ids::CheckRunId;
use dayfly_types::time::Timestamp;

/// What to ask GitHub for, once the record says that it is being asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ask {
    /// The check run that was asked for by somebody who did not live to hear its id.
    Find,
    /// A new check run.
    Create,
    /// That this check run says it.
    Update(CheckRunId),
}

/// The next step of saying a check run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// It is said, its time has not come, or somebody is at it.
    Nothing,
    /// Record the check run, then ask.
    Ask(Box<CheckRun>, Ask),
}

/// What to do about a check run whose check run is to be concluded as `wanted`, or is to be open.
#[must_use]
pub fn step(check_run: &CheckRun, wanted: Option<CheckConclusion>, now: Timestamp) -> Step {
    let left_alone = check_run
        .held_until
        .max(check_run.not_before)
        .is_some_and(|until| until > now);
    if left_alone || check_run.due_at.is_none() {
        return Step::Nothing;
    }
    let until = now.after(SAYING);
    let mut next = CheckRun {
        held_until: Some(until),
        due_at: Some(until),
        ..check_run.clone()
    };
    let ask = match (check_run.check, check_run.concluded) {
        (Some(check), None) => Ask::Update(check),
        (Some(check), concluded) if concluded == wanted => Ask::Update(check),
        // GitHub leaves a conclusion as it is; a new check run of the same name takes its place.
        (Some(_), Some(_)) => {
            next.check = None;
            next.concluded = None;
            next.serial += 1;
            next.asked = true;
            Ask::Create
        }
        (None, _) if check_run.asked => Ask::Find,
        (None, _) => {
            next.asked = true;
            Ask::Create
        }
    };
    Step::Ask(Box::new(next), ask)
}

/// While whoever says it is told that it is due: it comes again behind what else is due, so that many
/// that nobody says keep nothing from being looked at.
#[must_use]
pub fn told(check_run: CheckRun, now: Timestamp, deadlines: &Deadlines) -> CheckRun {
    CheckRun {
        due_at: Some(now.after(deadlines.retry(1))),
        ..check_run
    }
}

/// After it was looked for: what is left to say is said next.
#[must_use]
pub fn found(held: &CheckRun, found: Option<(CheckRunId, Option<CheckConclusion>)>, now: Timestamp) -> CheckRun {
    CheckRun {
        check: found.map(|(check, _)| check),
        concluded: found.and_then(|(_, concluded)| concluded),
        asked: found.is_some(),
        held_until: None,
        due_at: Some(now),
        ..held.clone()
    }
}

/// After it was said by that check run.
#[must_use]
pub fn said(held: &CheckRun, check: CheckRunId, concluded: Option<CheckConclusion>) -> CheckRun {
    CheckRun {
        check: Some(check),
        concluded,
        held_until: None,
        tries: 0,
        not_before: None,
        due_at: None,
        ..held.clone()
    }
}

/// After something was said in place of which something else is to be said by now. Nothing if it is
/// not for us to go on with.
#[must_use]
pub fn said_meanwhile(
    newer: &CheckRun,
    held: &CheckRun,
    check: CheckRunId,
    concluded: Option<CheckConclusion>,
    now: Timestamp,
) -> Option<CheckRun> {
    (newer.held_until == held.held_until).then(|| CheckRun {
        check: Some(check),
        concluded,
        held_until: None,
        due_at: Some(now),
        ..newer.clone()
    })
}

/// Why GitHub did not do what it was asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trouble {
    /// It never will.
    Hopeless,
    /// It wants to be asked later, after so long if it said so, and has done nothing.
    Later(Option<Duration>),
    /// Nobody knows whether it has.
    Unclear,
}

/// After GitHub did not do what it was asked for: said later, or never.
#[must_use]
pub fn failed(before: &CheckRun, held: &CheckRun, trouble: Trouble, now: Timestamp, deadlines: &Deadlines) -> CheckRun {
    let mut next = CheckRun {
        held_until: None,
        tries: held.tries.saturating_add(1),
        ..held.clone()
    };
    let wait = match trouble {
        Trouble::Hopeless => None,
        // The check run that was asked for is not there, so it need not be looked for.
        Trouble::Later(wait) => {
            next.asked = before.asked && before.serial == held.serial;
            Some(wait.unwrap_or_default())
        }
        Trouble::Unclear => Some(Duration::ZERO),
    };
    let pause = deadlines.pause(next.tries, &held.key.to_string());
    // Nobody waits for words on a job any more that GitHub itself has given up by now.
    let stale = now.since(held.since) >= QUEUE_LIMIT;
    next.not_before = wait.filter(|_| !stale).map(|wait| now.after(wait.max(pause)));
    next.due_at = next.not_before;
    next
}

#[cfg(test)]
#[path = "check_run_tests.rs"]
mod tests;
