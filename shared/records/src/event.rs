//! The events on the dayfly bus: small, versioned, our own. Nothing behind the webhook function
//! sees GitHub's JSON.

use dayfly_config::labels::Label;
use dayfly_types::budget::Budget;
use dayfly_types::ids::{
    DeliveryId, FleetId, InstallationId, JobId, JobKey, QueueId, Repository, RunAttempt, RunId, RunKey, RunnerId,
    RunnerName,
};
use dayfly_types::month::Month;
use dayfly_types::time::Timestamp;
use serde::{Deserialize, Serialize};

/// What every event of ours names as its source.
pub const SOURCE: &str = "dayfly";

/// The version of the events' shape. A reader refuses one that it doesn't know.
pub const VERSION: u32 = 1;

/// How a job or a run ended.
///
/// <https://docs.github.com/en/webhooks/webhook-events-and-payloads#workflow_job>
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Conclusion {
    /// All steps passed.
    Success,
    /// A step failed, or the runner was lost.
    Failure,
    /// It was not needed.
    Skipped,
    /// A person or a newer run cancelled it.
    Cancelled,
    /// Somebody has to act.
    ActionRequired,
    /// Neither good nor bad.
    Neutral,
    /// It took too long.
    TimedOut,
    /// It waited too long.
    Stale,
    /// The run could not start.
    StartupFailure,
    /// A word of GitHub's that we do not know yet.
    #[serde(other)]
    Unknown,
}

impl Conclusion {
    /// As a person reads it.
    #[must_use]
    pub fn words(self) -> &'static str {
        match self {
            Self::Success => "success",
            Self::Failure => "failure",
            Self::Skipped => "skipped",
            Self::Cancelled => "cancelled",
            Self::ActionRequired => "action required",
            Self::Neutral => "neutral",
            Self::TimedOut => "timed out",
            Self::Stale => "stale",
            Self::StartupFailure => "startup failure",
            Self::Unknown => "nobody knows how",
        }
    }
}

/// A workflow job, as its webhook told of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct JobEvent {
    /// The webhook it came by.
    pub delivery: DeliveryId,
    /// When the webhook was taken in.
    pub received_at: Timestamp,
    /// When GitHub made the job, if it said so.
    #[serde(default)]
    pub created_at: Option<Timestamp>,
    /// The App's installation that sees the repository.
    pub installation: InstallationId,
    /// The job's repository.
    pub repository: Repository,
    /// The job.
    pub job: JobId,
    /// Its run.
    pub run: RunId,
    /// The run's attempt.
    pub attempt: RunAttempt,
    /// The job's name in the workflow.
    pub name: String,
    /// The workflow's name, if GitHub said it.
    #[serde(default)]
    pub workflow: Option<String>,
    /// Who caused the webhook; of one that says that the job is queued, whoever had its run started.
    #[serde(default)]
    pub actor: Option<String>,
    /// The commit it runs on.
    pub head_sha: String,
    /// Its `runs-on`.
    pub labels: Vec<Label>,
    /// The name of the runner that took it. Stale or missing while the job is queued.
    #[serde(default)]
    pub runner_name: Option<String>,
    /// GitHub's id of that runner.
    #[serde(default)]
    pub runner_id: Option<RunnerId>,
    /// How it ended, once it has.
    #[serde(default)]
    pub conclusion: Option<Conclusion>,
}

impl LaunchDue {
    /// A job needs a runner.
    #[must_use]
    pub fn of_job(key: JobKey) -> Self {
        Self { key, runner: None }
    }
}

impl JobEvent {
    /// The job in its attempt.
    #[must_use]
    pub fn key(&self) -> JobKey {
        JobKey {
            job: self.job,
            attempt: self.attempt,
        }
    }

    /// The attempt of the run that the job belongs to.
    #[must_use]
    pub fn run_key(&self) -> RunKey {
        RunKey {
            run: self.run,
            attempt: self.attempt,
        }
    }
}

/// A workflow run that is over.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunEvent {
    /// The webhook it came by.
    pub delivery: DeliveryId,
    /// When the webhook was taken in.
    pub received_at: Timestamp,
    /// The App's installation that sees the repository.
    pub installation: InstallationId,
    /// The run's repository.
    pub repository: Repository,
    /// The run.
    pub run: RunId,
    /// Its attempt.
    pub attempt: RunAttempt,
    /// How it ended.
    #[serde(default)]
    pub conclusion: Option<Conclusion>,
}

