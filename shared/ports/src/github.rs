//! GitHub, as the App sees it.

use std::time::Duration;

use dayfly_config::labels::Label;
use dayfly_policy::Team;
use dayfly_records::CheckRunBody;
use dayfly_records::event::Conclusion;
use dayfly_records::origin::{LabelEvent, Origin, Pull, Review};
use dayfly_records::{CheckConclusion, Job, Runner};
use dayfly_types::ids::{
    CheckRunId, CommentId, DeliveryId, InstallationId, JobId, Repository, RunAttempt, RunId, RunKey, RunnerId,
};
use dayfly_types::time::Timestamp;
use secrecy::SecretString;

/// The repository of a call, and the installation whose token it uses.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Scope {
    pub installation: InstallationId,
    pub repository: Repository,
}

impl Scope {
    #[must_use]
    pub fn of_job(job: &Job) -> Self {
        Self {
            installation: job.installation,
            repository: job.repository.clone(),
        }
    }

    #[must_use]
    pub fn of_runner(runner: &Runner) -> Self {
        Self {
            installation: runner.installation,
            repository: runner.repository.clone(),
        }
    }
}

/// The kind of a failure, for the caller's decision.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ApiErrorKind {
    /// It does not exist, or is hidden from the App.
    NotFound,
    /// The App lacks a permission.
    Forbidden,
    /// The request can never succeed as it is.
    BadRequest,
    /// The rate limit is used up, for this long if GitHub tells.
    RateLimited(Option<Duration>),
    /// Network, time-out or 5xx. The request may have been carried out.
    Unavailable,
}

/// A call to GitHub that failed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("GitHub, {call}: {message}")]
pub struct ApiError {
    pub kind: ApiErrorKind,
    /// The call, in words.
    pub call: &'static str,
    /// GitHub's message.
    pub message: String,
}

impl ApiError {
    /// Returns how long to wait before the next call, if GitHub tells.
    #[must_use]
    pub fn wait(&self) -> Option<Duration> {
        match self.kind {
            ApiErrorKind::RateLimited(wait) => wait,
            ApiErrorKind::NotFound | ApiErrorKind::Forbidden | ApiErrorKind::BadRequest | ApiErrorKind::Unavailable => {
                None
            }
        }
    }
}

/// The answer to a request for the configuration file with the last ETag.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ConfigFile {
    NotModified,
    Found { etag: Option<String>, text: String },
    Missing,
}

/// What a runner needs to register: a credential, never logged or stored.
#[derive(Clone, Debug)]
pub struct JitConfig {
    pub runner: RunnerId,
    /// GitHub's `encoded_jit_config`.
    pub encoded: SecretString,
}

/// The answer to a request for a JIT config.
#[derive(Clone, Debug)]
pub enum Minted {
    Config(JitConfig),
    /// A runner of that name is registered already: use another name.
    NameTaken,
}

/// A registered runner.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RunnerView {
    pub id: RunnerId,
    pub name: String,
    /// GitHub can be wrong about it: never end an instance on this alone.
    pub busy: bool,
    pub online: bool,
}

/// The answer to the removal of a runner.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Removal {
    /// It is gone, or was already.
    Removed,
    /// It runs a job (422): leave it.
    Busy,
}

/// A run, as GitHub describes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RunView {
    /// The latest attempt.
    pub attempt: RunAttempt,
    /// Whether the latest attempt is over.
    pub completed: bool,
    pub conclusion: Option<Conclusion>,
}

/// A job, as GitHub describes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JobView {
    pub job: JobId,
    pub run: RunId,
    pub attempt: RunAttempt,
    pub name: String,
    /// The workflow's name.
    pub workflow: Option<String>,
    pub head_sha: String,
    /// The job's `runs-on`.
    pub labels: Vec<Label>,
    pub created_at: Option<Timestamp>,
    pub status: JobStatus,
    /// The runner that took the job.
    pub runner_name: Option<String>,
}

/// The status of a job, as GitHub tells it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum JobStatus {
    /// It waits for a runner.
    Queued,
    /// It waits for something else, such as a deployment gate.
    Waiting,
    InProgress,
    Completed(Conclusion),
}

/// A webhook delivery that failed, by GitHub's word.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FailedDelivery {
    /// GitHub's number of this try. Each redelivery has its own; later ones are higher.
    pub number: u64,
    /// The same for every try.
    pub delivery: DeliveryId,
    pub at: Timestamp,
}

/// The answer to a request for a re-run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RerunAnswer {
    Accepted,
    /// A job of the run is still running (403): try again later.
    StillRunning,
}

/// An existing check run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CheckView {
    pub id: CheckRunId,
    pub concluded: Option<CheckConclusion>,
}

/// GitHub, as far as dayfly uses it.
pub trait GitHub {
    /// Reads the file at `path` on the default branch.
    async fn config_file(&self, scope: &Scope, path: &str, etag: Option<&str>) -> Result<ConfigFile, ApiError>;

    /// Registers a runner that takes one job.
    async fn mint(&self, scope: &Scope, name: &str, labels: &[Label]) -> Result<Minted, ApiError>;

