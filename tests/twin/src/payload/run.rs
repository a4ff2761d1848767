//! Runs, jobs and runners as JSON.

use jiff::Timestamp;
use serde_json::{Value, json};

use super::{lite_repo, node_id, user};
use crate::clock::iso;
use crate::model::{Conclusion, EarlierAttempt, Job, Run, Runner, Status, Step};
use crate::state::State;

/// A workflow in a webhook.
pub(super) fn workflow(state: &State, run: &Run) -> Value {
    let repo = &state.repos[&run.repo];
    let name = repo.full_name();
    let workflow = &run.workflow;
    json!({
        "id": workflow.id,
        "node_id": node_id("W", workflow.id.0),
        "name": workflow.name,
        "path": workflow.path,
        "state": "active",
        "created_at": iso(repo.created_at),
        "updated_at": iso(repo.created_at),
        "url": format!("{}/repos/{name}/actions/workflows/{}", state.api_url, workflow.id),
        "html_url": format!("https://github.com/{name}/blob/main/{}", workflow.path),
        "badge_url": format!("https://github.com/{name}/workflows/{}/badge.svg", workflow.id),
    })
}

/// A run in its latest attempt.
pub(crate) fn run(state: &State, run: &Run) -> Value {
    let mut value = run_for_webhook(state, run);
    value["head_repository_id"] = json!(run.head_repo);
    value
}

/// A run in an attempt that it may have left behind.
pub(crate) fn run_attempt(state: &State, one: &Run, attempt: u32) -> Option<Value> {
    if attempt == one.attempt {
        return Some(run(state, one));
    }
    let earlier = one.earlier.iter().find(|past| past.attempt == attempt)?;
    let mut value = run(state, one);
    let EarlierAttempt {
        conclusion,
        triggering_actor,
        started_at,
        updated_at,
        ..
    } = earlier;
    value["triggering_actor"] = user(state, triggering_actor);
    value["run_attempt"] = json!(attempt);
    value["status"] = json!("completed");
    value["conclusion"] = json!(conclusion.map(Conclusion::as_str));
    value["run_started_at"] = json!(iso(*started_at));
    value["updated_at"] = json!(iso(*updated_at));
    value["previous_attempt_url"] = previous_attempt_url(state, one, attempt);
    Some(value)
}

fn run_url(state: &State, run: &Run) -> String {
    let name = state.repos[&run.repo].full_name();
    format!("{}/repos/{name}/actions/runs/{}", state.api_url, run.id)
}

fn previous_attempt_url(state: &State, run: &Run, attempt: u32) -> Value {
    match attempt {
        1 => Value::Null,
        later => json!(format!("{}/attempts/{}", run_url(state, run), later - 1)),
    }
}

/// A run as a webhook shows it, which is stricter about what may be in it.
pub(super) fn run_for_webhook(state: &State, run: &Run) -> Value {
    let repo = &state.repos[&run.repo];
    let name = repo.full_name();
    let api = format!("{}/repos/{name}", state.api_url);
    let url = run_url(state, run);
    let suite = run.id.0 + 1_000_000_000;
    let mut value = json!({
        "id": run.id,
        "name": run.workflow.name,
        "node_id": node_id("WFR", run.id.0),
        "check_suite_id": suite,
        "check_suite_node_id": node_id("CS", suite),
        "head_branch": run.head_branch,
        "head_sha": run.head_sha,
        "path": run.workflow.path,
        "display_title": display_title(state, run),
        "run_number": run.number,
        "run_attempt": run.attempt,
        "event": run.event,
        "status": run.status.as_str(),
        "conclusion": run.conclusion.map(Conclusion::as_str),
        "workflow_id": run.workflow.id,
        "url": url,
        "html_url": format!("https://github.com/{name}/actions/runs/{}", run.id),
        "pull_requests": [],
        "created_at": iso(run.created_at),
        "updated_at": iso(run.updated_at),
        "run_started_at": iso(run.started_at),
        "referenced_workflows": [],
        "actor": user(state, &run.actor),
        "triggering_actor": user(state, &run.triggering_actor),
        "previous_attempt_url": previous_attempt_url(state, run, run.attempt),
        "check_suite_url": format!("{api}/check-suites/{suite}"),
        "workflow_url": format!("{api}/actions/workflows/{}", run.workflow.id),
    });
    for link in ["jobs", "logs", "artifacts", "cancel", "rerun"] {
        value[format!("{link}_url")] = json!(format!("{url}/{link}"));
    }
    value["repository"] = lite_repo(state, repo);
    value["head_repository"] = state
        .repos
        .get(&run.head_repo)
        .map_or(Value::Null, |head| lite_repo(state, head));
    value["head_commit"] = head_commit(state, run);
    value
}

