//! Approvals: whether a user who may write to the repository has approved a commit from outside it.
//!
//! An approval is of one commit. GitHub keeps the commit of a review. A label has none, and the moment it was added proves
//! nothing: a push may come between the look and the click. So the label names the full commit: another whose hash begins
//! with the same seven digits is made within a minute.

use dayfly_types::ids::Repository;

use dayfly_records::origin::{Origin, Pull, Review, ReviewState};

use super::{AdmissionFacts, Question, Stop};

/// The prefix of the label that approves a commit. With a full SHA-1 it fills the fifty characters that GitHub allows.
const LABEL: &str = "dayfly-ok/";

/// The pull requests of a branch that are checked.
const MAX_PULLS: usize = 5;

/// Returns the label that approves a commit.
#[must_use]
pub fn approval_label(head_sha: &str) -> String {
    format!("{LABEL}{head_sha}")
}

/// Returns how to approve a commit, for its author.
pub(super) fn instructions(repository: &Repository, head_sha: &str) -> String {
    format!(
        "It waits for an approval: someone with write access to `{repository}` checks the commit {head_sha}, approves it \
         with a review of the pull request (`Approve`) or with the label `{}` on it, and runs the failed jobs again",
        approval_label(head_sha)
    )
}

/// Whether the commit of a run is approved.
pub(super) fn is_approved(origin: &Origin, known: &AdmissionFacts) -> Result<bool, Stop> {
    let (Some(head), Some(branch)) = (&origin.head, &origin.head_branch) else {
        return Ok(false);
    };
    let Some(pulls) = &known.pulls else {
        return Err(Stop::Ask(Question::Pulls {
            owner: head.owner.clone(),
            branch: branch.clone(),
        }));
    };
    // Another repository of the same owner may have a branch of the same name.
    for pull in pulls.iter().filter(|pull| pull.head == Some(head.id)).take(MAX_PULLS) {
        for user in reviewers(pull, &origin.head_sha, known)? {
            if is_person(user) && known.may_write(user)? {
                return Ok(true);
            }
        }
        if let Some(user) = labeller(pull, &origin.head_sha, known)?
            && is_person(user)
            && known.may_write(user)?
        {
            return Ok(true);
        }
    }
    Ok(false)
}

/// An approving App has not looked at the code.
fn is_person(user: &str) -> bool {
    !user.ends_with("[bot]")
}

/// Returns the users whose reviews approve the commit. A later request for changes withdraws an approval.
fn reviewers<'a>(pull: &Pull, head_sha: &str, known: &'a AdmissionFacts) -> Result<Vec<&'a str>, Stop> {
    let reviews = known.reviews.get(&pull.number);
    let reviews = reviews.ok_or(Stop::Ask(Question::Reviews(pull.number)))?;
    let approver = |(index, review): (usize, &'a Review)| {
        let approves = review.state == ReviewState::Approved && review.commit.as_deref() == Some(head_sha);
        let withdraws = |later: &Review| later.by == review.by && later.state == ReviewState::ChangesRequested;
        let stands = approves && !reviews[index + 1..].iter().any(withdraws);
        review.by.as_deref().filter(|_| stands)
    };
    Ok(reviews.iter().enumerate().filter_map(approver).collect())
}

/// Returns the user who added the label that approves the commit, if it is present.
fn labeller<'a>(pull: &Pull, head_sha: &str, known: &'a AdmissionFacts) -> Result<Option<&'a str>, Stop> {
    let wanted = approval_label(head_sha);
    let is_it = |label: &String| label.eq_ignore_ascii_case(&wanted);
    if !pull.labels.iter().any(is_it) {
        return Ok(None);
    }
    let events = known.label_events.get(&pull.number);
    let events = events.ok_or(Stop::Ask(Question::LabelEvents(pull.number)))?;
    let last = events.iter().rev().find(|event| is_it(&event.label));
    Ok(last.filter(|event| event.added).and_then(|event| event.by.as_deref()))
}
