//! The times in EC2's interruption notices.

use std::time::Duration;

use aws_smithy_types::DateTime;
use aws_smithy_types::date_time::Format;
use dayfly_types::checkin::InterruptionNotice;
use dayfly_types::deadlines::SPOT_NOTICE;
use dayfly_types::time::Timestamp;

/// Returns the time from `now` until EC2 acts on `notice`, two minutes at most, since the clock may be behind. A
/// notice with an unreadable time has just come, since IMDS is polled every few seconds.
#[must_use]
pub fn left(notice: &InterruptionNotice, now: Timestamp) -> Duration {
    let at = DateTime::from_str(&notice.at, Format::DateTime).map(|at| Timestamp::from_seconds(at.secs()));
    at.map_or(SPOT_NOTICE, |at| at.since(now).min(SPOT_NOTICE))
}

/// Returns the notice as EC2 would have spelt it, or `None` if `at` is out of range.
#[must_use]
pub fn from_control_plane(at: Timestamp) -> Option<InterruptionNotice> {
    let at = DateTime::from_secs(at.seconds()).fmt(Format::DateTime).ok()?;
    Some(InterruptionNotice {
        action: "terminate".to_owned(),
        at,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn notice_leaves_at_most_two_minutes() {
        let at = Timestamp::from_seconds(1_800_000_000);
        let notice = from_control_plane(at).unwrap();
        assert_eq!(notice.at, "2027-01-15T08:00:00Z");
        for (now, expected) in [
            (1_799_999_880, 120),
            (1_799_999_990, 10),
            (1_800_000_000, 0),
            (1_800_000_999, 0),
            (1_799_000_000, 120),
        ] {
            let left = left(&notice, Timestamp::from_seconds(now));
            assert_eq!(left, Duration::from_secs(expected), "{now}");
        }
    }

    #[test]
    fn notice_with_an_unreadable_time_has_just_come() {
        let notice = InterruptionNotice {
            action: "terminate".to_owned(),
            at: "soon".to_owned(),
        };
        assert_eq!(left(&notice, Timestamp::from_seconds(0)), SPOT_NOTICE);
    }
}
