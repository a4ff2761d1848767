//! The parts of GitHub's answers that we read. Fields we can do without are optional, in case GitHub drops
//! them.

use dayfly_config::labels::Label;
use dayfly_ports::{CheckView, FailedDelivery, JobStatus, JobView, RunnerView};
use dayfly_records::CheckConclusion;
use dayfly_records::event::Conclusion;
use dayfly_types::ids::{CheckRunId, CommentId, DeliveryId, InstallationId, JobId, RunAttempt, RunId, RunnerId};
use dayfly_types::time::Timestamp;
use serde::Deserialize;
use serde::de::DeserializeOwned;

/// One page of a list.
pub(crate) trait Page: DeserializeOwned {
    type Item;

    fn items(self) -> Vec<Self::Item>;
}

/// <https://docs.github.com/en/rest/actions/self-hosted-runners#create-configuration-for-a-just-in-time-runner-for-a-repository>
#[derive(Deserialize)]
pub(crate) struct JitConfig {
    pub(crate) runner: Registered,
    pub(crate) encoded_jit_config: String,
}

#[derive(Deserialize)]
pub(crate) struct Registered {
    pub(crate) id: u64,
}

/// <https://docs.github.com/en/rest/actions/self-hosted-runners#list-self-hosted-runners-for-a-repository>
#[derive(Deserialize)]
pub(crate) struct Runners {
    pub(crate) runners: Vec<Runner>,
}

impl Page for Runners {
    type Item = Runner;

    fn items(self) -> Vec<Runner> {
        self.runners
    }
}

#[derive(Deserialize)]
pub(crate) struct Runner {
    pub(crate) id: u64,
    pub(crate) name: String,
    pub(crate) status: String,
    pub(crate) busy: bool,
}

impl From<Runner> for RunnerView {
    fn from(runner: Runner) -> Self {
        Self {
            id: RunnerId(runner.id),
            online: runner.status == "online",
            name: runner.name,
            busy: runner.busy,
        }
    }
}

/// <https://docs.github.com/en/rest/actions/workflow-runs#get-a-workflow-run>
#[derive(Deserialize)]
pub(crate) struct Run {
    #[serde(rename = "run_attempt")]
    pub(crate) attempt: u32,
    pub(crate) status: Option<String>,
    pub(crate) conclusion: Option<Conclusion>,
}

/// <https://docs.github.com/en/rest/actions/workflow-runs#list-workflow-runs-for-a-repository>
#[derive(Deserialize)]
pub(crate) struct Runs {
    #[serde(rename = "workflow_runs")]
    pub(crate) runs: Vec<ListedRun>,
}

#[derive(Deserialize)]
pub(crate) struct ListedRun {
    pub(crate) id: RunId,
}

#[derive(Deserialize)]
pub(crate) struct RunOrigin {
    id: RunId,
    run_number: u64,
    pub(crate) workflow_id: u64,
    /// `None` once the branch is deleted.
    pub(crate) head_branch: Option<String>,
    pub(crate) event: String,
    pub(crate) path: String,
    pub(crate) head_sha: String,
    pub(crate) created_at: jiff::Timestamp,
    head_repository: Option<HeadRepository>,
}

#[derive(Deserialize, PartialEq)]
struct HeadRepository {
    id: u64,
}

impl RunOrigin {
    /// Whether another run of its workflow, branch and event is newer. Branches of different forks may
    /// share a name.
    pub(crate) fn is_older_than(&self, other: &RunOfWorkflow) -> bool {
        other.id != self.id && other.run_number > self.run_number && other.head_repository == self.head_repository
    }
}

/// <https://docs.github.com/en/rest/actions/workflow-runs#list-workflow-runs-for-a-workflow>
#[derive(Deserialize)]
pub(crate) struct RunsOfWorkflow {
    #[serde(rename = "workflow_runs")]
    pub(crate) runs: Vec<RunOfWorkflow>,
}

#[derive(Deserialize)]
pub(crate) struct RunOfWorkflow {
    pub(crate) id: RunId,
    pub(crate) run_number: u64,
    head_repository: Option<HeadRepository>,
}

/// <https://docs.github.com/en/rest/actions/workflow-jobs#list-jobs-for-a-workflow-run>
#[derive(Deserialize)]
pub(crate) struct Jobs {
    jobs: Vec<Job>,
}

impl Page for Jobs {
    type Item = Job;

    fn items(self) -> Vec<Job> {
        self.jobs
    }
}

/// <https://docs.github.com/en/rest/actions/workflow-jobs#get-a-job-for-a-workflow-run>
#[derive(Deserialize)]
pub(crate) struct Job {
    id: JobId,
    run_id: RunId,
    /// GitHub documents 1 for a run that was never re-run, and that the field may be missing.
    run_attempt: Option<u32>,
    #[serde(default)]
    name: String,
    #[serde(default)]
    workflow_name: Option<String>,
    #[serde(default)]
    head_sha: String,
    #[serde(default)]
    labels: Vec<Label>,
    created_at: Option<jiff::Timestamp>,
    status: String,
    conclusion: Option<Conclusion>,
    #[serde(default)]
    runner_name: Option<String>,
}

