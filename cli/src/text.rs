//! Text that several commands share.

use dayfly_records::RunnerState;
pub(crate) use dayfly_report::format::span;

pub(crate) fn runner_state(state: RunnerState) -> &'static str {
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

/// Replaces control characters in untrusted text, which a terminal might interpret.
pub(crate) fn strip_control_chars(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn untrusted_text_cannot_move_the_cursor() {
        assert_eq!(strip_control_chars("a\u{1b}[2Jb\nc\u{9b}é"), "a [2Jb c é");
    }
}
