//! GitHub's rate limits: what answers say about them, and how long each identity must wait.
//!
//! <https://docs.github.com/en/rest/using-the-rest-api/rate-limits-for-the-rest-api#exceeding-the-rate-limit>

use std::collections::HashMap;
use std::fmt;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use dayfly_ports::Scope;
use dayfly_types::ids::InstallationId;
use http::{HeaderMap, StatusCode};

use crate::locked;

/// The wait that GitHub documents for a limit without a stated duration.
const DEFAULT_WAIT: Duration = Duration::from_secs(60);

/// Every limit is reset within an hour. A longer wait means a wrong clock, or is one that GitHub will
/// state again.
const MAX_WAIT: Duration = Duration::from_secs(60 * 60);

/// The identity that makes a call; each has its own limits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Identity {
    /// The App, signed in with its JWT.
    App,
    /// One of its installations, signed in with a token.
    Installation(InstallationId),
}

impl From<InstallationId> for Identity {
    fn from(installation: InstallationId) -> Self {
        Self::Installation(installation)
    }
}

impl From<&Scope> for Identity {
    fn from(scope: &Scope) -> Self {
        Self::Installation(scope.installation)
    }
}

impl fmt::Display for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::App => f.write_str("the App"),
            Self::Installation(id) => write!(f, "installation {id}"),
        }
    }
}

/// The limits that an answer states.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Limits {
    /// How long to wait before a retry, if the call itself was refused for a limit.
    pub(crate) refused: Option<Duration>,
    /// How long every call of the same identity would fail.
    pub(crate) limited: Option<Duration>,
}

/// Reads the limits of an answer. `now` is the time since the Unix epoch, as in GitHub's reset header.
pub(crate) fn read(status: StatusCode, headers: &HeaderMap, message: &str, now: Duration) -> Limits {
    let number = |name: &str| headers.get(name)?.to_str().ok()?.parse::<u64>().ok();
    let retry_after = number("retry-after").map(Duration::from_secs);
    let used_up = number("x-ratelimit-remaining") == Some(0);
    let reset = number("x-ratelimit-reset")
        .filter(|_| used_up)
        .map(|reset| Duration::from_secs(reset).saturating_sub(now));

    let refused = match status.as_u16() {
        429 => true,
        403 => retry_after.is_some() || used_up || message.contains("rate limit"),
        _ => false,
    };
    let refused = refused.then(|| retry_after.or(reset).unwrap_or(DEFAULT_WAIT));
    // Runner registrations have a budget of their own: once it is used up, other calls still succeed.
    let separate = headers.get("x-ratelimit-resource").is_some_and(|name| name != "core");
    let limited = if used_up && separate { None } else { refused.or(reset) };
    Limits { refused, limited }
}

/// Returns how many calls of the core budget are left, once more than a quarter is gone: the patrol alone
/// never uses that many.
pub(crate) fn running_out(headers: &HeaderMap) -> Option<u64> {
    let number = |name: &str| headers.get(name)?.to_str().ok()?.parse::<u64>().ok();
    let is_core = headers.get("x-ratelimit-resource").is_some_and(|name| name == "core");
    let (left, limit) = (number("x-ratelimit-remaining")?, number("x-ratelimit-limit")?);
    (is_core && left < limit - limit / 4).then_some(left)
}

/// The shortest time between two reports of the calls left.
const REPORT_INTERVAL: Duration = Duration::from_secs(5 * 60);

/// When the calls left were last reported.
#[derive(Debug, Default)]
pub(crate) struct LastReported(Mutex<Option<Instant>>);

impl LastReported {
    /// Returns `true` if a report is due, and counts it as made.
    pub(crate) fn claim(&self, now: Instant) -> bool {
        let mut last = locked(&self.0);
        let due = last.is_none_or(|last| now.saturating_duration_since(last) >= REPORT_INTERVAL);
        if due {
            *last = Some(now);
        }
        due
    }
}

/// Until when each identity must wait. GitHub may ban a client that keeps calling.
#[derive(Debug, Default)]
pub(crate) struct Waits {
    until: Mutex<HashMap<Identity, Instant>>,
}

impl Waits {
    pub(crate) fn record(&self, identity: Identity, wait: Duration, now: Instant) {
        let mut kept = locked(&self.until);
        kept.retain(|_, until| *until > now);
        let until = now + wait.min(MAX_WAIT);
        kept.entry(identity)
            .and_modify(|kept| *kept = until.max(*kept))
            .or_insert(until);
    }

    pub(crate) fn left(&self, identity: Identity, now: Instant) -> Option<Duration> {
        let until = *locked(&self.until).get(&identity)?;
        until.checked_duration_since(now).filter(|left| !left.is_zero())
    }
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

    const REMAINING: &str = "x-ratelimit-remaining";
    const RESET: &str = "x-ratelimit-reset";
    const RESOURCE: &str = "x-ratelimit-resource";

