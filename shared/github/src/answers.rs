//! GitHub's answers, as far as they are read. Fields that it may leave out one day are optional where
//! we can do without.

use dayfly_core::event::Conclusion;
use dayfly_core::ids::RunnerId;
use dayfly_ports::{JobStatus, JobView, RunnerView};
use serde::Deserialize;

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

/// <https://docs.github.com/en/rest/actions/workflow-jobs#get-a-job-for-a-workflow-run>
#[derive(Deserialize)]
pub(crate) struct Job {
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
            // `queued` and `requested`; and a word that we don't know must not drop a job.
            _ => JobStatus::Queued,
        };
        Self {
            status,
            runner_name: job.runner_name.filter(|name| !name.is_empty()),
        }
    }
}

/// <https://docs.github.com/en/rest/apps/apps#create-an-installation-access-token-for-an-app>
#[derive(Deserialize)]
pub(crate) struct InstallationToken {
    pub(crate) token: String,
    pub(crate) expires_at: jiff::Timestamp,
}