impl From<Job> for JobView {
    fn from(job: Job) -> Self {
        let status = match job.status.as_str() {
            "completed" => JobStatus::Completed(job.conclusion.unwrap_or(Conclusion::Unknown)),
            "in_progress" => JobStatus::InProgress,
            "waiting" | "pending" => JobStatus::Waiting,
            // `queued` and `requested`; an unknown status must not drop a job either.
            _ => JobStatus::Queued,
        };
        Self {
            job: job.id,
            run: job.run_id,
            attempt: RunAttempt(job.run_attempt.unwrap_or(1)),
            name: job.name,
            workflow: job.workflow_name,
            head_sha: job.head_sha,
            labels: job.labels,
            created_at: job.created_at.map(timestamp),
            status,
            runner_name: job.runner_name.filter(|name| !name.is_empty()),
        }
    }
}

/// <https://docs.github.com/en/rest/apps/apps#list-installations-for-the-authenticated-app>
#[derive(Deserialize)]
pub(crate) struct Installation {
    pub(crate) id: InstallationId,
    pub(crate) suspended_at: Option<jiff::Timestamp>,
}

impl Page for Vec<Installation> {
    type Item = Installation;

    fn items(self) -> Self {
        self
    }
}

/// <https://docs.github.com/en/rest/apps/installations#list-repositories-accessible-to-the-app-installation>
#[derive(Deserialize)]
pub(crate) struct Repositories {
    repositories: Vec<ListedRepository>,
}

impl Page for Repositories {
    type Item = ListedRepository;

    fn items(self) -> Vec<ListedRepository> {
        self.repositories
    }
}

#[derive(Deserialize)]
pub(crate) struct ListedRepository {
    pub(crate) full_name: String,
    /// `None` while the repository is empty.
    pub(crate) pushed_at: Option<jiff::Timestamp>,
}

/// <https://docs.github.com/en/rest/checks/runs#list-check-runs-for-a-git-reference>
#[derive(Deserialize)]
pub(crate) struct CheckRuns {
    check_runs: Vec<Check>,
}

impl Page for CheckRuns {
    type Item = Check;

    fn items(self) -> Vec<Check> {
        self.check_runs
    }
}

/// <https://docs.github.com/en/rest/checks/runs#create-a-check-run>
#[derive(Deserialize)]
pub(crate) struct Check {
    pub(crate) id: CheckRunId,
    #[serde(default)]
    pub(crate) name: String,
    pub(crate) external_id: Option<String>,
    conclusion: Option<String>,
}

impl From<Check> for CheckView {
    fn from(check: Check) -> Self {
        let concluded = check.conclusion.map(|word| match word.as_str() {
            "failure" => CheckConclusion::Failure,
            // We set no other conclusion.
            _ => CheckConclusion::Neutral,
        });
        Self {
            id: check.id,
            concluded,
        }
    }
}

/// <https://docs.github.com/en/rest/issues/comments#list-issue-comments>
#[derive(Deserialize)]
pub(crate) struct Comment {
    pub(crate) id: CommentId,
    #[serde(default)]
    body: Option<String>,
    /// `None` once the account is deleted.
    user: Option<Author>,
    performed_via_github_app: Option<App>,
}

#[derive(Deserialize)]
struct Author {
    #[serde(rename = "type")]
    kind: String,
}

#[derive(Deserialize)]
struct App {
    id: u64,
}

impl Page for Vec<Comment> {
    type Item = Comment;

    fn items(self) -> Self {
        self
    }
}

impl Comment {
    /// Whether the App made the comment and it starts with `marker`. The text alone proves nothing: anyone
    /// can copy it. An older GitHub Enterprise Server names no App, only that the author is a bot.
    pub(crate) fn is_own(&self, app: u64, marker: &str) -> bool {
        let by_bot = self.user.as_ref().is_some_and(|user| user.kind == "Bot");
        let by_app = self
            .performed_via_github_app
            .as_ref()
            .is_none_or(|author| author.id == app);
        let text = self.body.as_deref().unwrap_or_default();
        by_bot && by_app && text.starts_with(marker)
    }
}

/// <https://docs.github.com/en/rest/apps/webhooks#list-deliveries-for-an-app-webhook>
#[derive(Deserialize)]
pub(crate) struct Delivery {
    id: u64,
    guid: DeliveryId,
    delivered_at: jiff::Timestamp,
    /// The receiver's status; 0 if it did not answer.
    status_code: u16,
}

impl Delivery {
    /// An older GitHub Enterprise Server also lists deliveries that succeeded.
    pub(crate) fn has_failed(&self) -> bool {
        !(200..300).contains(&self.status_code)
    }
}

impl From<Delivery> for FailedDelivery {
    fn from(delivery: Delivery) -> Self {
        Self {
            number: delivery.id,
            delivery: delivery.guid,
            at: timestamp(delivery.delivered_at),
        }
    }
}

pub(crate) fn timestamp(time: jiff::Timestamp) -> Timestamp {
    Timestamp::from_millis(time.as_millisecond())
}

/// <https://docs.github.com/en/rest/apps/apps#create-an-installation-access-token-for-an-app>
#[derive(Deserialize)]
pub(crate) struct InstallationToken {
    pub(crate) token: String,
    pub(crate) expires_at: jiff::Timestamp,
}
