//! Turns GitHub's JSON into dayfly's own events. No other code sees it.
//!
//! <https://docs.github.com/en/webhooks/webhook-events-and-payloads>

use dayfly_config::labels::{self, Label};
use dayfly_records::event::{Conclusion, Event, JobEvent, RunEvent};
use dayfly_types::ids::{InstallationId, JobId, Repository, RunAttempt, RunId, RunnerId};
use dayfly_types::time::Timestamp;
use serde::Deserialize;

use crate::request::Webhook;

#[derive(Debug)]
pub enum Meaning {
    Ping,
    /// Nothing to do, for this reason.
    NotOurs(String),
    Event(Box<Event>),
}

#[derive(Deserialize)]
struct Action {
    action: String,
}

#[derive(Deserialize)]
struct Installation {
    id: InstallationId,
}

#[derive(Deserialize)]
struct RepositoryName {
    full_name: Repository,
}

#[derive(Deserialize)]
struct JobPayload {
    workflow_job: WorkflowJob,
    repository: RepositoryName,
    #[serde(default)]
    installation: Option<Installation>,
    #[serde(default)]
    sender: Option<Sender>,
}

#[derive(Deserialize)]
struct Sender {
    login: String,
}

#[derive(Deserialize)]
struct WorkflowJob {
    id: JobId,
    run_id: RunId,
    #[serde(default = "first_attempt")]
    run_attempt: RunAttempt,
    name: String,
    #[serde(default)]
    workflow_name: Option<String>,
    head_sha: String,
    labels: Vec<Label>,
    #[serde(default)]
    created_at: Option<jiff::Timestamp>,
    #[serde(default)]
    runner_id: Option<RunnerId>,
    #[serde(default)]
    runner_name: Option<String>,
    #[serde(default)]
    conclusion: Option<Conclusion>,
}

#[derive(Deserialize)]
struct RunPayload {
    workflow_run: WorkflowRun,
    repository: RepositoryName,
    #[serde(default)]
    installation: Option<Installation>,
}

#[derive(Deserialize)]
struct WorkflowRun {
    id: RunId,
    #[serde(default = "first_attempt")]
    run_attempt: RunAttempt,
    #[serde(default)]
    conclusion: Option<Conclusion>,
}

fn first_attempt() -> RunAttempt {
    RunAttempt(1)
}

/// Reads the body of a webhook.
///
/// # Errors
/// The body is not JSON, or does not have the shape of its event.
pub fn read(webhook: &Webhook, body: &[u8], now: Timestamp) -> Result<Meaning, String> {
    match webhook.event.as_str() {
        "ping" => parse::<serde::de::IgnoredAny>(body).map(|_| Meaning::Ping),
        "workflow_job" => job(webhook, body, now),
        "workflow_run" => run(webhook, body, now),
        other => parse::<serde::de::IgnoredAny>(body).map(|_| {
            not_ours(format!(
                "`{other}` events are not needed: unsubscribe the App from them"
            ))
        }),
    }
}

fn parse<'a, T: Deserialize<'a>>(body: &'a [u8]) -> Result<T, String> {
    serde_json::from_slice(body).map_err(|error| format!("the body cannot be read: {error}"))
}

fn not_ours(reason: impl Into<String>) -> Meaning {
    Meaning::NotOurs(reason.into())
}

fn job(webhook: &Webhook, body: &[u8], now: Timestamp) -> Result<Meaning, String> {
    let action = parse::<Action>(body)?.action;
    let payload: JobPayload = parse(body)?;
    let wrap = match action.as_str() {
        "queued" => Event::JobQueued,
        "in_progress" => Event::JobInProgress,
        "completed" => Event::JobCompleted,
        "waiting" => {
            return Ok(not_ours(
                "the job waits for a deployment gate; it is queued once that opens",
            ));
        }
        other => {
            return Ok(not_ours(format!(
                "`workflow_job` has an action `{other}` that is not needed"
            )));
        }
    };
    let job = payload.workflow_job;
    if !labels::may_be_ours(&job.labels) {
        return Ok(not_ours(format!(
            "the labels {} ask for no runner of ours",
            labels::listed(&job.labels)
        )));
    }
    let Some(installation) = payload.installation else {
        return Ok(not_ours(NO_INSTALLATION));
    };
    Ok(Meaning::Event(Box::new(wrap(JobEvent {
        delivery: webhook.delivery.clone(),
        received_at: now,
        created_at: job.created_at.map(|at| Timestamp::from_millis(at.as_millisecond())),
        installation: installation.id,
        repository: payload.repository.full_name,
        job: job.id,
        run: job.run_id,
        attempt: job.run_attempt,
        name: job.name,
        workflow: job.workflow_name,
        actor: payload.sender.map(|sender| sender.login),
        head_sha: job.head_sha,
        labels: job.labels,
        runner_name: job.runner_name.filter(|name| !name.is_empty()),
        runner_id: job.runner_id.filter(|id| id.0 != 0),
        conclusion: job.conclusion,
    }))))
}

fn run(webhook: &Webhook, body: &[u8], now: Timestamp) -> Result<Meaning, String> {
    let action = parse::<Action>(body)?.action;
    let payload: RunPayload = parse(body)?;
    if action != "completed" {
        return Ok(not_ours(format!(
            "`workflow_run` has an action `{action}` that is not needed"
        )));
    }
    let Some(installation) = payload.installation else {
        return Ok(not_ours(NO_INSTALLATION));
    };
    Ok(Meaning::Event(Box::new(Event::RunCompleted(RunEvent {
        delivery: webhook.delivery.clone(),
        received_at: now,
        installation: installation.id,
        repository: payload.repository.full_name,
        run: payload.workflow_run.id,
        attempt: payload.workflow_run.run_attempt,
        conclusion: payload.workflow_run.conclusion,
    }))))
}

const NO_INSTALLATION: &str =
    "no `installation` in the body: only the GitHub App's webhook is accepted, not a repository's or organisation's";
