//! Check runs and comments.

use std::sync::Arc;

use axum::Extension;
use axum::body::Bytes;
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::response::IntoResponse as _;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::answer::{Answer, Page, Refusal, ok, with_status};
use super::guard::Caller;
use crate::checks::{CheckOutput, CheckRun, Comment};
use crate::event::Happening;
use crate::hub::Hub;
use crate::model::{CheckRunId, CommentId, JobId, RepoId};
use crate::payload;

type InRepo<T> = Path<(String, String, T)>;

fn parsed<T: DeserializeOwned>(body: &[u8]) -> Result<T, Refusal> {
    serde_json::from_slice(body).map_err(|error| Refusal::invalid(error.to_string()))
}

#[derive(Debug, Deserialize)]
struct CheckBody {
    name: Option<String>,
    head_sha: Option<String>,
    status: Option<String>,
    conclusion: Option<String>,
    external_id: Option<String>,
    details_url: Option<String>,
    output: Option<CheckOutput>,
}

pub(super) async fn create(State(hub): State<Arc<Hub>>, Extension(caller): Extension<Caller>, body: Bytes) -> Answer {
    let repo = caller.repo()?;
    let body: CheckBody = parsed(&body)?;
    hub.act(|world, now| {
        let name = body
            .name
            .clone()
            .ok_or_else(|| Refusal::invalid("name wasn't supplied"))?;
        let head_sha = body
            .head_sha
            .clone()
            .ok_or_else(|| Refusal::invalid("head_sha wasn't supplied"))?;
        if !world.repos[&repo].commits.contains_key(&head_sha) {
            return Err(Refusal::unprocessable(format!("No commit found for SHA: {head_sha}")));
        }
        let mut check = CheckRun {
            id: CheckRunId(world.ids.next("job")),
            repo,
            head_sha,
            name,
            status: "queued".to_owned(),
            conclusion: None,
            external_id: None,
            details_url: None,
            started_at: now,
            completed_at: None,
            output: None,
        };
        apply(&mut check, body, now);
        let shown = payload::check_run(world, &check);
        world.publish(written_event(&check));
        world.check_runs.push(check);
        with_status(StatusCode::CREATED, shown)
    })
}

pub(super) async fn update(
    State(hub): State<Arc<Hub>>,
    Extension(caller): Extension<Caller>,
    Path((_, _, id)): InRepo<CheckRunId>,
    body: Bytes,
) -> Answer {
    let repo = caller.repo()?;
    let body: CheckBody = parsed(&body)?;
    hub.act(|world, now| {
        let check = world
            .check_runs
            .iter_mut()
            .find(|check| check.id == id && check.repo == repo)
            .ok_or_else(Refusal::not_found)?;
        apply(check, body, now);
        let check = check.clone();
        world.publish(written_event(&check));
        ok(payload::check_run(world, &check))
    })
}

fn written_event(check: &CheckRun) -> Happening {
    let title = check.output.as_ref().and_then(|output| output.title.clone());
    Happening::CheckRunWritten {
        check: check.id,
        name: check.name.clone(),
        conclusion: check.conclusion.clone(),
        title: title.unwrap_or_default(),
    }
}

/// A conclusion completes a check run, whatever the status says, and is final: users report that a
/// completed check run can neither be reopened nor concluded otherwise.
fn apply(check: &mut CheckRun, body: CheckBody, now: jiff::Timestamp) {
    if let Some(name) = body.name {
        check.name = name;
    }
    if check.conclusion.is_none() {
        if let Some(status) = body.status {
            check.status = status;
        }
        if let Some(conclusion) = body.conclusion {
            check.conclusion = Some(conclusion);
            "completed".clone_into(&mut check.status);
            check.completed_at = Some(now);
        }
    }
    check.external_id = body.external_id.or(check.external_id.take());
    check.details_url = body.details_url.or(check.details_url.take());
    check.output = body.output.or(check.output.take());
}

pub(super) async fn get(
    State(hub): State<Arc<Hub>>,
    Extension(caller): Extension<Caller>,
    Path((_, _, id)): InRepo<CheckRunId>,
) -> Answer {
    let repo = caller.repo()?;
    let world = hub.state();
    let found = world
        .check_runs
        .iter()
        .find(|check| check.id == id && check.repo == repo)
        .ok_or_else(Refusal::not_found)?;
    ok(payload::check_run(&world, found))
}

/// A job's remarks: its id is its check run's.
pub(super) async fn annotations(
    State(hub): State<Arc<Hub>>,
    Extension(caller): Extension<Caller>,
    Path((_, _, id)): InRepo<JobId>,
    Query(query): Query<Vec<(String, String)>>,
) -> Answer {
    let repo = caller.repo()?;
    let world = hub.state();
    let job = world.jobs.get(&id).filter(|job| world.runs[&job.run].repo == repo);
    let shown: Vec<Value> = job
        .into_iter()
        .flat_map(|job| job.annotations.iter().map(move |one| (job, one)))
        .map(|(job, one)| payload::annotation(&world, job, one))
        .collect();
    let name = world.repos[&repo].full_name();
    let url = format!("{}/repos/{name}/check-runs/{id}/annotations", world.api_url);
    Page::of(&query).answer(None, &shown, &url)
}

