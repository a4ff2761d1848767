//! When nothing lives any more, so that the minute schedule may go off.

use dayfly_records::Wake;
use dayfly_types::deadlines::Deadlines;
use dayfly_types::time::Timestamp;

/// What a sweep does about the minute schedule.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum QuietStep {
    /// Nothing: it stays on.
    Keep,
    /// It stays on, with this record.
    Record(Wake),
    /// It goes off, with this record.
    SwitchOff(Wake),
}

/// Whether nothing was launched for the quiet time.
#[must_use]
pub fn is_quiet(wake: Wake, now: Timestamp, deadlines: &Deadlines) -> bool {
    now.since(wake.at) >= deadlines.quiet
}

/// Decides after a sweep. The index of due records shows each change late, and changes of different records in any
/// order: where one record takes over from another, as a story does from a runner that is settled, it may show the end
/// of the one before the start of the other. So a single look that finds nothing proves nothing; the next one, longer
/// after it than the index lags behind, does.
#[must_use]
pub fn after_sweep(wake: Wake, lives: bool, now: Timestamp, deadlines: &Deadlines) -> QuietStep {
    let empty_since = |empty_since| QuietStep::Record(Wake { empty_since, ..wake });
    match wake.empty_since {
        None if lives => QuietStep::Keep,
        Some(_) if lives => empty_since(None),
        None => empty_since(Some(now)),
        Some(since) if now.since(since) < deadlines.quiet / 4 => QuietStep::Keep,
        Some(_) => QuietStep::SwitchOff(Wake {
            on: false,
            empty_since: None,
            ..wake
        }),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::fixtures::{deadlines, now};

    #[test]
    fn schedule_goes_off_once_two_looks_apart_found_nothing() {
        let at = |seconds| now().after(Duration::from_secs(seconds));
        let wake = Wake::on(now());
        let empty = |since| Wake {
            empty_since: Some(at(since)),
            ..wake
        };
        let off = Wake { on: false, ..wake };
        for (before, lives, seconds, step) in [
            (wake, true, 120, QuietStep::Keep),
            (wake, false, 120, QuietStep::Record(empty(120))),
            (empty(120), false, 125, QuietStep::Keep),
            (empty(120), true, 180, QuietStep::Record(wake)),
            (empty(120), false, 180, QuietStep::SwitchOff(off)),
        ] {
            assert_eq!(
                after_sweep(before, lives, at(seconds), &deadlines()),
                step,
                "{before:?}, lives: {lives}, after {seconds} s"
            );
        }
    }

    #[test]
    fn launch_is_quiet_after_the_quiet_time() {
        let quiet = deadlines().quiet;
        for (after, is) in [(quiet / 2, false), (quiet, true)] {
            assert_eq!(
                is_quiet(Wake::on(now()), now().after(after), &deadlines()),
                is,
                "{after:?}"
            );
        }
    }
}
