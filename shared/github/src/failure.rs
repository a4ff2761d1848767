//! Failed calls, classified for their callers.

use std::error::Error;
use std::time::Duration;

use dayfly_ports::{ApiError, ApiErrorKind};
use http::{HeaderMap, StatusCode};
use octocrab::GitHubError;

use crate::limits::{self, Identity, Limits};
use crate::since_1970;

/// A failed call: the error for its caller, and the details that a few calls treat specially.
#[derive(Debug)]
pub(crate) struct Failure {
    /// GitHub's status, if an answer came.
    pub(crate) status: Option<StatusCode>,
    /// How long every call of the same identity would fail.
    pub(crate) limited: Option<Duration>,
    pub(crate) error: ApiError,
}

impl Failure {
    /// A call without an answer from GitHub.
    pub(crate) fn unanswered(what: &'static str, message: String) -> Self {
        Self::unsent(what, ApiErrorKind::Unavailable, message)
    }

    /// A call that was not sent, because GitHub limits `identity` for another `left`.
    pub(crate) fn still_limited(what: &'static str, identity: Identity, left: Duration) -> Self {
        let seconds = left.as_secs_f64().ceil();
        Self::unsent(
            what,
            ApiErrorKind::RateLimited(Some(left)),
            format!("not sent: GitHub limits the calls of {identity} for another {seconds} s"),
        )
    }

    fn unsent(what: &'static str, kind: ApiErrorKind, message: String) -> Self {
        Self {
            status: None,
            limited: None,
            error: ApiError {
                kind,
                call: what,
                message,
            },
        }
    }

    pub(crate) fn timed_out(what: &'static str, limit: Duration) -> Self {
        Self::unanswered(what, format!("no answer within {limit:?}"))
    }

    pub(crate) fn from_octocrab(what: &'static str, error: &octocrab::Error) -> Self {
        match error {
            octocrab::Error::GitHub { source, .. } => Self::refused(what, source),
            other => Self::unanswered(what, chain(other)),
        }
    }

    fn refused(what: &'static str, refusal: &GitHubError) -> Self {
        let none = HeaderMap::new();
        let headers = refusal.headers.as_ref().unwrap_or(&none);
        let limits = limits::read(refusal.status_code, headers, &refusal.message, since_1970());
        Self {
            status: Some(refusal.status_code),
            limited: limits.limited,
            error: ApiError {
                kind: kind(refusal.status_code, limits),
                call: what,
                message: message(refusal),
            },
        }
    }

    /// Whether a re-run has to wait: GitHub accepts none until every job of the run has ended.
    pub(crate) fn is_still_running(&self) -> bool {
        self.status == Some(StatusCode::FORBIDDEN) && self.error.message.contains("already running")
    }

    /// Whether an immediate retry may succeed.
    pub(crate) fn is_transient(&self) -> bool {
        self.error.kind == ApiErrorKind::Unavailable
    }
}

impl From<Failure> for ApiError {
    fn from(failure: Failure) -> Self {
        failure.error
    }
}

/// Joins GitHub's message, the details of a failed validation, and the status.
fn message(refusal: &GitHubError) -> String {
    let details: Vec<String> = refusal
        .errors
        .iter()
        .flatten()
        .map(|detail| {
            detail
                .as_str()
                .or_else(|| detail["message"].as_str())
                .map_or_else(|| detail.to_string(), str::to_owned)
        })
        .collect();
    let details = if details.is_empty() {
        String::new()
    } else {
        format!(": {}", details.join("; "))
    };
    format!("{}{details} (HTTP {})", refusal.message, refusal.status_code.as_u16())
}

fn kind(status: StatusCode, limits: Limits) -> ApiErrorKind {
    if limits.refused.is_some() {
        return ApiErrorKind::RateLimited(limits.refused);
    }
    match status.as_u16() {
        401 | 403 => ApiErrorKind::Forbidden,
        404 | 410 => ApiErrorKind::NotFound,
        408 | 500.. => ApiErrorKind::Unavailable,
        _ => ApiErrorKind::BadRequest,
    }
}

/// Joins an error and its causes with `: `, without repetitions.
pub(crate) fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        let words = cause.to_string();
        if !text.contains(&words) {
            text = format!("{text}: {words}");
        }
        next = cause.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refusals_are_classified_by_status_and_limit() {
        use ApiErrorKind::{BadRequest, Forbidden, NotFound, RateLimited, Unavailable};
        let limited = Limits {
            refused: Some(Duration::from_secs(60)),
            limited: None,
        };
        for (status, limits, expected) in [
            (401, Limits::default(), Forbidden),
            (403, Limits::default(), Forbidden),
            (403, limited, RateLimited(limited.refused)),
            (429, limited, RateLimited(limited.refused)),
            (404, Limits::default(), NotFound),
            (410, Limits::default(), NotFound),
            (409, Limits::default(), BadRequest),
            (422, Limits::default(), BadRequest),
            (408, Limits::default(), Unavailable),
            (500, Limits::default(), Unavailable),
            (503, Limits::default(), Unavailable),
        ] {
            let status = StatusCode::from_u16(status).unwrap();
            assert_eq!(kind(status, limits), expected, "{status}");
        }
    }
}
