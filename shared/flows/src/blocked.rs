//! Why something is not to be had, or not now.

use std::fmt;
use std::time::Duration;

use dayfly_ports::ApiError;

use crate::NoPolicy;

/// Why something that a job asks for is not to be had, or cannot be told now.
#[derive(Debug, thiserror::Error)]
pub enum Blocked {
    /// It cannot be had, in words for the job's author.
    #[error("{0}")]
    Denied(String),
    /// Something did not answer: later, after the wait that it asked for.
    #[error("{0}")]
    Unavailable(String, Option<Duration>),
}

impl Blocked {
    /// The job cannot have what it asks for, for this reason.
    #[must_use]
    pub fn denied(why: impl fmt::Display) -> Self {
        Self::Denied(why.to_string())
    }

    /// Something did not answer, and did not say when it will.
    #[must_use]
    pub fn unavailable(why: impl fmt::Display) -> Self {
        Self::Unavailable(why.to_string(), None)
    }
}

impl From<NoPolicy> for Blocked {
    fn from(error: NoPolicy) -> Self {
        match error {
            NoPolicy::Unusable { .. } => Self::denied(error),
            NoPolicy::Unavailable(_) => Self::unavailable(error),
        }
    }
}

impl From<ApiError> for Blocked {
    fn from(error: ApiError) -> Self {
        Self::Unavailable(error.to_string(), error.wait())
    }
}
