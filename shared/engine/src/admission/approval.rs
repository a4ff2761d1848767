//! Whether somebody who may write to the repository has approved a commit from outside of it.
//!
//! An approval is of one commit. A review is: GitHub keeps the commit that it was given for. A label is
//! not, and the moment at which it was put there proves nothing: a push may come between the look and
//! the click. So the label has to name the commit, whole: a commit whose name begins with the same seven
//! digits is made within a minute.

use dayfly_types::ids::Repository;
use serde::{Deserialize, Serialize};

use super::{Known, Origin, Question, Stop};

/// What begins the label that approves a commit. With a whole SHA-1 it fills the fifty characters that
/// GitHub allows.
const LABEL: &str = "dayfly-ok/";

/// So many pull requests from one branch are looked at.
const MOST_PULLS: usize = 5;

/// A pull request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pull {
    /// Its number.
    pub number: u64,
    /// The id of the repository that it comes from, if that is still there.
    pub head: Option<u64>,
    /// Its labels.
    pub labels: Vec<String>,
}

/// A review of a pull request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Review {
    /// Whose.
    pub by: Option<String>,
    /// The commit that was reviewed.
    pub commit: Option<String>,
    /// What it came to.
    pub state: ReviewState,
}

/// What a review came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum ReviewState {
    /// The commit is approved.
    Approved,
    /// It has to change.
    ChangesRequested,
    /// What it came to does not count any more.
    Dismissed,
    /// Neither, or a word of GitHub's that we do not know.
    #[serde(other)]
    Commented,
}

/// A label that came or went.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LabelEvent {
    /// The label.
    pub label: String,
    /// By whose hand.
    pub by: Option<String>,
    /// Whether it came.
    pub added: bool,
}

/// The label that approves a commit.
#[must_use]
pub fn approval_label(head_sha: &str) -> String {
    format!("{LABEL}{head_sha}")
}

/// How a commit is approved, in words.
pub(super) fn how(repository: &Repository, head_sha: &str) -> String {
    format!(
        "It waits for an approval: somebody who may write to `{repository}` looks at the commit {head_sha}, approves it \
         with a review of the pull request (`Approve`) or with the label `{}` on it, and runs the failed jobs again",
        approval_label(head_sha)
    )
}

/// Whether the commit of a run is approved.
pub(super) fn is_approved(origin: &Origin, known: &Known) -> Result<bool, Stop> {
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
    for pull in pulls.iter().filter(|pull| pull.head == Some(head.id)).take(MOST_PULLS) {
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

/// An App that approves does not look.
fn is_person(user: &str) -> bool {
    !user.ends_with("[bot]")
}

/// Whose reviews approve the commit. Who asks for changes later has taken the approval back.
fn reviewers<'a>(pull: &Pull, head_sha: &str, known: &'a Known) -> Result<Vec<&'a str>, Stop> {
    let reviews = known.reviews.get(&pull.number);
    let reviews = reviews.ok_or(Stop::Ask(Question::Reviews(pull.number)))?;
    let approves = |(index, review): (usize, &'a Review)| {
        let of_it = review.state == ReviewState::Approved && review.commit.as_deref() == Some(head_sha);
        let taken_back = |later: &Review| later.by == review.by && later.state == ReviewState::ChangesRequested;
        let stands = of_it && !reviews[index + 1..].iter().any(taken_back);
        review.by.as_deref().filter(|_| stands)
    };
    Ok(reviews.iter().enumerate().filter_map(approves).collect())
}

/// Who put the label there that approves the commit, if it is there.
fn labeller<'a>(pull: &Pull, head_sha: &str, known: &'a Known) -> Result<Option<&'a str>, Stop> {
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
