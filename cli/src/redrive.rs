//! `dayfly redrive`: sends dead letters to their functions again.
//!
//! [`decide`] chooses the action for a message; this shell receives messages, acts and reports. An event is sent to
//! its function before its message is deleted. After a crash in between, it is sent twice, which every function
//! tolerates.

mod dead_letter;
mod decide;
mod queue_client;
mod report;
#[cfg(test)]
mod tests;

use std::collections::HashSet;

use clap::Args;

use crate::error::Error;
use crate::output::{CommandStatus, Output};
use crate::stack::{Stack, StackTarget};
use dead_letter::{DeadLetter, Message};
use decide::{MessageAction, decide};
use queue_client::{AwsQueueClient, MAX_PER_RECEIVE, QueueClient};
use report::{MessageOutcome, Report, Row};

/// Send failed events to their functions again.
///
/// They are kept in the stack's dead-letter queue for 14 days. Each is sent to its function again and deleted
/// from the queue; those that cannot be sent stay there and are listed. Failed sweeps are dropped, since the next
/// sweep does the same.
///
/// Required permissions: `cloudformation:DescribeStacks`, `lambda:InvokeFunction`, and on the queue
/// `sqs:ReceiveMessage`, `sqs:DeleteMessage`, `sqs:ChangeMessageVisibility` and `sqs:GetQueueAttributes`.
///
/// Exit status: 0, or 1 if a message stayed, or 2 if the queue could not be read.
#[derive(Clone, Debug, Args)]
pub struct Arguments {
    #[command(flatten)]
    pub(crate) target: StackTarget,
    /// Only list them: nothing is sent or deleted
    #[arg(long)]
    dry_run: bool,
    /// Handle at most this many
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    limit: Option<u32>,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

impl Arguments {
    fn limit(&self) -> usize {
        self.limit
            .map_or(usize::MAX, |limit| usize::try_from(limit).unwrap_or(usize::MAX))
    }
}

/// # Errors
/// The stack or the queue cannot be read. A message that fails is not an error: it stays and is listed.
pub(crate) async fn run(arguments: &Arguments, output: &mut Output<'_>) -> Result<CommandStatus, Error> {
    let (aws, stack) = Stack::connect(&arguments.target, output).await?;
    output.note("reading its dead letters …")?;
    redrive(arguments, &stack, &AwsQueueClient::new(&aws, &stack), output).await
}

async fn redrive(
    arguments: &Arguments,
    stack: &Stack,
    client: &impl QueueClient,
    output: &mut Output<'_>,
) -> Result<CommandStatus, Error> {
    let mut batch = Batch {
        arguments,
        stack,
        client,
        rows: Vec::new(),
        staying: Vec::new(),
    };
    let read = batch.redrive_all(output).await;
    // Even after a failed read: received messages must not stay hidden, and what was done must be reported.
    batch.release(output).await?;
    let hidden = if batch.rows.is_empty() && read.is_ok() {
        client.hidden().await?
    } else {
        0
    };
    let report = Report {
        stack: stack.name.clone(),
        region: stack.region.clone(),
        queue: stack.dead_letters_url.clone(),
        dry_run: arguments.dry_run,
        messages: batch.rows,
        hidden,
    };
    if read.is_ok() || !report.messages.is_empty() {
        print(&report, arguments.json, output)?;
    }
    read?;
    Ok(CommandStatus::done_if(!report.has_remaining()))
}

fn print(report: &Report, json: bool, output: &mut Output<'_>) -> Result<(), Error> {
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

/// One pass over the queue, and its results so far.
struct Batch<'a, P> {
    arguments: &'a Arguments,
    stack: &'a Stack,
    client: &'a P,
    rows: Vec<Row>,
    /// Messages that stay in the queue. They are hidden until their release, so that they are not received again.
    staying: Vec<Message>,
}

impl<P: QueueClient> Batch<'_, P> {
    async fn redrive_all(&mut self, output: &mut Output<'_>) -> Result<(), Error> {
        let mut seen = HashSet::new();
        while self.rows.len() < self.arguments.limit() {
            let most = MAX_PER_RECEIVE.min(self.arguments.limit() - self.rows.len());
            let mut messages = self.client.receive(most).await?;
            // During a long pass, messages that stay may become visible again.
            messages.retain(|message| seen.insert(message.id.clone()));
            if messages.is_empty() {
                break;
            }
            for message in messages {
                self.redrive_one(message).await;
            }
            output.note(format_args!("{} so far …", self.rows.len()))?;
        }
        Ok(())
    }

    async fn redrive_one(&mut self, message: Message) {
        let dead_letter = DeadLetter::parse(&message);
        let outcome = self.act(&message, decide(&dead_letter, self.stack)).await;
        self.rows
            .push(Row::new(&message, &dead_letter, self.stack, outcome.clone()));
        if !matches!(outcome, MessageOutcome::Redriven | MessageOutcome::Dropped(_)) {
            self.staying.push(message);
        }
    }

    async fn act(&self, message: &Message, action: MessageAction) -> MessageOutcome {
        let done = match action {
            MessageAction::Keep(why) => return MessageOutcome::Stays(why),
            MessageAction::Invoke { .. } if self.arguments.dry_run => return MessageOutcome::WouldRedrive,
            MessageAction::Drop(why) if self.arguments.dry_run => return MessageOutcome::WouldDrop(why.to_owned()),
            MessageAction::Drop(why) => MessageOutcome::Dropped(why.to_owned()),
            MessageAction::Invoke { function, event } => {
                if let Err(error) = self.client.invoke(&function, &event).await {
                    return MessageOutcome::Stays(error.cause());
                }
                MessageOutcome::Redriven
            }
        };
        match (self.client.delete(message).await, done) {
            (Ok(()), done) => done,
            (Err(error), MessageOutcome::Redriven) => {
                MessageOutcome::Stays(format!("its function received it again, but {}", error.cause()))
            }
            (Err(error), _) => MessageOutcome::Stays(error.cause()),
        }
    }

    async fn release(&mut self, output: &mut Output<'_>) -> Result<(), Error> {
        for message in self.staying.drain(..) {
            if let Err(error) = self.client.release(&message).await {
                output.note(format_args!(
                    "message {} stays hidden for the next five minutes: {}",
                    message.id,
                    error.cause()
                ))?;
            }
        }
        Ok(())
    }
}
