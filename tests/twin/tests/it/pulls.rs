//! The data of an admission: the origin of a run, permissions, and approvals.

use dayfly_twin::{AccountKind, RepoOptions, Rerun, ReviewState, Role, RunId};
use serde_json::Value;

use super::support::Lab;

const ON_PULL_REQUEST: &str = "on: pull_request\njobs: {a: {runs-on: self-hosted, steps: [{run: echo}]}}";

/// A pull request from a fork of mallory's, and its run.
fn from_fork(lab: &Lab) -> (dayfly_twin::RepoId, RunId) {
    let options = RepoOptions {
        owner_kind: AccountKind::User,
        installed: false,
        fork_of: Some(lab.repo),
        ..RepoOptions::default()
    };
    let fork = lab.twin.create_repo_with("mallory/demo", options);
    let files = [(".github/workflows/ci.yml", ON_PULL_REQUEST)];
    let run = lab.twin.pull_request_from_fork(fork, "patch", &files).unwrap()[0];
    (fork, run)
}

async fn get(lab: &Lab, at: &str) -> Value {
    lab.api.get(at).await.1
}

/// Returns the status of a call outside the repository.
async fn status(lab: &Lab, at: &str) -> u16 {
    let url = format!("{}{at}", lab.api.url);
    let answer = lab.api.http.get(url).bearer_auth(&lab.api.token).send().await;
    answer.unwrap().status().as_u16()
}

#[tokio::test]
async fn a_forks_run_names_its_fork_and_each_attempts_actor() {
    let lab = Lab::start().await;
    let (fork, run) = from_fork(&lab);
    let attempt = |number: u32| format!("/actions/runs/{run}/attempts/{number}");
    let first = get(&lab, &attempt(1)).await;
    assert_eq!(first["head_repository"]["full_name"], "mallory/demo");
    assert_eq!(
        (&first["actor"]["login"], &first["triggering_actor"]["login"]),
        (&"mallory".into(), &"mallory".into())
    );
    lab.twin.cancel(run).unwrap();
    lab.twin.rerun_by("alice", run, Rerun::All).unwrap();
    let second = get(&lab, &attempt(2)).await;
    assert_eq!(
        (&second["actor"]["login"], &second["triggering_actor"]["login"]),
        (&"mallory".into(), &"alice".into())
    );
    assert_eq!(get(&lab, &attempt(1)).await["triggering_actor"]["login"], "mallory");
    lab.assert_no_violations();
    lab.twin.delete_repo(fork);
    assert_eq!(get(&lab, &attempt(2)).await["head_repository"], Value::Null);
}

#[tokio::test]
async fn a_pull_request_is_found_by_its_branch() {
    let lab = Lab::start().await;
    let (fork, _) = from_fork(&lab);
    let found = get(&lab, "/pulls?state=all&head=mallory:patch&per_page=100").await;
    let (number, sha) = (found[0]["number"].as_u64().unwrap(), found[0]["head"]["sha"].clone());
    assert_eq!(found[0]["head"]["repo"]["full_name"], "mallory/demo");
    assert_eq!(get(&lab, "/pulls?head=octo-org:patch").await, Value::Array(vec![]));

    lab.twin.review(number, "carol", ReviewState::Approved).unwrap();
    lab.twin.label(number, "carol", "ready", true).unwrap();
    lab.twin.label(number, "bob", "ready", false).unwrap();
    lab.twin
        .pull_request_from_fork(fork, "patch", &[("README.md", "later")])
        .unwrap();
    let reviews = get(&lab, &format!("/pulls/{number}/reviews")).await;
    assert_eq!(
        (&reviews[0]["state"], &reviews[0]["commit_id"]),
        (&"APPROVED".into(), &sha)
    );
    let events = get(&lab, &format!("/issues/{number}/events")).await;
    assert_eq!(
        (&events[0]["event"], &events[0]["actor"]["login"]),
        (&"labeled".into(), &"carol".into())
    );
    assert_eq!(
        (&events[1]["event"], &events[1]["label"]["name"]),
        (&"unlabeled".into(), &"ready".into())
    );
    let found = get(&lab, "/pulls?head=mallory:patch").await;
    assert_eq!(found.as_array().unwrap().len(), 1, "a push moves it on");
    assert_ne!(found[0]["head"]["sha"], sha);
    assert!(lab.twin.review(9999, "carol", ReviewState::Approved).is_err());
    lab.assert_no_violations();
}

#[tokio::test]
async fn permissions_are_reported_by_the_older_names() {
    let lab = Lab::start().await;
    for (login, role, permission) in [
        ("ann", Role::Read, "read"),
        ("tom", Role::Triage, "read"),
        ("will", Role::Write, "write"),
        ("max", Role::Maintain, "write"),
        ("ada", Role::Admin, "admin"),
    ] {
        lab.twin.grant(lab.repo, login, role);
        let shown = get(&lab, &format!("/collaborators/{login}/permission")).await;
        assert_eq!(
            (&shown["permission"], &shown["role_name"]),
            (&permission.into(), &role.as_str().into())
        );
    }
    let (status, _) = lab.api.get("/collaborators/stranger/permission").await;
    assert_eq!(status, 404);
    lab.assert_no_violations();
}

#[tokio::test]
async fn team_members_are_distinguished() {
    let lab = Lab::start().await;
    lab.twin.join_team("octo-org", "ml", "carol");
    lab.twin.join_team("other-org", "ml", "carol");
    for (at, expected) in [
        ("/orgs/octo-org/teams/ml/memberships/carol", 200),
        ("/orgs/octo-org/teams/ml/memberships/bob", 404),
        ("/orgs/other-org/teams/ml/memberships/carol", 404),
    ] {
        assert_eq!(status(&lab, at).await, expected, "{at}");
    }
    lab.assert_no_violations();
}
