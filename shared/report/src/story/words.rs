//! What is said of stages and amounts wherever a story is told.

use std::time::Duration;

use dayfly_types::money::MicroDollars;

use crate::story::{Reached, Stage};

/// A span, to the second or the minute.
#[must_use]
pub fn span(span: Duration) -> String {
    let seconds = span.as_secs();
    match (seconds / 3600, seconds / 60 % 60, seconds % 60) {
        (0, 0, seconds) => format!("{seconds}s"),
        (0, minutes, seconds) => format!("{minutes}m{seconds:02}s"),
        (hours, minutes, _) => format!("{hours}h{minutes:02}m"),
    }
}

/// A span of a timeline, where tenths of a second matter below a minute.
#[must_use]
pub fn exact(after: Duration) -> String {
    if after < Duration::from_mins(1) {
        format!("{}.{}s", after.as_secs(), after.subsec_millis() / 100)
    } else {
        span(after)
    }
}

/// The longest span of a timeline but that of the job itself, beside which nobody would see the others.
#[must_use]
pub fn longest(stages: &[Reached]) -> Duration {
    let others = stages.iter().filter(|one| one.stage != Stage::JobFinished);
    others.filter_map(|one| one.after).max().unwrap_or_default()
}

/// As much of a bar of so many blocks as the share that a span has in the longest one.
#[must_use]
pub fn bar(after: Duration, longest: Duration, blocks: usize) -> String {
    let share = after.as_millis() * blocks as u128 / longest.as_millis().max(1);
    "█".repeat(usize::try_from(share).unwrap_or(blocks).min(blocks))
}

/// How much less, or more, than GitHub's own runner with a GPU would have cost it was.
#[must_use]
pub fn against_github(
    total: MicroDollars,
    on_github: MicroDollars,
    minutes: u64,
    told: fn(MicroDollars) -> String,
) -> String {
    let (difference, word) = if on_github >= total {
        (on_github.less(total), "less")
    } else {
        (total.less(on_github), "more")
    };
    format!(
        "{} {word} than GitHub's own GPU runner takes for {}, {}",
        told(difference),
        counted(minutes, "minute"),
        told(on_github)
    )
}

/// `1 job`, `2 jobs`.
#[must_use]
pub fn counted(count: u64, noun: &str) -> String {
    format!("{count} {noun}{}", if count == 1 { "" } else { "s" })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_are_told_to_what_matters() {
        for (millis, whole, fine) in [
            (7_450, "7s", "7.4s"),
            (67_000, "1m07s", "1m07s"),
            (3_725_000, "1h02m", "1h02m"),
        ] {
            let told = Duration::from_millis(millis);
            assert_eq!((span(told).as_str(), exact(told).as_str()), (whole, fine));
        }
    }

    #[test]
    fn a_bar_is_as_long_as_its_share() {
        let second = Duration::from_secs(1);
        for (after, blocks) in [(0, 0), (1, 2), (5, 10), (9, 10)] {
            assert_eq!(bar(after * second, 5 * second, 10).chars().count(), blocks);
        }
        assert_eq!(bar(second, Duration::ZERO, 3), "███");
    }

    #[test]
    fn what_github_would_have_taken_is_told_as_more_or_less() {
        let told = |total| against_github(MicroDollars(total), MicroDollars(520_000), 10, MicroDollars::in_cents);
        assert_eq!(
            told(120_000),
            "$0.40 less than GitHub's own GPU runner takes for 10 minutes, $0.52"
        );
        assert!(told(530_000).starts_with("$0.01 more than "));
    }
}
