//! Spans, amounts and states as the board says them.

use std::time::Duration;

use dayfly_records::RunnerState;
use dayfly_types::money::MicroDollars;

/// A span, to the second or the minute.
pub(super) fn span(span: Duration) -> String {
    let seconds = span.as_secs();
    match (seconds / 86_400, seconds / 3600, seconds / 60 % 60, seconds % 60) {
        (0, 0, 0, seconds) => format!("{seconds}s"),
        (0, 0, minutes, seconds) => format!("{minutes}m {seconds:02}s"),
        (0, hours, minutes, _) => format!("{hours}h {minutes:02}m"),
        (days, hours, _, _) => format!("{days}d {:02}h", hours % 24),
    }
}

/// How long ago something was, to the largest unit that fits.
pub(super) fn ago(span: Duration) -> String {
    let seconds = span.as_secs();
    match (seconds / 86_400, seconds / 3600, seconds / 60) {
        (0, 0, 0) => "just now".to_owned(),
        (0, 0, minutes) => format!("{minutes} min ago"),
        (0, hours, _) => format!("{hours} h ago"),
        (days, _, _) => format!("{days} d ago"),
    }
}

/// An amount in cents; what is too small for one to a hundredth of it.
pub(super) fn amount(amount: MicroDollars) -> String {
    match amount.0 {
        1..50 => "< $0.0001".to_owned(),
        50..5_000 => MicroDollars((amount.0 + 50) / 100 * 100).to_string(),
        _ => amount.in_cents(),
    }
}

/// `1 job`, `2 jobs`.
pub(super) fn counted(count: usize, noun: &str) -> String {
    format!("{count} {noun}{}", if count == 1 { "" } else { "s" })
}

/// A runner's state.
pub(super) fn state(state: RunnerState) -> &'static str {
    match state {
        RunnerState::Requested => "launching",
        RunnerState::Launched => "booting",
        RunnerState::Enrolled => "waits for a job",
        RunnerState::Busy => "runs",
        RunnerState::Draining => "drains",
        RunnerState::Done => "ends",
        RunnerState::Lost => "lost",
        RunnerState::Gone => "gone",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_amount_has_no_more_digits_than_say_something() {
        for (micros, told) in [
            (0, "$0.00"),
            (49, "< $0.0001"),
            (50, "$0.0001"),
            (3_529, "$0.0035"),
            (4_960, "$0.005"),
            (5_000, "$0.01"),
            (12_345_678, "$12.35"),
        ] {
            assert_eq!(amount(MicroDollars(micros)), told);
        }
    }

    #[test]
    fn spans_are_told_in_two_units_and_the_past_in_one() {
        for (seconds, told, past) in [
            (0, "0s", "just now"),
            (59, "59s", "just now"),
            (62, "1m 02s", "1 min ago"),
            (3_720, "1h 02m", "1 h ago"),
            (90_000, "1d 01h", "1 d ago"),
        ] {
            let length = Duration::from_secs(seconds);
            assert_eq!((span(length).as_str(), ago(length).as_str()), (told, past));
        }
    }
}
