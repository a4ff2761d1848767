//! Durations, counts and amounts, as every channel writes them.

use std::fmt::Display;
use std::time::Duration;

use dayfly_types::money::MicroDollars;
use dayfly_types::time::Timestamp;

use crate::story::{Reached, Stage};

/// Formats a duration in its two largest units.
#[must_use]
pub fn span(span: Duration) -> String {
    let seconds = span.as_secs();
    match (seconds / 86_400, seconds / 3600, seconds / 60 % 60, seconds % 60) {
        (0, 0, 0, seconds) => format!("{seconds}s"),
        (0, 0, minutes, seconds) => format!("{minutes}m{seconds:02}s"),
        (0, hours, minutes, _) => format!("{hours}h{minutes:02}m"),
        (days, hours, ..) => format!("{days}d{:02}h", hours % 24),
    }
}

/// Formats a step of a timeline, where tenths of a second matter below a minute.
#[must_use]
pub fn exact(span: Duration) -> String {
    if span < Duration::from_mins(1) {
        format!("{}.{}s", span.as_secs(), span.subsec_millis() / 100)
    } else {
        self::span(span)
    }
}

/// Formats how long ago something was, in the largest unit that fits.
#[must_use]
pub fn ago(span: Duration) -> String {
    let seconds = span.as_secs();
    match (seconds / 86_400, seconds / 3600, seconds / 60) {
        (0, 0, 0) => "just now".to_owned(),
        (0, 0, minutes) => format!("{minutes} min ago"),
        (0, hours, _) => format!("{hours} h ago"),
        (days, ..) => format!("{days} d ago"),
    }
}

/// `2026-11-02 12:00:00 UTC`.
#[must_use]
pub fn moment(at: Timestamp) -> String {
    format!("{} {} UTC", at.utc_day(), at.utc_time())
}

/// Formats an amount in cents, or in hundredths of a cent if it is smaller than half a cent.
#[must_use]
pub fn amount(amount: MicroDollars) -> String {
    match amount.0 {
        1..50 => "< $0.0001".to_owned(),
        50..5_000 => MicroDollars((amount.0 + 50) / 100 * 100).to_string(),
        _ => amount.in_cents(),
    }
}

/// Marks an amount that may still grow.
#[must_use]
pub fn so_far(is_final: bool) -> &'static str {
    if is_final { "" } else { " so far" }
}

/// `1 job`, `2 jobs`.
#[must_use]
pub fn counted<N: Copy + Display + PartialEq + From<u8>>(count: N, noun: &str) -> String {
    let plural = if count == N::from(1) { "" } else { "s" };
    format!("{count} {noun}{plural}")
}

/// Returns the longest step of a timeline other than the job itself, which would dwarf all others.
#[must_use]
pub fn longest(stages: &[Reached]) -> Duration {
    let others = stages.iter().filter(|one| one.stage != Stage::JobFinished);
    others.filter_map(|one| one.after).max().unwrap_or_default()
}

/// Draws a bar whose share of `blocks` is the share of `after` in `longest`.
#[must_use]
pub fn bar(after: Duration, longest: Duration, blocks: usize) -> String {
    let share = after.as_millis() * blocks as u128 / longest.as_millis().max(1);
    "█".repeat(usize::try_from(share).unwrap_or(blocks).min(blocks))
}

/// Compares a cost with what the same minutes cost on GitHub's own GPU runner.
#[must_use]
pub fn against_github(
    total: MicroDollars,
    on_github: MicroDollars,
    minutes: u64,
    amount: fn(MicroDollars) -> String,
) -> String {
    let (difference, word) = if on_github >= total {
        (on_github.saturating_sub(total), "less")
    } else {
        (total.saturating_sub(on_github), "more")
    };
    format!(
        "{} {word} than GitHub's own GPU runner costs for {}, {}",
        amount(difference),
        counted(minutes, "minute"),
        amount(on_github)
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_have_two_units_and_the_past_has_one() {
        for (seconds, length, past) in [
            (0, "0s", "just now"),
            (59, "59s", "just now"),
            (62, "1m02s", "1 min ago"),
            (3_720, "1h02m", "1 h ago"),
            (90_000, "1d01h", "1 d ago"),
        ] {
            let duration = Duration::from_secs(seconds);
            assert_eq!((span(duration).as_str(), ago(duration).as_str()), (length, past));
        }
    }

    #[test]
    fn steps_below_a_minute_have_tenths() {
        for (millis, whole, fine) in [
            (7_450, "7s", "7.4s"),
            (67_000, "1m07s", "1m07s"),
            (3_725_000, "1h02m", "1h02m"),
        ] {
            let step = Duration::from_millis(millis);
            assert_eq!((span(step).as_str(), exact(step).as_str()), (whole, fine));
        }
    }

    #[test]
    fn amount_has_only_meaningful_digits() {
        for (micros, expected) in [
            (0, "$0.00"),
            (49, "< $0.0001"),
            (50, "$0.0001"),
            (3_529, "$0.0035"),
            (4_960, "$0.005"),
            (5_000, "$0.01"),
            (12_345_678, "$12.35"),
        ] {
            assert_eq!(amount(MicroDollars(micros)), expected);
        }
    }

    #[test]
    fn bar_is_as_long_as_its_share() {
        let second = Duration::from_secs(1);
        for (after, blocks) in [(0, 0), (1, 2), (5, 10), (9, 10)] {
            assert_eq!(bar(after * second, 5 * second, 10).chars().count(), blocks);
        }
        assert_eq!(bar(second, Duration::ZERO, 3), "███");
    }

    #[test]
    fn comparison_with_github_says_more_or_less() {
        let compared = |total| against_github(MicroDollars(total), MicroDollars(520_000), 10, MicroDollars::in_cents);
        assert_eq!(
            compared(120_000),
            "$0.40 less than GitHub's own GPU runner costs for 10 minutes, $0.52"
        );
        assert!(compared(530_000).starts_with("$0.01 more than "));
    }
}
