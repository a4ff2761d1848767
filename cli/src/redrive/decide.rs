//! The decision about a message, from the message and the stack alone.

use serde_json::Value;

use super::dead_letter::{DeadLetter, Sender, UnknownFormat};
use crate::stack::{SWEEPER, Stack};

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum MessageAction {
    /// Send the event to the function again.
    Invoke {
        /// The function's real name.
        function: String,
        event: String,
    },
    /// Delete the message, for this reason.
    Drop(&'static str),
    /// Leave the message in the queue, for this reason.
    Keep(String),
}

const NEXT_SWEEP: &str = "the next sweep does the same";

pub(crate) fn decide(dead_letter: &Result<DeadLetter, UnknownFormat>, stack: &Stack) -> MessageAction {
    let dead_letter = match dead_letter {
        Ok(dead_letter) => dead_letter,
        Err(error) => return MessageAction::Keep(error.to_string()),
    };
    let Some((function, title)) = stack.function(&dead_letter.function) else {
        return MessageAction::Keep(format!(
            "`{}` is not an event function of the stack `{}`",
            dead_letter.function, stack.name
        ));
    };
    if title == SWEEPER {
        return decide_for_sweeper(dead_letter);
    }
    match serde_json::from_str(&dead_letter.event) {
        Ok(Value::Object(_)) => MessageAction::Invoke {
            function: function.to_owned(),
            event: dead_letter.event.clone(),
        },
        _ => MessageAction::Keep("it contains no event".to_owned()),
    }
}

/// The sweeper's events carry no information of their own.
fn decide_for_sweeper(dead_letter: &DeadLetter) -> MessageAction {
    match (&dead_letter.sender, dead_letter.subject.event.as_deref()) {
        (Sender::Schedule(_), _) | (_, Some("sweep" | "patrol")) => MessageAction::Drop(NEXT_SWEEP),
        _ => MessageAction::Keep("the sweeper has no such task".to_owned()),
    }
}
