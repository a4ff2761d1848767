//! The outcome of each message, as a table and as JSON.

use comfy_table::presets::NOTHING;
use comfy_table::{ContentArrangement, Table};
use serde::Serialize;

use super::dead_letter::{DeadLetter, EventSubject, Message, Sender, UnknownFormat};
use crate::arn::Arn;
use crate::stack::Stack;

/// The table's width. Longer text is wrapped.
const WIDTH: u16 = 150;

/// The sender, if the function itself failed.
const FUNCTION: &str = "function";

const FAILS_AGAIN: &str =
    "An event that fails again returns here within minutes, with the alarm: see the function's log then.";

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case", tag = "outcome", content = "why")]
pub(crate) enum MessageOutcome {
    /// The function received the event again.
    Redriven,
    /// It was not needed.
    Dropped(String),
    /// It is still in the queue.
    Stays(String),
    WouldRedrive,
    WouldDrop(String),
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Row {
    pub(crate) message: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) when: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) from: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) function: Option<String>,
    #[serde(flatten)]
    pub(crate) subject: EventSubject,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) error: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) tries: Option<u64>,
    #[serde(flatten)]
    pub(crate) outcome: MessageOutcome,
}

impl Row {
    pub(crate) fn new(
        message: &Message,
        dead_letter: &Result<DeadLetter, UnknownFormat>,
        stack: &Stack,
        outcome: MessageOutcome,
    ) -> Self {
        let dead_letter = dead_letter.as_ref().ok();
        Self {
            message: message.id.clone(),
            when: message.sent_at.and_then(format_time),
            from: dead_letter.map(|dead_letter| sender_name(&dead_letter.sender)),
            function: dead_letter.map(|dead_letter| function_title(&dead_letter.function, stack)),
            subject: dead_letter
                .map(|dead_letter| dead_letter.subject.clone())
                .unwrap_or_default(),
            error: dead_letter.and_then(|dead_letter| dead_letter.error.clone()),
            tries: dead_letter.and_then(|dead_letter| dead_letter.tries),
            outcome,
        }
    }
}

fn format_time(milliseconds: i64) -> Option<String> {
    let seconds = milliseconds.div_euclid(1000);
    Some(jiff::Timestamp::from_second(seconds).ok()?.to_string())
}

fn sender_name(sender: &Sender) -> String {
    match sender {
        Sender::Function => FUNCTION.to_owned(),
        Sender::Rule(name) => format!("rule {name}"),
        Sender::Schedule(name) => format!("schedule {name}"),
    }
}

/// Returns the function's title, or its own name if it is not of this stack.
fn function_title(arn: &str, stack: &Stack) -> String {
    let own = || {
        Arn::parse(arn)
            .and_then(|arn| arn.function_name())
            .unwrap_or(arn)
            .to_owned()
    };
    stack.function(arn).map_or_else(own, |(_, title)| title.to_owned())
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Report {
    pub(crate) stack: String,
    pub(crate) region: String,
    pub(crate) queue: String,
    pub(crate) dry_run: bool,
    pub(crate) messages: Vec<Row>,
    /// Messages that another command has received.
    pub(crate) hidden: u64,
}

impl Report {
    /// Whether messages stay that a person has to look at.
    pub(crate) fn has_remaining(&self) -> bool {
        self.count(|outcome| matches!(outcome, MessageOutcome::Stays(_))) > 0
    }

    fn count(&self, is: impl Fn(&MessageOutcome) -> bool) -> usize {
        self.messages.iter().filter(|row| is(&row.outcome)).count()
    }

    pub(crate) fn table(&self) -> String {
        let mut table = Table::new();
        table
            .load_style(NOTHING)
            .set_content_arrangement(ContentArrangement::Dynamic)
            .set_width(WIDTH)
            .set_header(["when", "function", "event", "about", "error", "tries", "outcome"]);
        for row in &self.messages {
            let or_dash = |text: Option<&str>| text.unwrap_or("-").to_owned();
            table.add_row([
                or_dash(row.when.as_deref()),
                route(row),
                or_dash(row.subject.event.as_deref()),
                row.subject.describe(),
                or_dash(row.error.as_deref()),
                row.tries.map_or_else(|| "-".to_owned(), |tries| tries.to_string()),
                outcome_text(row),
            ]);
        }
        table.trim_fmt()
    }

    pub(crate) fn summary(&self) -> String {
        let mut sentences = Vec::new();
        if self.messages.is_empty() {
            sentences.push(format!(
                "No dead letters in the stack `{}` in {}.",
                self.stack, self.region
            ));
        } else {
            sentences.push(self.counts());
        }
        if self.count(|outcome| matches!(outcome, MessageOutcome::Redriven)) > 0 {
            sentences.push(FAILS_AGAIN.to_owned());
        }
        if self.hidden > 0 {
            sentences.push(format!(
                "{} more are held by another `dayfly redrive`; those that it leaves are visible again within five minutes.",
                self.hidden
            ));
        }
        sentences.join(" ")
    }

    fn counts(&self) -> String {
        let parts = [
            (
                self.count(|outcome| matches!(outcome, MessageOutcome::Redriven)),
                "redriven",
            ),
            (
                self.count(|outcome| matches!(outcome, MessageOutcome::WouldRedrive)),
                "would be redriven",
            ),
            (
                self.count(|outcome| matches!(outcome, MessageOutcome::Dropped(_))),
                "dropped",
            ),
            (
                self.count(|outcome| matches!(outcome, MessageOutcome::WouldDrop(_))),
                "would be dropped",
            ),
            (
                self.count(|outcome| matches!(outcome, MessageOutcome::Stays(_))),
                "left in the queue",
            ),
        ];
        let parts = parts.into_iter().filter(|(count, _)| *count > 0);
        let parts: Vec<String> = parts.map(|(count, what)| format!("{count} {what}")).collect();
        format!("{}.", parts.join(", "))
    }
}

/// Returns such as `launch`, or `rule JobQueued → launch` if the function was not reached.
fn route(row: &Row) -> String {
    match (&row.from, &row.function) {
        (Some(from), Some(function)) if from == FUNCTION => function.clone(),
        (Some(from), Some(function)) => format!("{from} → {function}"),
        _ => "-".to_owned(),
    }
}

fn outcome_text(row: &Row) -> String {
    match &row.outcome {
        MessageOutcome::Redriven => "redriven".to_owned(),
        MessageOutcome::Dropped(why) => format!("dropped: {why}"),
        MessageOutcome::Stays(why) => format!("message {} stays: {why}", row.message),
        MessageOutcome::WouldRedrive => "would be redriven".to_owned(),
        MessageOutcome::WouldDrop(why) => format!("would be dropped: {why}"),
    }
}
