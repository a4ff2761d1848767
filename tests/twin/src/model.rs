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
    /// A GitHub App.
    AppId,
    /// An installation of the App on an account.
    InstallationId,
    /// A repository.
    RepoId,
    /// A workflow of a repository.
    WorkflowId,
    /// A workflow run; the same over all of its attempts.
    RunId,
    /// A job of one attempt of a run; also the id of its check run.
    JobId,
    /// A self-hosted runner.
    RunnerId,
    /// One delivery of a webhook; a redelivery has its own.
    DeliveryId,
    /// A check run made through the API.
    CheckRunId,
    /// A comment on an issue.
    CommentId,
}

/// A user or an organisation.
#[derive(Debug, Clone)]
pub struct Account {
    /// Its id.
    pub id: AccountId,
    /// Its name in URLs.
    pub login: String,
    /// What it is.
    pub kind: AccountKind,
}

/// What an account is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AccountKind {
    /// A person.
    User,
    /// An organisation.
    Organization,
    /// An App's own account.
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
    /// Its id.
    pub id: InstallationId,
    /// The account it is on.
    pub account: AccountId,
    /// The repositories it may see.
    pub repos: Vec<RepoId>,
    /// What it may do, as `permission → read|write`.
    pub permissions: BTreeMap<String, String>,
    /// When it was made.
    pub created_at: Timestamp,
}

/// An installation token.
#[derive(Debug, Clone)]
pub struct Token {
    /// Whose it is.
    pub installation: InstallationId,
    /// When it ends.
    pub expires_at: Timestamp,
    /// The repositories it is narrowed to; all of the installation's where none.
    pub repos: Option<Vec<RepoId>>,
    /// What it may do: the installation's permissions, or fewer.
    pub permissions: BTreeMap<String, String>,
}

/// A repository.
#[derive(Debug, Clone)]
pub struct Repo {
    /// Its id.
    pub id: RepoId,
    /// Whose it is.
    pub owner: Account,
    /// Its name without the owner.
    pub name: String,
    /// Where pull requests and configuration live.
    pub default_branch: String,
    /// Whether strangers may not see it.
    pub private: bool,
    /// The repository it was forked from.
    pub fork_of: Option<RepoId>,
    /// Branch → SHA of its last commit.
    pub branches: BTreeMap<String, String>,
    /// SHA → commit.
    pub commits: BTreeMap<String, Commit>,
    /// How many runs there were.
    pub run_count: u64,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it was last pushed to.
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
    /// Its SHA.
    pub sha: String,
    /// Its tree's SHA.
    pub tree: String,
    /// Its message.
    pub message: String,
    /// When it was made.
    pub at: Timestamp,
    /// Who made it.
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
    /// It was cancelled.
    Cancelled,
    /// It did not run, because of a condition or of what it needs.
    Skipped,
}

impl Conclusion {
    /// GitHub's word for it.
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

/// Where a job or a run stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Status {
    /// Held back by an environment.
    Waiting,
    /// A run that waits for another of its concurrency group.
    Pending,
    /// May be taken.
    Queued,
    /// A runner has it.
    InProgress,
    /// Done.
    Completed,
}

impl Status {
    /// GitHub's word for it.
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
    /// Its id.
    pub id: RunId,
    /// Its repository.
    pub repo: RepoId,
    /// Its workflow.
    pub workflow: Workflow,
    /// Counts the runs of the repository.
    pub number: u64,
    /// The latest attempt, from 1.
    pub attempt: u32,
    /// What caused it (`push`, `workflow_dispatch`, `merge_group`).
    pub event: String,
    /// The branch it runs for.
    pub head_branch: String,
    /// The commit it runs for.
    pub head_sha: String,
    /// Where the commit comes from: another repository for a fork's.
    pub head_repo: RepoId,
    /// Who caused it.
    pub actor: Account,
    /// Who caused its latest attempt.
    pub triggering_actor: Account,
    /// Its concurrency group.
    pub concurrency: Option<Concurrency>,
    /// Where it stands.
    pub status: Status,
    /// How it ended.
    pub conclusion: Option<Conclusion>,
    /// When it was made.
    pub created_at: Timestamp,
    /// When the latest attempt began.
    pub started_at: Timestamp,
    /// When it last changed.
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
    /// What it is to do.
    pub spec: JobSpec,
    /// Its job; none until what it needs is done.
    pub job: Option<JobId>,
}

