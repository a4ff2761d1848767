//! The protocol between a runner and the twin.
//!
//! The protocol is the twin's own: GitHub's between runner and service is neither documented nor
//! needed. What it has in common with GitHub's matters to code that starts runners: the outer
//! shape of the JIT config, a session that is refused to old versions and removed runners, a long
//! poll, an offer that must be taken in time, a lock that must be renewed, a cancellation that comes
//! with the renewal, and one job a runner.
//!
//! # The JIT config
//! Base64 of a JSON object of file name → base64 of the file's contents: `.runner`, `.credentials`
//! and `.credentials_rsaparams`, as GitHub's. [`JitConfig::decode`] reads it.
//!
//! # The calls
//! All under the `ServerUrl` of `.runner`, all with `Authorization: Bearer <credential>`, bodies JSON.
//!
//! | call | body → answer |
//! |---|---|
//! | `POST /_twin/runner/sessions` | [`OpenSession`] → 201 [`SessionOpened`] · 401 not registered · 403 version too old · 409 has a session |
//! | `GET /_twin/runner/sessions/{session}/message` | held up to `poll_seconds` → 200 [`RunnerMessage`] · 204 nothing yet, ask again · 401 the runner was removed: stop |
//! | `POST /_twin/runner/sessions/{session}/jobs/{job}/acknowledge` | → 200 [`JobMessage`] · 409 too late, ask again |
//! | `POST /_twin/runner/jobs/{job}/renew` | → 200 [`Renewed`]; every `renew_seconds` while it runs · 410 the job is over: stop |
//! | `POST /_twin/runner/jobs/{job}/logs` | [`StepLog`] → 204 · 410 |
//! | `POST /_twin/runner/jobs/{job}/steps` | [`StepReport`] → 204 · 410 |
//! | `POST /_twin/runner/jobs/{job}/complete` | [`CompleteJob`] → 200 [`Completed`] · 410 |
//! | `DELETE /_twin/runner/sessions/{session}` | → 204 |
//!
//! Every refusal has a [`Refused`] body. A runner that is told to stop ends with exit code 0, as
//! GitHub's does; one refused for its version ends with 7 if it was started with
//! `ACTIONS_RUNNER_RETURN_VERSION_DEPRECATED_EXIT_CODE=1`, else with 0.
//!
//! On SIGINT or SIGTERM a runner kills the running step, and completes the job as `failure` with
//! [`EndedBy::ShutdownSignal`]; on [`Order::Cancel`] it kills the running step and completes the job as
//! `cancelled`.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};

use crate::model::{Conclusion, JobId, RunId, RunnerId};

/// The contents of `.runner`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct RunnerFile {
    pub agent_id: RunnerId,
    pub agent_name: String,
    pub pool_id: u64,
    pub pool_name: String,
    /// Where the runner's calls go.
    pub server_url: String,
    pub git_hub_url: String,
    /// Where jobs' files go, relative to the runner's folder.
    pub work_folder: String,
    /// Whether it takes one job only; always true for a JIT config.
    pub ephemeral: bool,
}

/// The contents of `.credentials`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CredentialsFile {
    /// `OAuth`.
    pub scheme: String,
    pub data: CredentialsData,
}

/// The credential in `.credentials`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct CredentialsData {
    /// The bearer token of every call.
    pub client_id: String,
    /// Where GitHub's runners trade their key for a token; unused by ours.
    pub authorization_url: String,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JitConfig {
    /// `.runner`
    pub runner: RunnerFile,
    /// `.credentials`
    pub credentials: CredentialsFile,
}

