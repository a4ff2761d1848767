//! A whole drill: what is sent, taken away again, followed and told.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::future::poll_fn;
use std::rc::Rc;
use std::task::Poll;
use std::time::Duration;

use dayfly_aws::Failure;
use dayfly_records::RunnerState;
use dayfly_types::ids::RunnerName;

use super::super::fis::{Experiment, Injector, Order};
use super::super::records::Records;
use super::super::seen::{Again, Seen, Watched};
use super::super::{Patience, Round, list};
use super::cases::{NOON, busy, gone, on_demand};
use crate::Ending;
use crate::error::Error;
use crate::output::Output;
use crate::stack::tests::stack;
use crate::stop::Stop;

/// The table: one runner, and what is seen of it look by look; the last look is seen for ever.
struct Memory {
    runner: Option<Seen>,
    looks: RefCell<VecDeque<Watched>>,
}

impl Memory {
    fn of(looks: impl IntoIterator<Item = (Seen, Again)>) -> Self {
        let looks = looks.into_iter().map(|(runner, again)| Watched {
            runner: Some(runner),
            again,
        });
        Self {
            runner: Some(busy()),
            looks: RefCell::new(looks.collect()),
        }
    }
}

impl Records for Memory {
    async fn live(&self) -> Result<Vec<Seen>, Error> {
        Ok(self.runner.clone().into_iter().collect())
    }

    async fn runner(&self, name: &RunnerName) -> Result<Option<Seen>, Error> {
        Ok(self.runner.clone().filter(|runner| runner.name == *name))
    }

    async fn follow(&self, _: &RunnerName) -> Result<Watched, Error> {
        let mut looks = self.looks.borrow_mut();
        Ok(if looks.len() > 1 {
            looks.pop_front().unwrap()
        } else {
            looks[0].clone()
        })
    }
}

/// AWS FIS, with all that was asked of it.
#[derive(Default)]
struct Asked {
    calls: Rc<RefCell<Vec<&'static str>>>,
    orders: RefCell<Vec<Order>>,
    refuse: &'static str,
    fails: Cell<bool>,
}

impl Asked {
    fn call(&self, call: &'static str) -> Result<(), Error> {
        self.calls.borrow_mut().push(call);
        if self.refuse == call {
            let failure = Failure {
                code: Some("AccessDeniedException".to_owned()),
                message: "no".to_owned(),
            };
            return Err(Error::aws(call, failure));
        }
        Ok(())
    }
}

impl Injector for Asked {
    async fn create(&self, order: &Order) -> Result<String, Error> {
        self.orders.borrow_mut().push(order.clone());
        self.call("create").map(|()| "EXT1".to_owned())
    }

    async fn start(&self, template: &str, _: &Order) -> Result<String, Error> {
        assert_eq!(template, "EXT1");
        self.call("start").map(|()| "EXP1".to_owned())
    }

    async fn state(&self, experiment: &str) -> Result<Experiment, Error> {
        assert_eq!(experiment, "EXP1");
        self.call("state")?;
        Ok(if self.fails.get() {
            Experiment::Failed("the role may not".to_owned())
        } else {
            Experiment::Sent
        })
    }

    async fn delete(&self, template: &str) -> Result<(), Error> {
        assert_eq!(template, "EXT1");
        self.call("delete")
    }
}

const QUICK: Patience = Patience {
    look: Duration::from_millis(1),
    minute: Duration::from_millis(1),
    gone: Duration::from_millis(20),
    again: Duration::from_millis(20),
};

/// How it ended, what was printed as result, and what was noted.
async fn drill(memory: &Memory, fis: &Asked, name: &str, stop: Stop) -> (Result<Ending, Error>, String, String) {
    let (mut out, mut notes) = (Vec::new(), Vec::new());
    let round = Round {
        stack: &stack(),
        records: memory,
        fis,
        patience: QUICK,
        json: false,
    };
    let done = round
        .interrupt(name, 2, stop, &mut Output::new(&mut out, &mut notes))
        .await;
    (done, String::from_utf8(out).unwrap(), String::from_utf8(notes).unwrap())
}

fn never() -> Stop {
    Stop::on(std::future::pending())
}

fn noticed() -> Seen {
    Seen {
        state: RunnerState::Draining,
        interrupted_at: Some(NOON),
        ..busy()
    }
}

const RUNNER: &str = "dayfly-7-1-1";

#[tokio::test]
async fn an_interruption_is_sent_and_followed_until_the_job_runs_again() {
    let memory = Memory::of([
        (busy(), Again::NotNoted),
        (noticed(), Again::Waits),
        (gone(), Again::Waits),
        (gone(), Again::Runs),
    ]);
    let fis = Asked::default();
    let (done, said, _) = drill(&memory, &fis, RUNNER, never()).await;
    assert_eq!(done.unwrap(), Ending::Done);
    let order = fis.orders.borrow()[0].clone();
    assert_eq!(order.instance_arn, "arn:aws:ec2:eu-west-1:123:instance/i-1");
    assert_eq!(order.role_arn, "arn:aws:iam::123:role/dayfly-DrillRole-1");
    assert_eq!((order.minutes, &*order.runner), (2, RUNNER));
    assert_eq!(
        *fis.calls.borrow(),
        ["create", "start", "delete", "state"],
        "the template lives no longer than it must"
    );
    let told: Vec<&str> = said
        .lines()
        .filter_map(|line| line.split_once("  "))
        .map(|(_, words)| words)
        .collect();
    assert_eq!(
        told,
        [
            "AWS FIS interrupts i-1, g4dn.xlarge in eu-west-1a: the notice comes at once, the end in 2 minutes",
            "EC2's notice has come: the runner is to end its job",
            "the job is noted as interrupted: it is looked after once its run is over",
            "the runner is gone: its job is over",
            "GitHub runs the job again",
        ]
    );
}

