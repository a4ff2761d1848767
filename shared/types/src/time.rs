//! Time as a value: this crate never reads a clock.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// A moment in milliseconds since 1970-01-01 UTC.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Timestamp(i64);

impl Timestamp {
    #[must_use]
    pub const fn from_millis(millis: i64) -> Self {
        Self(millis)
    }

    #[must_use]
    pub const fn from_seconds(seconds: i64) -> Self {
        Self(seconds.saturating_mul(1000))
    }

    /// Milliseconds since the epoch.
    #[must_use]
    pub const fn millis(self) -> i64 {
        self.0
    }

    /// Whole seconds since the epoch, rounded down.
    #[must_use]
    pub const fn seconds(self) -> i64 {
        self.0.div_euclid(1000)
    }

    /// The day in UTC, as `2026-08-01`.
    #[must_use]
    pub fn utc_day(self) -> String {
        // Days are counted from 0000-03-01, so that a leap day is the last day of its year.
        // <https://howardhinnant.github.io/date_algorithms.html#civil_from_days>
        let days = self.seconds().div_euclid(86_400) + 719_468;
        let (era, of_era) = (days.div_euclid(146_097), days.rem_euclid(146_097));
        let year_of_era = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
        let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
        let from_march = (5 * of_year + 2) / 153;
        let day = of_year - (153 * from_march + 2) / 5 + 1;
        let month = if from_march < 10 {
            from_march + 3
        } else {
            from_march - 9
        };
        let year = year_of_era + era * 400 + i64::from(month <= 2);
        format!("{year:04}-{month:02}-{day:02}")
    }

    /// The midnight in UTC at which a day begins; `month` counts from 1.
    #[must_use]
    pub const fn from_utc_day(year: i64, month: i64, day: i64) -> Self {
        // The inverse of `utc_day`.
        let year = if month <= 2 { year - 1 } else { year };
        let from_march = if month > 2 { month - 3 } else { month + 9 };
        let (era, year_of_era) = (year.div_euclid(400), year.rem_euclid(400));
        let of_year = (153 * from_march + 2) / 5 + day - 1;
        let of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + of_year;
        Self::from_seconds((era * 146_097 + of_era - 719_468) * 86_400)
    }

    /// The midnight in UTC at which its day begins.
    #[must_use]
    pub const fn utc_midnight(self) -> Self {
        Self::from_seconds(self.seconds().div_euclid(86_400) * 86_400)
    }

    /// The time of day in UTC, as `10:32:07`.
    #[must_use]
    pub fn utc_time(self) -> String {
        let seconds = self.seconds().rem_euclid(86_400);
        format!("{:02}:{:02}:{:02}", seconds / 3600, seconds / 60 % 60, seconds % 60)
    }

    #[must_use]
    pub fn after(self, duration: Duration) -> Self {
        Self(
            self.0
                .saturating_add(i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)),
        )
    }

    /// The time since `earlier`, or zero if that is later.
    #[must_use]
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_millis(u64::try_from(self.0.saturating_sub(earlier.0)).unwrap_or(0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_since_a_later_moment_is_zero() {
        let early = Timestamp::from_seconds(10);
        let late = early.after(Duration::from_secs(5));
        assert_eq!(late.since(early), Duration::from_secs(5));
        assert_eq!(early.since(late), Duration::ZERO);
    }

    #[test]
    fn day_and_time_are_shown_in_utc() {
        for (seconds, day, time) in [
            (0, "1970-01-01", "00:00:00"),
            (-1, "1969-12-31", "23:59:59"),
            (951_782_399, "2000-02-28", "23:59:59"),
            (951_782_400, "2000-02-29", "00:00:00"),
            (951_868_800, "2000-03-01", "00:00:00"),
            (1_785_578_400, "2026-08-01", "10:00:00"),
            (4_107_542_399, "2100-02-28", "23:59:59"),
            (4_107_542_400, "2100-03-01", "00:00:00"),
        ] {
            let moment = Timestamp::from_seconds(seconds);
            assert_eq!((moment.utc_day().as_str(), moment.utc_time().as_str()), (day, time));
            let midnight = moment.utc_midnight();
            assert_eq!(
                (midnight.utc_day().as_str(), midnight.utc_time().as_str()),
                (day, "00:00:00")
            );
        }
    }

    #[test]
    fn adding_time_saturates() {
        assert_eq!(Timestamp::from_millis(i64::MAX).after(Duration::MAX).millis(), i64::MAX);
    }
}
