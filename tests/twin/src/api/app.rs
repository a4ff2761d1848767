//! The App's own operations: identity, installations, tokens, webhook deliveries.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::Extension;
use axum::body::Bytes;
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::response::IntoResponse as _;
use serde::Deserialize;
use serde_json::{Value, json};

use super::answer::{Answer, Page, Refusal, add_header, ok, with_status};
use super::guard::Caller;
use crate::clock::{self, iso};
use crate::hub::Hub;
use crate::model::{DeliveryId, Installation, InstallationId, RepoId, Token};
use crate::payload;
use crate::secrets::SecretKind;
use crate::state::State as World;
use crate::webhook::Delivery;

pub(super) async fn get(State(hub): State<Arc<Hub>>) -> Answer {
    ok(payload::app(&hub.state()))
}

fn shown(world: &World, one: &Installation) -> Value {
    let account = world.accounts.values().find(|who| who.id == one.account);
    account.map_or(Value::Null, |account| payload::installation(world, one, account))
}

pub(super) async fn installations(State(hub): State<Arc<Hub>>, Query(query): Query<Vec<(String, String)>>) -> Answer {
    let world = hub.state();
    let all: Vec<Value> = world.installations.values().map(|one| shown(&world, one)).collect();
    let url = format!("{}/app/installations", world.api_url);
    Page::of(&query).answer(None, &all, &url)
}

