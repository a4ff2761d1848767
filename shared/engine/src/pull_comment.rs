//! Publishing a pull request's comment. There is never more than one: its creation is recorded before the call, and
//! after a recorded creation the comment is looked for before another is created.

use std::time::Duration;

use dayfly_records::{PullReport, TokenRequest};
use dayfly_types::deadlines::{Deadlines, PUBLISH_LEASE, QUEUE_LIMIT};
use dayfly_types::ids::CommentId;
use dayfly_types::time::Timestamp;

use crate::check_run::WriteFailure;

/// The writes of content that a comment leaves to check runs, which people may wait for.
const LEFT_TO_CHECKS: u32 = 50;

/// The call to GitHub, made after the record says so.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CommentCall {
    /// Look for the comment that may exist under an unknown id.
    Find,
    Create,
    Update(CommentId),
}

/// The next step of publishing a comment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CommentStep {
    /// It is published, held by another or not due yet.
    Nothing,
    /// Record this, then make the call.
    Call(Box<PullReport>, CommentCall),
}

/// Decides on the comment of a pull request.
#[must_use]
pub fn step(report: &PullReport, now: Timestamp) -> CommentStep {
    let is_held = report
        .held_until
        .max(report.not_before)
        .is_some_and(|until| until > now);
    if is_held || report.removed || report.due_at.is_none() {
        return CommentStep::Nothing;
    }
    let call = match report.comment {
        Some(comment) => CommentCall::Update(comment),
        None if report.may_exist => CommentCall::Find,
        None => CommentCall::Create,
    };
    let until = now.after(PUBLISH_LEASE);
    let next = PullReport {
        may_exist: true,
        held_until: Some(until),
        due_at: Some(until),
        ..report.clone()
    };
    CommentStep::Call(Box::new(next), call)
}

/// Returns the kind of token that a comment needs.
#[must_use]
pub fn token_request() -> TokenRequest {
    TokenRequest::Now {
        leaving: LEFT_TO_CHECKS,
    }
}

/// Makes a comment due again behind others, while the reporter has its event.
#[must_use]
pub fn deferred(report: PullReport, now: Timestamp, deadlines: &Deadlines) -> PullReport {
    PullReport {
        due_at: Some(now.after(deadlines.retry(1))),
        ..report
    }
}

/// Returns the report after the search for its comment. The rest is published next.
#[must_use]
pub fn found(held: &PullReport, found: Option<CommentId>, now: Timestamp) -> PullReport {
    PullReport {
        comment: found,
        may_exist: found.is_some(),
        held_until: None,
        due_at: Some(now),
        ..held.clone()
    }
}

/// Returns the report after its publication.
#[must_use]
pub fn published(held: &PullReport, comment: CommentId, now: Timestamp) -> PullReport {
    PullReport {
        comment: Some(comment),
        held_until: None,
        tries: 0,
        not_before: None,
        published_at: Some(now),
        due_at: None,
        ..held.clone()
    }
}

/// Returns the newer report after the publication of an older one, or `None` if another holds it now.
#[must_use]
pub fn published_meanwhile(
    newer: &PullReport,
    held: &PullReport,
    comment: CommentId,
    now: Timestamp,
) -> Option<PullReport> {
    (newer.held_until == held.held_until).then(|| PullReport {
        comment: Some(comment),
        held_until: None,
        published_at: Some(now),
        due_at: Some(now),
        ..newer.clone()
    })
}

/// Returns the report after GitHub did not find the comment: a person has deleted it and wants none. Newer content is
/// not published either.
#[must_use]
pub fn removed(report: &PullReport) -> PullReport {
    PullReport {
        removed: true,
        held_until: None,
        not_before: None,
        due_at: None,
        ..report.clone()
    }
}

/// Returns the report after a failed write: to be retried, or left until there is newer content.
#[must_use]
pub fn failed(
    before: &PullReport,
    held: &PullReport,
    failure: WriteFailure,
    now: Timestamp,
    deadlines: &Deadlines,
) -> PullReport {
    let tries = held.tries.saturating_add(1);
    let wait = match failure {
        WriteFailure::Permanent => None,
        WriteFailure::Later(wait) => Some(wait.unwrap_or_default()),
        WriteFailure::Unclear => Some(Duration::ZERO),
    };
    let pause = deadlines.jittered_retry(tries, &format!("{}#{}", held.repository, held.pull));
    let stale = now.since(held.since) >= QUEUE_LIMIT;
    let again = wait.filter(|_| !stale).map(|wait| now.after(wait.max(pause)));
    PullReport {
        // A refused comment does not exist, so it need not be looked for.
        may_exist: before.may_exist || failure == WriteFailure::Unclear,
        held_until: None,
        tries,
        not_before: again,
        due_at: again,
        ..held.clone()
    }
}

/// Postpones a comment that GitHub takes no write of for so long.
#[must_use]
pub fn defer(report: &PullReport, wait: Duration, now: Timestamp) -> PullReport {
    let at = Some(now.after(wait));
    PullReport {
        held_until: None,
        not_before: at,
        due_at: at,
        ..report.clone()
    }
}

#[cfg(test)]
mod tests;
