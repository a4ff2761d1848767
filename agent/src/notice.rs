//! When EC2 takes the instance back.

use std::time::Duration;

use aws_smithy_types::DateTime;
use aws_smithy_types::date_time::Format;
use dayfly_types::checkin::InterruptionNotice;
use dayfly_types::deadlines::SPOT_NOTICE;
use dayfly_types::time::Timestamp;

/// How long `notice` leaves from `now`. No more than EC2 ever does, for the clock may be behind; all
/// of that if it cannot be read, for it is looked for every few seconds.
#[must_use]
pub fn left(notice: &InterruptionNotice, now: Timestamp) -> Duration {
    let at = DateTime::from_str(&notice.at, Format::DateTime).map(|at| Timestamp::from_seconds(at.secs()));
    at.map_or(SPOT_NOTICE, |at| at.since(now).min(SPOT_NOTICE))
}

/// A notice of the control plane, in the words that EC2 would have used; nothing if `at` is no time
/// of this age.
#[must_use]
pub fn of(at: Timestamp) -> Option<InterruptionNotice> {
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
    fn a_notice_leaves_what_it_says_and_never_more_than_two_minutes() {
        let at = Timestamp::from_seconds(1_800_000_000);
        let notice = of(at).unwrap();
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
    fn a_notice_whose_time_cannot_be_read_has_just_come() {
        let notice = InterruptionNotice {
            action: "terminate".to_owned(),
            at: "soon".to_owned(),
        };
        assert_eq!(left(&notice, Timestamp::from_seconds(0)), SPOT_NOTICE);
    }
}
