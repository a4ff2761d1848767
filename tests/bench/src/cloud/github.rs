//! The part of GitHub's REST API for one App on one repository.
//!
//! Source of the shapes: GitHub's REST API reference. Fields that no function reads are left out; the
//! rest is as large as GitHub's, because parsing is part of the measurement.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use http::{Method, StatusCode};
use serde_json::{Value, json};

use super::reply::{Reply, Request};

/// The App's installation token.
const TOKEN: &str = "ghs_benchbenchbenchbenchbenchbenchbench0";

/// A JIT config is a few kilobytes of base64: three files, one with a key.
const JIT_CONFIG_BYTES: usize = 4_096;

/// A repository with an invalid `.dayfly.yml`, whose jobs are refused.
pub const BROKEN: &str = "octo-org/broken";

/// Its content.
const NONSENSE: &str = "runners: 7\n";

/// The bench's GitHub: one installation, one repository with a `.dayfly.yml`, its runners.
#[derive(Debug)]
pub struct GitHub {
    config: String,
    runners: BTreeMap<u64, Value>,
    last_runner: u64,
    checks: u64,
}

impl GitHub {
    /// A GitHub whose repository has this `.dayfly.yml` on its default branch.
    #[must_use]
    pub fn new(config: &str) -> Self {
        Self {
            config: config.to_owned(),
            runners: BTreeMap::new(),
            last_runner: 0,
            checks: 0,
        }
    }

    /// Returns the number of registered runners.
    #[must_use]
    pub fn runner_count(&self) -> usize {
        self.runners.len()
    }

    /// Returns the number of check runs created.
    #[must_use]
    pub fn check_count(&self) -> u64 {
        self.checks
    }

    /// Returns GitHub's id of the runner of this name.
    #[must_use]
    pub fn runner_id(&self, name: &str) -> Option<u64> {
        let mut runners = self.runners.iter();
        runners.find_map(|(id, runner)| (runner["name"] == name).then_some(*id))
    }

    /// Returns the name and id of the runner registered on an instance.
    #[must_use]
    pub fn runner_on(&self, instance: &str) -> Option<(String, u64)> {
        let of_instance = instance.replacen("i-", "i", 1);
        self.runners.iter().find_map(|(id, runner)| {
            let name = runner["name"].as_str()?;
            name.split('-')
                .any(|part| part == of_instance)
                .then(|| (name.to_owned(), *id))
        })
    }

    /// Makes a call; `None` if it is not implemented.
    pub fn call(&mut self, request: &Request) -> Option<Reply> {
        let path: Vec<&str> = request.path.trim_matches('/').split('/').collect();
        let reply = match (&request.method, &path[..]) {
            (&Method::POST, ["app", "installations", _, "access_tokens"]) => token(),
            (&Method::GET, ["repos", _, _, "installation"]) => installation(),
            (_, ["repos", owner, name, rest @ ..]) => {
                if let Some(refusal) = unauthorised(request) {
                    return Some(refusal);
                }
                self.repository_call(request, &format!("{owner}/{name}"), rest)?
            }
            (_, ["orgs", _, rest @ ..]) => self.runners_call(request, rest)?,
            _ => return None,
        };
        Some(
            reply
                .with("x-github-api-version-selected", "2022-11-28")
                .with("x-ratelimit-limit", "5000")
                .with("x-ratelimit-remaining", "4999")
                .with("x-ratelimit-reset", "4102444800"),
        )
    }

    fn repository_call(&mut self, request: &Request, name: &str, rest: &[&str]) -> Option<Reply> {
        match (&request.method, rest) {
            (&Method::GET, []) => Some(Reply::json(StatusCode::OK, &repository(name))),
            (&Method::GET, ["contents", file @ ..]) => Some(self.contents(request, name, &file.join("/"))),
            (&Method::GET, ["actions", "jobs", job]) => Some(Reply::json(StatusCode::OK, &workflow_job(job))),
            (&Method::GET, ["actions", "runs", run] | ["actions", "runs", run, "attempts", _]) => {
                Some(Reply::json(StatusCode::OK, &workflow_run(name, run)))
            }
            (&Method::POST, ["check-runs"]) => Some(self.make_check(&request.json())),
            (
                &Method::POST,
                ["actions", "runs", _, "rerun-failed-jobs" | "rerun"] | ["actions", "jobs", _, "rerun"],
            ) => Some(Reply::json(StatusCode::CREATED, &json!({}))),
            _ => self.runners_call(request, rest),
        }
    }

