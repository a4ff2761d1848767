//! Answers of last time, while GitHub says that they are the same.

use dayfly_ports::{ApiErrorKind, GitHub, Scope};
use dayfly_types::ids::{InstallationId, JobId, RunId};
use serde_json::{Value, json};
use wiremock::matchers::{header, header_exists, method, path};
use wiremock::{Mock, ResponseTemplate};

use super::support::{World, refusal, scope};

const JOBS: &str = "/repos/octo/gpu/actions/runs/22/jobs";

fn jobs(etag: &str, id: u64) -> ResponseTemplate {
    let body = json!({"total_count": 1, "jobs": [{"id": id, "run_id": 22, "status": "queued"}]});
    ResponseTemplate::new(200)
        .insert_header("etag", etag)
        .set_body_json(body)
}

async fn same(world: &World, at: &str, etag: &str) {
    Mock::given(method("GET"))
        .and(path(at))
        .and(header("if-none-match", etag))
        .respond_with(ResponseTemplate::new(304).insert_header("etag", etag))
        .with_priority(1)
        .mount(&world.server)
        .await;
}

async fn ids(world: &World) -> Vec<JobId> {
    let jobs = world.app.jobs_of(&scope(), RunId(22)).await.unwrap();
    jobs.into_iter().map(|job| job.job).collect()
}

#[tokio::test]
async fn a_list_that_did_not_change_is_that_of_last_time() {
    let world = World::start().await;
    same(&world, JOBS, "\"e-1\"").await;
    world.answers("GET", JOBS, jobs("\"e-1\"", 11)).await;
    for _ in 0..3 {
        assert_eq!(ids(&world).await, [JobId(11)]);
    }
    let requests = world.server.received_requests().await.unwrap();
    let asked: Vec<bool> = requests
        .iter()
        .filter(|request| request.url.path() == JOBS)
        .map(|request| request.headers.contains_key("if-none-match"))
        .collect();
    assert_eq!(asked, [false, true, true]);
}

#[tokio::test]
async fn a_list_that_changed_takes_the_place_of_the_one_before() {
    let world = World::start().await;
    same(&world, JOBS, "\"e-2\"").await;
    Mock::given(path(JOBS))
        .and(header("if-none-match", "\"e-1\""))
        .respond_with(jobs("\"e-2\"", 12))
        .expect(1)
        .mount(&world.server)
        .await;
    world.answers("GET", JOBS, jobs("\"e-1\"", 11)).await;
    let mut seen = Vec::new();
    for _ in 0..3 {
        seen.extend(ids(&world).await);
    }
    assert_eq!(seen, [JobId(11), JobId(12), JobId(12)]);
}

#[tokio::test]
async fn a_list_that_may_no_longer_be_seen_is_not_that_of_last_time() {
    let world = World::start().await;
    Mock::given(path(JOBS))
        .and(header_exists("if-none-match"))
        .respond_with(refusal(404, "Not Found"))
        .with_priority(1)
        .mount(&world.server)
        .await;
    world.answers("GET", JOBS, jobs("\"e-1\"", 11)).await;
    ids(&world).await;
    let error = world.app.jobs_of(&scope(), RunId(22)).await.unwrap_err();
    assert_eq!(error.kind, ApiErrorKind::NotFound);
}

#[tokio::test]
async fn another_installation_gets_its_own() {
    let world = World::start().await;
    world.gives_token(8, "token-8", 3600).await;
    world.answers("GET", JOBS, jobs("\"e-1\"", 11)).await;
    ids(&world).await;
    let other = Scope {
        installation: InstallationId(8),
        ..scope()
    };
    world.app.jobs_of(&other, RunId(22)).await.unwrap();
    let requests = world.server.received_requests().await.unwrap();
    assert!(
        requests
            .iter()
            .all(|request| !request.headers.contains_key("if-none-match"))
    );
}

#[tokio::test]
async fn a_question_that_is_decided_on_at_once_is_always_asked_in_full() {
    let world = World::start().await;
    let answers: [(&str, Value); 3] = [
        (
            "/repos/octo/gpu/actions/jobs/11",
            json!({"id": 11, "run_id": 22, "status": "queued"}),
        ),
        (
            "/repos/octo/gpu/actions/runs/22",
            json!({"run_attempt": 1, "status": "queued"}),
        ),
        (
            "/repos/octo/gpu/actions/runners",
            json!({"total_count": 0, "runners": []}),
        ),
    ];
    for (at, body) in answers {
        let answer = ResponseTemplate::new(200)
            .insert_header("etag", "\"e-1\"")
            .set_body_json(body);
        world.answers("GET", at, answer).await;
    }
    for _ in 0..2 {
        world.app.job(&scope(), JobId(11)).await.unwrap();
        world.app.run(&scope(), RunId(22)).await.unwrap();
        world.app.runner_named(&scope(), "dayfly-11-1-1").await.unwrap();
    }
    let requests = world.server.received_requests().await.unwrap();
    assert!(
        requests
            .iter()
            .all(|request| !request.headers.contains_key("if-none-match"))
    );
}
