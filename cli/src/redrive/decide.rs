//! What is done about a message: a function of the message and the stack, and of nothing else.

use serde_json::Value;

use super::letter::{Letter, NotUnderstood, Sender};
use crate::stack::{SWEEPER, Stack};

/// What is done about a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Action {
    /// The function gets the event again.
    Invoke {
        /// Its real name.
        function: String,
        /// The event.
        event: String,
    },
    /// It is not needed, for this reason.
    Drop(&'static str),
    /// It stays where it is, for this reason.
    Leave(String),
}

const SWEPT_ANYWAY: &str = "the next sweep does the same";

/// Decides.
pub(crate) fn decide(letter: &Result<Letter, NotUnderstood>, stack: &Stack) -> Action {
    let letter = match letter {
        Ok(letter) => letter,
        Err(error) => return Action::Leave(error.to_string()),
    };
    let Some((function, title)) = stack.function(&letter.function) else {
        return Action::Leave(format!(
            "`{}` is no function of the stack `{}` that events go to",
            letter.function, stack.name
        ));
    };
    if title == SWEEPER {
        return of_the_sweeper(letter);
    }
    match serde_json::from_str(&letter.event) {
        Ok(Value::Object(_)) => Action::Invoke {
            function: function.to_owned(),
            event: letter.event.clone(),
        },
        _ => Action::Leave("it holds no event".to_owned()),
    }
}

/// The sweeper is never woken by an event that says something new.
fn of_the_sweeper(letter: &Letter) -> Action {
    match (&letter.sender, letter.about.event.as_deref()) {
        (Sender::Schedule(_), _) | (_, Some("sweep" | "patrol")) => Action::Drop(SWEPT_ANYWAY),
        _ => Action::Leave("the sweeper knows no such task".to_owned()),
    }
}
