//! Cached answers are used while GitHub says that they are unchanged.

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

async fn unchanged(world: &World, at: &str, etag: &str) {
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
async fn an_unchanged_list_comes_from_the_cache() {
    let world = World::start().await;
    unchanged(&world, JOBS, "\"e-1\"").await;
    world.answers("GET", JOBS, jobs("\"e-1\"", 11)).await;
    for _ in 0..3 {
        assert_eq!(ids(&world).await, [JobId(11)]);
    }
    let requests = world.server.received_requests().await.unwrap();
    let conditional: Vec<bool> = requests
        .iter()
        .filter(|request| request.url.path() == JOBS)
        .map(|request| request.headers.contains_key("if-none-match"))
        .collect();
    assert_eq!(conditional, [false, true, true]);
}

#[tokio::test]
async fn a_changed_list_replaces_the_cached_one() {
    let world = World::start().await;
    unchanged(&world, JOBS, "\"e-2\"").await;
    Mock::given(path(JOBS))
        .and(header("if-none-match", "\"e-1\""))
        .respond_with(jobs("\"e-2\"", 12))
        .expect(1)
        .mount(&world.server)
        .await;
    world.answers("GET", JOBS, jobs("\"e-1\"", 11)).await;
    let mut listed = Vec::new();
    for _ in 0..3 {
        listed.extend(ids(&world).await);
    }
    assert_eq!(listed, [JobId(11), JobId(12), JobId(12)]);
}

#[tokio::test]
async fn a_list_that_became_invisible_is_an_error() {
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
async fn installations_do_not_share_cached_answers() {
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
async fn reads_for_immediate_decisions_are_never_cached() {
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
