//! GitHub's JSON: the shapes of REST answers and webhook payloads.

mod checks;
mod pulls;
mod repo;
mod run;

pub(crate) use self::checks::{annotation, app, check_run, comment, installation};
pub(crate) use self::pulls::{label_event, membership, permission, pull, review};
pub(crate) use self::repo::{content, full_repo, lite_repo, user};
pub(crate) use self::run::{job, run, run_attempt, runner};

use serde_json::{Value, json};

use crate::model::{Account, AccountKind, Installation, Job, RepoId, Run};
use crate::state::State;

/// A GraphQL id: opaque, but of the usual look.
pub(crate) fn node_id(prefix: &str, id: u64) -> String {
    use base64::Engine as _;
    let bytes = base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(id.to_be_bytes());
    format!("{prefix}_kwDO{bytes}")
}

/// The payload of `workflow_job`.
pub(crate) fn job_event(state: &State, job: &Job, action: &str) -> Value {
    let repo = state.runs[&job.run].repo;
    let mut payload = envelope(state, repo, action);
    payload["workflow_job"] = self::job(state, job);
    payload
}

/// The payload of `workflow_run`.
pub(crate) fn run_event(state: &State, run: &Run, action: &str) -> Value {
    let mut payload = envelope(state, run.repo, action);
    payload["workflow"] = run::workflow(state, run);
    payload["workflow_run"] = run::run_for_webhook(state, run);
    payload
}

/// The payload of `ping`.
pub(crate) fn ping_event(state: &State, webhook_url: &str) -> Value {
    let app = &state.app;
    let created = crate::clock::iso(app.created_at);
    let hook_url = format!("{}/app/hook", state.api_url);
    json!({
        "zen": "Keep it logically awesome.",
        "hook_id": app.hook_id,
        "hook": {
            "type": "App",
            "id": app.hook_id,
            "name": "web",
            "active": true,
            "app_id": app.id,
            "events": app.events,
            "config": {
                "content_type": "json",
                "insecure_ssl": "0",
                "secret": "********",
                "url": webhook_url,
            },
            "created_at": created,
            "updated_at": created,
            "url": hook_url,
            "ping_url": format!("{hook_url}/pings"),
            "deliveries_url": format!("{hook_url}/deliveries"),
        },
    })
}

/// The payload of `installation`.
pub(crate) fn installation_event(state: &State, one: &Installation, account: &Account, action: &str) -> Value {
    let repositories: Vec<Value> = one
        .repos
        .iter()
        .filter_map(|id| state.repos.get(id))
        .map(|repo| {
            json!({
                "id": repo.id,
                "node_id": node_id("R", repo.id.0),
                "name": repo.name,
                "full_name": repo.full_name(),
                "private": repo.private,
            })
        })
        .collect();
    json!({
        "action": action,
        "installation": installation(state, one, account),
        "repositories": repositories,
        "sender": user(state, account),
    })
}

/// The common fields of every event about a repository.
fn envelope(state: &State, repo: RepoId, action: &str) -> Value {
    let repo = &state.repos[&repo];
    let mut payload = json!({
        "action": action,
        "repository": repo::webhook_repo(state, repo),
        "sender": user(state, &repo.owner),
    });
    if repo.owner.kind == AccountKind::Organization {
        payload["organization"] = repo::organization(state, &repo.owner);
    }
    if let Some(installation) = state.installation_of(repo.id) {
        payload["installation"] = json!({
            "id": installation.id,
            "node_id": node_id("MDIz", installation.id.0),
        });
    }
    payload
}
