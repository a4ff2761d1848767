//! Whole drills: what is sent, deleted, followed and reported.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::future::poll_fn;
use std::rc::Rc;
use std::task::Poll;
use std::time::Duration;

use dayfly_aws::Failure;
use dayfly_records::RunnerState;
use dayfly_types::ids::RunnerName;

use super::super::fis::{ExperimentProgress, ExperimentRequest, FaultInjector};
use super::super::records::RunnerRecords;
use super::super::snapshot::{DrillProgress, RerunProgress, RunnerSnapshot};
use super::super::{InterruptionDrill, Patience, list};
use super::cases::{NOON, busy, gone, on_demand};
use crate::CommandStatus;
use crate::error::Error;
use crate::output::Output;
use crate::stack::tests::stack;
use crate::stop::StopRequest;

/// A table with one runner and its progress at each poll. The last progress is repeated.
struct MemoryRecords {
    runner: Option<RunnerSnapshot>,
    polls: RefCell<VecDeque<DrillProgress>>,
}

impl MemoryRecords {
    fn of(polls: impl IntoIterator<Item = (RunnerSnapshot, RerunProgress)>) -> Self {
        let polls = polls.into_iter().map(|(runner, rerun)| DrillProgress {
            runner: Some(runner),
            rerun,
        });
        Self {
            runner: Some(busy()),
            polls: RefCell::new(polls.collect()),
        }
    }
}

impl RunnerRecords for MemoryRecords {
    async fn live(&self) -> Result<Vec<RunnerSnapshot>, Error> {
        Ok(self.runner.clone().into_iter().collect())
    }

    async fn runner(&self, name: &RunnerName) -> Result<Option<RunnerSnapshot>, Error> {
        Ok(self.runner.clone().filter(|runner| runner.name == *name))
    }

    async fn progress(&self, _: &RunnerName) -> Result<DrillProgress, Error> {
        let mut polls = self.polls.borrow_mut();
        Ok(if polls.len() > 1 {
            polls.pop_front().unwrap()
        } else {
            polls[0].clone()
        })
    }
}

/// AWS FIS, with a record of all calls.
#[derive(Default)]
struct RecordingFis {
    calls: Rc<RefCell<Vec<&'static str>>>,
    requests: RefCell<Vec<ExperimentRequest>>,
    denied: &'static str,
    fails: Cell<bool>,
}

impl RecordingFis {
    fn call(&self, call: &'static str) -> Result<(), Error> {
        self.calls.borrow_mut().push(call);
        if self.denied == call {
            let failure = Failure {
                code: Some("AccessDeniedException".to_owned()),
                message: "no".to_owned(),
            };
            return Err(Error::aws(call, failure));
        }
        Ok(())
    }
}

impl FaultInjector for RecordingFis {
    async fn create(&self, request: &ExperimentRequest) -> Result<String, Error> {
        self.requests.borrow_mut().push(request.clone());
        self.call("create").map(|()| "EXT1".to_owned())
    }

    async fn start(&self, template: &str, _: &ExperimentRequest) -> Result<String, Error> {
        assert_eq!(template, "EXT1");
        self.call("start").map(|()| "EXP1".to_owned())
    }

    async fn state(&self, experiment: &str) -> Result<ExperimentProgress, Error> {
        assert_eq!(experiment, "EXP1");
        self.call("state")?;
        Ok(if self.fails.get() {
            ExperimentProgress::Failed("the role may not".to_owned())
        } else {
            ExperimentProgress::Sent
        })
    }

    async fn delete(&self, template: &str) -> Result<(), Error> {
        assert_eq!(template, "EXT1");
        self.call("delete")
    }
}

const QUICK: Patience = Patience {
    poll: Duration::from_millis(1),
    minute: Duration::from_millis(1),
    gone: Duration::from_millis(20),
    rerun: Duration::from_millis(20),
};

