//! Batches: what is invoked, deleted, released and reported.

use std::cell::{Cell, RefCell};

use dayfly_aws::Failure;
use serde_json::{Value, json};

use super::super::dead_letter::Message;
use super::super::queue_client::QueueClient;
use super::super::{Arguments, redrive};
use super::cases::{failed, message, queued, undelivered};
use crate::error::Error;
use crate::output::{CommandStatus, Output};
use crate::stack::StackTarget;
use crate::stack::tests::stack;

/// A queue in memory, with functions that accept every event.
#[derive(Default)]
struct MemoryQueue {
    visible: RefCell<Vec<Message>>,
    in_hand: RefCell<Vec<Message>>,
    invoked: RefCell<Vec<String>>,
    hidden: u64,
    refuse_invoke: bool,
    refuse_delete: bool,
    /// How many answers the queue still gives.
    receives: Cell<Option<u32>>,
}

impl MemoryQueue {
    fn of(messages: impl IntoIterator<Item = Message>) -> Self {
        let numbered = messages.into_iter().enumerate().map(|(number, message)| Message {
            id: format!("m-{number}"),
            ..message
        });
        Self {
            visible: RefCell::new(numbered.collect()),
            ..Self::default()
        }
    }

    fn left(&self) -> (usize, usize) {
        (self.visible.borrow().len(), self.in_hand.borrow().len())
    }

    fn take(&self, message: &Message) -> Message {
        let mut in_hand = self.in_hand.borrow_mut();
        let at = in_hand.iter().position(|one| one.id == message.id).unwrap();
        in_hand.remove(at)
    }
}

fn refused() -> Error {
    let failure = Failure {
        code: Some("AccessDeniedException".to_owned()),
        message: "no".to_owned(),
    };
    Error::aws("trying", failure)
}

impl QueueClient for MemoryQueue {
    async fn receive(&self, most: usize) -> Result<Vec<Message>, Error> {
        if let Some(left) = self.receives.get() {
            self.receives.set(Some(left.checked_sub(1).ok_or_else(refused)?));
        }
        let mut visible = self.visible.borrow_mut();
        let count = most.min(visible.len());
        let taken: Vec<Message> = visible.drain(..count).collect();
        self.in_hand.borrow_mut().extend(taken.clone());
        Ok(taken)
    }

    async fn hidden(&self) -> Result<u64, Error> {
        Ok(self.hidden)
    }

    async fn invoke(&self, function: &str, _: &str) -> Result<(), Error> {
        if self.refuse_invoke {
            return Err(refused());
        }
        self.invoked.borrow_mut().push(function.to_owned());
        Ok(())
    }

    async fn delete(&self, message: &Message) -> Result<(), Error> {
        if self.refuse_delete {
            return Err(refused());
        }
        self.take(message);
        Ok(())
    }

    async fn release(&self, message: &Message) -> Result<(), Error> {
        let message = self.take(message);
        self.visible.borrow_mut().push(message);
        Ok(())
    }
}

fn arguments() -> Arguments {
    Arguments {
        target: StackTarget {
            stack: "dayfly".to_owned(),
            region: None,
        },
        dry_run: false,
        limit: None,
        json: false,
    }
}

/// Returns the status and the results.
async fn run(arguments: &Arguments, client: &MemoryQueue) -> (Result<CommandStatus, Error>, String) {
    let (mut out, mut notes) = (Vec::new(), Vec::new());
    let status = redrive(arguments, &stack(), client, &mut Output::new(&mut out, &mut notes)).await;
    (status, String::from_utf8(out).unwrap())
}

fn jobs(count: usize) -> Vec<Message> {
    (0..count).map(|_| failed("dayfly-Launch-1", &queued())).collect()
}

#[tokio::test]
async fn all_events_are_sent_and_the_queue_is_empty() {
    let mut messages = jobs(22);
    messages.push(undelivered("dayfly-Launch-1", &queued().to_string()));
    messages.push(failed("dayfly-Sweeper-1", &json!({"task": "sweep"})));
    let client = MemoryQueue::of(messages);
    let (status, text) = run(&arguments(), &client).await;
    assert_eq!(status.unwrap(), CommandStatus::Done);
    assert_eq!(client.invoked.borrow().len(), 23);
    assert_eq!(client.left(), (0, 0));
    assert!(text.contains("23 redriven, 1 dropped."), "{text}");
    assert!(text.contains("octo/gpu, job 11"), "{text}");
    assert!(text.contains("rule JobQueued → launch"), "{text}");
}

