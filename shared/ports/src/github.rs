//! GitHub, as the App sees it.

use std::time::Duration;

use dayfly_config::labels::Label;
use dayfly_engine::admission::{LabelEvent, Origin, Pull, Review};
use dayfly_policy::Team;
use dayfly_records::CheckConclusion;
use dayfly_records::event::Conclusion;
use dayfly_report::check_run::CheckRunBody;
use dayfly_types::ids::{
    CheckRunId, CommentId, DeliveryId, InstallationId, JobId, Repository, RunAttempt, RunId, RunKey, RunnerId,
};
use dayfly_types::time::Timestamp;
use secrecy::SecretString;

/// Where a call goes: a repository, as one installation of the App.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Scope {
    /// Whose token to use.
    pub installation: InstallationId,
    /// The repository.
    pub repository: Repository,
}

/// What kind of failure a caller decides on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ApiErrorKind {
    /// What was asked for is not there, or hidden from the App.
    NotFound,
    /// The App may not: a permission is missing.
    Forbidden,
    /// The request can never succeed as it is.
    BadRequest,
    /// The rate limit is used up; again after so long, if GitHub said.
    RateLimited(Option<Duration>),
    /// Network, time-out or 5xx: it may have been done all the same.
    Unavailable,
}

/// A call to GitHub that failed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("GitHub, {call}: {message}")]
pub struct ApiError {
    /// What a caller decides on.
    pub kind: ApiErrorKind,
    /// The call, in words.
    pub call: &'static str,
    /// GitHub's words.
    pub message: String,
}

impl ApiError {
    /// How long GitHub wants to be left alone, if it said so.
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

/// The configuration file, asked for with the ETag of the last answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ConfigFile {
    /// It is as it was.
    NotModified,
    /// It is this.
    Found {
        /// GitHub's name for this state of it.
        etag: Option<String>,
        /// Its text.
        text: String,
    },
    /// There is none.
    Missing,
}

/// What a runner needs to register itself: a credential, never logged or stored.
#[derive(Clone, Debug)]
pub struct JitConfig {
    /// The runner's id.
    pub runner: RunnerId,
    /// GitHub's `encoded_jit_config`.
    pub encoded: SecretString,
}

/// What asking for a JIT config came to.
#[derive(Clone, Debug)]
pub enum Minted {
    /// Here it is.
    Config(JitConfig),
    /// A runner of that name is registered already: ask under another.
    NameTaken,
}

/// A registered runner.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RunnerView {
    /// Its id.
    pub id: RunnerId,
    /// Its name.
    pub name: String,
    /// Whether GitHub calls it busy. It can be wrong: never end an instance on this alone.
    pub busy: bool,
    /// Whether it is connected.
    pub online: bool,
}

/// What removing a runner came to.
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
    /// Its latest attempt.
    pub attempt: RunAttempt,
    /// Whether that attempt is over.
    pub completed: bool,
    /// How it ended.
    pub conclusion: Option<Conclusion>,
}

/// A job, as GitHub describes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JobView {
    /// The job.
    pub job: JobId,
    /// Its run.
    pub run: RunId,
    /// The attempt of its run that it belongs to.
    pub attempt: RunAttempt,
    /// Its name in the workflow.
    pub name: String,
    /// The workflow's name.
    pub workflow: Option<String>,
    /// The commit it runs on.
    pub head_sha: String,
    /// Its `runs-on`.
    pub labels: Vec<Label>,
    /// When it was made.
    pub created_at: Option<Timestamp>,
    /// Where it stands.
    pub status: JobStatus,
    /// The runner that took it.
    pub runner_name: Option<String>,
}

/// Where GitHub says that a job stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum JobStatus {
    /// It waits for a runner.
    Queued,
    /// It waits for something else: a deployment gate, say.
    Waiting,
    /// A runner runs it.
    InProgress,
    /// It is over.
    Completed(Conclusion),
}

/// A delivery of a webhook that GitHub calls failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FailedDelivery {
    /// GitHub's number of this try: each redelivery has its own, and later ones are higher.
    pub number: u64,
    /// What was delivered: the same for every try.
    pub delivery: DeliveryId,
    /// When it was tried.
    pub at: Timestamp,
}

/// What asking for a re-run came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RerunAnswer {
    /// GitHub runs it again.
    Accepted,
    /// A job of the run is still running (403): ask again later.
    StillRunning,
}

/// A check run that is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CheckView {
    /// Its id.
    pub id: CheckRunId,
    /// How it is concluded, if it is.
    pub concluded: Option<CheckConclusion>,
}

/// GitHub, as far as dayfly uses it.
pub trait GitHub {
    /// The file at `path` on the default branch.
    async fn config_file(&self, scope: &Scope, path: &str, etag: Option<&str>) -> Result<ConfigFile, ApiError>;

    /// Registers a runner that takes one job.
    async fn mint(&self, scope: &Scope, name: &str, labels: &[Label]) -> Result<Minted, ApiError>;