pub(super) async fn repo_installation(State(hub): State<Arc<Hub>>, Extension(caller): Extension<Caller>) -> Answer {
    let world = hub.state();
    let found = world.installation_of(caller.repo()?).ok_or_else(Refusal::not_found)?;
    ok(shown(&world, found))
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct TokenRequest {
    repositories: Option<Vec<String>>,
    repository_ids: Option<Vec<RepoId>>,
    permissions: Option<BTreeMap<String, String>>,
}

pub(super) async fn create_token(State(hub): State<Arc<Hub>>, Path(id): Path<InstallationId>, body: Bytes) -> Answer {
    let request = if body.is_empty() {
        TokenRequest::default()
    } else {
        serde_json::from_slice::<Option<TokenRequest>>(&body)
            .map_err(|error| Refusal::new(StatusCode::BAD_REQUEST, error.to_string()))?
            .unwrap_or_default()
    };
    hub.act(|world, now| {
        let one = world.installations.get(&id).ok_or_else(Refusal::not_found)?;
        let repos = narrowed_repos(world, one, &request)?;
        let permissions = match request.permissions {
            None => one.permissions.clone(),
            Some(wanted) if grants(one, &wanted) => wanted,
            Some(_) => {
                return Err(Refusal::unprocessable(
                    "The permissions requested are not granted to this installation.",
                ));
            }
        };
        let token = Token {
            installation: id,
            expires_at: clock::after(now, world.rules.timings.token_lifetime),
            repos: repos.clone(),
            permissions,
        };
        let secret = format!("ghs_{}", uuid::Uuid::new_v4().simple());
        let mut answer = json!({
            "token": secret,
            "expires_at": iso(token.expires_at),
            "permissions": token.permissions,
            "repository_selection": "selected",
        });
        if let Some(repos) = repos {
            answer["repositories"] = repos
                .iter()
                .filter_map(|repo| world.repos.get(repo))
                .map(|repo| payload::full_repo(world, repo))
                .collect();
        }
        world.record_secret(SecretKind::InstallationToken, &secret);
        world.tokens.insert(secret, token);
        with_status(StatusCode::CREATED, answer)
    })
}

fn grants(one: &Installation, wanted: &BTreeMap<String, String>) -> bool {
    wanted.iter().all(|(permission, level)| {
        one.permissions
            .get(permission)
            .is_some_and(|has| has == level || has == "write")
    })
}

fn narrowed_repos(world: &World, one: &Installation, request: &TokenRequest) -> Result<Option<Vec<RepoId>>, Refusal> {
    if request.repositories.is_none() && request.repository_ids.is_none() {
        return Ok(None);
    }
    let mut wanted = request.repository_ids.clone().unwrap_or_default();
    for name in request.repositories.iter().flatten() {
        let found = one
            .repos
            .iter()
            .find(|id| world.repos.get(id).is_some_and(|repo| repo.name == *name));
        wanted.push(found.copied().unwrap_or(RepoId(0)));
    }
    if wanted.iter().all(|id| one.repos.contains(id)) {
        Ok(Some(wanted))
    } else {
        Err(Refusal::unprocessable(
            "There is at least one repository that does not exist or is not accessible to the parent installation.",
        ))
    }
}

#[derive(Debug, Deserialize)]
pub(super) struct DeliveryQuery {
    status: Option<String>,
    cursor: Option<String>,
    per_page: Option<usize>,
}

/// The last three days' deliveries, newest first.
pub(super) async fn deliveries(State(hub): State<Arc<Hub>>, Query(query): Query<DeliveryQuery>) -> Answer {
    let now = hub.now();
    let world = hub.state();
    let before: u64 = match &query.cursor {
        None => u64::MAX,
        Some(cursor) => cursor
            .parse()
            .map_err(|_| Refusal::new(StatusCode::BAD_REQUEST, "Invalid cursor"))?,
    };
    let wanted = |one: &Delivery| match (query.status.as_deref(), &one.outcome) {
        (None, _) => true,
        (Some("success"), Some(outcome)) => outcome.is_success(),
        (Some("failure"), Some(outcome)) => !outcome.is_success(),
        (Some(_), _) => false,
    };
    let per_page = query.per_page.unwrap_or(30).clamp(1, 100);
    let mut found = world
        .deliveries()
        .rev()
        .filter(|one| one.id.0 < before && wanted(one))
        .filter(|one| now.duration_since(one.delivered_at).as_hours() < 72)
        .peekable();
    let page: Vec<&Delivery> = found.by_ref().take(per_page).collect();
    let items: Vec<Value> = page.iter().map(|one| one.to_item()).collect();
    let mut response = axum::Json(items).into_response();
    if let (Some(last), Some(_)) = (page.last(), found.peek()) {
        let url = format!("{}/app/hook/deliveries", world.api_url);
        let status = query
            .status
            .as_ref()
            .map_or_else(String::new, |status| format!("&status={status}"));
        let next = format!("<{url}?per_page={per_page}{status}&cursor={}>; rel=\"next\"", last.id);
        add_header(&mut response, "link", &next);
    }
    Ok(response)
}

pub(super) async fn delivery(State(hub): State<Arc<Hub>>, Path(id): Path<DeliveryId>) -> Answer {
    let world = hub.state();
    let found = world.deliveries.get(&id).ok_or_else(Refusal::not_found)?;
    ok(found.to_json(&hub.courier.url().unwrap_or_default()))
}

pub(super) async fn redeliver(State(hub): State<Arc<Hub>>, Path(id): Path<DeliveryId>) -> Answer {
    if hub.redeliver(id) {
        with_status(StatusCode::ACCEPTED, json!({}))
    } else {
        Err(Refusal::not_found())
    }
}

pub(super) async fn rate_limit(State(hub): State<Arc<Hub>>, Extension(caller): Extension<Caller>) -> Answer {
    let world = hub.state();
    let who = caller.installation.unwrap_or(InstallationId(0));
    let limit = world.rules.rate_limit_per_hour;
    let window = world.token_uses.get(&who);
    let used = window.map_or(0, |window| window.used.min(limit));
    let resets = window.map_or_else(|| hub.now(), |window| window.resets_at);
    let core = json!({
        "limit": limit,
        "used": used,
        "remaining": limit - used,
        "reset": resets.as_second(),
    });
    ok(json!({"resources": {"core": core, "search": core}, "rate": core}))
}
