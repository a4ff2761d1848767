//! What to do about the comment of a pull request. There is never more than one: whoever asks GitHub for it
//! records that first, and whoever finds that recorded looks for the comment before another is made.

use std::time::Duration;

use dayfly_records::{PullReport, TokenTerms};
use dayfly_types::deadlines::{Deadlines, QUEUE_LIMIT, SAYING};
use dayfly_types::ids::CommentId;
use dayfly_types::time::Timestamp;

use crate::check_run::Trouble;

/// How many writes of content a comment leaves to check runs: somebody may wait for what they say.
const LEFT_TO_CHECKS: u32 = 50;

/// What to ask GitHub for, once the record says that it is being asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ask {
    /// The comment that there may be, though nobody knows its id.
    Find,
    /// A comment.
    Create,
    /// That this comment says it.
    Update(CommentId),
}

/// The next step of saying what the runs of a pull request have cost.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// It is said, its time has not come, or somebody is at it.
    Nothing,
    /// Record the report, then ask.
    Ask(Box<PullReport>, Ask),
}

/// What to do about the comment of a pull request that is due.
#[must_use]
pub fn step(report: &PullReport, now: Timestamp) -> Step {
    let left_alone = report
        .held_until
        .max(report.not_before)
        .is_some_and(|until| until > now);
    if left_alone || report.removed || report.due_at.is_none() {
        return Step::Nothing;
    }
    let ask = match report.comment {
        Some(comment) => Ask::Update(comment),
        None if report.asked => Ask::Find,
        None => Ask::Create,
    };
    let until = now.after(SAYING);
    let next = PullReport {
        asked: true,
        held_until: Some(until),
        due_at: Some(until),
        ..report.clone()
    };
    Step::Ask(Box::new(next), ask)
}

/// On what terms a comment is written.
#[must_use]
pub fn terms() -> TokenTerms {
    TokenTerms::Now {
        leaving: LEFT_TO_CHECKS,
    }
}

/// While whoever says it is told that it is due: it comes again behind what else is due.
#[must_use]
pub fn told(report: PullReport, now: Timestamp, deadlines: &Deadlines) -> PullReport {
    PullReport {
        due_at: Some(now.after(deadlines.retry(1))),
        ..report
    }
}

/// After it was looked for: what is left to say is said next.
#[must_use]
pub fn found(held: &PullReport, found: Option<CommentId>, now: Timestamp) -> PullReport {
    PullReport {
        comment: found,
        asked: found.is_some(),
        held_until: None,
        due_at: Some(now),
        ..held.clone()
    }
}

/// After that comment said it.
#[must_use]
pub fn said(held: &PullReport, comment: CommentId, now: Timestamp) -> PullReport {
    PullReport {
        comment: Some(comment),
        held_until: None,
        tries: 0,
        not_before: None,
        said_at: Some(now),
        due_at: None,
        ..held.clone()
    }
}

/// After it said something in place of which something else is to be said by now. Nothing if it is not for
/// us to go on with.
#[must_use]
pub fn said_meanwhile(newer: &PullReport, held: &PullReport, comment: CommentId, now: Timestamp) -> Option<PullReport> {
    (newer.held_until == held.held_until).then(|| PullReport {
        comment: Some(comment),
        held_until: None,
        said_at: Some(now),
        due_at: Some(now),
        ..newer.clone()
    })
}

/// After GitHub said that the comment is not there any more: a person has deleted it, and wants none.
/// Whatever else was to be said by now is not said either.
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

/// After GitHub did not do what it was asked for: said later, or not before there is something else to say.
#[must_use]
pub fn failed(
    before: &PullReport,
    held: &PullReport,
    trouble: Trouble,
    now: Timestamp,
    deadlines: &Deadlines,
) -> PullReport {
    let tries = held.tries.saturating_add(1);
    let wait = match trouble {
        Trouble::Hopeless => None,
        Trouble::Later(wait) => Some(wait.unwrap_or_default()),
        Trouble::Unclear => Some(Duration::ZERO),
    };
    let pause = deadlines.pause(tries, &format!("{}#{}", held.repository, held.pull));
    let stale = now.since(held.since) >= QUEUE_LIMIT;
    let again = wait.filter(|_| !stale).map(|wait| now.after(wait.max(pause)));
    PullReport {
        // What GitHub has refused is not there, so it need not be looked for.
        asked: before.asked || trouble == Trouble::Unclear,
        held_until: None,
        tries,
        not_before: again,
        due_at: again,
        ..held.clone()
    }
}

/// A comment that GitHub takes no write of before after so long.
#[must_use]
pub fn put_off(report: &PullReport, wait: Duration, now: Timestamp) -> PullReport {
    let at = Some(now.after(wait));
    PullReport {
        held_until: None,
        not_before: at,
        due_at: at,
        ..report.clone()
    }
}

#[cfg(test)]
#[path = "comment_tests.rs"]
mod tests;