/// Why a JIT config cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum JitConfigError {
    /// The whole, or a file in it, is not base64.
    #[error("not base64: {0}")]
    Base64(#[from] base64::DecodeError),
    /// The whole, or a file in it, is not the JSON it should be.
    #[error("not the expected JSON: {0}")]
    Json(#[from] serde_json::Error),
    #[error("no `{0}` in it")]
    Missing(&'static str),
}

impl JitConfig {
    /// The text that `run.sh --jitconfig` takes.
    ///
    /// # Errors
    /// Never in practice: the parts are plain data.
    pub fn encode(&self) -> Result<String, JitConfigError> {
        let files = BTreeMap::from([
            (".runner", STANDARD.encode(serde_json::to_vec(&self.runner)?)),
            (".credentials", STANDARD.encode(serde_json::to_vec(&self.credentials)?)),
            (".credentials_rsaparams", STANDARD.encode("{}")),
        ]);
        Ok(STANDARD.encode(serde_json::to_vec(&files)?))
    }

    /// Reads the text that `run.sh --jitconfig` takes.
    ///
    /// # Errors
    /// When it is not base64 of the JSON described in this module.
    pub fn decode(text: &str) -> Result<Self, JitConfigError> {
        let files: BTreeMap<String, String> = serde_json::from_slice(&STANDARD.decode(text.trim())?)?;
        let file = |name: &'static str| -> Result<Vec<u8>, JitConfigError> {
            let text = files.get(name).ok_or(JitConfigError::Missing(name))?;
            Ok(STANDARD.decode(text)?)
        };
        Ok(Self {
            runner: serde_json::from_slice(&file(".runner")?)?,
            credentials: serde_json::from_slice(&file(".credentials")?)?,
        })
    }
}

/// Asks for a session.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct OpenSession {
    /// `AgentId` of `.runner`.
    pub runner_id: RunnerId,
    /// The runner's version, `major.minor.patch`.
    pub version: String,
    /// `linux`, `macos`, `windows`.
    pub os: String,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct SessionOpened {
    /// Names the session in later calls.
    pub session_id: String,
    /// How long a poll may be held.
    pub poll_seconds: f64,
    /// How often a running job is to be renewed.
    pub renew_seconds: f64,
}

/// The answer to a poll.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum RunnerMessage {
    /// A job is offered: acknowledge it.
    JobOffered { job_id: JobId },
}

/// A job, whole.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct JobMessage {
    pub job_id: JobId,
    pub run_id: RunId,
    pub run_attempt: u32,
    pub run_number: u64,
    /// The job's key in the workflow file (`GITHUB_JOB`).
    pub job_key: String,
    pub job_name: String,
    pub workflow_name: String,
    /// `owner/name`.
    pub repository: String,
    pub sha: String,
    /// `refs/heads/<branch>`.
    pub git_ref: String,
    /// The event that started the run.
    pub event_name: String,
    /// Who caused the run.
    pub actor: String,
    pub env: BTreeMap<String, String>,
    /// The steps to run, in order.
    pub steps: Vec<StepMessage>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct StepMessage {
    /// Names the step in logs and reports; the first is 2, after "Set up job".
    pub number: u32,
    /// Its `id`, by which its outputs are found.
    #[serde(default)]
    pub id: Option<String>,
    pub name: String,
    /// The bash script; none: a step with `uses`, to be reported as skipped.
    pub run: Option<String>,
    pub env: BTreeMap<String, String>,
}

/// The answer to a renewal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Renewed {
    pub order: Order,
}

/// An order to a runner about its job.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Order {
    /// Go on.
    Continue,
    /// Kill the step and complete the job as cancelled.
    Cancel,
}

/// Lines of a step's output.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct StepLog {
    pub step: u32,
    /// Lines without their ends.
    pub lines: Vec<String>,
    /// Errors among them, for the job's page.
    #[serde(default)]
    pub errors: Vec<String>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct StepReport {
    pub number: u32,
    /// None: it began.
    pub conclusion: Option<Conclusion>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct CompleteJob {
    pub conclusion: Conclusion,
    /// The cause of the end, if it was not the steps.
    #[serde(default)]
    pub ended_by: Option<EndedBy>,
    /// The outputs of its steps: a step's `id` → name → value.
    #[serde(default)]
    pub outputs: BTreeMap<String, BTreeMap<String, String>>,
}

/// A cause of a job's end other than its steps.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EndedBy {
    /// The runner got SIGINT or SIGTERM.
    ShutdownSignal,
}

/// The job is over and the runner, being ephemeral, is no longer registered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Completed {
    /// Always true.
    pub runner_removed: bool,
}

/// Why a call was refused.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refused {
    pub code: RefusedCode,
    pub message: String,
}

/// Why a call was refused, for programs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RefusedCode {
    /// The runner is not registered (any more), or the credential is not its own.
    NotRegistered,
    /// The runner's version is below the minimum.
    VersionTooOld,
    SessionExists,
    TooLate,
    /// The job is over, or not this runner's.
    JobOver,
    /// There is no such step.
    NoSuchStep,
}
