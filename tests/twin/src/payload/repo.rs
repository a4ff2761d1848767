//! Accounts, repositories and their contents as JSON.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value, json};

use super::node_id;
use crate::clock::iso;
use crate::model::{Account, Repo};
use crate::state::{State, blob_sha};

/// An account as GitHub shows it in passing.
pub(crate) fn user(state: &State, account: &Account) -> Value {
    // An App's user has brackets in its login, and a page of the App's own.
    let path = account.login.replace('[', "%5B").replace(']', "%5D");
    let page = account.login.strip_suffix("[bot]");
    let page = page.map_or_else(|| account.login.clone(), |app| format!("apps/{app}"));
    let api = format!("{}/users/{path}", state.api_url);
    json!({
        "login": account.login,
        "id": account.id,
        "node_id": node_id("U", account.id.0),
        "avatar_url": format!("https://avatars.githubusercontent.com/u/{}?v=4", account.id),
        "gravatar_id": "",
        "url": api,
        "html_url": format!("https://github.com/{page}"),
        "followers_url": format!("{api}/followers"),
        "following_url": format!("{api}/following{{/other_user}}"),
        "gists_url": format!("{api}/gists{{/gist_id}}"),
        "starred_url": format!("{api}/starred{{/owner}}{{/repo}}"),
        "subscriptions_url": format!("{api}/subscriptions"),
        "organizations_url": format!("{api}/orgs"),
        "repos_url": format!("{api}/repos"),
        "events_url": format!("{api}/events{{/privacy}}"),
        "received_events_url": format!("{api}/received_events"),
        "type": account.kind.as_str(),
        "site_admin": false,
    })
}

/// An organisation in a webhook.
pub(super) fn organization(state: &State, account: &Account) -> Value {
    let api = format!("{}/orgs/{}", state.api_url, account.login);
    json!({
        "login": account.login,
        "id": account.id,
        "node_id": node_id("O", account.id.0),
        "url": api,
        "repos_url": format!("{api}/repos"),
        "events_url": format!("{api}/events"),
        "hooks_url": format!("{api}/hooks"),
        "issues_url": format!("{api}/issues"),
        "members_url": format!("{api}/members{{/member}}"),
        "public_members_url": format!("{api}/public_members{{/member}}"),
        "avatar_url": format!("https://avatars.githubusercontent.com/u/{}?v=4", account.id),
        "description": null,
    })
}

/// Field → what follows the repository's URL.
const LINKS: [(&str, &str); 37] = [
    ("archive_url", "/{archive_format}{/ref}"),
    ("assignees_url", "/assignees{/user}"),
    ("blobs_url", "/git/blobs{/sha}"),
    ("branches_url", "/branches{/branch}"),
    ("collaborators_url", "/collaborators{/collaborator}"),
    ("comments_url", "/comments{/number}"),
    ("commits_url", "/commits{/sha}"),
    ("compare_url", "/compare/{base}...{head}"),
    ("contents_url", "/contents/{+path}"),
    ("contributors_url", "/contributors"),
    ("deployments_url", "/deployments"),
    ("downloads_url", "/downloads"),
    ("events_url", "/events"),
    ("forks_url", "/forks"),
    ("git_commits_url", "/git/commits{/sha}"),
    ("git_refs_url", "/git/refs{/sha}"),
    ("git_tags_url", "/git/tags{/sha}"),
    ("hooks_url", "/hooks"),
    ("issue_comment_url", "/issues/comments{/number}"),
    ("issue_events_url", "/issues/events{/number}"),
    ("issues_url", "/issues{/number}"),
    ("keys_url", "/keys{/key_id}"),
    ("labels_url", "/labels{/name}"),
    ("languages_url", "/languages"),
    ("merges_url", "/merges"),
    ("milestones_url", "/milestones{/number}"),
    ("notifications_url", "/notifications{?since,all,participating}"),
    ("pulls_url", "/pulls{/number}"),
    ("releases_url", "/releases{/id}"),
    ("stargazers_url", "/stargazers"),
    ("statuses_url", "/statuses/{sha}"),
    ("subscribers_url", "/subscribers"),
    ("subscription_url", "/subscription"),
    ("tags_url", "/tags"),
    ("teams_url", "/teams"),
    ("trees_url", "/git/trees{/sha}"),
    ("url", ""),
];

