//! Time as a value: nothing in this crate reads a clock.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// A moment in milliseconds since 1970-01-01 UTC.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Timestamp(i64);

impl Timestamp {
    /// The moment so many milliseconds after the epoch.
    #[must_use]
    pub const fn from_millis(millis: i64) -> Self {
        Self(millis)
    }

    /// The moment so many seconds after the epoch.
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

    /// The time of the day, as a person reads it: `17:04:05 UTC`.
    #[must_use]
    pub fn time_of_day(self) -> String {
        let second = self.seconds().rem_euclid(24 * 60 * 60);
        format!("{:02}:{:02}:{:02} UTC", second / 3600, second / 60 % 60, second % 60)
    }

    /// The moment `duration` later.
    #[must_use]
    pub fn after(self, duration: Duration) -> Self {
        Self(
            self.0
                .saturating_add(i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)),
        )
    }

    /// How long it is since `earlier`; nothing if that lies ahead.
    #[must_use]
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_millis(u64::try_from(self.0.saturating_sub(earlier.0)).unwrap_or(0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_span_to_a_later_moment_is_nothing_rather_than_negative() {
        let early = Timestamp::from_seconds(10);
        let late = early.after(Duration::from_secs(5));
        assert_eq!(late.since(early), Duration::from_secs(5));
        assert_eq!(early.since(late), Duration::ZERO);
    }

    #[test]
    fn the_time_of_the_day_is_that_of_utc() {
        assert_eq!(Timestamp::from_seconds(1_800_000_000).time_of_day(), "08:00:00 UTC");
        assert_eq!(Timestamp::from_seconds(-1).time_of_day(), "23:59:59 UTC");
    }

    #[test]
    fn the_end_of_time_is_not_passed() {
        assert_eq!(Timestamp::from_millis(i64::MAX).after(Duration::MAX).millis(), i64::MAX);
    }
}
