//! Money in whole micro-dollars: no floats, and rounding only where documented.

use std::fmt;
use std::iter::Sum;
use std::ops::Add;
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// An amount in millionths of a US dollar, the currency that EC2's price lists are in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct MicroDollars(pub u64);

/// A text that is not an amount of dollars.
#[derive(Debug, thiserror::Error)]
#[error("`{0}` is not an amount of dollars with at most 6 digits after the point")]
pub struct NotMoney(String);

impl MicroDollars {
    /// Reads a decimal number of dollars, as EC2 writes its prices: `0.157800`.
    ///
    /// # Errors
    /// If the text is not such a number. Digits beyond the sixth are rounded up: a price that is too low would
    /// let a cap be exceeded.
    pub fn from_decimal(text: &str) -> Result<Self, NotMoney> {
        let bad = || NotMoney(text.to_owned());
        let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
        let digits = |part: &str| part.bytes().all(|b| b.is_ascii_digit());
        if !digits(whole) || !digits(fraction) || (whole.is_empty() && fraction.is_empty()) {
            return Err(bad());
        }
        let whole: u64 = if whole.is_empty() {
            0
        } else {
            whole.parse().map_err(|_| bad())?
        };
        let (kept, rest) = fraction.split_at(fraction.len().min(6));
        let micros: u64 = format!("{kept:0<6}").parse().map_err(|_| bad())?;
        let round_up = u64::from(rest.bytes().any(|b| b != b'0'));
        whole
            .checked_mul(1_000_000)
            .and_then(|dollars| dollars.checked_add(micros))
            .and_then(|sum| sum.checked_add(round_up))
            .map(Self)
            .ok_or_else(bad)
    }

    /// Returns the cost of `span` at this price per hour, rounded up to a micro-dollar.
    #[must_use]
    pub fn per_hour_over(self, span: Duration) -> Self {
        self.per(HOUR, span)
    }

    /// Returns the total cost of spans at prices per hour, rounded up once.
    #[must_use]
    pub fn per_hour_over_all(spans: &[(Self, Duration)]) -> Self {
        let each = spans
            .iter()
            .map(|(price, span)| u128::from(price.0).saturating_mul(span.as_millis()));
        let total = each.fold(0u128, u128::saturating_add);
        Self(u64::try_from(total.div_ceil(HOUR.as_millis())).unwrap_or(u64::MAX))
    }

    /// Returns the cost of `span` at this price per `of`, rounded up to a micro-dollar.
    #[must_use]
    pub fn per(self, of: Duration, span: Duration) -> Self {
        let total = u128::from(self.0).saturating_mul(span.as_millis());
        Self(u64::try_from(total.div_ceil(of.as_millis().max(1))).unwrap_or(u64::MAX))
    }

    #[must_use]
    pub fn times(self, count: u64) -> Self {
        Self(self.0.saturating_mul(count))
    }

    #[must_use]
    pub fn saturating_sub(self, other: Self) -> Self {
        Self(self.0.saturating_sub(other.0))
    }

    /// In dollars and cents, for people: `$0.16`. Half a cent is rounded up, and an amount too small for that is
    /// shown in full.
    #[must_use]
    pub fn in_cents(self) -> String {
        if self.0 > 0 && self.0 < 5_000 {
            return self.to_string();
        }
        let cents = self.0.saturating_add(5_000) / 10_000;
        format!("${}.{:02}", cents / 100, cents % 100)
    }
}

const HOUR: Duration = Duration::from_hours(1);

impl Add for MicroDollars {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self(self.0.saturating_add(other.0))
    }
}

impl Sum for MicroDollars {
    fn sum<I: Iterator<Item = Self>>(amounts: I) -> Self {
        amounts.fold(Self::default(), Add::add)
    }
}

impl fmt::Display for MicroDollars {
    /// `$0.1578`: two digits after the point, or as many as needed.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = format!("{}.{:06}", self.0 / 1_000_000, self.0 % 1_000_000);
        let shortest = text.len() - 4;
        let end = text.trim_end_matches('0').len().max(shortest);
        write!(f, "${}", &text[..end])
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn prices_are_read_and_written() {
        for (text, micros, shown) in [
            ("0.526", 526_000, "$0.526"),
            ("1", 1_000_000, "$1.00"),
            (".5", 500_000, "$0.50"),
            ("0.1578000", 157_800, "$0.1578"),
            ("0.00000001", 1, "$0.000001"),
        ] {
            let money = MicroDollars::from_decimal(text).unwrap();
            assert_eq!((money.0, money.to_string().as_str()), (micros, shown), "{text}");
        }
        for bad in ["", ".", "-1", "1e3", "$1", "1.2.3", "99999999999999999999"] {
            assert!(MicroDollars::from_decimal(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn amounts_below_half_a_cent_are_shown_in_full() {
        for (micros, shown) in [
            (0, "$0.00"),
            (1_400, "$0.0014"),
            (4_999, "$0.004999"),
            (5_000, "$0.01"),
            (157_800, "$0.16"),
            (12_345_678, "$12.35"),
        ] {
            assert_eq!(MicroDollars(micros).in_cents(), shown);
        }
    }

    proptest! {
        #[test]
        fn shown_amount_reads_back_the_same(micros in 0..u64::MAX / 2) {
            let shown = MicroDollars(micros).to_string();
            prop_assert_eq!(MicroDollars::from_decimal(&shown[1..]).unwrap(), MicroDollars(micros));
        }

        #[test]
        fn span_costs_at_most_one_unit_less_than_its_parts(price in 0u64..10_000_000_000, a in 0u64..10_000_000, b in 0u64..10_000_000) {
            let price = MicroDollars(price);
            let whole = price.per_hour_over(Duration::from_millis(a + b));
            let parts = price.per_hour_over(Duration::from_millis(a)) + price.per_hour_over(Duration::from_millis(b));
            prop_assert!(whole <= parts && parts.0 - whole.0 <= 1);
        }
    }
}
