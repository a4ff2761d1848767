//! Pull requests, their reviews and labels, and who may do what, as JSON.

use serde_json::{Value, json};

use super::repo::webhook_repo;
use super::{node_id, user};
use crate::clock::iso;
use crate::model::Account;
use crate::pulls::{LabelEvent, Pull, Review, Role};
use crate::state::State;

/// A pull request in a list.
pub(crate) fn pull(state: &State, pull: &Pull) -> Value {
    let repo = &state.repos[&pull.repo];
    let name = repo.full_name();
    let api = format!("{}/repos/{name}", state.api_url);
    let url = format!("{api}/pulls/{}", pull.number);
    let issue = format!("{api}/issues/{}", pull.number);
    let html = format!("https://github.com/{name}/pull/{}", pull.number);
    let head = state.repos.get(&pull.head_repo);
    let links = links_of(state, pull);
    let base_sha = repo.branches.get(&pull.base).cloned().unwrap_or_default();
    json!({
        "id": pull.number + 2_000_000_000,
        "node_id": node_id("PR", pull.number),
        "number": pull.number,
        "state": "open",
        "locked": false,
        "title": "Propose a change",
        "body": null,
        "user": user(state, &pull.author),
        "labels": pull.labels.iter().map(|label| label_of(&api, label)).collect::<Vec<_>>(),
        "milestone": null,
        "assignee": null,
        "assignees": [],
        "requested_reviewers": [],
        "requested_teams": [],
        "created_at": iso(pull.opened_at),
        "updated_at": iso(pull.opened_at),
        "closed_at": null,
        "merged_at": null,
        "merge_commit_sha": null,
        "draft": false,
        "auto_merge": null,
        "_links": links,
        "author_association": "NONE",
        "head": {
            "label": format!("{}:{}", pull.author.login, pull.head_branch),
            "ref": pull.head_branch,
            "sha": pull.head_sha,
            "user": user(state, &pull.author),
            // GitHub sends null once the fork is gone, although its description does not allow it.
            "repo": head.map_or(Value::Null, |head| webhook_repo(state, head)),
        },
        "base": {
            "label": format!("{}:{}", repo.owner.login, pull.base),
            "ref": pull.base,
            "sha": base_sha,
            "user": user(state, &repo.owner),
            "repo": webhook_repo(state, repo),
        },
        "url": url,
        "html_url": html,
        "diff_url": format!("{html}.diff"),
        "patch_url": format!("{html}.patch"),
        "issue_url": issue,
        "commits_url": format!("{url}/commits"),
        "review_comments_url": format!("{url}/comments"),
        "review_comment_url": format!("{api}/pulls/comments{{/number}}"),
        "comments_url": format!("{issue}/comments"),
        "statuses_url": format!("{api}/statuses/{}", pull.head_sha),
    })
}

fn links_of(state: &State, pull: &Pull) -> Value {
    let name = state.repos[&pull.repo].full_name();
    let api = format!("{}/repos/{name}", state.api_url);
    let (url, issue) = (
        format!("{api}/pulls/{}", pull.number),
        format!("{api}/issues/{}", pull.number),
    );
    json!({
        "self": {"href": url},
        "html": {"href": format!("https://github.com/{name}/pull/{}", pull.number)},
        "issue": {"href": issue},
        "comments": {"href": format!("{issue}/comments")},
        "review_comments": {"href": format!("{url}/comments")},
        "review_comment": {"href": format!("{api}/pulls/comments{{/number}}")},
        "commits": {"href": format!("{url}/commits")},
        "statuses": {"href": format!("{api}/statuses/{}", pull.head_sha)},
    })
}

fn label_of(api: &str, label: &str) -> Value {
    let id = label
        .bytes()
        .fold(7_u64, |id, byte| id * 31 % 1_000_003 + u64::from(byte));
    json!({
        "id": id,
        "node_id": node_id("LA", id),
        "url": format!("{api}/labels/{label}"),
        "name": label,
        "description": "",
        "color": "ededed",
        "default": false,
    })
}

/// A review.
pub(crate) fn review(state: &State, pull: &Pull, review: &Review) -> Value {
    let name = state.repos[&pull.repo].full_name();
    let html = format!(
        "https://github.com/{name}/pull/{}#pullrequestreview-{}",
        pull.number, review.id
    );
    let url = format!("{}/repos/{name}/pulls/{}", state.api_url, pull.number);
    json!({
        "id": review.id,
        "node_id": node_id("PRR", review.id),
        "user": user(state, &review.by),
        "body": "",
        "state": review.state.as_str(),
        "commit_id": review.commit,
        "submitted_at": iso(review.at),
        "html_url": html,
        "pull_request_url": url,
        "author_association": "COLLABORATOR",
        "_links": {"html": {"href": html}, "pull_request": {"href": url}},
    })
}

/// A label that came or went.
pub(crate) fn label_event(state: &State, pull: &Pull, event: &LabelEvent) -> Value {
    let name = state.repos[&pull.repo].full_name();
    json!({
        "id": event.id,
        "node_id": node_id("LE", event.id),
        "url": format!("{}/repos/{name}/issues/events/{}", state.api_url, event.id),
        "actor": user(state, &event.by),
        "event": if event.added { "labeled" } else { "unlabeled" },
        "commit_id": null,
        "commit_url": null,
        "created_at": iso(event.at),
        "label": {"name": event.label, "color": "ededed"},
        "performed_via_github_app": null,
    })
}

/// An account's permission in a repository.
pub(crate) fn permission(state: &State, account: &Account, role: Role) -> Value {
    let mut user = user(state, account);
    user["role_name"] = json!(role.as_str());
    json!({
        "permission": role.permission(),
        "role_name": role.as_str(),
        "user": user,
    })
}

/// That an account is in a team.
pub(crate) fn membership(state: &State, organization: &str, slug: &str, login: &str) -> Value {
    json!({
        "url": format!("{}/orgs/{organization}/teams/{slug}/memberships/{login}", state.api_url),
        "role": "member",
        "state": "active",
    })
}