fn display_title(state: &State, run: &Run) -> String {
    state.repos[&run.repo]
        .commits
        .get(&run.head_sha)
        .and_then(|commit| commit.message.lines().next())
        .unwrap_or_default()
        .to_owned()
}

fn head_commit(state: &State, run: &Run) -> Value {
    let Some(commit) = state.repos[&run.repo].commits.get(&run.head_sha) else {
        return Value::Null;
    };
    let person = json!({
        "name": commit.author,
        "email": format!("{}@users.noreply.github.com", commit.author),
    });
    json!({
        "id": commit.sha,
        "tree_id": commit.tree,
        "message": commit.message,
        "timestamp": iso(commit.at),
        "author": person,
        "committer": person,
    })
}

/// A job, alike in REST answers and webhooks.
pub(crate) fn job(state: &State, job: &Job) -> Value {
    let run = &state.runs[&job.run];
    let name = state.repos[&run.repo].full_name();
    let api = format!("{}/repos/{name}", state.api_url);
    let taken = job.runner.as_ref();
    json!({
        "id": job.id,
        "run_id": job.run,
        "workflow_name": run.workflow.name,
        "head_branch": run.head_branch,
        "run_url": run_url(state, run),
        "run_attempt": job.attempt,
        "node_id": node_id("CR", job.id.0),
        "head_sha": run.head_sha,
        "url": format!("{api}/actions/jobs/{}", job.id),
        "html_url": format!("https://github.com/{name}/actions/runs/{}/job/{}", job.run, job.id),
        "status": job.status.as_str(),
        "conclusion": job.conclusion.map(Conclusion::as_str),
        "created_at": iso(job.created_at),
        "started_at": iso(job.started_at),
        "completed_at": job.completed_at.map(iso),
        "name": job.spec.name,
        "steps": job.steps.iter().map(step).collect::<Vec<_>>(),
        "check_run_url": format!("{api}/check-runs/{}", job.id),
        "labels": job.spec.labels,
        "runner_id": taken.map(|taken| taken.id),
        "runner_name": taken.map(|taken| &taken.name),
        "runner_group_id": taken.map(|_| 1),
        "runner_group_name": taken.map(|_| "Default"),
    })
}

fn step(step: &Step) -> Value {
    json!({
        "name": step.name,
        "status": step.status.as_str(),
        "conclusion": step.conclusion.map(Conclusion::as_str),
        "number": step.number,
        "started_at": step.started_at.map(iso),
        "completed_at": step.completed_at.map(iso),
    })
}

/// A self-hosted runner.
pub(crate) fn runner(state: &State, runner: &Runner, now: Timestamp) -> Value {
    let labels: Vec<Value> = runner
        .labels
        .iter()
        .zip(1..)
        .map(|(name, number)| {
            json!({
                "id": runner.id.0 * 100 + number,
                "name": name,
                "type": "custom",
            })
        })
        .collect();
    let session = runner.session.as_ref();
    json!({
        "id": runner.id,
        "name": runner.name,
        "os": session.map_or("unknown", |session| session.os.as_str()),
        "status": if state.is_online(runner, now) { "online" } else { "offline" },
        "busy": !state.busy_reads_false && state.is_busy(runner),
        "ephemeral": true,
        "runner_group_id": 1,
        "version": session.map(|session| &session.version),
        "labels": labels,
    })
}

impl Status {
    /// Whether anything of it is still to come.
    #[must_use]
    pub fn is_open(self) -> bool {
        self != Self::Completed
    }
}