    fn runners_call(&mut self, request: &Request, rest: &[&str]) -> Option<Reply> {
        match (&request.method, rest) {
            (&Method::POST, ["actions", "runners", "generate-jitconfig"]) => {
                Some(self.generate_jit_config(&request.json()))
            }
            (&Method::GET, ["actions", "runners"]) => Some(self.list_runners(request)),
            (&Method::GET, ["actions", "runners", id]) => {
                let runner = self.runners.get(&id.parse().ok()?);
                Some(runner.map_or_else(not_found, |it| Reply::json(StatusCode::OK, it)))
            }
            (&Method::DELETE, ["actions", "runners", id]) => {
                let removed = self.runners.remove(&id.parse().ok()?);
                Some(removed.map_or_else(not_found, |_| Reply::empty(StatusCode::NO_CONTENT)))
            }
            _ => None,
        }
    }

    fn make_check(&mut self, body: &Value) -> Reply {
        if body["name"].as_str().is_none() || body["head_sha"].as_str().is_none() {
            let message = json!({ "message": "Invalid request" });
            return Reply::json(StatusCode::UNPROCESSABLE_ENTITY, &message);
        }
        self.checks += 1;
        let mut check = body.clone();
        check["id"] = json!(self.checks);
        check["app"] = json!({ "id": 1, "slug": "dayfly" });
        Reply::json(StatusCode::CREATED, &check)
    }

    fn contents(&self, request: &Request, repository: &str, file: &str) -> Reply {
        if repository == BROKEN {
            return Reply::text(
                StatusCode::OK,
                "application/vnd.github.raw; charset=utf-8",
                NONSENSE.to_owned(),
            );
        }
        if file != ".dayfly.yml" {
            return not_found();
        }
        let etag = "\"5f0c6f2d1b8e4a7c9d3e\"";
        if request.header("if-none-match").is_some_and(|seen| seen.contains(etag)) {
            return Reply::empty(StatusCode::NOT_MODIFIED).with("etag", etag);
        }
        let accept = request.header("accept").unwrap_or_default();
        let reply = if accept.contains("raw") {
            let kind = "application/vnd.github.raw; charset=utf-8";
            Reply::text(StatusCode::OK, kind, self.config.clone())
        } else {
            let url = "https://api.github.com/repos/octo-org/gpu/contents/.dayfly.yml";
            Reply::json(
                StatusCode::OK,
                &json!({
                    "type": "file", "encoding": "base64", "name": file, "path": file,
                    "sha": "3d21ec53a331a6f037a91c368710b99387d012c1", "size": self.config.len(),
                    "content": BASE64.encode(&self.config), "url": url, "git_url": url,
                    "html_url": url, "download_url": url,
                    "_links": { "self": url, "git": url, "html": url },
                }),
            )
        };
        reply.with("etag", etag)
    }

    fn generate_jit_config(&mut self, body: &Value) -> Reply {
        let (Some(name), Some(labels)) = (body["name"].as_str(), body["labels"].as_array()) else {
            let message = json!({ "message": "Invalid request" });
            return Reply::json(StatusCode::UNPROCESSABLE_ENTITY, &message);
        };
        if self.runner_id(name).is_some() {
            let message = "Already exists - A runner with the name *** already exists.";
            return Reply::json(StatusCode::CONFLICT, &json!({ "message": message }));
        }
        self.last_runner += 1;
        let id = self.last_runner;
        let labels: Vec<Value> = labels
            .iter()
            .map(|label| json!({ "id": 0, "name": label, "type": "custom" }))
            .collect();
        let runner = json!({
            "id": id, "runner_group_id": 1, "name": name, "os": "unknown", "status": "offline",
            "busy": false, "labels": labels, "ephemeral": true,
        });
        self.runners.insert(id, runner.clone());
        let config = BASE64.encode(vec![b'j'; JIT_CONFIG_BYTES]);
        Reply::json(
            StatusCode::CREATED,
            &json!({ "runner": runner, "encoded_jit_config": config }),
        )
    }