/// A launch for this job is due: a retry, or a runner that was lost before it took a job.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LaunchDue {
    /// The job that waits.
    pub key: JobKey,
    /// The runner whose launch was begun, if one was.
    #[serde(default)]
    pub runner: Option<RunnerName>,
}

/// Those who wait in a queue, or a call that was made for some of them, are due.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct QueueDue {
    /// The queue.
    pub queue: QueueId,
    /// The call, if one is due: its answer was not recorded.
    #[serde(default)]
    pub fleet: Option<FleetId>,
}

/// Something is to be said of this job on its commit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CheckRunDue {
    /// Its run.
    pub run: RunId,
    /// The job, or all of its attempt.
    pub key: JobKey,
}

/// Something is to be said of this pull request's runs in its comment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CommentDue {
    /// Its repository.
    pub repository: Repository,
    /// Its number.
    pub pull: u64,
}

/// Nothing is left of a runner, and what it has cost is to be counted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CostDue {
    /// The runner.
    pub runner: RunnerName,
}

/// The owner of the account is to be told how far a cap is used up.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CapDue {
    /// Whose.
    pub budget: Budget,
    /// Of which month.
    pub month: Month,
}

/// Anything on the bus.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// A job waits for a runner.
    JobQueued(JobEvent),
    /// A runner took a job.
    JobInProgress(JobEvent),
    /// A job is over.
    JobCompleted(JobEvent),
    /// A run is over.
    RunCompleted(RunEvent),
    /// A launch is due.
    LaunchDue(LaunchDue),
    /// Those who wait in a queue are due, or a call of theirs.
    QueueDue(QueueDue),
    /// A check run is due.
    CheckRunDue(CheckRunDue),
    /// A pull request's comment is due.
    CommentDue(CommentDue),
    /// A threshold of a cap was passed.
    CapDue(CapDue),
    /// What a runner has cost is to be counted.
    CostDue(CostDue),
}

/// An event that cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum EventError {
    /// Of a kind that is none of ours.
    #[error("no event of dayfly's: detail-type `{0}`")]
    UnknownKind(String),
    /// Written by a version that we don't know.
    #[error("event version {0:?}; this function reads version {VERSION}: deploy all functions of the stack together")]
    UnknownVersion(Option<u64>),
    /// Not of the shape that its kind and version have.
    #[error("event `{kind}` not of its shape: {error}")]
    Shape {
        /// The detail-type.
        kind: String,
        /// What is wrong.
        error: serde_json::Error,
    },
}