/// A repository as GitHub shows it inside of a run.
pub(crate) fn lite_repo(state: &State, repo: &Repo) -> Value {
    let api = format!("{}/repos/{}", state.api_url, repo.full_name());
    let mut object: Map<String, Value> = LINKS
        .iter()
        .map(|(field, rest)| ((*field).to_owned(), json!(format!("{api}{rest}"))))
        .collect();
    let own = json!({
        "id": repo.id,
        "node_id": node_id("R", repo.id.0),
        "name": repo.name,
        "full_name": repo.full_name(),
        "private": repo.private,
        "owner": user(state, &repo.owner),
        "html_url": format!("https://github.com/{}", repo.full_name()),
        "description": null,
        "fork": repo.fork_of.is_some(),
    });
    extend(&mut object, own);
    Value::Object(object)
}

/// A repository as a webhook shows it.
pub(super) fn webhook_repo(state: &State, repo: &Repo) -> Value {
    let mut value = lite_repo(state, repo);
    let name = repo.full_name();
    let more = json!({
        "created_at": iso(repo.created_at),
        "updated_at": iso(repo.pushed_at),
        "pushed_at": iso(repo.pushed_at),
        "git_url": format!("git://github.com/{name}.git"),
        "ssh_url": format!("git@github.com:{name}.git"),
        "clone_url": format!("https://github.com/{name}.git"),
        "svn_url": format!("https://github.com/{name}"),
        "homepage": null,
        "size": 0,
        "stargazers_count": 0,
        "watchers_count": 0,
        "language": null,
        "has_issues": true,
        "has_projects": true,
        "has_downloads": true,
        "has_wiki": true,
        "has_pages": false,
        "has_discussions": false,
        "forks_count": 0,
        "mirror_url": null,
        "archived": false,
        "disabled": false,
        "open_issues_count": 0,
        "license": null,
        "allow_forking": true,
        "is_template": false,
        "web_commit_signoff_required": false,
        "topics": [],
        "visibility": if repo.private { "private" } else { "public" },
        "forks": 0,
        "open_issues": 0,
        "watchers": 0,
        "default_branch": repo.default_branch,
        "custom_properties": {},
    });
    if let Some(object) = value.as_object_mut() {
        extend(object, more);
    }
    value
}

/// A repository as `GET /repos/{owner}/{repo}` shows it.
pub(crate) fn full_repo(state: &State, repo: &Repo) -> Value {
    let mut value = webhook_repo(state, repo);
    let more = json!({
        "permissions": {"admin": false, "maintain": false, "push": false, "triage": false, "pull": false},
        "subscribers_count": 0,
        "network_count": 0,
    });
    if let Some(object) = value.as_object_mut() {
        extend(object, more);
    }
    if let Some(parent) = repo.fork_of.and_then(|id| state.repos.get(&id)) {
        value["parent"] = webhook_repo(state, parent);
        value["source"] = webhook_repo(state, parent);
    }
    value
}

fn extend(object: &mut Map<String, Value>, more: Value) {
    if let Value::Object(more) = more {
        object.extend(more);
    }
}

/// A file, or an entry of a folder: then without its contents.
pub(crate) fn content(state: &State, repo: &Repo, reference: &str, path: &str, contents: &[u8], whole: bool) -> Value {
    let name = repo.full_name();
    let api = format!("{}/repos/{name}", state.api_url);
    let sha = blob_sha(contents);
    let url = format!("{api}/contents/{path}?ref={reference}");
    let git = format!("{api}/git/blobs/{sha}");
    let html = format!("https://github.com/{name}/blob/{reference}/{path}");
    let mut value = json!({
        "name": path.rsplit('/').next().unwrap_or(path),
        "path": path,
        "sha": sha,
        "size": contents.len(),
        "url": url,
        "html_url": html,
        "git_url": git,
        "download_url": format!("https://raw.githubusercontent.com/{name}/{reference}/{path}"),
        "type": "file",
        "_links": {"self": url, "git": git, "html": html},
    });
    if whole {
        value["encoding"] = json!("base64");
        value["content"] = json!(wrapped_base64(contents));
    }
    value
}

/// Base64 in lines of 60, each ended by a newline, as GitHub sends it.
fn wrapped_base64(contents: &[u8]) -> String {
    let mut text = String::new();
    for line in STANDARD.encode(contents).as_bytes().chunks(60) {
        text.push_str(&String::from_utf8_lossy(line));
        text.push('\n');
    }
    text
}
