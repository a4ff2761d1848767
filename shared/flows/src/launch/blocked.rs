//! Why a job cannot have what it asks for, or not now.

use std::fmt;
use std::time::Duration;

use dayfly_ports::ApiError;

use super::PolicyError;

/// Why a job cannot have what it asks for, or not now.
#[derive(Debug, thiserror::Error)]
pub enum Blocked {
    /// It cannot have it; the reason is for the job's author.
    #[error("{0}")]
    Denied(String),
    /// A service did not answer, and may have said how long to wait.
    #[error("{0}")]
    Unavailable(String, Option<Duration>),
}

impl Blocked {
    #[must_use]
    pub fn denied(why: impl fmt::Display) -> Self {
        Self::Denied(why.to_string())
    }

    #[must_use]
    pub fn unavailable(why: impl fmt::Display) -> Self {
        Self::Unavailable(why.to_string(), None)
    }
}

impl From<PolicyError> for Blocked {
    fn from(error: PolicyError) -> Self {
        match error {
            PolicyError::Unusable { .. } => Self::denied(error),
            PolicyError::Unavailable(_) => Self::unavailable(error),
        }
    }
}

impl From<ApiError> for Blocked {
    fn from(error: ApiError) -> Self {
        Self::Unavailable(error.to_string(), error.wait())
    }
}