    fn list_runners(&self, request: &Request) -> Reply {
        let query: BTreeMap<_, _> = form_urlencoded::parse(request.query.as_bytes()).into_owned().collect();
        let number = |name: &str, otherwise| query.get(name).and_then(|text| text.parse().ok()).unwrap_or(otherwise);
        let (size, page): (usize, usize) = (number("per_page", 30), number("page", 1));
        let fitting: Vec<&Value> = self
            .runners
            .values()
            .filter(|runner| query.get("name").is_none_or(|name| runner["name"] == **name))
            .collect();
        let on_page: Vec<&&Value> = fitting.iter().skip(size * (page - 1)).take(size).collect();
        let body = json!({ "total_count": fitting.len(), "runners": on_page });
        Reply::json(StatusCode::OK, &body)
    }
}

fn unauthorised(request: &Request) -> Option<Reply> {
    let authorization = request.header("authorization").unwrap_or_default();
    let refusal = json!({ "message": "Bad credentials" });
    (!authorization.contains(TOKEN)).then(|| Reply::json(StatusCode::UNAUTHORIZED, &refusal))
}

fn not_found() -> Reply {
    Reply::json(StatusCode::NOT_FOUND, &json!({ "message": "Not Found" }))
}

fn token() -> Reply {
    let end = jiff::Timestamp::now() + jiff::SignedDuration::from_hours(1);
    let end = end.round(jiff::Unit::Second).unwrap_or(end);
    Reply::json(
        StatusCode::CREATED,
        &json!({
            "token": TOKEN, "expires_at": end.to_string(), "repository_selection": "selected",
            "permissions": {
                "actions": "write", "administration": "write", "contents": "read",
                "metadata": "read",
            },
        }),
    )
}

fn installation() -> Reply {
    Reply::json(
        StatusCode::OK,
        &json!({ "id": 42, "app_id": 1, "target_type": "Organization" }),
    )
}

/// Returns a repository as in webhooks and the API: mostly URLs, about five kilobytes.
#[must_use]
pub fn repository(full_name: &str) -> Value {
    let (owner, name) = full_name.split_once('/').unwrap_or(("octo-org", full_name));
    let api = format!("https://api.github.com/repos/{full_name}");
    let mut repository = json!({
        "id": 700_001, "node_id": "R_kgDOAAqucQ", "name": name, "full_name": full_name,
        "private": false, "owner": account(owner), "fork": false, "default_branch": "main",
        "html_url": format!("https://github.com/{full_name}"), "url": api, "description": null,
        "created_at": "2026-01-01T00:00:00Z", "updated_at": "2026-01-01T00:00:00Z",
        "pushed_at": "2026-01-01T00:00:00Z", "size": 108, "stargazers_count": 3, "language": "C",
        "archived": false, "disabled": false, "visibility": "public", "topics": [], "forks": 0,
        "open_issues": 0, "watchers": 3, "license": null, "allow_forking": true,
    });
    let resources = [
        "forks",
        "keys",
        "collaborators",
        "teams",
        "hooks",
        "issue_events",
        "events",
        "assignees",
        "branches",
        "tags",
        "blobs",
        "git_tags",
        "git_refs",
        "trees",
        "statuses",
        "languages",
        "stargazers",
        "contributors",
        "subscribers",
        "subscription",
        "commits",
        "git_commits",
        "comments",
        "issue_comment",
        "contents",
        "compare",
        "merges",
        "archive",
        "downloads",
        "issues",
        "pulls",
        "milestones",
        "notifications",
        "labels",
        "releases",
        "deployments",
    ];
    for resource in resources {
        repository[format!("{resource}_url")] = json!(format!("{api}/{resource}{{/number}}"));
    }
    repository
}

/// Returns an account as in webhooks and the API.
#[must_use]
pub fn account(login: &str) -> Value {
    let api = format!("https://api.github.com/users/{login}");
    let mut account = json!({
        "login": login, "id": 800_001, "node_id": "O_kgDOAAw1AQ", "type": "Organization",
        "site_admin": false, "gravatar_id": "", "url": api,
        "avatar_url": "https://avatars.githubusercontent.com/u/800001?v=4",
        "html_url": format!("https://github.com/{login}"),
    });
    let resources = [
        "followers",
        "following",
        "gists",
        "starred",
        "subscriptions",
        "organizations",
        "repos",
        "events",
        "received_events",
    ];
    for resource in resources {
        account[format!("{resource}_url")] = json!(format!("{api}/{resource}"));
    }
    account
}