#[tokio::test]
async fn the_name_that_github_knows_will_do() {
    let memory = Memory::of([(gone(), Again::Runs)]);
    let (done, ..) = drill(&memory, &Asked::default(), "dayfly-7-1-1-i1-m2", never()).await;
    assert_eq!(done.unwrap(), Ending::Done);
}

#[tokio::test]
async fn a_refusal_names_those_that_live_and_asks_nothing_of_fis() {
    for (runner, name, words) in [
        (busy(), "dayfly-8-1-1", "there is no runner `dayfly-8-1-1`"),
        (busy(), "somebody's", "there is no runner `somebody's`"),
        (on_demand(), RUNNER, "on an on-demand instance (i-1)"),
    ] {
        let memory = Memory {
            runner: Some(runner),
            ..Memory::of([])
        };
        let fis = Asked::default();
        let (done, said, _) = drill(&memory, &fis, name, never()).await;
        let error = done.unwrap_err().to_string();
        assert!(error.contains(words), "{error}");
        assert!(error.contains("help: choose") && error.contains(RUNNER), "{error}");
        assert_eq!((said, fis.calls.borrow().len()), (String::new(), 0));
    }
}

#[tokio::test]
async fn the_template_goes_even_if_the_experiment_is_refused() {
    let fis = Asked {
        refuse: "start",
        ..Asked::default()
    };
    let (done, said, _) = drill(&Memory::of([(busy(), Again::NotNoted)]), &fis, RUNNER, never()).await;
    let error = done.unwrap_err().to_string();
    assert!(
        error.contains("AccessDeniedException") && error.contains("help:"),
        "{error}"
    );
    assert_eq!(
        (said.as_str(), &**fis.calls.borrow()),
        ("", &["create", "start", "delete"][..])
    );
}

#[tokio::test]
async fn a_template_that_cannot_be_deleted_is_named_and_the_drill_goes_on() {
    let fis = Asked {
        refuse: "delete",
        ..Asked::default()
    };
    let (done, _, notes) = drill(&Memory::of([(gone(), Again::Runs)]), &fis, RUNNER, never()).await;
    assert_eq!(done.unwrap(), Ending::Done);
    assert!(notes.contains("EXT1 is left"), "{notes}");
}

#[tokio::test]
async fn ctrl_c_before_the_start_sends_nothing_and_leaves_nothing() {
    let fis = Asked::default();
    let stop = Stop::on(std::future::ready(()));
    let (done, said, notes) = drill(&Memory::of([(busy(), Again::NotNoted)]), &fis, RUNNER, stop).await;
    assert_eq!(done.unwrap(), Ending::SomethingStayed);
    assert_eq!((said.as_str(), &**fis.calls.borrow()), ("", &["create", "delete"][..]));
    assert!(notes.contains("nothing was sent"), "{notes}");
}

#[tokio::test]
async fn ctrl_c_while_watching_only_ends_the_watching() {
    let fis = Asked::default();
    let calls = Rc::clone(&fis.calls);
    let stop = Stop::on(poll_fn(move |context| {
        if calls.borrow().contains(&"delete") {
            return Poll::Ready(());
        }
        context.waker().wake_by_ref();
        Poll::Pending
    }));
    let (done, _, notes) = drill(&Memory::of([(busy(), Again::NotNoted)]), &fis, RUNNER, stop).await;
    assert_eq!(done.unwrap(), Ending::SomethingStayed);
    assert!(fis.calls.borrow().starts_with(&["create", "start", "delete"]));
    assert!(notes.contains("cannot be called back"), "{notes}");
}

#[tokio::test]
async fn an_experiment_that_fails_is_an_error_with_awss_reason() {
    let fis = Asked::default();
    fis.fails.set(true);
    let (done, ..) = drill(&Memory::of([(busy(), Again::NotNoted)]), &fis, RUNNER, never()).await;
    let error = done.unwrap_err().to_string();
    assert!(
        error.contains("did not send the interruption: the role may not") && error.contains("help:"),
        "{error}"
    );
}

#[tokio::test]
async fn what_does_not_come_in_time_is_said_and_no_longer_waited_for() {
    let cases = [
        ((busy(), Again::NotNoted), Ending::SomethingStayed, "is not gone yet"),
        (
            (gone(), Again::Waits),
            Ending::Done,
            "the run of the job is not over yet",
        ),
        ((gone(), Again::NotNoted), Ending::Done, "the job was not interrupted"),
    ];
    for (look, ending, words) in cases {
        let (done, _, notes) = drill(&Memory::of([look]), &Asked::default(), RUNNER, never()).await;
        assert_eq!(done.unwrap(), ending);
        assert!(notes.contains(words), "{notes}");
    }
}

#[tokio::test]
async fn without_a_name_those_that_live_are_listed() {
    for (runner, words) in [
        (Some(busy()), RUNNER),
        (None, "No runner lives in the stack `dayfly` in eu-west-1"),
    ] {
        let memory = Memory {
            runner,
            ..Memory::of([])
        };
        let (mut out, mut notes) = (Vec::new(), Vec::new());
        let done = list(&stack(), &memory, false, &mut Output::new(&mut out, &mut notes)).await;
        assert_eq!(done.unwrap(), Ending::Done);
        let said = String::from_utf8(out).unwrap();
        assert!(said.contains(words), "{said}");
    }
}
