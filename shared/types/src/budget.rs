//! The budgets that instances are paid from.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::ids::Repository;

/// A budget: each has a cap of its own, if the stack policy gives it one.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(tag = "of", rename_all = "snake_case")]
pub enum Budget {
    Stack,
    /// An organisation's, or a user's.
    Organization {
        name: String,
    },
    Repository {
        repository: Repository,
    },
    PullRequest {
        repository: Repository,
        number: u64,
    },
    /// The requester's: the user who starts the runs.
    Actor {
        login: String,
    },
}

impl fmt::Display for Budget {
    /// As a person names it: `octo/gpu`, `octo/gpu#12`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Stack => f.write_str("the stack"),
            Self::Organization { name } => f.write_str(name),
            Self::Repository { repository } => repository.fmt(f),
            Self::PullRequest { repository, number } => write!(f, "{repository}#{number}"),
            Self::Actor { login } => write!(f, "@{login}"),
        }
    }
}
