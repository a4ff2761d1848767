//! The walk through a queue: what is invoked, deleted, given back and told.

use std::cell::{Cell, RefCell};

use dayfly_aws::Failure;
use serde_json::{Value, json};

use super::super::letter::Message;
use super::super::post::Post;
use super::super::{Arguments, redrive};
use super::cases::{failed, message, queued, undelivered};
use crate::error::Error;
use crate::output::Output;
use crate::stack::tests::stack;
use crate::{Ending, Place};

/// A queue in memory, and functions that take what they get.
#[derive(Default)]
struct Memory {
    visible: RefCell<Vec<Message>>,
    in_hand: RefCell<Vec<Message>>,
    invoked: RefCell<Vec<String>>,
    hidden: u64,
    refuse_invoke: bool,
    refuse_delete: bool,
    /// After so many answers, the queue answers no more.
    receives: Cell<Option<u32>>,
}

impl Memory {
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

impl Post for Memory {
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

    async fn give_back(&self, message: &Message) -> Result<(), Error> {
        let message = self.take(message);
        self.visible.borrow_mut().push(message);
        Ok(())
    }
}

fn arguments() -> Arguments {
    Arguments {
        place: Place {
            stack: "dayfly".to_owned(),
            region: None,
        },
        dry_run: false,
        limit: None,
        json: false,
    }
}

/// The ending, and what was printed as result.
async fn run(arguments: &Arguments, post: &Memory) -> (Result<Ending, Error>, String) {
    let (mut out, mut notes) = (Vec::new(), Vec::new());
    let done = redrive(arguments, &stack(), post, &mut Output::new(&mut out, &mut notes)).await;
    (done, String::from_utf8(out).unwrap())
}

fn jobs(count: usize) -> Vec<Message> {
    (0..count).map(|_| failed("dayfly-Launch-1", &queued())).collect()
}

#[tokio::test]
async fn everything_is_handed_over_and_the_queue_is_empty() {
    let mut messages = jobs(22);
    messages.push(undelivered("dayfly-Launch-1", &queued().to_string()));
    messages.push(failed("dayfly-Sweeper-1", &json!({"task": "sweep"})));
    let post = Memory::of(messages);
    let (done, said) = run(&arguments(), &post).await;
    assert_eq!(done.unwrap(), Ending::Done);
    assert_eq!(post.invoked.borrow().len(), 23);
    assert_eq!(post.left(), (0, 0));
    assert!(said.contains("23 redriven, 1 dropped."), "{said}");
    assert!(said.contains("octo/gpu, job 11"), "{said}");
    assert!(said.contains("rule JobQueued → launch"), "{said}");
}

#[tokio::test]
async fn what_is_not_understood_is_named_and_can_be_seen_again() {
    let mut messages = jobs(12);
    messages.insert(3, message("hello", &[]));
    let post = Memory::of(messages);
    let (done, said) = run(&arguments(), &post).await;
    assert_eq!(done.unwrap(), Ending::SomethingStayed);
    assert_eq!((post.invoked.borrow().len(), post.left()), (12, (1, 0)));
    assert!(said.contains("12 redriven, 1 left in the queue."), "{said}");
    assert!(said.contains("m-3"), "{said}");
}

#[tokio::test]
async fn a_dry_run_only_looks() {
    let post = Memory::of(jobs(12));
    let dry = Arguments {
        dry_run: true,
        ..arguments()
    };
    let (done, said) = run(&dry, &post).await;
    assert_eq!(done.unwrap(), Ending::Done);
    assert_eq!((post.invoked.borrow().len(), post.left()), (0, (12, 0)));
    assert!(said.contains("12 would be redriven."), "{said}");
}

#[tokio::test]
async fn the_limit_holds() {
    let post = Memory::of(jobs(30));
    let some = Arguments {
        limit: Some(13),
        ..arguments()
    };
    let (done, _) = run(&some, &post).await;
    assert_eq!(done.unwrap(), Ending::Done);
    assert_eq!((post.invoked.borrow().len(), post.left()), (13, (17, 0)));
}

#[tokio::test]
async fn what_aws_refuses_stays() {
    for (refuse_invoke, refuse_delete) in [(true, false), (false, true)] {
        let post = Memory {
            refuse_invoke,
            refuse_delete,
            ..Memory::of(jobs(2))
        };
        let (done, said) = run(&arguments(), &post).await;
        assert_eq!(done.unwrap(), Ending::SomethingStayed);
        assert_eq!(post.left(), (2, 0), "{said}");
        assert!(said.contains("AccessDeniedException"), "{said}");
    }
}

#[tokio::test]
async fn what_was_done_is_told_though_the_queue_answers_no_more() {
    let post = Memory::of(jobs(30));
    post.receives.set(Some(2));
    let (done, said) = run(&arguments(), &post).await;
    assert!(done.unwrap_err().to_string().contains("AccessDeniedException"));
    assert_eq!(post.invoked.borrow().len(), 20);
    assert!(said.contains("20 redriven."), "{said}");
}

#[tokio::test]
async fn an_empty_queue_says_so_and_who_else_is_at_it() {
    let (done, said) = run(&arguments(), &Memory::default()).await;
    assert_eq!(done.unwrap(), Ending::Done);
    assert_eq!(said, "No dead letters in the stack `dayfly` in eu-west-1.\n");
    let post = Memory {
        hidden: 3,
        ..Memory::default()
    };
    let (_, said) = run(&arguments(), &post).await;
    assert!(said.contains("3 more in the hands of another"), "{said}");
}

#[tokio::test]
async fn json_tells_all_of_it() {
    let post = Memory::of([failed("dayfly-Launch-1", &queued()), message("hello", &[])]);
    let json = Arguments {
        json: true,
        ..arguments()
    };
    let (_, said) = run(&json, &post).await;
    let report: Value = serde_json::from_str(&said).unwrap();
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
