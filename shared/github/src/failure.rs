//! Refusals, and what they mean.

use std::error::Error;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use dayfly_ports::{ApiError, ApiErrorKind};
use http::{HeaderMap, StatusCode};
use octocrab::GitHubError;

/// A call that failed: what its caller gets, and the status for those few that mean something to one
/// call only.
#[derive(Debug)]
pub(crate) struct Failure {
    /// GitHub's status; nothing if no answer came.
    pub(crate) status: Option<StatusCode>,
    pub(crate) error: ApiError,
}

impl Failure {
    /// One without an answer of GitHub's.
    pub(crate) fn unanswered(what: &'static str, message: String) -> Self {
        Self {
            status: None,
            error: ApiError {
                kind: ApiErrorKind::Unavailable,
                call: what,
                message,
            },
        }
    }

    pub(crate) fn timed_out(what: &'static str, limit: Duration) -> Self {
        Self::unanswered(what, format!("no answer within {limit:?}"))
    }

    /// What octocrab made of an answer, or of its missing.
    pub(crate) fn from_octocrab(what: &'static str, error: &octocrab::Error) -> Self {
        match error {
            octocrab::Error::GitHub { source, .. } => Self::refused(what, source),
            other => Self::unanswered(what, chain(other)),
        }
    }

    fn refused(what: &'static str, refusal: &GitHubError) -> Self {
        let none = HeaderMap::new();
        let headers = refusal.headers.as_ref().unwrap_or(&none);
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Self {
            status: Some(refusal.status_code),
            error: ApiError {
                kind: kind(refusal.status_code, headers, &refusal.message, now),
                call: what,
                message: words(refusal),
            },
        }
    }

    /// Whether a re-run has to wait: GitHub takes none until every job of the run is over.
    pub(crate) fn is_still_running(&self) -> bool {
        self.status == Some(StatusCode::FORBIDDEN) && self.error.message.contains("already running")
    }

    /// Whether the same call may do better at once.
    pub(crate) fn may_pass(&self) -> bool {
        self.error.kind == ApiErrorKind::Unavailable
    }
}

/// GitHub's message, the details of a validation that failed, and the status.
fn words(refusal: &GitHubError) -> String {
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

/// What a refusal means to a caller.
///
/// <https://docs.github.com/en/rest/using-the-rest-api/rate-limits-for-the-rest-api#exceeding-the-rate-limit>
fn kind(status: StatusCode, headers: &HeaderMap, message: &str, now: Duration) -> ApiErrorKind {
    let number = |name: &str| headers.get(name)?.to_str().ok()?.parse::<u64>().ok();
    let used_up = number("x-ratelimit-remaining") == Some(0);
    let limited = number("retry-after").is_some() || used_up || message.contains("rate limit");
    match status.as_u16() {
        429 => ApiErrorKind::RateLimited(wait(&number, used_up, now)),
        403 if limited => ApiErrorKind::RateLimited(wait(&number, used_up, now)),
        401 | 403 => ApiErrorKind::Forbidden,
        404 | 410 => ApiErrorKind::NotFound,
        408 | 500.. => ApiErrorKind::Unavailable,
        _ => ApiErrorKind::BadRequest,
    }
}

/// How long GitHub wants us to wait.
fn wait(number: &impl Fn(&str) -> Option<u64>, used_up: bool, now: Duration) -> Option<Duration> {
    let until_reset = || {
        let reset = Duration::from_secs(number("x-ratelimit-reset").filter(|_| used_up)?);
        Some(reset.saturating_sub(now))
    };
    number("retry-after").map(Duration::from_secs).or_else(until_reset)
}

/// An error and all that caused it, `: ` between; a cause that says the same again is left out.
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

    fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
        pairs
            .iter()
            .map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap()))
            .collect()
    }

    #[test]
    fn a_refusal_is_of_a_kind_to_decide_on() {
        use ApiErrorKind::{BadRequest, Forbidden, NotFound, RateLimited, Unavailable};
        let seconds = |s| RateLimited(Some(Duration::from_secs(s)));
        let now = Duration::from_secs(1000);
        for (status, pairs, message, expected) in [
            (401, &[][..], "Bad credentials", Forbidden),
            (403, &[], "Resource not accessible by integration", Forbidden),
            (403, &[("x-ratelimit-remaining", "17")], "Not yours", Forbidden),
            (403, &[("retry-after", "60")], "secondary", seconds(60)),
            (
                403,
                &[("x-ratelimit-remaining", "0"), ("x-ratelimit-reset", "1300")],
                "",
                seconds(300),
            ),
            (
                403,
                &[("x-ratelimit-remaining", "0"), ("x-ratelimit-reset", "900")],
                "",
                seconds(0),
            ),
            (403, &[], "You have exceeded a secondary rate limit.", RateLimited(None)),
            (429, &[], "slow down", RateLimited(None)),
            (
                429,
                &[("retry-after", "5"), ("x-ratelimit-reset", "9999")],
                "",
                seconds(5),
            ),
            (404, &[], "Not Found", NotFound),
            (410, &[], "Gone", NotFound),
            (409, &[], "Conflict", BadRequest),
            (422, &[], "Validation Failed", BadRequest),
            (408, &[], "", Unavailable),
            (500, &[], "", Unavailable),
            (503, &[], "", Unavailable),
        ] {
            let status = StatusCode::from_u16(status).unwrap();
            assert_eq!(
                kind(status, &headers(pairs), message, now),
                expected,
                "{status} {message}"
            );
        }
    }
}