    /// Returns the runner of exactly that name.
    async fn runner_named(&self, scope: &Scope, name: &str) -> Result<Option<RunnerView>, ApiError>;

    async fn remove_runner(&self, scope: &Scope, runner: RunnerId) -> Result<Removal, ApiError>;

    async fn job(&self, scope: &Scope, job: JobId) -> Result<JobView, ApiError>;

    async fn run(&self, scope: &Scope, run: RunId) -> Result<RunView, ApiError>;

    /// Runs one job and the jobs that depend on it again.
    async fn rerun_job(&self, scope: &Scope, job: JobId) -> Result<RerunAnswer, ApiError>;

    /// Runs all failed jobs of a run again.
    async fn rerun_failed_jobs(&self, scope: &Scope, run: RunId) -> Result<RerunAnswer, ApiError>;

    /// Returns the newer run that forbids a re-run of this one: a run of the same workflow, branch and event, if
    /// the workflow file at the run's commit has a `concurrency` group, at its top or in a job. The re-run would
    /// cancel the newer run, wait for it, or be cancelled by it.
    ///
    /// <https://docs.github.com/en/actions/how-tos/write-workflows/choose-when-workflows-run/control-workflow-concurrency>
    async fn superseded(&self, scope: &Scope, run: RunId) -> Result<Option<RunId>, ApiError>;

    /// Lists the App's installations that are not suspended.
    async fn installations(&self) -> Result<Vec<InstallationId>, ApiError>;

    /// Lists the repositories of an installation with a push since then, latest first.
    async fn pushed_repositories(
        &self,
        installation: InstallationId,
        since: Timestamp,
    ) -> Result<Vec<Repository>, ApiError>;

    /// Lists the queued and in-progress runs of a repository, at most a hundred of each.
    async fn open_runs(&self, scope: &Scope) -> Result<Vec<RunId>, ApiError>;

    /// Lists the jobs of a run's latest attempt.
    async fn jobs_of(&self, scope: &Scope, run: RunId) -> Result<Vec<JobView>, ApiError>;

    /// Lists all runners of a repository, including foreign ones.
    async fn runners(&self, scope: &Scope) -> Result<Vec<RunnerView>, ApiError>;

    /// Lists the failed deliveries with a number above `after`, latest first, of the last three days at most. Of
    /// more than `limit`, the oldest are left out.
    async fn failed_deliveries(&self, after: u64, limit: usize) -> Result<Vec<FailedDelivery>, ApiError>;

    /// Has GitHub deliver a webhook again.
    async fn redeliver(&self, number: u64) -> Result<(), ApiError>;

    /// Creates a check run. A call that failed may have created it all the same.
    async fn create_check(&self, scope: &Scope, check: &CheckRunBody) -> Result<CheckRunId, ApiError>;

    /// Updates a check run. GitHub never changes a conclusion.
    async fn update_check(&self, scope: &Scope, id: CheckRunId, check: &CheckRunBody) -> Result<(), ApiError>;

    /// Finds the App's check run by its name and external id on a commit.
    async fn find_check(
        &self,
        scope: &Scope,
        head_sha: &str,
        name: &str,
        external_id: &str,
    ) -> Result<Option<CheckView>, ApiError>;

    /// Finds the App's comment on a pull request that begins with `marker`.
    async fn find_comment(&self, scope: &Scope, pull: u64, marker: &str) -> Result<Option<CommentId>, ApiError>;

    /// Creates a comment on a pull request. A call that failed may have created it all the same.
    async fn create_comment(&self, scope: &Scope, pull: u64, text: &str) -> Result<CommentId, ApiError>;

    /// Updates a comment. Once a person has deleted it, it is not found.
    async fn update_comment(&self, scope: &Scope, comment: CommentId, text: &str) -> Result<(), ApiError>;

    /// Cancels a run. A run that is over is no error.
    async fn cancel_run(&self, scope: &Scope, run: RunId) -> Result<(), ApiError>;

    /// Returns where a run attempt comes from.
    async fn run_origin(&self, scope: &Scope, run: RunKey) -> Result<Origin, ApiError>;

    /// Returns whether a user may write to the repository.
    async fn may_write(&self, scope: &Scope, user: &str) -> Result<bool, ApiError>;

    /// Returns whether a user is a member of a team; `false` for a team that the installation does not see.
    async fn is_member(&self, scope: &Scope, team: &Team, user: &str) -> Result<bool, ApiError>;

    /// Lists the pull requests from an owner's branch, open or closed, latest first.
    async fn pulls_from(&self, scope: &Scope, owner: &str, branch: &str) -> Result<Vec<Pull>, ApiError>;

    /// Lists the reviews of a pull request in order.
    async fn reviews(&self, scope: &Scope, pull: u64) -> Result<Vec<Review>, ApiError>;

    /// Lists when labels were added to and removed from a pull request, in order.
    async fn label_events(&self, scope: &Scope, pull: u64) -> Result<Vec<LabelEvent>, ApiError>;
}
