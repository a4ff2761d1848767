//! The stages of a job, each with its time and the source of that time.

use std::time::Duration;

use dayfly_records::{Job, MessengerTask, Runner};
use dayfly_types::checkin::{START_REFUSED, START_UNANSWERED, Stage as Reported};
use dayfly_types::time::Timestamp;
use serde::{Serialize, Serializer};

/// The tolerated error of an instance's clock. Times beyond it are dropped: an instance is not trusted.
const CLOCKS_APART: Duration = Duration::from_mins(5);

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Stage {
    /// GitHub created the job.
    Queued,
    /// Its webhook arrived.
    Seen,
    /// The launch of a runner was decided.
    Decided,
    /// EC2 launched the instance.
    Launched,
    Running,
    AgentUp,
    /// The JIT config was handed out.
    Enrolled,
    JobStarted,
    GivenUp,
    JobFinished,
    /// The runner and its instance were gone.
    Gone,
}

impl Stage {
    #[must_use]
    pub fn words(self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::Seen => "seen",
            Self::Decided => "decided",
            Self::Launched => "launched",
            Self::Running => "running instance",
            Self::AgentUp => "agent up",
            Self::Enrolled => "enrolled",
            Self::JobStarted => "job started",
            Self::GivenUp => "given up",
            Self::JobFinished => "job finished",
            Self::Gone => "gone",
        }
    }
}

/// Who reported a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Source {
    GitHub,
    /// The arrival of GitHub's webhook, or of its answer to a call.
    Webhook,
    Ec2,
    /// By the instance's clock.
    Agent,
    /// The control plane.
    Dayfly,
}

impl Source {
    #[must_use]
    pub fn words(self) -> &'static str {
        match self {
            Self::GitHub => "GitHub",
            Self::Webhook => "webhook",
            Self::Ec2 => "EC2",
            Self::Agent => "agent",
            Self::Dayfly => "dayfly",
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Reached {
    pub stage: Stage,
    pub at: Timestamp,
    pub source: Source,
    /// The time since the previous stage.
    #[serde(rename = "after_ms", serialize_with = "millis")]
    pub after: Option<Duration>,
}

#[expect(clippy::ref_option, reason = "serde passes the field by reference")]
fn millis<S: Serializer>(span: &Option<Duration>, serializer: S) -> Result<S::Ok, S::Error> {
    span.map(|span| u64::try_from(span.as_millis()).unwrap_or(u64::MAX))
        .serialize(serializer)
}

pub(super) fn at(stages: &[Reached], stage: Stage) -> Option<Timestamp> {
    stages.iter().find(|one| one.stage == stage).map(|one| one.at)
}

/// Returns the stages in the order of time. `main` is the runner that ran the job or is to run it.
pub(super) fn of(job: &Job, main: Option<&Runner>, runners: &[&Runner], now: Timestamp) -> Vec<Reached> {
    // A messenger is sent once it is decided that the job gets no runner.
    let meant = |runner: &&&Runner| runner.name.job() == Some(job.key) && runner.message.is_none();
    let decided = runners.iter().filter(meant);
    let mut found = vec![
        (Stage::Queued, job.created_at, Source::GitHub),
        (Stage::Seen, Some(job.queued_at), Source::Webhook),
        (
            Stage::Decided,
            decided.map(|runner| runner.requested_at).min(),
            Source::Dayfly,
        ),
    ];
    found.extend(main.into_iter().flat_map(|runner| of_runner(runner, now)));
    found.extend(of_end(job, main, runners, now));
    let mut stages: Vec<Reached> = found
        .into_iter()
        .filter_map(|(stage, at, source)| {
            Some(Reached {
                stage,
                at: at?,
                source,
                after: None,
            })
        })
        .collect();
    stages.sort_by_key(|one| (one.at, one.stage));
    for later in (1..stages.len()).rev() {
        stages[later].after = Some(stages[later].at.since(stages[later - 1].at));
    }
    stages
}

type Found = (Stage, Option<Timestamp>, Source);

fn of_runner(runner: &Runner, now: Timestamp) -> [Found; 5] {
    let launched = runner.launched.as_ref();
    let by_ec2 = launched.is_some_and(|launched| launched.at_by_ec2);
    [
        (
            Stage::Launched,
            launched.map(|launched| launched.at),
            if by_ec2 { Source::Ec2 } else { Source::Dayfly },
        ),
        (Stage::Running, runner.running_at, Source::Ec2),
        (Stage::AgentUp, reported(runner, Reported::AgentUp, now), Source::Agent),
        (Stage::Enrolled, runner.enrolled_at, Source::Dayfly),
        (Stage::Gone, runner.ended_at, Source::Dayfly),
    ]
}

/// Returns start and end, as the instance reported them if its runner ran the job: webhooks arrive later.
fn of_end(job: &Job, main: Option<&Runner>, runners: &[&Runner], now: Timestamp) -> [Found; 3] {
    let ran = main.filter(|runner| runner.job == Some(job.key) && !kept_from_starting(runner));
    let of_agent = |stage| ran.and_then(|runner| reported(runner, stage, now));
    let either = |of_agent: Option<Timestamp>, of_webhook: Option<Timestamp>| match of_agent {
        Some(at) => (Some(at), Source::Agent),
        None => (of_webhook, Source::Webhook),
    };
    let (started, by) = either(of_agent(Reported::JobStarted), job.started_at);
    let started = (Stage::JobStarted, started, by);
    let given_up = (Stage::GivenUp, given_up_at(job, main, runners), Source::Dayfly);
    let Some(ended_at) = job.ended_at.filter(|_| !job.state.is_given_up()) else {
        return [started, given_up, (Stage::JobFinished, None, Source::Webhook)];
    };
    let (finished, by) = either(of_agent(Reported::JobFinished), Some(ended_at));
    [started, given_up, (Stage::JobFinished, finished, by)]
}

/// Returns when the job was given up. A job that a messenger took runs like any other: it was given up when its
/// first messenger was requested.
fn given_up_at(job: &Job, main: Option<&Runner>, runners: &[&Runner]) -> Option<Timestamp> {
    if job.state.is_given_up() {
        return job.ended_at;
    }
    message_of(job, main)?;
    let sent = runners
        .iter()
        .filter(|runner| runner.message.is_some() && runner.name.job() == Some(job.key));
    sent.map(|runner| runner.requested_at).min()
}

/// Returns the message to a job that took its messenger.
pub(super) fn message_of<'a>(job: &Job, main: Option<&'a Runner>) -> Option<&'a MessengerTask> {
    let messenger = main.filter(|runner| runner.job == Some(job.key))?;
    messenger.message.as_ref().filter(|message| message.job == job.key)
}

/// Whether the start that the instance reported did not happen.
fn kept_from_starting(runner: &Runner) -> bool {
    let words = runner.stage_detail(Reported::JobStarted);
    words.is_some_and(|words| [START_REFUSED, START_UNANSWERED].contains(&words))
}

/// Returns when the instance reported a stage, if that time is plausible.
fn reported(runner: &Runner, stage: Reported, now: Timestamp) -> Option<Timestamp> {
    let (_, at) = runner.stages.iter().find(|(known, _)| *known == stage)?;
    let launched = runner.launched.as_ref()?.at;
    let until = runner.ended_at.unwrap_or(now).after(CLOCKS_APART);
    (launched <= at.after(CLOCKS_APART) && *at <= until).then_some(*at)
}
