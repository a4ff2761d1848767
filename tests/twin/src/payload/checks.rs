//! The App, its installations, check runs, annotations and comments as JSON.

use serde_json::{Value, json};

use super::{node_id, user};
use crate::checks::{CheckRun, Comment};
use crate::clock::iso;
use crate::model::{Account, Annotation, Installation, Job};
use crate::state::State;

/// The App.
pub(crate) fn app(state: &State) -> Value {
    let app = &state.app;
    json!({
        "id": app.id,
        "slug": app.slug,
        "client_id": app.client_id,
        "node_id": node_id("A", app.id.0),
        "owner": user(state, &app.owner),
        "name": app.name,
        "description": null,
        "external_url": "https://example.com/",
        "html_url": format!("https://github.com/apps/{}", app.slug),
        "created_at": iso(app.created_at),
        "updated_at": iso(app.created_at),
        "permissions": app.permissions,
        "events": app.events,
        "installations_count": state.installations.len(),
    })
}

/// An installation, alike in REST answers and webhooks.
pub(crate) fn installation(state: &State, one: &Installation, account: &Account) -> Value {
    json!({
        "id": one.id,
        "account": user(state, account),
        "repository_selection": "selected",
        "access_tokens_url": format!("{}/app/installations/{}/access_tokens", state.api_url, one.id),
        "repositories_url": format!("{}/installation/repositories", state.api_url),
        "html_url": format!("https://github.com/settings/installations/{}", one.id),
        "app_id": state.app.id,
        "app_slug": state.app.slug,
        "target_id": account.id,
        "target_type": account.kind.as_str(),
        "permissions": one.permissions,
        "events": state.app.events,
        "created_at": iso(one.created_at),
        "updated_at": iso(one.created_at),
        "single_file_name": null,
        "has_multiple_single_files": false,
        "single_file_paths": [],
        "suspended_by": null,
        "suspended_at": null,
    })
}

/// A check run of the App.
pub(crate) fn check_run(state: &State, check: &CheckRun) -> Value {
    let name = state.repos[&check.repo].full_name();
    let url = format!("{}/repos/{name}/check-runs/{}", state.api_url, check.id);
    let output = check.output.clone().unwrap_or_default();
    json!({
        "id": check.id,
        "head_sha": check.head_sha,
        "node_id": node_id("CR", check.id.0),
        "external_id": check.external_id.clone().unwrap_or_default(),
        "url": url,
        "html_url": format!("https://github.com/{name}/runs/{}", check.id),
        "details_url": check.details_url,
        "status": check.status,
        "conclusion": check.conclusion,
        "started_at": iso(check.started_at),
        "completed_at": check.completed_at.map(iso),
        "output": {
            "title": output.title,
            "summary": output.summary,
            "text": output.text,
            "annotations_count": 0,
            "annotations_url": format!("{url}/annotations"),
        },
        "name": check.name,
        "check_suite": {"id": check.id.0 + 7},
        "app": app(state),
        "pull_requests": [],
    })
}

/// A remark on a job.
pub(crate) fn annotation(state: &State, job: &Job, one: &Annotation) -> Value {
    let run = &state.runs[&job.run];
    let name = state.repos[&run.repo].full_name();
    json!({
        "path": ".github",
        "start_line": 1,
        "end_line": 1,
        "start_column": null,
        "end_column": null,
        "annotation_level": one.level,
        "title": "",
        "message": one.message,
        "raw_details": "",
        "blob_href": format!("https://github.com/{name}/blob/{}/.github", run.head_sha),
    })
}

/// A comment of the App.
pub(crate) fn comment(state: &State, comment: &Comment) -> Value {
    let name = state.repos[&comment.repo].full_name();
    let api = format!("{}/repos/{name}/issues", state.api_url);
    let bot = state.bot();
    json!({
        "id": comment.id,
        "node_id": node_id("IC", comment.id.0),
        "url": format!("{api}/comments/{}", comment.id),
        "html_url": format!("https://github.com/{name}/issues/{}#issuecomment-{}", comment.issue, comment.id),
        "issue_url": format!("{api}/{}", comment.issue),
        "body": comment.body,
        "user": user(state, &bot),
        "created_at": iso(comment.created_at),
        "updated_at": iso(comment.updated_at),
        "author_association": "NONE",
        "performed_via_github_app": app(state),
    })
}