pub(super) async fn list_for_ref(
    State(hub): State<Arc<Hub>>,
    Extension(caller): Extension<Caller>,
    Path((_, _, reference)): InRepo<String>,
    Query(query): Query<Vec<(String, String)>>,
) -> Answer {
    let repo = caller.repo()?;
    let world = hub.state();
    let sha = world
        .resolve(repo, Some(&reference))
        .map(|commit| commit.sha.clone())
        .ok_or_else(Refusal::not_found)?;
    let asked = |name: &str| {
        query
            .iter()
            .find(|(key, _)| key == name)
            .map(|(_, value)| value.as_str())
    };
    let of_commit = |check: &&CheckRun| {
        let wanted = |value: &str, name: &str| asked(name).is_none_or(|asked| asked == value);
        check.repo == repo
            && check.head_sha == sha
            && wanted(&check.name, "check_name")
            && wanted(&check.status, "status")
    };
    let mut found: Vec<&CheckRun> = world.check_runs.iter().filter(of_commit).collect();
    if asked("filter") != Some("all") {
        // Of each name the latest, which is what the pages show.
        let all = found.clone();
        found.retain(|check| !all.iter().any(|later| later.name == check.name && later.id > check.id));
    }
    let shown: Vec<Value> = found
        .into_iter()
        .map(|check| payload::check_run(&world, check))
        .collect();
    let name = world.repos[&repo].full_name();
    let url = format!("{}/repos/{name}/commits/{reference}/check-runs", world.api_url);
    Page::of(&query).answer(Some("check_runs"), &shown, &url)
}

#[derive(Debug, Deserialize)]
struct CommentBody {
    body: String,
}

fn comments_url(world: &crate::State, repo: RepoId, issue: u64) -> String {
    let name = world.repos[&repo].full_name();
    format!("{}/repos/{name}/issues/{issue}/comments", world.api_url)
}

pub(super) async fn comments(
    State(hub): State<Arc<Hub>>,
    Extension(caller): Extension<Caller>,
    Path((_, _, issue)): InRepo<u64>,
    Query(query): Query<Vec<(String, String)>>,
) -> Answer {
    let repo = caller.repo()?;
    let world = hub.state();
    let shown: Vec<Value> = world
        .comments
        .iter()
        .filter(|one| one.repo == repo && one.issue == issue)
        .map(|one| payload::comment(&world, one))
        .collect();
    Page::of(&query).answer(None, &shown, &comments_url(&world, repo, issue))
}

pub(super) async fn create_comment(
    State(hub): State<Arc<Hub>>,
    Extension(caller): Extension<Caller>,
    Path((_, _, issue)): InRepo<u64>,
    body: Bytes,
) -> Answer {
    let repo = caller.repo()?;
    let body: CommentBody = parsed(&body)?;
    hub.act(|world, now| {
        let comment = Comment {
            id: CommentId(world.ids.next("comment")),
            repo,
            issue,
            body: body.body,
            created_at: now,
            updated_at: now,
        };
        let shown = payload::comment(world, &comment);
        world.comments.push(comment);
        with_status(StatusCode::CREATED, shown)
    })
}

pub(super) async fn comment(
    State(hub): State<Arc<Hub>>,
    Extension(caller): Extension<Caller>,
    Path((_, _, id)): InRepo<CommentId>,
) -> Answer {
    let repo = caller.repo()?;
    let world = hub.state();
    let found = world
        .comments
        .iter()
        .find(|one| one.id == id && one.repo == repo)
        .ok_or_else(Refusal::not_found)?;
    ok(payload::comment(&world, found))
}

pub(super) async fn update_comment(
    State(hub): State<Arc<Hub>>,
    Extension(caller): Extension<Caller>,
    Path((_, _, id)): InRepo<CommentId>,
    body: Bytes,
) -> Answer {
    let repo = caller.repo()?;
    let body: CommentBody = parsed(&body)?;
    hub.act(|world, now| {
        let found = world
            .comments
            .iter_mut()
            .find(|one| one.id == id && one.repo == repo)
            .ok_or_else(Refusal::not_found)?;
        found.body = body.body;
        found.updated_at = now;
        let comment = found.clone();
        ok(payload::comment(world, &comment))
    })
}

pub(super) async fn delete_comment(
    State(hub): State<Arc<Hub>>,
    Extension(caller): Extension<Caller>,
    Path((_, _, id)): InRepo<CommentId>,
) -> Answer {
    let repo = caller.repo()?;
    hub.act(|world, _| {
        let known = world.comments.len();
        world.comments.retain(|one| one.id != id || one.repo != repo);
        if world.comments.len() == known {
            return Err(Refusal::not_found());
        }
        Ok(StatusCode::NO_CONTENT.into_response())
    })
}
