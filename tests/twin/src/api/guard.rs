//! Handles every request of the REST API: identity, permission, rate limit, faults, and the check
//! against GitHub's description.

use std::sync::{Arc, PoisonError};

use aws_lc_rs::digest;
use axum::body::{Body, Bytes, to_bytes};
use axum::extract::{MatchedPath, Request, State};
use axum::http::request::Parts;
use axum::http::{HeaderMap, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use jiff::{SignedDuration, Timestamp};

use super::answer::{Refusal, add_header};
use super::faults::{self, ApiDisturbance};
use super::operations::{self, Access, Operation};
use crate::app::JwtRefusal;
use crate::config::JwtPolicy;
use crate::event::Happening;
use crate::hub::Hub;
use crate::model::{InstallationId, RepoId};
use crate::schema::Exchange;
use crate::secrets::SecretKind;
use crate::state::{RateWindow, State as World};

/// GitHub's cap on request bodies is not documented; this one only keeps the twin safe.
const LARGEST_BODY: usize = 4 << 20;

/// Reading the limit neither counts against it nor is refused by it.
const RATE_LIMIT: &str = "rate-limit/get";

/// The installation whose limit a request counted against.
#[derive(Debug, Clone, Copy)]
struct Counted(InstallationId);

/// Who calls, and about what.
#[derive(Debug, Clone, Copy)]
pub(super) struct Caller {
    pub(super) installation: Option<InstallationId>,
    pub(super) repo: Option<RepoId>,
}

impl Caller {
    /// The repository that the path names.
    pub(super) fn repo(self) -> Result<RepoId, Refusal> {
        self.repo.ok_or_else(Refusal::not_found)
    }
}

/// Answers one request.
pub(super) async fn guard(State(hub): State<Arc<Hub>>, request: Request, next: Next) -> Response {
    if request.uri().path().starts_with("/_twin/") {
        return next.run(request).await;
    }
    let (parts, body) = request.into_parts();
    let (method, path) = (parts.method.to_string(), parts.uri.path().to_owned());
    let route = parts.extensions.get::<MatchedPath>();
    let Some(operation) = route.and_then(|route| operations::find(&method, route.as_str())) else {
        hub.violated(format!("the twin has no `{method} {path}`"));
        return Refusal::not_found().into_response();
    };
    let query: Vec<String> = parts
        .uri
        .query()
        .into_iter()
        .flat_map(|query| query.split('&'))
        .filter_map(|pair| pair.split('=').next())
        .map(str::to_owned)
        .collect();
    let request_body = to_bytes(body, LARGEST_BODY).await.unwrap_or_default();
    let conditional = header_of(&parts.headers, header::IF_NONE_MATCH.as_str());
    let response = answer(&hub, operation, parts, request_body.clone(), next).await;
    let (mut response, response_body) = finish(response, conditional.as_deref()).await;
    if response.status() == StatusCode::NOT_MODIFIED {
        uncount(&mut hub.state(), &mut response);
    }
    let status = response.status().as_u16();
    if let Some(checker) = &hub.checker {
        let broken = checker.exchange(&Exchange {
            operation,
            query,
            request_body: &request_body,
            status,
            content_type: &header_of(response.headers(), "content-type").unwrap_or_default(),
            response_body: &response_body,
        });
        for violation in broken {
            hub.violated(violation);
        }
    }
    hub.act(|state, _| {
        state.publish(Happening::ApiCall { method, path, status });
    });
    response
}

async fn answer(hub: &Arc<Hub>, operation: &'static Operation, mut parts: Parts, body: Bytes, next: Next) -> Response {
    if !parts.headers.contains_key(header::USER_AGENT) {
        return Refusal::forbidden(
            "Request forbidden by administrative rules. Please make sure your request has a User-Agent header",
        )
        .into_response();
    }
    let now = hub.now();
    if hub.state().api_down_until.is_some_and(|until| now < until) {
        return Refusal::new(StatusCode::SERVICE_UNAVAILABLE, "Service Unavailable").into_response();
    }
    let admitted = {
        let mut world = hub.state();
        admit(hub, &mut world, operation, &parts, now)
    };
    let (caller, window) = match admitted {
        Ok(admitted) => admitted,
        Err(refusal) => return refusal.into_response(),
    };
    let limit = hub.state().rules.rate_limit_per_hour;
    let mut response = if window.used > limit && operation.id != RATE_LIMIT {
        Refusal::forbidden(match caller.installation {
            Some(id) => format!("API rate limit exceeded for installation ID {id}."),
            None => "API rate limit exceeded.".to_owned(),
        })
        .into_response()
    } else {
        parts.extensions.insert(caller);
        let request = Request::from_parts(parts, Body::from(body));
        disturbed(hub, operation, request, next).await
    };
    add_rate_headers(&mut response, window, limit);
    response.extensions_mut().insert(Counted(limited(caller.installation)));
    response
}

/// Runs the handler, unless a fault says otherwise.
async fn disturbed(hub: &Arc<Hub>, operation: &'static Operation, request: Request, next: Next) -> Response {
    let fault = {
        let mut plan = hub.api_faults.lock().unwrap_or_else(PoisonError::into_inner);
        faults::take(&mut plan, operation)
    };
    let failed = |status: u16, message: &str| {
        let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        Refusal::new(status, message).into_response()
    };
    match fault {
        None => next.run(request).await,
        Some(ApiDisturbance::Delay(by)) => {
            tokio::time::sleep(by).await;
            next.run(request).await
        }
        Some(ApiDisturbance::DoAndFail { status }) => {
            next.run(request).await;
            failed(status, "Server Error")
        }
        Some(ApiDisturbance::Refuse {
            status,
            message,
            retry_after_s,
        }) => {
            let mut response = failed(status, &message);
            if let Some(seconds) = retry_after_s {
                add_header(&mut response, "retry-after", &seconds.to_string());
            }
            response
        }
    }
}

/// Whether the caller may call this, and how much it has called.
fn admit(
    hub: &Hub,
    world: &mut World,
    operation: &Operation,
    parts: &Parts,
    now: Timestamp,
) -> Result<(Caller, RateWindow), Refusal> {
    let bearer = header_of(&parts.headers, header::AUTHORIZATION.as_str()).and_then(|value| {
        let (scheme, token) = value.split_once(' ')?;
        let known = ["bearer", "token"].contains(&scheme.to_lowercase().as_str());
        known.then(|| token.trim().to_owned())
    });
    let repo = repo_of(world, parts.uri.path());
    let (installation, repo) = match (operation.access, bearer) {
        (Access::Open, None) => (None, None),
        (Access::Open, Some(token)) => (Some(installation_of(world, &token, now)?), None),
        (_, None) => return Err(Refusal::new(StatusCode::UNAUTHORIZED, "Requires authentication")),
        (Access::App, Some(jwt)) => {
            admit_app(hub, world, &jwt, now)?;
            (None, repo)
        }
        (Access::Read(permission), Some(token)) => {
            let installation = installation_of(world, &token, now)?;
            let repo = visible(world, &token, parts.uri.path(), repo)?;
            permitted(world, &token, permission, &["read", "write"])?;
            (Some(installation), repo)
        }
        (Access::Write(permission), Some(token)) => {
            let installation = installation_of(world, &token, now)?;
            let repo = visible(world, &token, parts.uri.path(), repo)?;
            permitted(world, &token, permission, &["write"])?;
            (Some(installation), repo)
        }
    };
    let counted = operation.id != RATE_LIMIT;
    let window = use_rate(world, limited(installation), counted, now);
    Ok((Caller { installation, repo }, window))
}

fn admit_app(hub: &Hub, world: &mut World, jwt: &str, now: Timestamp) -> Result<(), Refusal> {
    let refused = |why: JwtRefusal| {
        let status = match why {
            JwtRefusal::UnknownApp => StatusCode::NOT_FOUND,
            _ => StatusCode::UNAUTHORIZED,
        };
        Refusal::new(status, why.to_string())
    };
    let claims = hub.key.verify(jwt, &world.app, now).map_err(refused)?;
    world.record_secret(SecretKind::AppJwt, jwt);
    if world.rules.jwt_policy == JwtPolicy::UniqueJti {
        let jti = claims["jti"].as_str().ok_or_else(|| refused(JwtRefusal::Reused))?;
        let first = world.seen_jtis.entry(jti.to_owned()).or_insert_with(|| jwt.to_owned());
        if first != jwt {
            return Err(refused(JwtRefusal::Reused));
        }
    }
    Ok(())
}

fn installation_of(world: &World, token: &str, now: Timestamp) -> Result<InstallationId, Refusal> {
    world
        .tokens
        .get(token)
        .filter(|token| token.expires_at > now)
        .map(|token| token.installation)
        .ok_or_else(Refusal::bad_credentials)
}

/// Returns the repository of the path, if the token may see it. Anything else does not exist for it.
fn visible(world: &World, token: &str, path: &str, repo: Option<RepoId>) -> Result<Option<RepoId>, Refusal> {
    if !path.starts_with("/repos/") {
        return Ok(None);
    }
    let repo = repo.ok_or_else(Refusal::not_found)?;
    let token = &world.tokens[token];
    let of_installation = world
        .installations
        .get(&token.installation)
        .is_some_and(|one| one.repos.contains(&repo));
    let of_token = token.repos.as_ref().is_none_or(|repos| repos.contains(&repo));
    if of_installation && of_token {
        Ok(Some(repo))
    } else {
        Err(Refusal::not_found())
    }
}

fn permitted(world: &World, token: &str, permission: &str, levels: &[&str]) -> Result<(), Refusal> {
    let granted = &world.tokens[token].permissions;
    let has = |one: &str| granted.get(one).is_some_and(|level| levels.contains(&level.as_str()));
    // Every installation may read metadata.
    if permission == "metadata" || permission.split('|').any(has) {
        Ok(())
    } else {
        Err(Refusal::forbidden("Resource not accessible by integration"))
    }
}

fn repo_of(world: &World, path: &str) -> Option<RepoId> {
    let mut parts = path.strip_prefix("/repos/")?.split('/');
    let (owner, name) = (parts.next()?, parts.next()?);
    world.repo_named(owner, name).map(|repo| repo.id)
}

/// Returns whose limit a request counts against: an installation's, or the App's own.
fn limited(installation: Option<InstallationId>) -> InstallationId {
    installation.unwrap_or(InstallationId(0))
}

/// An answer that the caller knows already costs nothing.
fn uncount(world: &mut World, response: &mut Response) {
    let Some(Counted(who)) = response.extensions().get::<Counted>().copied() else {
        return;
    };
    let limit = world.rules.rate_limit_per_hour;
    if let Some(window) = world.token_uses.get_mut(&who) {
        window.used = window.used.saturating_sub(1);
        add_rate_headers(response, *window, limit);
    }
}

fn use_rate(world: &mut World, who: InstallationId, counted: bool, now: Timestamp) -> RateWindow {
    let fresh = RateWindow {
        used: 0,
        resets_at: now + SignedDuration::from_hours(1),
    };
    let window = world.token_uses.entry(who).or_insert(fresh);
    if window.resets_at <= now {
        *window = fresh;
    }
    window.used += u32::from(counted);
    *window
}

fn add_rate_headers(response: &mut Response, window: RateWindow, limit: u32) {
    let used = window.used.min(limit);
    for (name, value) in [
        ("x-ratelimit-limit", limit.to_string()),
        ("x-ratelimit-remaining", (limit - used).to_string()),
        ("x-ratelimit-used", used.to_string()),
        ("x-ratelimit-reset", window.resets_at.as_second().to_string()),
        ("x-ratelimit-resource", "core".to_owned()),
    ] {
        add_header(response, name, &value);
    }
}

/// Adds what every answer has, and makes of an answer that the caller knows already a 304.
async fn finish(response: Response, conditional: Option<&str>) -> (Response, Bytes) {
    let (mut parts, body) = response.into_parts();
    let mut body = to_bytes(body, LARGEST_BODY).await.unwrap_or_default();
    if parts.status == StatusCode::OK {
        let hash = digest::digest(&digest::SHA256, &body);
        let etag = format!("\"{}\"", hex::encode(hash));
        let known =
            conditional.is_some_and(|value| value.split(',').any(|one| one.trim().trim_start_matches("W/") == etag));
        if let Ok(value) = etag.parse() {
            parts.headers.insert(header::ETAG, value);
        }
        if known {
            parts.status = StatusCode::NOT_MODIFIED;
            parts.headers.remove(header::CONTENT_TYPE);
            parts.headers.remove(header::CONTENT_LENGTH);
            body = Bytes::new();
        }
    }
    let mut response = Response::from_parts(parts, Body::from(body.clone()));
    let id = uuid::Uuid::new_v4().simple().to_string().to_uppercase();
    add_header(&mut response, "x-github-request-id", &id[..20]);
    add_header(&mut response, "x-github-media-type", "github.v3; format=json");
    add_header(&mut response, "server", "github.com");
    (response, body)
}

fn header_of(headers: &HeaderMap, name: &str) -> Option<String> {
    headers
        .get(name)
        .and_then(|value| value.to_str().ok())
        .map(str::to_owned)
}
