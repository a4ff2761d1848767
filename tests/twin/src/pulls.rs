//! Pull requests, with what people say of them.

use jiff::Timestamp;

use crate::model::{Account, RepoId};

#[derive(Debug, Clone)]
pub struct Pull {
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
    pub author: Account,
    pub labels: Vec<String>,
    /// In order.
    pub label_events: Vec<LabelEvent>,
    /// Its reviews, in order.
    pub reviews: Vec<Review>,
    pub opened_at: Timestamp,
}

/// A label that came or went.
#[derive(Debug, Clone)]
pub struct LabelEvent {
    pub id: u64,
    pub label: String,
    pub by: Account,
    /// Whether it came.
    pub added: bool,
    pub at: Timestamp,
}

#[derive(Debug, Clone)]
pub struct Review {
    pub id: u64,
    pub by: Account,
    pub commit: String,
    pub state: ReviewState,
    pub at: Timestamp,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReviewState {
    Approved,
    ChangesRequested,
    Commented,
    Dismissed,
}

impl ReviewState {
    /// GitHub's name of it.
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
    Read,
    /// Sort issues and pull requests: labels, but no code.
    Triage,
    Write,
    /// Push, and see to the repository.
    Maintain,
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