impl Event {
    /// The event's `detail-type`.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            Self::JobQueued(_) => "job.queued",
            Self::JobInProgress(_) => "job.in_progress",
            Self::JobCompleted(_) => "job.completed",
            Self::RunCompleted(_) => "run.completed",
            Self::LaunchDue(_) => "launch.due",
            Self::QueueDue(_) => "queue.due",
            Self::CheckRunDue(_) => "check_run.due",
            Self::CommentDue(_) => "comment.due",
            Self::CapDue(_) => "cap.due",
            Self::CostDue(_) => "cost.due",
        }
    }

    /// The event's `detail`.
    ///
    /// # Errors
    /// If it cannot be written as JSON, which no value of these types brings about.
    pub fn detail(&self) -> Result<String, serde_json::Error> {
        let mut detail = match self {
            Self::JobQueued(job) | Self::JobInProgress(job) | Self::JobCompleted(job) => serde_json::to_value(job)?,
            Self::RunCompleted(run) => serde_json::to_value(run)?,
            Self::LaunchDue(due) => serde_json::to_value(due)?,
            Self::QueueDue(due) => serde_json::to_value(due)?,
            Self::CheckRunDue(due) => serde_json::to_value(due)?,
            Self::CommentDue(due) => serde_json::to_value(due)?,
            Self::CapDue(due) => serde_json::to_value(due)?,
            Self::CostDue(due) => serde_json::to_value(due)?,
        };
        detail["v"] = VERSION.into();
        serde_json::to_string(&detail)
    }

    /// Reads an event as it came from the bus.
    ///
    /// # Errors
    /// If kind, version or shape are not ours.
    pub fn read(kind: &str, detail: serde_json::Value) -> Result<Self, EventError> {
        fn shape<T: serde::de::DeserializeOwned>(kind: &str, detail: serde_json::Value) -> Result<T, EventError> {
            serde_json::from_value(detail).map_err(|error| EventError::Shape {
                kind: kind.to_owned(),
                error,
            })
        }
        let version = detail.get("v").and_then(serde_json::Value::as_u64);
        if version != Some(u64::from(VERSION)) {
            return Err(EventError::UnknownVersion(version));
        }
        match kind {
            "job.queued" => shape(kind, detail).map(Self::JobQueued),
            "job.in_progress" => shape(kind, detail).map(Self::JobInProgress),
            "job.completed" => shape(kind, detail).map(Self::JobCompleted),
            "run.completed" => shape(kind, detail).map(Self::RunCompleted),
            "launch.due" => shape(kind, detail).map(Self::LaunchDue),
            "queue.due" => shape(kind, detail).map(Self::QueueDue),
            "check_run.due" => shape(kind, detail).map(Self::CheckRunDue),
            "comment.due" => shape(kind, detail).map(Self::CommentDue),
            "cap.due" => shape(kind, detail).map(Self::CapDue),
            "cost.due" => shape(kind, detail).map(Self::CostDue),
            _ => Err(EventError::UnknownKind(kind.to_owned())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn job() -> JobEvent {
        JobEvent {
            delivery: DeliveryId::new("d-1"),
            received_at: Timestamp::from_seconds(1),
            created_at: None,
            installation: InstallationId(7),
            repository: "octo/gpu".parse().unwrap(),
            job: JobId(11),
            run: RunId(22),
            attempt: RunAttempt(1),
            name: "test".into(),
            workflow: None,
            actor: None,
            head_sha: "abc".into(),
            labels: vec![Label::new("dayfly-gpu")],
            runner_name: None,
            runner_id: None,
            conclusion: Some(Conclusion::Success),
        }
    }

    #[test]
    fn every_event_reads_back_as_it_was_written() {
        let run = RunEvent {
            delivery: DeliveryId::new("d-2"),
            received_at: Timestamp::from_seconds(2),
            installation: InstallationId(7),
            repository: "octo/gpu".parse().unwrap(),
            run: RunId(22),
            attempt: RunAttempt(1),
            conclusion: None,
        };
        for event in [
            Event::JobQueued(job()),
            Event::JobInProgress(job()),
            Event::JobCompleted(job()),
            Event::RunCompleted(run),
            Event::LaunchDue(LaunchDue {
                key: job().key(),
                runner: None,
            }),
            Event::QueueDue(QueueDue {
                queue: QueueId::new("octo/gpu/gpu/spot/1"),
                fleet: Some(FleetId::new("dayfly-11-1-1-t1")),
            }),
            Event::CheckRunDue(CheckRunDue {
                run: job().run,
                key: job().key(),
            }),
            Event::CostDue(CostDue {
                runner: RunnerName::of(job().key(), 1),
            }),
            Event::CommentDue(CommentDue {
                repository: job().repository,
                pull: 12,
            }),
            Event::CapDue(CapDue {
                budget: Budget::Repository {
                    repository: job().repository,
                },
                month: Month::of(Timestamp::from_seconds(1)),
            }),
        ] {
            let detail = serde_json::from_str(&event.detail().unwrap()).unwrap();
            assert_eq!(Event::read(event.kind(), detail).unwrap(), event);
        }
    }

    #[test]
    fn an_event_of_another_version_is_refused() {
        let mut detail: serde_json::Value = serde_json::from_str(&Event::JobQueued(job()).detail().unwrap()).unwrap();
        detail["v"] = 2.into();
        assert!(matches!(
            Event::read("job.queued", detail),
            Err(EventError::UnknownVersion(Some(2)))
        ));
    }

    #[test]
    fn a_conclusion_that_github_adds_later_does_not_stop_a_job_from_ending() {
        let read: Conclusion = serde_json::from_str("\"abandoned\"").unwrap();
        assert_eq!(read, Conclusion::Unknown);
    }
}
