//! A check run on GitHub: its content, and how far publishing has come.

use std::fmt;

use dayfly_types::capacity::{InstanceLifecycle, LaunchFailure, Pool};
use dayfly_types::ids::{CheckRunId, InstallationId, JobId, JobKey, Repository, RunAttempt, RunId};
use dayfly_types::time::Timestamp;
use serde::{Deserialize, Serialize};

use crate::{Job, Launched};

/// The conclusion of a check run. Neither judges the commit: a success could stand in for the job's own, and a
/// cancelled check run blocks a merge as a failed one does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CheckConclusion {
    /// For information; blocks nothing.
    Neutral,
    /// The job cannot run.
    Failure,
}

/// What a check run says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "is", rename_all = "snake_case")]
pub enum CheckContent {
    /// No instance could be had yet.
    Waiting {
        next_at: Timestamp,
        tried: Vec<LaunchFailure>,
    },
    /// The job waits for a slot, as the stack policy limits how much runs at once.
    Queued {
        /// Its place in the queue, from 1.
        place: usize,
        /// The length of the queue.
        of: usize,
        /// The limit, in a sentence.
        words: String,
    },
    /// An instance was launched after waiting.
    Launched {
        pool: Pool,
        lifecycle: InstanceLifecycle,
        tried: Vec<LaunchFailure>,
    },
    /// The job is given up.
    GivenUp {
        /// Why, and what its author can do about it.
        reason: String,
        tried: Vec<LaunchFailure>,
        messenger: MessengerReport,
    },
    /// The job lost its instance.
    Interrupted {
        at: Timestamp,
        /// What happened, in a clause.
        what: String,
        /// Where it ran, if known.
        ran_on: Option<(Pool, InstanceLifecycle)>,
        next: AfterInterruption,
    },
    /// The job is a re-run of an interrupted job.
    Rerun {
        /// The attempt that was interrupted.
        of: RunAttempt,
        lifecycle: InstanceLifecycle,
    },
    /// The job ended while it waited, so no more launches are tried.
    Ended { tried: Vec<LaunchFailure> },
    /// The story and cost of the jobs of a run attempt.
    Story {
        /// In the order in which they began.
        jobs: Vec<JobId>,
    },
    /// All jobs of a run attempt that have no check run of their own.
    Combined { parts: Vec<CombinedPart> },
}

impl CheckContent {
    /// The launch tries that failed before.
    #[must_use]
    pub fn tried(&self) -> &[LaunchFailure] {
        match self {
            Self::Waiting { tried, .. }
            | Self::Launched { tried, .. }
            | Self::GivenUp { tried, .. }
            | Self::Ended { tried } => tried,
            Self::Queued { .. }
            | Self::Interrupted { .. }
            | Self::Rerun { .. }
            | Self::Story { .. }
            | Self::Combined { .. } => &[],
        }
    }
}

/// The content shared by some jobs of a combined check run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CombinedPart {
    pub content: CheckContent,
    /// The jobs, with their names in the workflow.
    pub jobs: Vec<(JobId, String)>,
}

/// How a job that is given up learns of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "is", rename_all = "snake_case")]
pub enum MessengerReport {
    /// A messenger is being launched to fail the job with the reason in its log.
    OnItsWay,
    /// The configuration switches messengers off: the job waits until GitHub or a person ends it.
    Off,
    /// No messenger could be launched.
    Failed {
        /// EC2's message.
        reason: String,
        /// Whether the run is cancelled instead.
        cancelled: bool,
    },
}

/// What happens after an interruption.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "is", rename_all = "snake_case")]
pub enum AfterInterruption {
    /// The job runs again once its run is over.
    WhenRunIsOver,
    /// The job runs again in a new attempt.
    Rerun {
        attempt: RunAttempt,
        /// Whether jobs that failed by themselves run again with it.
        with_failed: bool,
    },
    NotRerun {
        reason: String,
    },
    /// The job had not begun, and gets another instance.
    AnotherInstance,
}

/// What a check run of a run attempt is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CheckSubject {
    /// The jobs of the attempt that have no check run of their own.
    Jobs,
    Job(JobId),
    /// The course and cost of the attempt's jobs.
    Story,
}

/// Names a check run within its run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct CheckRunKey {
    pub of: CheckSubject,
    pub attempt: RunAttempt,
}

impl CheckRunKey {
    #[must_use]
    pub fn new(of: CheckSubject, attempt: RunAttempt) -> Self {
        Self { of, attempt }
    }

    /// Returns the job, if the check run is about one.
    #[must_use]
    pub fn job(self) -> Option<JobKey> {
        match self.of {
            CheckSubject::Job(job) => Some(JobKey {
                job,
                attempt: self.attempt,
            }),
            CheckSubject::Jobs | CheckSubject::Story => None,
        }
    }
}

