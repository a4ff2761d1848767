//! What an admission reads, and what GitHub's answers mean.

use dayfly_policy::Team;
use dayfly_ports::{ApiErrorKind, GitHub};
use dayfly_records::origin::{Head, LabelEvent, Origin, Pull, PullHead, Review, ReviewState};
use dayfly_types::ids::{RunAttempt, RunId, RunKey};
use serde_json::{Value, json};
use wiremock::matchers::{method, path, query_param};
use wiremock::{Mock, ResponseTemplate};

use super::support::{World, refusal, scope};

const RUN: &str = "/repos/octo/gpu/actions/runs/22/attempts/3";

fn ok(body: &Value) -> ResponseTemplate {
    ResponseTemplate::new(200).set_body_json(body)
}

fn run() -> RunKey {
    RunKey {
        run: RunId(22),
        attempt: RunAttempt(3),
    }
}

fn described() -> Value {
    json!({
        "id": 22, "event": "pull_request", "head_sha": "abc", "head_branch": "change",
        "repository": {"id": 1, "full_name": "octo/gpu"},
        "head_repository": {"id": 2, "full_name": "mallory/gpu", "owner": {"login": "mallory"}},
        "actor": {"login": "mallory"}, "triggering_actor": {"login": "alice"},
        "pull_requests": [{"number": 5, "head": {"ref": "change", "sha": "abc", "repo": {"id": 2}}}],
    })
}

#[tokio::test]
async fn the_origin_of_an_attempt_is_read() {
    let world = World::start().await;
    world.answers("GET", RUN, ok(&described())).await;
    let origin = world.app.run_origin(&scope(), run()).await.unwrap();
    let expected = Origin {
        event: "pull_request".to_owned(),
        repository: 1,
        head: Some(Head {
            id: 2,
            owner: "mallory".to_owned(),
            name: "mallory/gpu".to_owned(),
        }),
        head_sha: "abc".to_owned(),
        head_branch: Some("change".to_owned()),
        actor: Some("mallory".to_owned()),
        triggering_actor: Some("alice".to_owned()),
        pulls: vec![PullHead {
            number: 5,
            repository: 2,
            sha: "abc".to_owned(),
        }],
    };
    assert_eq!(origin, expected);
}

#[tokio::test]
async fn missing_parts_of_an_origin_are_none() {
    for (field, of) in [("head_repository", None), ("head_repository", Some("owner"))] {
        let world = World::start().await;
        let mut run_of = described();
        match of {
            Some(inner) => run_of[field][inner] = Value::Null,
            None => run_of[field] = Value::Null,
        }
        for field in ["actor", "triggering_actor", "head_branch", "pull_requests"] {
            run_of[field] = Value::Null;
        }
        world.answers("GET", RUN, ok(&run_of)).await;
        let origin = world.app.run_origin(&scope(), run()).await.unwrap();
        assert_eq!((origin.head, origin.actor, origin.triggering_actor), (None, None, None));
        assert!(origin.head_branch.is_none() && origin.pulls.is_empty());
    }
}

#[tokio::test]
async fn write_access_follows_the_repository_permission() {
    for (permission, expected) in [("admin", true), ("write", true), ("read", false), ("none", false)] {
        let world = World::start().await;
        // The brackets of an App's login are escaped.
        let at = "/repos/octo/gpu/collaborators/octo%5Bbot%5D/permission";
        world
            .answers(
                "GET",
                at,
                ok(&json!({"permission": permission, "role_name": "x", "user": null})),
            )
            .await;
        assert_eq!(
            world.app.may_write(&scope(), "octo[bot]").await.unwrap(),
            expected,
            "{permission}"
        );
    }
    let world = World::start().await;
    let stranger = "/repos/octo/gpu/collaborators/stranger/permission";
    world
        .answers("GET", stranger, refusal(404, "stranger is not a user"))
        .await;
    assert!(!world.app.may_write(&scope(), "stranger").await.unwrap());
    let hidden = "/repos/octo/gpu/collaborators/hidden/permission";
    world
        .answers("GET", hidden, refusal(403, "Resource not accessible by integration"))
        .await;
    let error = world.app.may_write(&scope(), "hidden").await.unwrap_err();
    assert_eq!(error.kind, ApiErrorKind::Forbidden);
}

