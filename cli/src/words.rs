//! What several commands say alike.

use std::time::{SystemTime, UNIX_EPOCH};

use dayfly_records::RunnerState;
pub(crate) use dayfly_report::story::words::span;
use dayfly_types::time::Timestamp;

/// A runner's state.
pub(crate) fn state(state: RunnerState) -> &'static str {
    match state {
        RunnerState::Requested => "requested",
        RunnerState::Launched => "launched",
        RunnerState::Enrolled => "waits for a job",
        RunnerState::Busy => "runs a job",
        RunnerState::Draining => "drains",
        RunnerState::Done => "done",
        RunnerState::Lost => "lost",
        RunnerState::Gone => "gone",
    }
}

/// This moment.
pub(crate) fn now() -> Timestamp {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Timestamp::from_millis(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
}

/// A text of others', without what a terminal takes for an order.
pub(crate) fn plain(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_text_of_others_moves_the_cursor() {
        assert_eq!(plain("a\u{1b}[2Jb\nc\u{9b}é"), "a [2Jb c é");
    }
}
