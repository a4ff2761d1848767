//! What became of each message, as a table for people and as JSON for programs.

use comfy_table::presets::NOTHING;
use comfy_table::{ContentArrangement, Table};
use serde::Serialize;

use super::letter::{About, Letter, Message, NotUnderstood, Sender};
use crate::arn::Arn;
use crate::stack::Stack;

/// The table's width: what is too long for it is folded, not cut.
const WIDTH: u16 = 150;

/// Who left the message, where it was the function's own failure.
const FUNCTION: &str = "function";

const FAILS_AGAIN: &str =
    "An event that fails again is back here within minutes, with the alarm: see the function's log then.";

const HIDDEN: &str = "`dayfly redrive`; what it leaves can be seen again within five minutes.";

/// What became of a message.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case", tag = "outcome", content = "why")]
pub(crate) enum Outcome {
    /// The function has the event again.
    Redriven,
    /// It was not needed.
    Dropped(String),
    /// It is in the queue still.
    Stays(String),
    /// It would be redriven, but for `--dry-run`.
    WouldRedrive,
    /// It would be dropped, but for `--dry-run`.
    WouldDrop(String),
}

/// One message.
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
    pub(crate) about: About,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) error: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) tries: Option<u64>,
    #[serde(flatten)]
    pub(crate) outcome: Outcome,
}

impl Row {
    pub(crate) fn new(
        message: &Message,
        letter: &Result<Letter, NotUnderstood>,
        stack: &Stack,
        outcome: Outcome,
    ) -> Self {
        let letter = letter.as_ref().ok();
        Self {
            message: message.id.clone(),
            when: message.sent_at.and_then(time),
            from: letter.map(|letter| from(&letter.sender)),
            function: letter.map(|letter| function(&letter.function, stack)),
            about: letter.map(|letter| letter.about.clone()).unwrap_or_default(),
            error: letter.and_then(|letter| letter.error.clone()),
            tries: letter.and_then(|letter| letter.tries),
            outcome,
        }
    }
}

fn time(milliseconds: i64) -> Option<String> {
    let seconds = milliseconds.div_euclid(1000);
    Some(jiff::Timestamp::from_second(seconds).ok()?.to_string())
}

fn from(sender: &Sender) -> String {
    match sender {
        Sender::Function => FUNCTION.to_owned(),
        Sender::Rule(name) => format!("rule {name}"),
        Sender::Schedule(name) => format!("schedule {name}"),
    }
}

/// As the design calls it, or by its own name if it is none of this stack.
fn function(arn: &str, stack: &Stack) -> String {
    let own = || Arn::read(arn).and_then(|arn| arn.function()).unwrap_or(arn).to_owned();
    stack.function(arn).map_or_else(own, |(_, title)| title.to_owned())
}

/// All messages.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Report {
    pub(crate) stack: String,
    pub(crate) region: String,
    pub(crate) queue: String,
    pub(crate) dry_run: bool,
    pub(crate) messages: Vec<Row>,
    /// In somebody else's hands.
    pub(crate) hidden: u64,
}

impl Report {
    /// Whether something is left that a person has to look at.
    pub(crate) fn something_stays(&self) -> bool {
        self.count(|outcome| matches!(outcome, Outcome::Stays(_))) > 0
    }

    fn count(&self, is: impl Fn(&Outcome) -> bool) -> usize {
        self.messages.iter().filter(|row| is(&row.outcome)).count()
    }

    pub(crate) fn table(&self) -> String {
        let mut table = Table::new();
        table
            .load_style(NOTHING)
            .set_content_arrangement(ContentArrangement::Dynamic)
            .set_width(WIDTH)
            .set_header(["when", "who", "event", "about", "error", "tries", "outcome"]);
        for row in &self.messages {
            let or_dash = |text: Option<&str>| text.unwrap_or("-").to_owned();
            table.add_row([
                or_dash(row.when.as_deref()),
                who(row),
                or_dash(row.about.event.as_deref()),
                row.about.line(),
                or_dash(row.error.as_deref()),
                row.tries.map_or_else(|| "-".to_owned(), |tries| tries.to_string()),
                outcome(row),
            ]);
        }
        table.trim_fmt()
    }

    /// The end of it all in a sentence or two.
    pub(crate) fn summary(&self) -> String {
        let mut said = Vec::new();
        if self.messages.is_empty() {
            said.push(format!(
                "No dead letters in the stack `{}` in {}.",
                self.stack, self.region
            ));
        } else {
            said.push(self.counts());
        }
        if self.count(|outcome| matches!(outcome, Outcome::Redriven)) > 0 {
            said.push(FAILS_AGAIN.to_owned());
        }
        if self.hidden > 0 {
            said.push(format!("{} more in the hands of another {HIDDEN}", self.hidden));
        }
        said.join(" ")
    }

    fn counts(&self) -> String {
        let parts = [
            (self.count(|outcome| matches!(outcome, Outcome::Redriven)), "redriven"),
            (
                self.count(|outcome| matches!(outcome, Outcome::WouldRedrive)),
                "would be redriven",
            ),
            (self.count(|outcome| matches!(outcome, Outcome::Dropped(_))), "dropped"),
            (
                self.count(|outcome| matches!(outcome, Outcome::WouldDrop(_))),
                "would be dropped",
            ),
            (
                self.count(|outcome| matches!(outcome, Outcome::Stays(_))),
                "left in the queue",
            ),
        ];
        let parts = parts.into_iter().filter(|(count, _)| *count > 0);
        let parts: Vec<String> = parts.map(|(count, what)| format!("{count} {what}")).collect();
        format!("{}.", parts.join(", "))
    }
}

/// `launch`, or `rule JobQueued → launch` where the function was not even reached.
fn who(row: &Row) -> String {
    match (&row.from, &row.function) {
        (Some(from), Some(function)) if from == FUNCTION => function.clone(),
        (Some(from), Some(function)) => format!("{from} → {function}"),
        _ => "-".to_owned(),
    }
}

fn outcome(row: &Row) -> String {
    match &row.outcome {
        Outcome::Redriven => "redriven".to_owned(),
        Outcome::Dropped(why) => format!("dropped: {why}"),
        Outcome::Stays(why) => format!("message {} stays: {why}", row.message),
        Outcome::WouldRedrive => "would be redriven".to_owned(),
        Outcome::WouldDrop(why) => format!("would be dropped: {why}"),
    }
}