    #[test]
    fn an_answer_says_how_long_to_wait_and_for_what() {
        let secondary = "You have exceeded a secondary rate limit.";
        for (status, pairs, message, refused, limited) in [
            (200, &[][..], "", None, None),
            (200, &[(REMAINING, "17"), (RESET, "1300")], "", None, None),
            (200, &[(REMAINING, "0"), (RESET, "1300")], "", None, Some(300)),
            (304, &[(REMAINING, "0"), (RESET, "1300")], "", None, Some(300)),
            (404, &[(REMAINING, "0"), (RESET, "1300")], "", None, Some(300)),
            (200, &[(REMAINING, "0")], "", None, None),
            (403, &[], "Resource not accessible by integration", None, None),
            (403, &[(REMAINING, "17")], "Not yours", None, None),
            (403, &[("retry-after", "5")], secondary, Some(5), Some(5)),
            (
                403,
                &[(REMAINING, "17"), (RESET, "9999")],
                secondary,
                Some(60),
                Some(60),
            ),
            (403, &[(REMAINING, "0"), (RESET, "1300")], "", Some(300), Some(300)),
            (403, &[(REMAINING, "0"), (RESET, "900")], "", Some(0), Some(0)),
            (403, &[(REMAINING, "0")], "", Some(60), Some(60)),
            (429, &[], "slow down", Some(60), Some(60)),
            (429, &[("retry-after", "5"), (RESET, "9999")], "", Some(5), Some(5)),
            (
                403,
                &[(RESOURCE, "core"), (REMAINING, "0"), (RESET, "1300")],
                "",
                Some(300),
                Some(300),
            ),
            (
                403,
                &[
                    (RESOURCE, "actions_runner_registration"),
                    (REMAINING, "0"),
                    (RESET, "1300"),
                ],
                "",
                Some(300),
                None,
            ),
            (503, &[("retry-after", "5")], "", None, None),
        ] {
            let read = read(
                StatusCode::from_u16(status).unwrap(),
                &headers(pairs),
                message,
                Duration::from_secs(1000),
            );
            let seconds = |wait: Option<Duration>| wait.map(|wait| wait.as_secs());
            assert_eq!(
                (seconds(read.refused), seconds(read.limited)),
                (refused, limited),
                "{status} {pairs:?} {message}"
            );
        }
    }

    #[test]
    fn calls_left_are_reported_once_a_quarter_of_the_core_budget_is_gone() {
        const LIMIT: &str = "x-ratelimit-limit";
        for (pairs, left) in [
            (&[(RESOURCE, "core"), (LIMIT, "5000"), (REMAINING, "3750")][..], None),
            (&[(RESOURCE, "core"), (LIMIT, "5000"), (REMAINING, "3749")], Some(3749)),
            (&[(RESOURCE, "core"), (LIMIT, "12500"), (REMAINING, "0")], Some(0)),
            (&[(RESOURCE, "search"), (LIMIT, "30"), (REMAINING, "1")], None),
            (&[(LIMIT, "5000"), (REMAINING, "1")], None),
            (&[(RESOURCE, "core"), (LIMIT, "5000")], None),
            (&[(RESOURCE, "core"), (LIMIT, "many"), (REMAINING, "1")], None),
            (&[], None),
        ] {
            assert_eq!(running_out(&headers(pairs)), left, "{pairs:?}");
        }
    }

    #[test]
    fn calls_left_are_reported_every_five_minutes_at_most() {
        let (last, start) = (LastReported::default(), Instant::now());
        let due = |seconds| last.claim(start + Duration::from_secs(seconds));
        assert_eq!(
            [0, 1, 299, 300, 301, 599, 600].map(due),
            [true, false, false, true, false, false, true]
        );
    }

    const SEVEN: Identity = Identity::Installation(InstallationId(7));

    #[test]
    fn a_wait_applies_to_one_identity_and_ends() {
        let (waits, start) = (Waits::default(), Instant::now());
        let after = |seconds| start + Duration::from_secs(seconds);
        waits.record(SEVEN, Duration::from_secs(60), start);
        assert_eq!(waits.left(SEVEN, after(20)), Some(Duration::from_secs(40)));
        assert_eq!(waits.left(Identity::App, after(20)), None);
        assert_eq!(waits.left(InstallationId(8).into(), after(20)), None);
        assert_eq!(waits.left(SEVEN, after(60)), None);
        assert_eq!(waits.left(SEVEN, after(61)), None);
    }

    #[test]
    fn a_shorter_wait_does_not_end_a_longer_one() {
        let (waits, start) = (Waits::default(), Instant::now());
        waits.record(SEVEN, Duration::from_secs(60), start);
        waits.record(SEVEN, Duration::from_secs(5), start);
        assert_eq!(waits.left(SEVEN, start), Some(Duration::from_secs(60)));
    }

    #[test]
    fn an_endless_wait_is_cut_to_an_hour() {
        let (waits, start) = (Waits::default(), Instant::now());
        waits.record(Identity::App, Duration::MAX, start);
        assert_eq!(waits.left(Identity::App, start), Some(MAX_WAIT));
    }

    #[test]
    fn expired_waits_are_dropped() {
        let (waits, start) = (Waits::default(), Instant::now());
        for installation in 0..1000 {
            let now = start + Duration::from_secs(installation);
            waits.record(InstallationId(installation).into(), Duration::from_secs(1), now);
        }
        assert_eq!(locked(&waits.until).len(), 1);
    }
}
