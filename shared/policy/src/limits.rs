//! How much may run at once, and how much may be spent.

use dayfly_types::budget::Budget;
use dayfly_types::money::MicroDollars;
use serde::{Deserialize, Serialize};

/// How much may run at once.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Limits {
    pub stack: Limit,
    /// For each organisation.
    pub organization: Limit,
    /// For each repository.
    pub repository: Limit,
}

/// `None` is no limit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Limit {
    pub runners: Option<u32>,
    pub vcpus: Option<u32>,
}

impl Limits {
    /// Returns each limit with its key.
    #[must_use]
    pub fn named(&self) -> [(&'static str, Limit); 3] {
        [
            ("stack", self.stack),
            ("organization", self.organization),
            ("repository", self.repository),
        ]
    }

    /// Returns whether there is any limit.
    #[must_use]
    pub fn any(&self) -> bool {
        self.named().iter().any(|(_, limit)| *limit != Limit::default())
    }
}

/// How much may be spent in a calendar month (UTC). `None` is no cap.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Caps {
    pub stack: Option<MicroDollars>,
    /// For each organisation.
    pub organization: Option<MicroDollars>,
    /// For each repository.
    pub repository: Option<MicroDollars>,
    /// For each pull request.
    pub pull_request: Option<MicroDollars>,
    /// For each user who requests jobs.
    pub actor: Option<MicroDollars>,
}

impl Caps {
    /// Returns whether there is any cap.
    #[must_use]
    pub fn any(&self) -> bool {
        *self != Self::default()
    }

    /// Returns whether a cap depends on a job's requester or pull request, which only GitHub knows.
    #[must_use]
    pub fn need_requester(&self) -> bool {
        self.pull_request.is_some() || self.actor.is_some()
    }

    /// Returns the cap of a budget, if it has one.
    #[must_use]
    pub fn of(&self, budget: &Budget) -> Option<MicroDollars> {
        match budget {
            Budget::Stack => self.stack,
            Budget::Organization { .. } => self.organization,
            Budget::Repository { .. } => self.repository,
            Budget::PullRequest { .. } => self.pull_request,
            Budget::Actor { .. } => self.actor,
        }
    }

    /// Returns the policy's key for the cap of a budget.
    #[must_use]
    pub fn key(budget: &Budget) -> &'static str {
        match budget {
            Budget::Stack => "caps.stack",
            Budget::Organization { .. } => "caps.organization",
            Budget::Repository { .. } => "caps.repository",
            Budget::PullRequest { .. } => "caps.pull_request",
            Budget::Actor { .. } => "caps.actor",
        }
    }
}

/// The caps whose use comments on pull requests show. Everyone can read those of a public repository.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum CommentCaps {
    /// Those of the pull request, its repository and the requester of its jobs.
    #[default]
    Own,
    /// Those of the organisation and the stack too.
    All,
}
