//! `dayfly redrive`: brings back the events that no retry could deliver.
//!
//! What is done about a message is decided in [`decide`]; this shell reads, asks, acts, and tells.
//! An event is handed to its function before its message is deleted: whoever dies in between hands
//! it over twice, which every function stands.

mod decide;
mod letter;
mod post;
mod report;
#[cfg(test)]
mod tests;

use std::collections::HashSet;

use clap::Args;

use crate::error::Error;
use crate::output::Output;
use crate::stack::Stack;
use crate::{Ending, Place, aws};
use decide::{Action, decide};
use letter::{Letter, Message};
use post::{AwsPost, MOST_AT_ONCE, Post};
use report::{Outcome, Report, Row};

/// Bring back the events that dayfly could not handle.
///
/// They lie in the stack's dead-letter queue for 14 days. Each is handed to its function again and
/// taken out of the queue; what cannot be handed over stays there and is named. Sweeps that failed
/// are dropped, as the next one does the same.
///
/// It needs the rights `cloudformation:DescribeStacks`, `lambda:InvokeFunction`, and on the queue
/// `sqs:ReceiveMessage`, `sqs:DeleteMessage`, `sqs:ChangeMessageVisibility` and
/// `sqs:GetQueueAttributes`.
///
/// Exit status: 0, or 1 if something stayed, or 2 if it could not be done.
#[derive(Clone, Debug, Args)]
pub struct Arguments {
    #[command(flatten)]
    pub(crate) place: Place,
    /// Only show them: nothing is handed over, everything stays
    #[arg(long)]
    dry_run: bool,
    /// No more than so many
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    limit: Option<u32>,
    /// JSON instead of a table
    #[arg(long)]
    json: bool,
}

impl Arguments {
    fn limit(&self) -> usize {
        self.limit
            .map_or(usize::MAX, |limit| usize::try_from(limit).unwrap_or(usize::MAX))
    }
}

/// Carries the command out.
///
/// # Errors
/// If stack or queue cannot be read. A single message's failure is none: it stays and is named.
pub(crate) async fn run(arguments: &Arguments, output: &mut Output<'_>) -> Result<Ending, Error> {
    let aws = aws::config(arguments.place.region.as_deref()).await?;
    output.note(format_args!("looking for the stack `{}` …", arguments.place.stack))?;
    let stack = Stack::find(&aws, &arguments.place).await?;
    output.note("reading its dead letters …")?;
    redrive(arguments, &stack, &AwsPost::new(&aws, &stack), output).await
}

/// The same with the stack known, and whatever queue and functions.
async fn redrive(
    arguments: &Arguments,
    stack: &Stack,
    post: &impl Post,
    output: &mut Output<'_>,
) -> Result<Ending, Error> {
    let mut round = Round {
        arguments,
        stack,
        post,
        rows: Vec::new(),
        staying: Vec::new(),
    };
    let read = round.all(output).await;
    // Whatever became of the reading: what was read must not stay hidden, nor what was done untold.
    round.give_back(output).await?;
    let hidden = if round.rows.is_empty() && read.is_ok() {
        post.hidden().await?
    } else {
        0
    };
    let report = Report {
        stack: stack.name.clone(),
        region: stack.region.clone(),
        queue: stack.dead_letters_url.clone(),
        dry_run: arguments.dry_run,
        messages: round.rows,
        hidden,
    };
    if read.is_ok() || !report.messages.is_empty() {
        tell(&report, arguments.json, output)?;
    }
    read?;
    Ok(if report.something_stays() {
        Ending::SomethingStayed
    } else {
        Ending::Done
    })
}

fn tell(report: &Report, json: bool, output: &mut Output<'_>) -> Result<(), Error> {
    if json {
        output.json(report)?;
        return Ok(());
    }
    if !report.messages.is_empty() {
        output.result(report.table())?;
        output.result("")?;
    }
    output.result(report.summary())?;
    Ok(())
}

/// A walk through the queue, and what it has come to so far.
struct Round<'a, P> {
    arguments: &'a Arguments,
    stack: &'a Stack,
    post: &'a P,
    rows: Vec<Row>,
    /// What is left in the queue, hidden until it is given back: else it would be read again.
    staying: Vec<Message>,
}

impl<P: Post> Round<'_, P> {
    async fn all(&mut self, output: &mut Output<'_>) -> Result<(), Error> {
        let mut seen = HashSet::new();
        while self.rows.len() < self.arguments.limit() {
            let most = MOST_AT_ONCE.min(self.arguments.limit() - self.rows.len());
            let mut messages = self.post.receive(most).await?;
            // In a long walk, what stays can be seen again before the end is reached.
            messages.retain(|message| seen.insert(message.id.clone()));
            if messages.is_empty() {
                break;
            }
            for message in messages {
                self.one(message).await;
            }
            output.note(format_args!("{} so far …", self.rows.len()))?;
        }
        Ok(())
    }

    async fn one(&mut self, message: Message) {
        let letter = Letter::read(&message);
        let outcome = self.act(&message, decide(&letter, self.stack)).await;
        self.rows.push(Row::new(&message, &letter, self.stack, outcome.clone()));
        if !matches!(outcome, Outcome::Redriven | Outcome::Dropped(_)) {
            self.staying.push(message);
        }
    }

    async fn act(&self, message: &Message, action: Action) -> Outcome {
        let done = match action {
            Action::Leave(why) => return Outcome::Stays(why),
            Action::Invoke { .. } if self.arguments.dry_run => return Outcome::WouldRedrive,
            Action::Drop(why) if self.arguments.dry_run => return Outcome::WouldDrop(why.to_owned()),
            Action::Drop(why) => Outcome::Dropped(why.to_owned()),
            Action::Invoke { function, event } => {
                if let Err(error) = self.post.invoke(&function, &event).await {
                    return Outcome::Stays(error.cause());
                }
                Outcome::Redriven
            }
        };
        match (self.post.delete(message).await, done) {
            (Ok(()), done) => done,
            (Err(error), Outcome::Redriven) => {
                Outcome::Stays(format!("its function has it again, but {}", error.cause()))
            }
            (Err(error), _) => Outcome::Stays(error.cause()),
        }
    }

    async fn give_back(&mut self, output: &mut Output<'_>) -> Result<(), Error> {
        for message in self.staying.drain(..) {
            if let Err(error) = self.post.give_back(&message).await {
                output.note(format_args!(
                    "message {} cannot be seen by anybody for the next five minutes: {}",
                    message.id,
                    error.cause()
                ))?;
            }
        }
        Ok(())
    }
}