/// Returns the status, the results and the notes.
async fn drill(
    memory: &MemoryRecords,
    fis: &RecordingFis,
    name: &str,
    stop: StopRequest,
) -> (Result<CommandStatus, Error>, String, String) {
    let (mut out, mut notes) = (Vec::new(), Vec::new());
    let drill = InterruptionDrill {
        stack: &stack(),
        records: memory,
        fis,
        patience: QUICK,
        json: false,
    };
    let status = drill
        .interrupt(name, 2, stop, &mut Output::new(&mut out, &mut notes))
        .await;
    (
        status,
        String::from_utf8(out).unwrap(),
        String::from_utf8(notes).unwrap(),
    )
}

fn never() -> StopRequest {
    StopRequest::on(std::future::pending())
}

fn noticed() -> RunnerSnapshot {
    RunnerSnapshot {
        state: RunnerState::Draining,
        interrupted_at: Some(NOON),
        ..busy()
    }
}

const RUNNER: &str = "dayfly-7-1-1";

#[tokio::test]
async fn interruption_is_sent_and_followed_until_the_job_is_rerun() {
    let memory = MemoryRecords::of([
        (busy(), RerunProgress::NotRecorded),
        (noticed(), RerunProgress::Waiting),
        (gone(), RerunProgress::Waiting),
        (gone(), RerunProgress::Accepted),
    ]);
    let fis = RecordingFis::default();
    let (status, results, _) = drill(&memory, &fis, RUNNER, never()).await;
    assert_eq!(status.unwrap(), CommandStatus::Done);
    let request = fis.requests.borrow()[0].clone();
    assert_eq!(request.instance_arn, "arn:aws:ec2:eu-west-1:123:instance/i-1");
    assert_eq!(request.role_arn, "arn:aws:iam::123:role/dayfly-DrillRole-1");
    assert_eq!((request.minutes, &*request.runner), (2, RUNNER));
    assert_eq!(
        *fis.calls.borrow(),
        ["create", "start", "delete", "state"],
        "the template is deleted right after the start"
    );
    let lines: Vec<&str> = results
        .lines()
        .filter_map(|line| line.split_once("  "))
        .map(|(_, text)| text)
        .collect();
    assert_eq!(
        lines,
        [
            "AWS FIS interrupts i-1, g4dn.xlarge in eu-west-1a: the notice comes at once, the end in 2 minutes",
            "EC2's notice has come: the runner ends its job",
            "the job is recorded as interrupted: it is handled once its run is over",
            "the runner is gone: its job is over",
            "GitHub runs the job again",
        ]
    );
}

#[tokio::test]
async fn githubs_name_of_a_runner_is_accepted() {
    let memory = MemoryRecords::of([(gone(), RerunProgress::Accepted)]);
    let (status, ..) = drill(&memory, &RecordingFis::default(), "dayfly-7-1-1-i1-m2", never()).await;
    assert_eq!(status.unwrap(), CommandStatus::Done);
}

#[tokio::test]
async fn refusal_lists_live_runners_and_calls_nothing_of_fis() {
    for (runner, name, words) in [
        (busy(), "dayfly-8-1-1", "there is no runner `dayfly-8-1-1`"),
        (busy(), "somebody's", "there is no runner `somebody's`"),
        (on_demand(), RUNNER, "on an on-demand instance (i-1)"),
    ] {
        let memory = MemoryRecords {
            runner: Some(runner),
            ..MemoryRecords::of([])
        };
        let fis = RecordingFis::default();
        let (status, results, _) = drill(&memory, &fis, name, never()).await;
        let error = status.unwrap_err().to_string();
        assert!(error.contains(words), "{error}");
        assert!(error.contains("help: choose") && error.contains(RUNNER), "{error}");
        assert_eq!((results, fis.calls.borrow().len()), (String::new(), 0));
    }
}

#[tokio::test]
async fn template_is_deleted_even_if_the_start_is_denied() {
    let fis = RecordingFis {
        denied: "start",
        ..RecordingFis::default()
    };
    let (status, results, _) = drill(
        &MemoryRecords::of([(busy(), RerunProgress::NotRecorded)]),
        &fis,
        RUNNER,
        never(),
    )
    .await;
    let error = status.unwrap_err().to_string();
    assert!(
        error.contains("AccessDeniedException") && error.contains("help:"),
        "{error}"
    );
    assert_eq!(
        (results.as_str(), &**fis.calls.borrow()),
        ("", &["create", "start", "delete"][..])
    );
}