#[tokio::test]
async fn message_of_unknown_format_is_listed_and_released() {
    let mut messages = jobs(12);
    messages.insert(3, message("hello", &[]));
    let client = MemoryQueue::of(messages);
    let (status, text) = run(&arguments(), &client).await;
    assert_eq!(status.unwrap(), CommandStatus::NeedsAttention);
    assert_eq!((client.invoked.borrow().len(), client.left()), (12, (1, 0)));
    assert!(text.contains("12 redriven, 1 left in the queue."), "{text}");
    assert!(text.contains("m-3"), "{text}");
}

#[tokio::test]
async fn dry_run_changes_nothing() {
    let client = MemoryQueue::of(jobs(12));
    let dry = Arguments {
        dry_run: true,
        ..arguments()
    };
    let (status, text) = run(&dry, &client).await;
    assert_eq!(status.unwrap(), CommandStatus::Done);
    assert_eq!((client.invoked.borrow().len(), client.left()), (0, (12, 0)));
    assert!(text.contains("12 would be redriven."), "{text}");
}

#[tokio::test]
async fn limit_holds() {
    let client = MemoryQueue::of(jobs(30));
    let some = Arguments {
        limit: Some(13),
        ..arguments()
    };
    let (status, _) = run(&some, &client).await;
    assert_eq!(status.unwrap(), CommandStatus::Done);
    assert_eq!((client.invoked.borrow().len(), client.left()), (13, (17, 0)));
}

#[tokio::test]
async fn message_stays_if_aws_denies_a_call() {
    for (refuse_invoke, refuse_delete) in [(true, false), (false, true)] {
        let client = MemoryQueue {
            refuse_invoke,
            refuse_delete,
            ..MemoryQueue::of(jobs(2))
        };
        let (status, text) = run(&arguments(), &client).await;
        assert_eq!(status.unwrap(), CommandStatus::NeedsAttention);
        assert_eq!(client.left(), (2, 0), "{text}");
        assert!(text.contains("AccessDeniedException"), "{text}");
    }
}

#[tokio::test]
async fn results_are_reported_even_if_the_queue_fails() {
    let client = MemoryQueue::of(jobs(30));
    client.receives.set(Some(2));
    let (status, text) = run(&arguments(), &client).await;
    assert!(status.unwrap_err().to_string().contains("AccessDeniedException"));
    assert_eq!(client.invoked.borrow().len(), 20);
    assert!(text.contains("20 redriven."), "{text}");
}

#[tokio::test]
async fn empty_queue_is_reported_with_hidden_messages() {
    let (status, text) = run(&arguments(), &MemoryQueue::default()).await;
    assert_eq!(status.unwrap(), CommandStatus::Done);
    assert_eq!(text, "No dead letters in the stack `dayfly` in eu-west-1.\n");
    let client = MemoryQueue {
        hidden: 3,
        ..MemoryQueue::default()
    };
    let (_, text) = run(&arguments(), &client).await;
    assert!(text.contains("3 more are held by another"), "{text}");
}

#[tokio::test]
async fn json_has_everything() {
    let client = MemoryQueue::of([failed("dayfly-Launch-1", &queued()), message("hello", &[])]);
    let json = Arguments {
        json: true,
        ..arguments()
    };
    let (_, text) = run(&json, &client).await;
    let report: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(
        report["messages"][0],
        json!({
            "message": "m-0", "when": "2026-01-02T03:07:05Z", "from": "function", "function": "launch",
            "event": "job.queued", "repository": "octo/gpu", "job": 11, "run": 22, "attempt": 1,
            "error": "the table did not answer", "tries": 3, "outcome": "redriven",
        })
    );
    assert_eq!(report["messages"][1]["outcome"], "stays");
    assert_eq!(report["dry_run"], false);
}
