//! The events on the dayfly bus: small and versioned. Behind the webhook function nothing sees GitHub's JSON.

use dayfly_config::labels::Label;
use dayfly_types::budget::Budget;
use dayfly_types::ids::{
    DeliveryId, FleetId, InstallationId, JobId, JobKey, QueueId, Repository, RunAttempt, RunId, RunKey, RunnerId,
    RunnerName,
};
use dayfly_types::month::Month;
use dayfly_types::time::Timestamp;
use serde::{Deserialize, Serialize};

use crate::CheckRunKey;

/// The source of all our events.
pub const SOURCE: &str = "dayfly";

/// The version of the events' format. A reader refuses other versions.
pub const VERSION: u32 = 1;

/// How a job or a run ended.
///
/// <https://docs.github.com/en/webhooks/webhook-events-and-payloads#workflow_job>
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Conclusion {
    Success,
    /// A step failed, or the runner was lost.
    Failure,
    Skipped,
    /// A person or a newer run cancelled it.
    Cancelled,
    /// A person has to act.
    ActionRequired,
    Neutral,
    TimedOut,
    /// It waited too long.
    Stale,
    /// The run could not start.
    StartupFailure,
    /// A conclusion that GitHub added later.
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
            Self::Unknown => "unknown",
        }
    }
}

/// A workflow job, as its webhook described it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct JobEvent {
    pub delivery: DeliveryId,
    /// When the webhook arrived.
    pub received_at: Timestamp,
    /// When GitHub created the job, if it said so.
    pub created_at: Option<Timestamp>,
    pub installation: InstallationId,
    pub repository: Repository,
    pub job: JobId,
    pub run: RunId,
    pub attempt: RunAttempt,
    /// The job's name in the workflow.
    pub name: String,
    /// The workflow's name, if GitHub said it.
    pub workflow: Option<String>,
    /// The user who caused the webhook. For a queued job that is the requester, who started its run.
    pub actor: Option<String>,
    /// The commit it runs on.
    pub head_sha: String,
    /// Its `runs-on`.
    pub labels: Vec<Label>,
    /// The name of the runner that took the job. Stale or missing while the job is queued.
    pub runner_name: Option<String>,
    pub runner_id: Option<RunnerId>,
    pub conclusion: Option<Conclusion>,
}

impl JobEvent {
    #[must_use]
    pub fn key(&self) -> JobKey {
        JobKey {
            job: self.job,
            attempt: self.attempt,
        }
    }

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
    pub delivery: DeliveryId,
    /// When the webhook arrived.
    pub received_at: Timestamp,
    pub installation: InstallationId,
    pub repository: Repository,
    pub run: RunId,
    pub attempt: RunAttempt,
    pub conclusion: Option<Conclusion>,
}

/// A launch is due for a job: a retry, or in place of a runner that was lost before it took a job.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LaunchDue {
    pub key: JobKey,
    /// The runner whose launch was begun, if any.
    pub runner: Option<RunnerName>,
}

impl LaunchDue {
    #[must_use]
    pub fn of_job(key: JobKey) -> Self {
        Self { key, runner: None }
    }
}

/// A launch queue, or a call for some of its runners, is due.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct QueueDue {
    pub queue: QueueId,
    /// The call whose result was not recorded, if that is what is due.
    pub fleet: Option<FleetId>,
}

/// A check run is due to be published.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CheckRunDue {
    pub run: RunId,
    pub key: CheckRunKey,
}

/// A pull request's comment is due to be published.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CommentDue {
    pub repository: Repository,
    pub pull: u64,
}

/// Nothing is left of a runner, and its costing is due.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CostDue {
    pub runner: RunnerName,
}

/// A report to the owner of the account is due: a cap's threshold was reached.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CapDue {
    pub budget: Budget,
    pub month: Month,
}

/// Anything on the bus.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    JobQueued(JobEvent),
    JobInProgress(JobEvent),
    JobCompleted(JobEvent),
    RunCompleted(RunEvent),
    LaunchDue(LaunchDue),
    QueueDue(QueueDue),
    CheckRunDue(CheckRunDue),
    CommentDue(CommentDue),
    CapDue(CapDue),
    CostDue(CostDue),
}

/// An event that cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum EventError {
    #[error("not one of dayfly's events: detail-type `{0}`")]
    UnknownKind(String),
    #[error("event version {0:?}; this function reads version {VERSION}: deploy all functions of the stack together")]
    UnknownVersion(Option<u64>),
    #[error("event `{kind}` cannot be read: {error}")]
    Shape {
        /// The `detail-type`.
        kind: String,
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
    /// If it cannot be written as JSON, which no value of these types causes.
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

    /// Reads an event from the bus.
    ///
    /// # Errors
    /// If its kind, version or format is not ours.
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
    fn events_read_back_as_written() {
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
                key: job().key().into(),
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
    fn event_of_another_version_is_refused() {
        let mut detail: serde_json::Value = serde_json::from_str(&Event::JobQueued(job()).detail().unwrap()).unwrap();
        detail["v"] = 2.into();
        assert!(matches!(
            Event::read("job.queued", detail),
            Err(EventError::UnknownVersion(Some(2)))
        ));
    }

    #[test]
    fn unknown_conclusion_still_ends_a_job() {
        let read: Conclusion = serde_json::from_str("\"abandoned\"").unwrap();
        assert_eq!(read, Conclusion::Unknown);
    }
}