impl From<JobKey> for CheckRunKey {
    fn from(key: JobKey) -> Self {
        Self::new(CheckSubject::Job(key.job), key.attempt)
    }
}

impl fmt::Display for CheckRunKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.of {
            CheckSubject::Jobs => write!(f, "jobs/{}", self.attempt),
            CheckSubject::Job(job) => write!(f, "{job}/{}", self.attempt),
            CheckSubject::Story => write!(f, "story/{}", self.attempt),
        }
    }
}

/// A check run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CheckRun {
    pub key: CheckRunKey,
    pub run: RunId,
    pub repository: Repository,
    pub installation: InstallationId,
    pub head_sha: String,
    /// The job's name in the workflow; that of the workflow for a story, if known; empty for a combined check run. It
    /// never changes: a check run on GitHub is found by its name.
    pub job_name: String,
    pub content: CheckContent,
    /// Since when the content is current.
    pub since: Timestamp,
    /// The published check run, once its id is known.
    pub check: Option<CheckRunId>,
    /// The conclusion of the published check run. GitHub never reopens one.
    pub concluded: Option<CheckConclusion>,
    /// The number of the published check run among those of its key, from 1.
    pub serial: u32,
    /// Whether it may exist on GitHub although its id is unknown, as its creation was requested.
    pub may_exist: bool,
    /// Until when a function holds the right to publish it. With two at once, the one with the older content
    /// could be last.
    pub held_until: Option<Timestamp>,
    /// The number of failed tries to publish it.
    pub tries: u32,
    /// The earliest time of the next try.
    pub not_before: Option<Timestamp>,
    /// When publishing is due; `None` once it is published.
    pub due_at: Option<Timestamp>,
}

impl CheckRun {
    /// Replaces the content of a job's check run, or creates it. A function that is just publishing the old content
    /// publishes the new one as well.
    #[must_use]
    pub fn of(known: Option<Self>, job: &Job, content: CheckContent, now: Timestamp) -> Self {
        let fresh = Self {
            key: job.key.into(),
            run: job.run,
            repository: job.repository.clone(),
            installation: job.installation,
            head_sha: job.head_sha.clone(),
            job_name: job.name.clone(),
            content,
            since: now,
            check: None,
            concluded: None,
            serial: 1,
            may_exist: false,
            held_until: None,
            tries: 0,
            not_before: None,
            due_at: Some(now),
        };
        let Some(known) = known else {
            return fresh;
        };
        Self {
            check: known.check,
            concluded: known.concluded,
            serial: known.serial,
            may_exist: known.may_exist,
            held_until: known.held_until,
            due_at: known.held_until.max(fresh.due_at),
            ..fresh
        }
    }

    /// Returns the check run of a job that was shown as waiting and now runs on an instance launched for another.
    #[must_use]
    pub fn launched_elsewhere(&self, launched: &Launched, now: Timestamp) -> Option<Self> {
        let tried = self.waited_for()?;
        let content = CheckContent::Launched {
            pool: launched.pool(),
            lifecycle: launched.lifecycle,
            tried,
        };
        Some(self.with(content, now))
    }

    /// Returns the check run of a job that was shown as waiting and is over.
    #[must_use]
    pub fn ended(&self, now: Timestamp) -> Option<Self> {
        let tried = self.waited_for()?;
        Some(self.with(CheckContent::Ended { tried }, now))
    }

    /// The failed launch tries of a job that is shown as waiting; `None` if it is not.
    fn waited_for(&self) -> Option<Vec<LaunchFailure>> {
        match &self.content {
            CheckContent::Waiting { tried, .. } => Some(tried.clone()),
            CheckContent::Queued { .. } => Some(Vec::new()),
            _ => None,
        }
    }

    fn with(&self, content: CheckContent, now: Timestamp) -> Self {
        Self {
            content,
            since: now,
            tries: 0,
            not_before: None,
            due_at: self.held_until.max(Some(now)),
            ..self.clone()
        }
    }
}

/// A check run as GitHub is sent it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CheckRunBody {
    pub head_sha: String,
    /// GitHub shows it in front of the title.
    pub name: String,
    /// Identifies the check run when it is looked up: `external_id` in `dayfly-report`.
    pub external_id: String,
    /// The page behind *Details*.
    pub details_url: String,
    /// `None` while it is in progress.
    pub conclusion: Option<CheckConclusion>,
    pub title: String,
    /// Markdown: what happened, what happens next, what to do.
    pub summary: String,
    /// Markdown: the failed launches, if there were any.
    pub text: Option<String>,
}