    /// The runner of exactly that name.
    async fn runner_named(&self, scope: &Scope, name: &str) -> Result<Option<RunnerView>, ApiError>;

    /// Removes a runner.
    async fn remove_runner(&self, scope: &Scope, runner: RunnerId) -> Result<Removal, ApiError>;

    /// A job.
    async fn job(&self, scope: &Scope, job: JobId) -> Result<JobView, ApiError>;

    /// A run.
    async fn run(&self, scope: &Scope, run: RunId) -> Result<RunView, ApiError>;

    /// Runs one job and those that depend on it again.
    async fn rerun_job(&self, scope: &Scope, job: JobId) -> Result<RerunAnswer, ApiError>;

    /// Runs all failed jobs of a run again.
    async fn rerun_failed_jobs(&self, scope: &Scope, run: RunId) -> Result<RerunAnswer, ApiError>;

    /// The newer run in whose favour a run is not to be run again: one of the same workflow, branch and
    /// event, if the workflow file at the run's commit has a `concurrency` group, at its top or in a job.
    /// Run again, the old run would cancel the newer one, or wait for it, or be cancelled by it.
    ///
    /// <https://docs.github.com/en/actions/how-tos/write-workflows/choose-when-workflows-run/control-workflow-concurrency>
    async fn superseded(&self, scope: &Scope, run: RunId) -> Result<Option<RunId>, ApiError>;

    /// The App's installations that are not suspended.
    async fn installations(&self) -> Result<Vec<InstallationId>, ApiError>;

    /// The repositories of an installation that were pushed to since then, the latest first.
    async fn pushed_repositories(
        &self,
        installation: InstallationId,
        since: Timestamp,
    ) -> Result<Vec<Repository>, ApiError>;

    /// The runs of a repository that are not over: queued, or in progress. At most a hundred of each.
    async fn open_runs(&self, scope: &Scope) -> Result<Vec<RunId>, ApiError>;

    /// The jobs of a run's latest attempt.
    async fn jobs_of(&self, scope: &Scope, run: RunId) -> Result<Vec<JobView>, ApiError>;

    /// All runners of a repository, whoever registered them.
    async fn runners(&self, scope: &Scope) -> Result<Vec<RunnerView>, ApiError>;

    /// The deliveries that failed and whose number is above `after`, the latest first, of the last
    /// three days at most. Of more than `limit` the oldest are left out.
    async fn failed_deliveries(&self, after: u64, limit: usize) -> Result<Vec<FailedDelivery>, ApiError>;

    /// Asks GitHub to deliver a webhook again.
    async fn redeliver(&self, number: u64) -> Result<(), ApiError>;

    /// Makes a check run. One that failed may have been made all the same.
    async fn create_check(&self, scope: &Scope, check: &CheckRunBody) -> Result<CheckRunId, ApiError>;

    /// Has a check run say something else. GitHub leaves a conclusion as it is once it has one.
    async fn update_check(&self, scope: &Scope, id: CheckRunId, check: &CheckRunBody) -> Result<(), ApiError>;

    /// The App's check run of that name and external id on a commit.
    async fn find_check(
        &self,
        scope: &Scope,
        head_sha: &str,
        name: &str,
        external_id: &str,
    ) -> Result<Option<CheckView>, ApiError>;

    /// The App's own comment on a pull request whose text begins with `marker`.
    async fn find_comment(&self, scope: &Scope, pull: u64, marker: &str) -> Result<Option<CommentId>, ApiError>;

    /// Makes a comment on a pull request. One that failed may have been made all the same.
    async fn create_comment(&self, scope: &Scope, pull: u64, text: &str) -> Result<CommentId, ApiError>;

    /// Has a comment say something else. It is not found once a person has deleted it.
    async fn update_comment(&self, scope: &Scope, comment: CommentId, text: &str) -> Result<(), ApiError>;

    /// Cancels a run, which is done too if it is over.
    async fn cancel_run(&self, scope: &Scope, run: RunId) -> Result<(), ApiError>;

    /// Where an attempt of a run comes from.
    async fn run_origin(&self, scope: &Scope, run: RunKey) -> Result<Origin, ApiError>;

    /// Whether a user may write to the repository.
    async fn may_write(&self, scope: &Scope, user: &str) -> Result<bool, ApiError>;

    /// Whether a user is a member of a team. Not, if the team is none that the installation sees.
    async fn is_member(&self, scope: &Scope, team: &Team, user: &str) -> Result<bool, ApiError>;

    /// The pull requests from a branch of an owner's, open or not, the latest first.
    async fn pulls_from(&self, scope: &Scope, owner: &str, branch: &str) -> Result<Vec<Pull>, ApiError>;

    /// The reviews of a pull request, in their order.
    async fn reviews(&self, scope: &Scope, pull: u64) -> Result<Vec<Review>, ApiError>;

    /// When which labels of a pull request came and went, in their order.
    async fn label_events(&self, scope: &Scope, pull: u64) -> Result<Vec<LabelEvent>, ApiError>;
}
