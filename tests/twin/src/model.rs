//! The nouns of the twin: ids, states and the records of repositories, runs, jobs and runners.

use std::collections::BTreeMap;
use std::fmt;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::workflow::{Concurrency, JobSpec, Workflow};

macro_rules! id {
    ($($(#[$doc:meta])* $name:ident),+ $(,)?) => {$(
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(pub u64);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }
    )+};
}

id! {
    /// An account: a user or an organisation.
    AccountId,
    AppId,
    /// An installation of the App on an account.
    InstallationId,
    RepoId,
    WorkflowId,
    /// A workflow run; the same over all of its attempts.
    RunId,
    /// A job of one attempt of a run; also the id of its check run.
    JobId,
    RunnerId,
    /// A delivery of a webhook; a redelivery has its own.
    DeliveryId,
    /// A check run made through the API.
    CheckRunId,
    CommentId,
}

#[derive(Debug, Clone)]
pub struct Account {
    pub id: AccountId,
    pub login: String,
    pub kind: AccountKind,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AccountKind {
    User,
    Organization,
    Bot,
}

impl AccountKind {
    /// GitHub's `type`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::User => "User",
            Self::Organization => "Organization",
            Self::Bot => "Bot",
        }
    }
}

/// The App installed on an account.
#[derive(Debug, Clone)]
pub struct Installation {
    pub id: InstallationId,
    pub account: AccountId,
    pub repos: Vec<RepoId>,
    /// Its permissions, as `permission → read|write`.
    pub permissions: BTreeMap<String, String>,
    pub created_at: Timestamp,
}

#[derive(Debug, Clone)]
pub struct Token {
    pub installation: InstallationId,
    /// When it ends.
    pub expires_at: Timestamp,
    /// The repositories it is restricted to; `None` for all of the installation's.
    pub repos: Option<Vec<RepoId>>,
    /// The installation's permissions, or fewer.
    pub permissions: BTreeMap<String, String>,
}

#[derive(Debug, Clone)]
pub struct Repo {
    pub id: RepoId,
    pub owner: Account,
    pub name: String,
    /// Where pull requests and configuration live.
    pub default_branch: String,
    pub private: bool,
    /// The repository it was forked from.
    pub fork_of: Option<RepoId>,
    /// Branch → SHA of its last commit.
    pub branches: BTreeMap<String, String>,
    /// SHA → commit.
    pub commits: BTreeMap<String, Commit>,
    /// How many runs there were.
    pub run_count: u64,
    pub created_at: Timestamp,
    pub pushed_at: Timestamp,
}

impl Repo {
    /// `owner/name`.
    #[must_use]
    pub fn full_name(&self) -> String {
        format!("{}/{}", self.owner.login, self.name)
    }
}

/// A commit with all of its files.
#[derive(Debug, Clone)]
pub struct Commit {
    pub sha: String,
    pub tree: String,
    pub message: String,
    pub at: Timestamp,
    pub author: String,
    /// Path → contents.
    pub files: BTreeMap<String, Vec<u8>>,
}

/// How a job, step or run ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Conclusion {
    /// Everything went well.
    Success,
    /// Something failed.
    Failure,
    Cancelled,
    /// It did not run, because of a condition or of what it needs.
    Skipped,
}

impl Conclusion {
    /// GitHub's name of it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Success => "success",
            Self::Failure => "failure",
            Self::Cancelled => "cancelled",
            Self::Skipped => "skipped",
        }
    }
}

/// The status of a job or a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Status {
    /// Held back by an environment.
    Waiting,
    /// A run that waits for another of its concurrency group.
    Pending,
    /// May be taken.
    Queued,
    InProgress,
    Completed,
}

impl Status {
    /// GitHub's name of it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::Pending => "pending",
            Self::Queued => "queued",
            Self::InProgress => "in_progress",
            Self::Completed => "completed",
        }
    }
}

