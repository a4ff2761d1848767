//! Pull requests, their reviews and labels, and who may do what.

use std::sync::Arc;

use axum::Extension;
use axum::extract::{Path, Query, State};
use serde_json::Value;

use super::answer::{Answer, Page, Refusal, ok};
use super::guard::Caller;
use crate::hub::Hub;
use crate::model::RepoId;
use crate::payload;
use crate::pulls::Pull;
use crate::state::State as World;

type InRepo<T> = Path<(String, String, T)>;

fn url_of(world: &World, repo: RepoId, rest: &str) -> String {
    format!("{}/repos/{}/{rest}", world.api_url, world.repos[&repo].full_name())
}

/// All of the twin's are open. A `head` that names no owner is none that GitHub knows.
pub(super) async fn list(
    State(hub): State<Arc<Hub>>,
    Extension(caller): Extension<Caller>,
    Query(query): Query<Vec<(String, String)>>,
) -> Answer {
    let repo = caller.repo()?;
    let world = hub.state();
    let asked = |name: &str| {
        let mut pairs = query.iter().filter(|(key, _)| key == name);
        pairs.next().map(|(_, value)| value.as_str())
    };
    let from = |pull: &Pull| format!("{}:{}", pull.author.login, pull.head_branch);
    let shown: Vec<Value> = world
        .pulls
        .iter()
        .rev()
        .filter(|pull| pull.repo == repo)
        .filter(|pull| asked("head").is_none_or(|head| head.eq_ignore_ascii_case(&from(pull))))
        .filter(|_| asked("state") != Some("closed"))
        .map(|pull| payload::pull(&world, pull))
        .collect();
    Page::of(&query).answer(None, &shown, &url_of(&world, repo, "pulls"))
}

fn pull_of(world: &World, repo: RepoId, number: u64) -> Result<&Pull, Refusal> {
    let mut pulls = world.pulls.iter();
    let found = pulls.find(|pull| pull.repo == repo && pull.number == number);
    found.ok_or_else(Refusal::not_found)
}

pub(super) async fn reviews(
    State(hub): State<Arc<Hub>>,
    Extension(caller): Extension<Caller>,
    Path((_, _, number)): InRepo<u64>,
    Query(query): Query<Vec<(String, String)>>,
) -> Answer {
    let repo = caller.repo()?;
    let world = hub.state();
    let pull = pull_of(&world, repo, number)?;
    let reviews = pull.reviews.iter().map(|review| payload::review(&world, pull, review));
    let shown: Vec<Value> = reviews.collect();
    Page::of(&query).answer(None, &shown, &url_of(&world, repo, &format!("pulls/{number}/reviews")))
}

pub(super) async fn issue_events(
    State(hub): State<Arc<Hub>>,
    Extension(caller): Extension<Caller>,
    Path((_, _, number)): InRepo<u64>,
    Query(query): Query<Vec<(String, String)>>,
) -> Answer {
    let repo = caller.repo()?;
    let world = hub.state();
    let pull = pull_of(&world, repo, number)?;
    let events = pull.label_events.iter();
    let shown: Vec<Value> = events.map(|event| payload::label_event(&world, pull, event)).collect();
    Page::of(&query).answer(None, &shown, &url_of(&world, repo, &format!("issues/{number}/events")))
}

pub(super) async fn permission(
    State(hub): State<Arc<Hub>>,
    Extension(caller): Extension<Caller>,
    Path((_, _, login)): InRepo<String>,
) -> Answer {
    let repo = caller.repo()?;
    let world = hub.state();
    let account = world.accounts.get(&login).ok_or_else(Refusal::not_found)?;
    let role = world.role(repo, &login).ok_or_else(Refusal::not_found)?;
    ok(payload::permission(&world, account, role))
}

pub(super) async fn membership(
    State(hub): State<Arc<Hub>>,
    Extension(caller): Extension<Caller>,
    Path((organization, slug, login)): Path<(String, String, String)>,
) -> Answer {
    let world = hub.state();
    // An installation sees no teams of other organisations.
    let owner = world.accounts.get(&organization).map(|account| account.id);
    let installed = caller.installation.and_then(|id| world.installations.get(&id));
    let sees = installed.is_some_and(|one| Some(one.account) == owner);
    let member = (organization.clone(), slug.clone(), login.clone());
    if !sees || !world.members.contains(&member) {
        return Err(Refusal::not_found());
    }
    ok(payload::membership(&world, &organization, &slug, &login))
}
