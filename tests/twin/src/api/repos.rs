//! Repositories and their contents.

use std::sync::Arc;

use axum::Extension;
use axum::extract::{Path, Query, State};
use axum::http::{HeaderMap, header};
use serde::Deserialize;
use serde_json::Value;

use super::answer::{Answer, Page, Refusal, ok, raw};
use super::guard::Caller;
use crate::hub::Hub;
use crate::payload;

pub(super) async fn get(State(hub): State<Arc<Hub>>, Extension(caller): Extension<Caller>) -> Answer {
    let world = hub.state();
    ok(payload::full_repo(&world, &world.repos[&caller.repo()?]))
}

pub(super) async fn accessible(
    State(hub): State<Arc<Hub>>,
    Extension(caller): Extension<Caller>,
    Query(query): Query<Vec<(String, String)>>,
) -> Answer {
    let world = hub.state();
    let all: Vec<Value> = caller
        .installation
        .and_then(|id| world.installations.get(&id))
        .into_iter()
        .flat_map(|one| &one.repos)
        .filter_map(|id| world.repos.get(id))
        .map(|repo| payload::full_repo(&world, repo))
        .collect();
    let url = format!("{}/installation/repositories", world.api_url);
    Page::of(&query).answer(Some("repositories"), &all, &url)
}

#[derive(Debug, Deserialize)]
pub(super) struct ContentsQuery {
    #[serde(rename = "ref")]
    reference: Option<String>,
}

/// A file, or the entries of a folder.
pub(super) async fn contents(
    State(hub): State<Arc<Hub>>,
    Extension(caller): Extension<Caller>,
    Path((_, _, path)): Path<(String, String, String)>,
    Query(query): Query<ContentsQuery>,
    headers: HeaderMap,
) -> Answer {
    let world = hub.state();
    let repo = &world.repos[&caller.repo()?];
    let reference = query.reference.as_deref();
    let commit = world.resolve(repo.id, reference).ok_or_else(|| {
        Refusal::new(
            axum::http::StatusCode::NOT_FOUND,
            format!("No commit found for the ref {}", reference.unwrap_or_default()),
        )
    })?;
    let shown_ref = reference.unwrap_or(&repo.default_branch);
    let path = path.trim_matches('/');
    if let Some(contents) = commit.files.get(path) {
        let accept = headers
            .get(header::ACCEPT)
            .and_then(|value| value.to_str().ok())
            .unwrap_or_default();
        if accept.contains("application/vnd.github") && accept.contains("raw") {
            return Ok(raw(contents.clone(), "application/vnd.github.raw+json; charset=utf-8"));
        }
        return ok(payload::content(&world, repo, shown_ref, path, contents, true));
    }
    let folder = format!("{path}/");
    let entries: Vec<Value> = commit
        .files
        .iter()
        .filter(|(name, _)| name.strip_prefix(&folder).is_some_and(|rest| !rest.contains('/')))
        .map(|(name, contents)| payload::content(&world, repo, shown_ref, name, contents, false))
        .collect();
    if entries.is_empty() {
        Err(Refusal::not_found())
    } else {
        ok(Value::Array(entries))
    }
}
