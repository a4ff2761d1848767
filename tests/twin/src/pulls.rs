//! Pull requests, with what people say of them.

use jiff::Timestamp;

use crate::model::{Account, RepoId};

/// A pull request.
#[derive(Debug, Clone)]
pub struct Pull {
    /// Its number in its repository.
    pub number: u64,
    /// The repository that it is for.
    pub repo: RepoId,
    /// The branch that it is for.
    pub base: String,
    /// The repository that it comes from.
    pub head_repo: RepoId,
    /// The branch that it comes from.
    pub head_branch: String,
    /// The commit that it comes from, which a push moves on.
    pub head_sha: String,
    /// Who opened it.
    pub author: Account,
    /// Its labels.
    pub labels: Vec<String>,
    /// What befell its labels, in order.
    pub label_events: Vec<LabelEvent>,
    /// Its reviews, in order.
    pub reviews: Vec<Review>,
    /// When it was opened.
    pub opened_at: Timestamp,
}

/// A label that came or went.
#[derive(Debug, Clone)]
pub struct LabelEvent {
    /// Its id.
    pub id: u64,
    /// The label.
    pub label: String,
    /// By whose hand.
    pub by: Account,
    /// Whether it came.
    pub added: bool,
    /// When.
    pub at: Timestamp,
}

/// A review.
#[derive(Debug, Clone)]
pub struct Review {
    /// Its id.
    pub id: u64,
    /// Whose.
    pub by: Account,
    /// The commit that was reviewed.
    pub commit: String,
    /// What it came to.
    pub state: ReviewState,
    /// When.
    pub at: Timestamp,
}

/// What a review came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReviewState {
    /// The commit is approved.
    Approved,
    /// It has to change.
    ChangesRequested,
    /// Neither.
    Commented,
    /// Somebody took away what it came to.
    Dismissed,
}

impl ReviewState {
    /// GitHub's word for it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Approved => "APPROVED",
            Self::ChangesRequested => "CHANGES_REQUESTED",
            Self::Commented => "COMMENTED",
            Self::Dismissed => "DISMISSED",
        }
    }
}

/// What somebody may do in a repository.
///
/// <https://docs.github.com/en/organizations/managing-user-access-to-your-organizations-repositories/managing-repository-roles/repository-roles-for-an-organization>
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// Look.
    Read,
    /// Sort issues and pull requests: labels, but no code.
    Triage,
    /// Push.
    Write,
    /// Push, and see to the repository.
    Maintain,
    /// Everything.
    Admin,
}

impl Role {
    /// GitHub's name of it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Triage => "triage",
            Self::Write => "write",
            Self::Maintain => "maintain",
            Self::Admin => "admin",
        }
    }

    /// The older name, which does not know the roles in between.
    #[must_use]
    pub fn permission(self) -> &'static str {
        match self {
            Self::Read | Self::Triage => "read",
            Self::Write | Self::Maintain => "write",
            Self::Admin => "admin",
        }
    }
}