#[tokio::test]
async fn template_that_cannot_be_deleted_is_named() {
    let fis = RecordingFis {
        denied: "delete",
        ..RecordingFis::default()
    };
    let (status, _, notes) = drill(
        &MemoryRecords::of([(gone(), RerunProgress::Accepted)]),
        &fis,
        RUNNER,
        never(),
    )
    .await;
    assert_eq!(status.unwrap(), CommandStatus::Done);
    assert!(notes.contains("EXT1 is left"), "{notes}");
}

#[tokio::test]
async fn ctrl_c_before_the_start_sends_nothing() {
    let fis = RecordingFis::default();
    let stop = StopRequest::on(std::future::ready(()));
    let (status, results, notes) = drill(
        &MemoryRecords::of([(busy(), RerunProgress::NotRecorded)]),
        &fis,
        RUNNER,
        stop,
    )
    .await;
    assert_eq!(status.unwrap(), CommandStatus::NeedsAttention);
    assert_eq!(
        (results.as_str(), &**fis.calls.borrow()),
        ("", &["create", "delete"][..])
    );
    assert!(notes.contains("nothing was sent"), "{notes}");
}

#[tokio::test]
async fn ctrl_c_after_the_start_ends_only_the_watch() {
    let fis = RecordingFis::default();
    let calls = Rc::clone(&fis.calls);
    let stop = StopRequest::on(poll_fn(move |context| {
        if calls.borrow().contains(&"delete") {
            return Poll::Ready(());
        }
        context.waker().wake_by_ref();
        Poll::Pending
    }));
    let (status, _, notes) = drill(
        &MemoryRecords::of([(busy(), RerunProgress::NotRecorded)]),
        &fis,
        RUNNER,
        stop,
    )
    .await;
    assert_eq!(status.unwrap(), CommandStatus::NeedsAttention);
    assert!(fis.calls.borrow().starts_with(&["create", "start", "delete"]));
    assert!(notes.contains("cannot be undone"), "{notes}");
}

#[tokio::test]
async fn failed_experiment_is_an_error_with_awss_reason() {
    let fis = RecordingFis::default();
    fis.fails.set(true);
    let (status, ..) = drill(
        &MemoryRecords::of([(busy(), RerunProgress::NotRecorded)]),
        &fis,
        RUNNER,
        never(),
    )
    .await;
    let error = status.unwrap_err().to_string();
    assert!(
        error.contains("did not send the interruption: the role may not") && error.contains("help:"),
        "{error}"
    );
}

#[tokio::test]
async fn watch_ends_with_a_note_after_its_time() {
    let cases = [
        (
            (busy(), RerunProgress::NotRecorded),
            CommandStatus::NeedsAttention,
            "is not gone yet",
        ),
        (
            (gone(), RerunProgress::Waiting),
            CommandStatus::Done,
            "the run of the job is not over yet",
        ),
        (
            (gone(), RerunProgress::NotRecorded),
            CommandStatus::Done,
            "the job was not interrupted",
        ),
    ];
    for (look, ending, words) in cases {
        let (status, _, notes) = drill(&MemoryRecords::of([look]), &RecordingFis::default(), RUNNER, never()).await;
        assert_eq!(status.unwrap(), ending);
        assert!(notes.contains(words), "{notes}");
    }
}

#[tokio::test]
async fn live_runners_are_listed_without_a_name() {
    for (runner, words) in [
        (Some(busy()), RUNNER),
        (None, "There is no live runner in the stack `dayfly` in eu-west-1"),
    ] {
        let memory = MemoryRecords {
            runner,
            ..MemoryRecords::of([])
        };
        let (mut out, mut notes) = (Vec::new(), Vec::new());
        let status = list(&stack(), &memory, false, &mut Output::new(&mut out, &mut notes)).await;
        assert_eq!(status.unwrap(), CommandStatus::Done);
        let results = String::from_utf8(out).unwrap();
        assert!(results.contains(words), "{results}");
    }
}
