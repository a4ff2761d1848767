//! Calendar months in UTC: caps and costs are counted by month.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::time::Timestamp;

/// A calendar month in UTC, written `2026-11`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Month {
    year: u16,
    /// From 1.
    month: u8,
}

/// A text that is not a month.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a month: expected one like `2026-11`")]
pub struct NotAMonth(String);

impl Month {
    /// The month that contains a moment.
    #[must_use]
    pub fn of(at: Timestamp) -> Self {
        let day = at.utc_day();
        // Nothing is paid in years before 0 or with more than four digits.
        day[..day.len().min(7)].parse().unwrap_or(Self { year: 1970, month: 1 })
    }

    #[must_use]
    pub fn begins(self) -> Timestamp {
        Timestamp::from_utc_day(i64::from(self.year), i64::from(self.month), 1)
    }

    /// The begin of the next month.
    #[must_use]
    pub fn ends(self) -> Timestamp {
        self.next().begins()
    }

    #[must_use]
    pub fn length(self) -> Duration {
        self.ends().since(self.begins())
    }

    #[must_use]
    pub fn next(self) -> Self {
        match self.month {
            12 => Self {
                year: self.year.saturating_add(1),
                month: 1,
            },
            month => Self {
                month: month + 1,
                ..self
            },
        }
    }

    #[must_use]
    pub fn previous(self) -> Self {
        match self.month {
            ..=1 => Self {
                year: self.year.saturating_sub(1),
                month: 12,
            },
            month => Self {
                month: month - 1,
                ..self
            },
        }
    }

    /// Splits a span of time by month, the earliest first.
    #[must_use]
    pub fn parts(from: Timestamp, to: Timestamp) -> Vec<(Self, Duration)> {
        let mut parts = Vec::new();
        let (mut month, mut at) = (Self::of(from), from);
        while at < to {
            let until = month.ends().min(to);
            parts.push((month, until.since(at)));
            (month, at) = (month.next(), until);
        }
        parts
    }
}

impl fmt::Display for Month {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:04}-{:02}", self.year, self.month)
    }
}

impl FromStr for Month {
    type Err = NotAMonth;

    fn from_str(text: &str) -> Result<Self, NotAMonth> {
        let bad = || NotAMonth(text.to_owned());
        let (year, month) = text.split_once('-').ok_or_else(bad)?;
        let digits = |part: &str, count| part.len() == count && part.bytes().all(|b| b.is_ascii_digit());
        if !digits(year, 4) || !digits(month, 2) {
            return Err(bad());
        }
        let month: u8 = month.parse().map_err(|_| bad())?;
        if !(1..=12).contains(&month) {
            return Err(bad());
        }
        Ok(Self {
            year: year.parse().map_err(|_| bad())?,
            month,
        })
    }
}

impl TryFrom<String> for Month {
    type Error = NotAMonth;

    fn try_from(text: String) -> Result<Self, NotAMonth> {
        text.parse()
    }
}

impl From<Month> for String {
    fn from(month: Month) -> Self {
        month.to_string()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn months_begin_and_end_by_the_calendar() {
        for (month, begins, days) in [
            ("2026-11", 1_793_491_200, 30),
            ("2026-12", 1_796_083_200, 31),
            ("2024-02", 1_706_745_600, 29),
            ("2100-02", 4_105_123_200, 28),
        ] {
            let month: Month = month.parse().unwrap();
            assert_eq!(month.begins().seconds(), begins, "{month}");
            assert_eq!(month.length(), Duration::from_secs(days * 86_400), "{month}");
        }
        for bad in ["", "2026", "2026-13", "2026-00", "26-11", "2026-1", "+026-11"] {
            assert!(bad.parse::<Month>().is_err(), "{bad}");
        }
    }

    proptest! {
        #[test]
        fn month_contains_its_moments(seconds in 0i64..7_000_000_000) {
            let at = Timestamp::from_seconds(seconds);
            let month = Month::of(at);
            prop_assert!(month.begins() <= at && at < month.ends(), "{}", month);
            prop_assert_eq!(month.to_string().parse::<Month>(), Ok(month));
            prop_assert_eq!(Month::of(month.ends()), month.next());
            prop_assert_eq!(month.next().previous(), month);
        }

        #[test]
        fn parts_of_a_span_add_up_to_it(from in 0i64..4_000_000_000, span in 0u64..10_000_000_000) {
            let from = Timestamp::from_seconds(from);
            let to = from.after(Duration::from_millis(span));
            let parts = Month::parts(from, to);
            prop_assert_eq!(parts.iter().map(|(_, span)| *span).sum::<Duration>(), to.since(from));
            prop_assert!(parts.windows(2).all(|two| two[0].0.next() == two[1].0));
        }
    }
}