#[tokio::test]
async fn only_accepted_team_memberships_count() {
    let team = Team {
        organization: "octo".to_owned(),
        slug: "ml".to_owned(),
    };
    let world = World::start().await;
    for (user, state) in [("alice", "active"), ("bob", "pending")] {
        let at = format!("/orgs/octo/teams/ml/memberships/{user}");
        world
            .answers("GET", &at, ok(&json!({"state": state, "role": "member"})))
            .await;
    }
    let at = "/orgs/octo/teams/ml/memberships/carol";
    world.answers("GET", at, refusal(404, "Not Found")).await;
    for (user, expected) in [("alice", true), ("bob", false), ("carol", false)] {
        assert_eq!(
            world.app.is_member(&scope(), &team, user).await.unwrap(),
            expected,
            "{user}"
        );
    }
}

#[tokio::test]
async fn pull_requests_of_a_branch_are_listed_open_or_closed() {
    let world = World::start().await;
    let listed = json!([
        {"number": 5, "labels": [{"name": "bug"}], "head": {"repo": {"id": 2}}},
        {"number": 4, "labels": [], "head": {"repo": null}},
    ]);
    Mock::given(method("GET"))
        .and(path("/repos/octo/gpu/pulls"))
        .and(query_param("state", "all"))
        .and(query_param("head", "mallory:fix/a&b"))
        .respond_with(ok(&listed))
        .expect(1)
        .mount(&world.server)
        .await;
    let pulls = world.app.pulls_from(&scope(), "mallory", "fix/a&b").await.unwrap();
    let pull = |number, head, labels: &[&str]| Pull {
        number,
        head,
        labels: labels.iter().map(|label| (*label).to_owned()).collect(),
    };
    assert_eq!(pulls, [pull(5, Some(2), &["bug"]), pull(4, None, &[])]);
}

#[tokio::test]
async fn all_reviews_and_label_events_are_read_in_order() {
    let world = World::start().await;
    let review = |state: &str| json!({"user": {"login": "carol"}, "commit_id": "abc", "state": state});
    let first: Vec<Value> = (0..100).map(|_| review("COMMENTED")).collect();
    let second = json!([review("APPROVED"), {"user": null, "commit_id": null, "state": "SHRUGGED"}]);
    for (page, body) in [("1", json!(first)), ("2", second)] {
        Mock::given(method("GET"))
            .and(path("/repos/octo/gpu/pulls/5/reviews"))
            .and(query_param("page", page))
            .respond_with(ok(&body))
            .expect(1)
            .mount(&world.server)
            .await;
    }
    let reviews = world.app.reviews(&scope(), 5).await.unwrap();
    let anonymous = Review {
        by: None,
        commit: None,
        state: ReviewState::Commented,
    };
    assert_eq!(
        (reviews.len(), reviews[100].state, &reviews[101]),
        (102, ReviewState::Approved, &anonymous)
    );

    let events = json!([
        {"event": "closed", "actor": {"login": "alice"}},
        {"event": "labeled", "actor": {"login": "alice"}, "label": {"name": "bug"}},
        {"event": "unlabeled", "actor": null, "label": {"name": "bug"}},
    ]);
    world
        .answers("GET", "/repos/octo/gpu/issues/5/events", ok(&events))
        .await;
    let event = |by: Option<&str>, added| LabelEvent {
        label: "bug".to_owned(),
        by: by.map(str::to_owned),
        added,
    };
    let labels = world.app.label_events(&scope(), 5).await.unwrap();
    assert_eq!(labels, [event(Some("alice"), true), event(None, false)]);
}