/// An attempt before the latest.
#[derive(Debug, Clone)]
pub struct EarlierAttempt {
    /// Counts from 1.
    pub attempt: u32,
    /// How it ended.
    pub conclusion: Option<Conclusion>,
    /// Who caused it.
    pub triggering_actor: Account,
    /// When it began.
    pub started_at: Timestamp,
    /// When it last changed.
    pub updated_at: Timestamp,
}

/// A job of one attempt.
#[derive(Debug, Clone)]
pub struct Job {
    /// Its id.
    pub id: JobId,
    /// Its run.
    pub run: RunId,
    /// Its run's attempt.
    pub attempt: u32,
    /// What it is to do.
    pub spec: JobSpec,
    /// Where it stands.
    pub status: Status,
    /// How it ended.
    pub conclusion: Option<Conclusion>,
    /// When it was made.
    pub created_at: Timestamp,
    /// When a runner took it; until then when it was queued.
    pub started_at: Timestamp,
    /// When it was done.
    pub completed_at: Option<Timestamp>,
    /// Its steps as far as they are known.
    pub steps: Vec<Step>,
    /// What it put out, once it is done.
    pub outputs: BTreeMap<String, String>,
    /// The runner that it was offered to and that has not taken it yet.
    pub offer: Option<Offer>,
    /// The runner that took it.
    pub runner: Option<TakenBy>,
    /// Its runner's last sign of life.
    pub renewed_at: Option<Timestamp>,
    /// Since when its runner is told to cancel it.
    pub cancel_since: Option<Timestamp>,
    /// Its log, a line an entry, each with its step's number.
    pub log: Vec<LogLine>,
    /// What GitHub and the runner say about it.
    pub annotations: Vec<Annotation>,
}

/// A job offered to a runner.
#[derive(Debug, Clone)]
pub struct Offer {
    /// To whom.
    pub runner: RunnerId,
    /// Since when.
    pub at: Timestamp,
}

/// The runner that took a job; kept when the runner itself is gone.
#[derive(Debug, Clone)]
pub struct TakenBy {
    /// Its id.
    pub id: RunnerId,
    /// Its name.
    pub name: String,
}

/// A step of a job.
#[derive(Debug, Clone)]
pub struct Step {
    /// Counts from 1; 1 is "Set up job".
    pub number: u32,
    /// Its name.
    pub name: String,
    /// Where it stands.
    pub status: Status,
    /// How it ended.
    pub conclusion: Option<Conclusion>,
    /// When it began.
    pub started_at: Option<Timestamp>,
    /// When it ended.
    pub completed_at: Option<Timestamp>,
}

/// A line of a job's log.
#[derive(Debug, Clone)]
pub struct LogLine {
    /// When the twin got it.
    pub at: Timestamp,
    /// The step's number.
    pub step: u32,
    /// The line without its end.
    pub text: String,
}

/// A remark on a job.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Annotation {
    /// `failure`, `warning` or `notice`.
    pub level: String,
    /// What it says.
    pub message: String,
}

/// A self-hosted runner.
#[derive(Debug, Clone)]
pub struct Runner {
    /// Its id.
    pub id: RunnerId,
    /// The repository that it is registered with.
    pub repo: RepoId,
    /// Its name.
    pub name: String,
    /// Its labels as they were given.
    pub labels: Vec<String>,
    /// The secret in its JIT config.
    pub credential: String,
    /// Where its jobs' files go.
    pub work_folder: String,
    /// When its JIT config was made.
    pub registered_at: Timestamp,
    /// Its session, while it has one.
    pub session: Option<Session>,
    /// The job it was offered or has.
    pub job: Option<JobId>,
    /// Did not answer an offer: gets no other until it polls again.
    pub unresponsive: bool,
}

/// A runner's session.
#[derive(Debug, Clone)]
pub struct Session {
    /// Its id.
    pub id: String,
    /// The version the runner gave.
    pub version: String,
    /// The system the runner gave.
    pub os: String,
    /// When it was opened.
    pub opened_at: Timestamp,
    /// The last sign of life.
    pub seen_at: Timestamp,
}

/// Whether a runner with these labels may take a job that wants those: all of the job's, in any case.
#[must_use]
pub fn labels_match(job: &[String], runner: &[String]) -> bool {
    job.iter()
        .all(|wanted| runner.iter().any(|has| has.to_lowercase() == wanted.to_lowercase()))
}
