//! GitHub's rate limits: what an answer says of them, and until when nobody needs to ask.
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

/// What GitHub asks for when it limits without saying for how long.
const UNSAID: Duration = Duration::from_secs(60);

/// The hour after which every limit starts anew. A longer wait is a clock that is off, or a wait of
/// which GitHub may tell us again.
const LONGEST: Duration = Duration::from_secs(60 * 60);

/// As whom a call is made: each has limits of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Identity {
    /// The App itself, by its JWT.
    App,
    /// One of its installations, by a token.
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

/// What an answer says of the limits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Limits {
    /// The call itself was refused for a limit: again after so long.
    pub(crate) refused: Option<Duration>,
    /// No call of the same identity can do better before that.
    pub(crate) shut: Option<Duration>,
}

/// Reads an answer. `now` is the time since 1970 in UTC, which is how GitHub tells of a reset.
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
    let refused = refused.then(|| retry_after.or(reset).unwrap_or(UNSAID));
    // Registrations are counted apart: when they are used up, questions still pass.
    let apart = headers.get("x-ratelimit-resource").is_some_and(|name| name != "core");
    let shut = if used_up && apart { None } else { refused.or(reset) };
    Limits { refused, shut }
}

/// How many calls are left of those that count together, once so many are gone that somebody may want to
/// know: patrol alone never needs them.
pub(crate) fn running_out(headers: &HeaderMap) -> Option<u64> {
    let number = |name: &str| headers.get(name)?.to_str().ok()?.parse::<u64>().ok();
    let is_core = headers.get("x-ratelimit-resource").is_some_and(|name| name == "core");
    let (left, limit) = (number("x-ratelimit-remaining")?, number("x-ratelimit-limit")?);
    (is_core && left < limit - limit / 4).then_some(left)
}

/// How often it is told at most how many calls are left.
const SELDOM: Duration = Duration::from_secs(5 * 60);

/// When it was last told how many calls are left.
#[derive(Debug, Default)]
pub(crate) struct LastTold(Mutex<Option<Instant>>);

impl LastTold {
    /// Whether it is time to tell it again; it counts as told then.
    pub(crate) fn is_due(&self, now: Instant) -> bool {
        let mut last = locked(&self.0);
        let due = last.is_none_or(|last| now.saturating_duration_since(last) >= SELDOM);
        if due {
            *last = Some(now);
        }
        due
    }
}

/// Until when which identity need not ask. GitHub may ban who goes on asking.
#[derive(Debug, Default)]
pub(crate) struct Waits {
    until: Mutex<HashMap<Identity, Instant>>,
}

impl Waits {
    /// Keeps that GitHub wants no call of `identity` for so long.
    pub(crate) fn keep(&self, identity: Identity, wait: Duration, now: Instant) {
        let mut kept = locked(&self.until);
        kept.retain(|_, until| *until > now);
        let until = now + wait.min(LONGEST);
        kept.entry(identity)
            .and_modify(|kept| *kept = until.max(*kept))
            .or_insert(until);
    }

    /// How long `identity` still has to wait.
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
        for (status, pairs, message, refused, shut) in [
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
                (seconds(read.refused), seconds(read.shut)),
                (refused, shut),
                "{status} {pairs:?} {message}"
            );
        }
    }

    #[test]
    fn what_is_left_is_told_once_a_quarter_is_gone_of_what_counts_together() {
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
    fn what_is_left_is_told_every_five_minutes_at_most() {
        let (last, start) = (LastTold::default(), Instant::now());
        let due = |seconds| last.is_due(start + Duration::from_secs(seconds));
        assert_eq!(
            [0, 1, 299, 300, 301, 599, 600].map(due),
            [true, false, false, true, false, false, true]
        );
    }

    const SEVEN: Identity = Identity::Installation(InstallationId(7));

    #[test]
    fn a_wait_is_its_identitys_own_and_ends() {
        let (waits, start) = (Waits::default(), Instant::now());
        let after = |seconds| start + Duration::from_secs(seconds);
        waits.keep(SEVEN, Duration::from_secs(60), start);
        assert_eq!(waits.left(SEVEN, after(20)), Some(Duration::from_secs(40)));
        assert_eq!(waits.left(Identity::App, after(20)), None);
        assert_eq!(waits.left(InstallationId(8).into(), after(20)), None);
        assert_eq!(waits.left(SEVEN, after(60)), None);
        assert_eq!(waits.left(SEVEN, after(61)), None);
    }

    #[test]
    fn a_shorter_wait_does_not_end_a_longer_one() {
        let (waits, start) = (Waits::default(), Instant::now());
        waits.keep(SEVEN, Duration::from_secs(60), start);
        waits.keep(SEVEN, Duration::from_secs(5), start);
        assert_eq!(waits.left(SEVEN, start), Some(Duration::from_secs(60)));
    }

    #[test]
    fn a_wait_without_an_end_is_cut_to_an_hour() {
        let (waits, start) = (Waits::default(), Instant::now());
        waits.keep(Identity::App, Duration::MAX, start);
        assert_eq!(waits.left(Identity::App, start), Some(LONGEST));
    }

    #[test]
    fn waits_that_are_over_take_no_room() {
        let (waits, start) = (Waits::default(), Instant::now());
        for installation in 0..1000 {
            let now = start + Duration::from_secs(installation);
            waits.keep(InstallationId(installation).into(), Duration::from_secs(1), now);
        }
        assert_eq!(locked(&waits.until).len(), 1);
    }
}
