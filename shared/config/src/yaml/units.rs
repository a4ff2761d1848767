//! Durations, amounts of money and sizes with their units.

use std::fmt;
use std::time::Duration;

use dayfly_types::money::MicroDollars;

use super::decode::ScalarValue;

/// A duration: `90s`, `10m`, `6h`, `1d`, or a number of seconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TimeSpan(pub Duration);

/// A price per hour: `$0.40/h`, `0.40`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HourlyPrice(pub MicroDollars);

/// An amount of money: `$1.50`, `1.50`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Amount(pub MicroDollars);

/// A size in GiB: `100GiB`, `1TiB`, or a number of GiB.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Size(pub u32);

/// The largest general purpose volume of EBS.
const MAX_DISK_GIB: u64 = 64 * 1024;

/// Longer than GitHub lets any self-hosted job run.
const MAX_DURATION: Duration = Duration::from_secs(6 * 24 * 3600);

pub(crate) fn number_and_unit(text: &str) -> Option<(u64, &str)> {
    let text = text.trim();
    let end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    Some((text[..end].parse().ok()?, text[end..].trim()))
}

fn span(text: &str) -> Option<TimeSpan> {
    let (number, unit) = number_and_unit(text)?;
    let seconds = match unit {
        "" | "s" => 1,
        "m" => 60,
        "h" => 3600,
        "d" => 24 * 3600,
        _ => return None,
    };
    let span = Duration::from_secs(number.checked_mul(seconds)?);
    (span > Duration::ZERO && span <= MAX_DURATION).then_some(TimeSpan(span))
}

fn size(text: &str) -> Option<Size> {
    let (number, unit) = number_and_unit(text)?;
    let gib = match unit {
        "" | "GiB" | "GB" | "G" => number,
        "TiB" | "TB" | "T" => number.checked_mul(1024)?,
        _ => return None,
    };
    (1..=MAX_DISK_GIB).contains(&gib).then_some(())?;
    u32::try_from(gib).ok().map(Size)
}

fn hourly_price(text: &str) -> Option<HourlyPrice> {
    let text = text.trim();
    let text = text.strip_suffix("/h").unwrap_or(text).trim();
    let amount = MicroDollars::from_decimal(text.strip_prefix('$').unwrap_or(text)).ok()?;
    (amount > MicroDollars::default()).then_some(HourlyPrice(amount))
}

fn amount(text: &str) -> Option<Amount> {
    let text = text.trim();
    let digits = text.strip_prefix('$').unwrap_or(text);
    MicroDollars::from_decimal(digits).ok().map(Amount)
}

impl ScalarValue for TimeSpan {
    fn expected() -> String {
        "a duration above zero and up to 6d, like `90s`, `10m` or `6h`".to_owned()
    }

    fn parse(text: &str) -> Option<Self> {
        span(text)
    }

    fn suggestion(text: &str) -> Option<String> {
        let (number, unit) = number_and_unit(text)?;
        let unit = match unit.to_ascii_lowercase().as_str() {
            "s" | "sec" | "secs" | "second" | "seconds" => "s",
            "m" | "min" | "mins" | "minute" | "minutes" => "m",
            "h" | "hr" | "hrs" | "hour" | "hours" => "h",
            "d" | "day" | "days" => "d",
            _ => return None,
        };
        let meant = format!("{number}{unit}");
        span(&meant).map(|_| meant)
    }
}

impl ScalarValue for HourlyPrice {
    fn expected() -> String {
        "a price per hour above zero, like `$0.40/h`".to_owned()
    }

    fn parse(text: &str) -> Option<Self> {
        hourly_price(text)
    }

    fn suggestion(text: &str) -> Option<String> {
        // A price per another unit of time is another price, not a slip.
        let (amount, per) = text.split_once('/').unwrap_or((text, "h"));
        let an_hour = matches!(per.trim().to_ascii_lowercase().as_str(), "h" | "hr" | "hour");
        let amount = amount.replace(',', ".");
        let digits = amount.trim_matches(|c: char| !c.is_ascii_digit());
        let meant = HourlyPrice(hourly_price(digits)?.0).to_string();
        an_hour.then_some(meant)
    }
}

impl ScalarValue for Amount {
    fn expected() -> String {
        "an amount of US dollars, like `$1.00`".to_owned()
    }

    fn parse(text: &str) -> Option<Self> {
        amount(text)
    }

    fn suggestion(text: &str) -> Option<String> {
        // With a slash it would be a price, not a slip.
        let plain = !text.contains('/');
        let digits = text.replace(',', ".");
        let digits = digits.trim_matches(|c: char| !c.is_ascii_digit());
        let meant = amount(digits)?.0.to_string();
        plain.then_some(meant)
    }
}

