use dayfly_ports::{ApiErrorKind, GitHub};
use dayfly_types::ids::RunId;
use serde_json::{Value, json};
use wiremock::matchers::{header, method, path, query_param};
use wiremock::{Mock, ResponseTemplate};

use super::support::{World, refusal, scope};

const RUN: &str = "/repos/octo/gpu/actions/runs/22";
const RUNS: &str = "/repos/octo/gpu/actions/workflows/6/runs";
const FILE: &str = "/repos/octo/gpu/contents/.github/workflows/ci.yml";

const WITH_GROUP: &str = "on: push\nconcurrency: ${{ github.ref }}\njobs: {}\n";
const WITHOUT: &str = "on: push\njobs: {}\n";

fn run(id: u64, number: u64, head: Option<u64>) -> Value {
    json!({
        "id": id, "run_number": number, "workflow_id": 6, "head_branch": "feature/a&b", "event": "push",
        "path": ".github/workflows/ci.yml@refs/heads/main", "head_sha": "abc", "run_attempt": 1,
        "status": "completed", "conclusion": "failure", "created_at": "2026-01-02T03:04:05Z",
        "head_repository": head.map(|id| json!({"id": id})),
    })
}

/// A GitHub with run 22, number 5 of its workflow, other runs, and this workflow file.
async fn with(others: &[Value], file: ResponseTemplate) -> World {
    let world = World::start().await;
    let own = run(22, 5, Some(1));
    let mut listed = others.to_vec();
    listed.push(own.clone());
    world
        .answers("GET", RUN, ResponseTemplate::new(200).set_body_json(own))
        .await;
    let listed = json!({"total_count": listed.len(), "workflow_runs": listed});
    Mock::given(method("GET"))
        .and(path(RUNS))
        .and(query_param("branch", "feature/a&b"))
        .and(query_param("event", "push"))
        .and(query_param("created", ">=2026-01-02T03:04:05Z"))
        .respond_with(ResponseTemplate::new(200).set_body_json(listed))
        .mount(&world.server)
        .await;
    Mock::given(method("GET"))
        .and(path(FILE))
        .and(query_param("ref", "abc"))
        .and(header("accept", "application/vnd.github.raw+json"))
        .respond_with(file)
        .mount(&world.server)
        .await;
    world
}

fn file(text: &str) -> ResponseTemplate {
    ResponseTemplate::new(200).set_body_string(text)
}

#[tokio::test]
async fn the_newest_run_supersedes_if_the_workflow_has_a_group() {
    let newer = [run(30, 7, Some(1)), run(26, 6, Some(1))];
    for (text, expected) in [(WITH_GROUP, Some(RunId(30))), (WITHOUT, None)] {
        let world = with(&newer, file(text)).await;
        assert_eq!(world.app.superseded(&scope(), RunId(22)).await.unwrap(), expected);
    }
}

#[tokio::test]
async fn the_workflow_is_read_only_if_the_same_head_has_a_newer_run() {
    for others in [
        vec![],
        vec![run(12, 4, Some(1))],
        vec![run(30, 7, Some(2)), run(31, 8, None)],
    ] {
        let world = with(&others, file(WITH_GROUP)).await;
        assert_eq!(
            world.app.superseded(&scope(), RunId(22)).await.unwrap(),
            None,
            "{others:?}"
        );
        assert_eq!(world.asked(FILE).await, 0, "{others:?}");
    }
}

#[tokio::test]
async fn a_workflow_outside_the_repository_has_no_group() {
    let world = with(&[run(30, 7, Some(1))], refusal(404, "Not Found")).await;
    assert_eq!(world.app.superseded(&scope(), RunId(22)).await.unwrap(), None);
}

#[tokio::test]
async fn a_refused_read_is_an_error() {
    let world = with(
        &[run(30, 7, Some(1))],
        refusal(403, "Resource not accessible by integration"),
    )
    .await;
    let error = world.app.superseded(&scope(), RunId(22)).await.unwrap_err();
    assert_eq!(error.kind, ApiErrorKind::Forbidden);
}