/// A workflow run in its latest attempt.
#[derive(Debug, Clone)]
pub struct Run {
    pub id: RunId,
    pub repo: RepoId,
    pub workflow: Workflow,
    /// Counts the runs of the repository.
    pub number: u64,
    /// The latest attempt, from 1.
    pub attempt: u32,
    /// The event that started it (`push`, `workflow_dispatch`, `merge_group`).
    pub event: String,
    pub head_branch: String,
    pub head_sha: String,
    /// Where the commit comes from: another repository for a fork's.
    pub head_repo: RepoId,
    pub actor: Account,
    /// Who caused its latest attempt.
    pub triggering_actor: Account,
    pub concurrency: Option<Concurrency>,
    pub status: Status,
    pub conclusion: Option<Conclusion>,
    pub created_at: Timestamp,
    /// When the latest attempt began.
    pub started_at: Timestamp,
    pub updated_at: Timestamp,
    /// Whether its latest attempt was cancelled.
    pub cancelled: bool,
    /// Every job of the workflow, matrices expanded, with its job in the latest attempt.
    pub slots: Vec<Slot>,
    /// How the attempts before the latest ended.
    pub earlier: Vec<EarlierAttempt>,
}

/// A job of the workflow, and what it is in the latest attempt.
#[derive(Debug, Clone)]
pub struct Slot {
    pub spec: JobSpec,
    /// Its job; none until what it needs is done.
    pub job: Option<JobId>,
}

#[derive(Debug, Clone)]
pub struct EarlierAttempt {
    /// Counts from 1.
    pub attempt: u32,
    pub conclusion: Option<Conclusion>,
    pub triggering_actor: Account,
    pub started_at: Timestamp,
    pub updated_at: Timestamp,
}

#[derive(Debug, Clone)]
pub struct Job {
    pub id: JobId,
    pub run: RunId,
    pub attempt: u32,
    pub spec: JobSpec,
    pub status: Status,
    pub conclusion: Option<Conclusion>,
    pub created_at: Timestamp,
    /// When a runner took it; until then when it was queued.
    pub started_at: Timestamp,
    pub completed_at: Option<Timestamp>,
    /// Its steps as far as they are known.
    pub steps: Vec<Step>,
    /// Its outputs, once it is done.
    pub outputs: BTreeMap<String, String>,
    /// The runner that it was offered to and that has not taken it yet.
    pub offer: Option<Offer>,
    pub runner: Option<TakenBy>,
    /// Its runner's last sign of life.
    pub renewed_at: Option<Timestamp>,
    /// Since when its runner is asked to cancel it.
    pub cancel_since: Option<Timestamp>,
    /// Its log, a line an entry, each with its step's number.
    pub log: Vec<LogLine>,
    /// What GitHub and the runner say about it.
    pub annotations: Vec<Annotation>,
}

/// A job offered to a runner.
#[derive(Debug, Clone)]
pub struct Offer {
    pub runner: RunnerId,
    pub at: Timestamp,
}

/// The runner that took a job; kept when the runner itself is gone.
#[derive(Debug, Clone)]
pub struct TakenBy {
    pub id: RunnerId,
    pub name: String,
}

#[derive(Debug, Clone)]
pub struct Step {
    /// Counts from 1; 1 is "Set up job".
    pub number: u32,
    pub name: String,
    pub status: Status,
    pub conclusion: Option<Conclusion>,
    pub started_at: Option<Timestamp>,
    pub completed_at: Option<Timestamp>,
}

/// A line of a job's log.
#[derive(Debug, Clone)]
pub struct LogLine {
    /// When the twin got it.
    pub at: Timestamp,
    pub step: u32,
    pub text: String,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Annotation {
    /// `failure`, `warning` or `notice`.
    pub level: String,
    pub message: String,
}

#[derive(Debug, Clone)]
pub struct Runner {
    pub id: RunnerId,
    /// The repository that it is registered with.
    pub repo: RepoId,
    pub name: String,
    /// Its labels as they were given.
    pub labels: Vec<String>,
    /// The secret in its JIT config.
    pub credential: String,
    /// Where its jobs' files go.
    pub work_folder: String,
    pub registered_at: Timestamp,
    /// Its session, while it has one.
    pub session: Option<Session>,
    /// The job it was offered or has.
    pub job: Option<JobId>,
    /// It did not answer an offer, and gets no other until it polls again.
    pub unresponsive: bool,
}

#[derive(Debug, Clone)]
pub struct Session {
    pub id: String,
    pub version: String,
    pub os: String,
    pub opened_at: Timestamp,
    pub seen_at: Timestamp,
}

/// Whether a runner with these labels may take a job that wants those: all of the job's, in any case.
#[must_use]
pub fn labels_match(job: &[String], runner: &[String]) -> bool {
    job.iter()
        .all(|wanted| runner.iter().any(|has| has.to_lowercase() == wanted.to_lowercase()))
}