impl fmt::Display for HourlyPrice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/h", self.0)
    }
}

impl ScalarValue for Size {
    fn expected() -> String {
        "a size from 1GiB to 64TiB, like `100GiB`".to_owned()
    }

    fn parse(text: &str) -> Option<Self> {
        size(text)
    }

    fn suggestion(text: &str) -> Option<String> {
        let (number, unit) = number_and_unit(text)?;
        let unit = match unit.to_ascii_lowercase().as_str() {
            "g" | "gb" | "gib" | "gigabytes" => "GiB",
            "t" | "tb" | "tib" | "terabytes" => "TiB",
            _ => return None,
        };
        let meant = format!("{number}{unit}");
        size(&meant).map(|_| meant)
    }
}

/// Writes a duration as [`TimeSpan`] reads it, in the largest unit without a remainder.
#[must_use]
pub fn write_duration(span: Duration) -> String {
    let seconds = span.as_secs();
    let units = [(24 * 3600, "d"), (3600, "h"), (60, "m")];
    let whole = units.iter().find(|(unit, _)| seconds.is_multiple_of(*unit));
    whole.map_or_else(
        || format!("{seconds}s"),
        |(unit, name)| format!("{}{name}", seconds / unit),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_have_units() {
        for (text, seconds) in [
            ("90s", Some(90)),
            ("10m", Some(600)),
            ("6h", Some(21600)),
            ("1d", Some(86400)),
            ("600", Some(600)),
            ("0s", None),
            ("7d", None),
            ("10 min", None),
            ("-1m", None),
            ("m", None),
            ("", None),
        ] {
            assert_eq!(span(text).map(|s| s.0.as_secs()), seconds, "{text}");
        }
    }

    #[test]
    fn prices_are_per_hour() {
        for (text, micros) in [
            ("$0.40/h", Some(400_000)),
            ("0.4", Some(400_000)),
            ("$1 /h", Some(1_000_000)),
            ("$0/h", None),
            ("$0.40/min", None),
            ("cheap", None),
        ] {
            assert_eq!(hourly_price(text).map(|price| price.0.0), micros, "{text}");
        }
    }

    #[test]
    fn amounts_may_be_zero() {
        for (text, micros) in [
            ("$0", Some(0)),
            ("0.5", Some(500_000)),
            ("$1.25", Some(1_250_000)),
            ("$1/h", None),
            ("-1", None),
            ("", None),
        ] {
            assert_eq!(amount(text).map(|amount| amount.0.0), micros, "{text}");
        }
    }

    #[test]
    fn sizes_have_units() {
        for (text, gib) in [
            ("100GiB", Some(100)),
            ("100", Some(100)),
            ("1 TiB", Some(1024)),
            ("0GiB", None),
            ("65TiB", None),
            ("10MiB", None),
            ("99999999999999999999", None),
        ] {
            assert_eq!(size(text).map(|s| s.0), gib, "{text}");
        }
    }

    #[test]
    fn plain_slips_get_a_suggestion() {
        for (text, meant) in [
            ("10 min", Some("10m")),
            ("2 Hours", Some("2h")),
            ("7 days", None),
            ("soon", None),
        ] {
            assert_eq!(TimeSpan::suggestion(text).as_deref(), meant, "{text}");
        }
        for (text, meant) in [
            ("0.40 USD", Some("$0.40/h")),
            ("0,4", Some("$0.40/h")),
            ("$0.4/hour", Some("$0.40/h")),
            ("$0.01/min", None),
            ("cheap", None),
        ] {
            assert_eq!(HourlyPrice::suggestion(text).as_deref(), meant, "{text}");
        }
        for (text, meant) in [
            ("1 USD", Some("$1.00")),
            ("0,50", Some("$0.50")),
            ("$1/h", None),
            ("a lot", None),
        ] {
            assert_eq!(Amount::suggestion(text).as_deref(), meant, "{text}");
        }
        for (text, meant) in [("100 gb", Some("100GiB")), ("1tib", Some("1TiB")), ("100MB", None)] {
            assert_eq!(Size::suggestion(text).as_deref(), meant, "{text}");
        }
    }

    #[test]
    fn durations_are_written_as_they_are_read() {
        for seconds in [1, 59, 60, 90, 600, 3600, 5400, 86400, 90000] {
            let text = write_duration(Duration::from_secs(seconds));
            assert_eq!(span(&text).map(|s| s.0.as_secs()), Some(seconds), "{text}");
        }
    }
}
