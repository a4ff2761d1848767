//! Publishing a check run: by creating it, finding it or updating it.

pub mod combined;

use std::time::Duration;

use dayfly_records::CheckConclusion;
use dayfly_records::CheckRun;
use dayfly_types::deadlines::{Deadlines, PUBLISH_LEASE, QUEUE_LIMIT};
use dayfly_types::ids::CheckRunId;
use dayfly_types::time::Timestamp;

/// The call to GitHub, made after the record says so.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CheckRunCall {
    /// Look for the check run that an earlier call may have created before a crash.
    Find,
    Create,
    Update(CheckRunId),
}

/// The next step of publishing a check run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CheckRunStep {
    /// It is published, held by another or not due yet.
    Nothing,
    /// Record this, then make the call.
    Call(Box<CheckRun>, CheckRunCall),
}

/// Decides on a check run that is to be concluded as `wanted`, or to be open.
#[must_use]
pub fn step(check_run: &CheckRun, wanted: Option<CheckConclusion>, now: Timestamp) -> CheckRunStep {
    let is_held = check_run
        .held_until
        .max(check_run.not_before)
        .is_some_and(|until| until > now);
    if is_held || check_run.due_at.is_none() {
        return CheckRunStep::Nothing;
    }
    let until = now.after(PUBLISH_LEASE);
    let mut next = CheckRun {
        held_until: Some(until),
        due_at: Some(until),
        ..check_run.clone()
    };
    let call = match (check_run.check, check_run.concluded) {
        (Some(check), None) => CheckRunCall::Update(check),
        (Some(check), concluded) if concluded == wanted => CheckRunCall::Update(check),
        // GitHub never changes a conclusion; a new check run of the same name takes its place.
        (Some(_), Some(_)) => {
            next.check = None;
            next.concluded = None;
            next.serial += 1;
            next.may_exist = true;
            CheckRunCall::Create
        }
        (None, _) if check_run.may_exist => CheckRunCall::Find,
        (None, _) => {
            next.may_exist = true;
            CheckRunCall::Create
        }
    };
    CheckRunStep::Call(Box::new(next), call)
}

/// Makes a check run due again behind others, while the reporter has its event: so many unpublished ones keep no other
/// from its turn.
#[must_use]
pub fn deferred(check_run: CheckRun, now: Timestamp, deadlines: &Deadlines) -> CheckRun {
    CheckRun {
        due_at: Some(now.after(deadlines.retry(1))),
        ..check_run
    }
}

/// Returns the check run after the search for it. The rest is published next.
#[must_use]
pub fn found(held: &CheckRun, found: Option<(CheckRunId, Option<CheckConclusion>)>, now: Timestamp) -> CheckRun {
    CheckRun {
        check: found.map(|(check, _)| check),
        concluded: found.and_then(|(_, concluded)| concluded),
        may_exist: found.is_some(),
        held_until: None,
        due_at: Some(now),
        ..held.clone()
    }
}

/// Returns the check run after its publication.
#[must_use]
pub fn published(held: &CheckRun, check: CheckRunId, concluded: Option<CheckConclusion>) -> CheckRun {
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

/// Returns the newer content after the publication of an older one, or `None` if another holds the check run now.
#[must_use]
pub fn published_meanwhile(
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

/// Why a write to GitHub failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WriteFailure {
    /// It can never succeed.
    Permanent,
    /// GitHub refused it for now, and may have said for how long.
    Later(Option<Duration>),
    /// It may have succeeded.
    Unclear,
}

/// Returns the check run after a failed write: to be retried, or not.
#[must_use]
pub fn failed(
    before: &CheckRun,
    held: &CheckRun,
    failure: WriteFailure,
    now: Timestamp,
    deadlines: &Deadlines,
) -> CheckRun {
    let mut next = CheckRun {
        held_until: None,
        tries: held.tries.saturating_add(1),
        ..held.clone()
    };
    let wait = match failure {
        WriteFailure::Permanent => None,
        // The refused check run does not exist, so it need not be looked for.
        WriteFailure::Later(wait) => {
            next.may_exist = before.may_exist && before.serial == held.serial;
            Some(wait.unwrap_or_default())
        }
        WriteFailure::Unclear => Some(Duration::ZERO),
    };
    let pause = deadlines.jittered_retry(next.tries, &held.key.to_string());
    // GitHub itself has given up the job by now.
    let stale = now.since(held.since) >= QUEUE_LIMIT;
    next.not_before = wait.filter(|_| !stale).map(|wait| now.after(wait.max(pause)));
    next.due_at = next.not_before;
    next
}

#[cfg(test)]
mod tests;