fn workflow_run(full_name: &str, run: &str) -> Value {
    json!({
        "id": run.parse::<u64>().unwrap_or_default(), "name": "gpu", "run_attempt": 1,
        "status": "in_progress", "conclusion": null, "event": "push", "head_branch": "main",
        "head_sha": "7c1f5e9a2b3d4f6081920a1b2c3d4e5f60718293", "workflow_id": 900_001,
        "created_at": "2026-01-01T00:00:00Z", "updated_at": "2026-01-01T00:00:00Z",
        "repository": repository(full_name), "head_repository": repository(full_name),
        "actor": account("octocat"), "triggering_actor": account("octocat"),
    })
}

/// Returns a waiting job, the only kind that functions ask for.
fn workflow_job(job: &str) -> Value {
    json!({
        "id": job.parse::<u64>().unwrap_or_default(), "run_id": 1, "run_attempt": 1, "name": "test",
        "status": "queued", "conclusion": null, "runner_id": null, "runner_name": null,
        "labels": ["self-hosted", "dayfly-gpu"], "steps": [],
        "head_sha": "7c1f5e9a2b3d4f6081920a1b2c3d4e5f60718293",
    })
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use http::{HeaderMap, HeaderValue};

    use super::*;

    fn request(method: Method, path: &str, body: &Value) -> Request {
        let mut headers = HeaderMap::new();
        let token = HeaderValue::from_str(&format!("Bearer {TOKEN}")).unwrap();
        headers.insert("authorization", token);
        let body = Bytes::from(body.to_string());
        Request {
            method,
            path: path.to_owned(),
            query: String::new(),
            headers,
            body,
        }
    }

    fn mint(github: &mut GitHub, name: &str) -> StatusCode {
        let body = json!({"name": name, "runner_group_id": 1, "labels": ["self-hosted"]});
        let path = "/repos/o/r/actions/runners/generate-jitconfig";
        github.call(&request(Method::POST, path, &body)).unwrap().status
    }

    #[test]
    fn a_runner_is_registered_once_and_removed_once() {
        let mut github = GitHub::new("");
        assert_eq!(mint(&mut github, "a"), StatusCode::CREATED);
        assert_eq!(mint(&mut github, "a"), StatusCode::CONFLICT);
        let id = github.runner_id("a").unwrap();
        let path = format!("/repos/o/r/actions/runners/{id}");
        let remove = request(Method::DELETE, &path, &Value::Null);
        assert_eq!(github.call(&remove).unwrap().status, StatusCode::NO_CONTENT);
        assert_eq!(github.call(&remove).unwrap().status, StatusCode::NOT_FOUND);
        assert_eq!(github.runner_count(), 0);
    }

    #[test]
    fn a_runner_is_found_by_the_instance_it_is_on() {
        let mut github = GitHub::new("");
        mint(&mut github, "dayfly-7-1-1-i0abc");
        mint(&mut github, "dayfly-8-1-1-i0def-m2");
        let on = |instance| github.runner_on(instance).map(|(name, _)| name);
        assert_eq!(on("i-0abc").as_deref(), Some("dayfly-7-1-1-i0abc"));
        assert_eq!(on("i-0def").as_deref(), Some("dayfly-8-1-1-i0def-m2"));
        assert_eq!(on("i-0a"), None);
    }

    #[test]
    fn a_config_that_was_seen_is_not_sent_again() {
        let mut github = GitHub::new("runners: []");
        let path = "/repos/o/r/contents/.dayfly.yml";
        let mut get = request(Method::GET, path, &Value::Null);
        let reply = github.call(&get).unwrap();
        let (_, etag) = reply.headers.iter().find(|(name, _)| *name == "etag").unwrap();
        let content = reply.body_json()["content"].as_str().unwrap().to_owned();
        assert_eq!(BASE64.decode(content).unwrap(), b"runners: []");
        let seen = HeaderValue::from_str(etag).unwrap();
        get.headers.insert("if-none-match", seen);
        assert_eq!(github.call(&get).unwrap().status, StatusCode::NOT_MODIFIED);
    }

    #[test]
    fn a_stranger_is_refused() {
        let mut get = request(Method::GET, "/repos/o/r", &Value::Null);
        get.headers.clear();
        let reply = GitHub::new("").call(&get).unwrap();
        assert_eq!(reply.status, StatusCode::UNAUTHORIZED);
    }
}
