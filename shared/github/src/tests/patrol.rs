//! The patrol's lists, and redelivery.

use dayfly_ports::{ApiErrorKind, FailedDelivery, GitHub, RunnerView};
use dayfly_types::ids::{DeliveryId, InstallationId, JobId, RunAttempt, RunId, RunnerId};
use dayfly_types::time::Timestamp;
use jiff::{SignedDuration, ToSpan};
use serde_json::{Value, json};
use wiremock::matchers::{header, method, path, query_param, query_param_is_missing};
use wiremock::{Mock, ResponseTemplate};

use super::support::{World, refusal, scope};

const INSTALLATIONS: &str = "/app/installations";
const REPOSITORIES: &str = "/installation/repositories";
const RUNS: &str = "/repos/octo/gpu/actions/runs";
const JOBS: &str = "/repos/octo/gpu/actions/runs/22/jobs";
const RUNNERS: &str = "/repos/octo/gpu/actions/runners";
const DELIVERIES: &str = "/app/hook/deliveries";

fn ok(body: &Value) -> ResponseTemplate {
    ResponseTemplate::new(200).set_body_json(body)
}

/// Answers one page of a list, expected once.
async fn page(world: &World, at: &str, number: &str, body: &Value) {
    Mock::given(method("GET"))
        .and(path(at))
        .and(query_param("per_page", "100"))
        .and(query_param("page", number))
        .respond_with(ok(body))
        .expect(1)
        .mount(&world.server)
        .await;
}

#[tokio::test]
async fn suspended_installations_are_not_listed() {
    let world = World::bare().await;
    let first: Vec<Value> = (1..=100).map(|id| json!({"id": id, "suspended_at": null})).collect();
    let second = json!([{"id": 101, "suspended_at": "2026-08-01T10:00:00Z"}, {"id": 102}]);
    page(&world, INSTALLATIONS, "1", &json!(first)).await;
    page(&world, INSTALLATIONS, "2", &second).await;
    let listed = world.app.installations().await.unwrap();
    let expected: Vec<InstallationId> = (1..=100).chain([102]).map(InstallationId).collect();
    assert_eq!(listed, expected);
    assert_eq!(world.parameters.reads(), 1, "the key of the App's JWT");
}

#[tokio::test]
async fn a_refused_jwt_is_replaced_with_the_current_key() {
    let world = World::bare().await;
    Mock::given(path(INSTALLATIONS))
        .respond_with(refusal(401, "A JSON web token could not be decoded"))
        .up_to_n_times(1)
        .mount(&world.server)
        .await;
    world.answers("GET", INSTALLATIONS, ok(&json!([]))).await;
    assert_eq!(world.app.installations().await.unwrap(), []);
    assert_eq!(world.parameters.reads(), 2);
}

#[tokio::test]
async fn recently_pushed_repositories_are_listed_latest_first() {
    let world = World::start().await;
    let repository = |name: &str, pushed_at: Value| json!({"full_name": name, "pushed_at": pushed_at});
    let mut first = vec![
        repository("octo/at-the-edge", json!("2026-08-01T10:00:00Z")),
        repository("octo/latest", json!("2026-08-03T10:00:00Z")),
        repository("octo/too-old", json!("2026-08-01T09:59:59Z")),
        repository("octo/empty", Value::Null),
    ];
    first.resize(100, repository("octo/old", json!("2020-01-01T00:00:00Z")));
    let second = [
        repository("octo/next-page", json!("2026-08-02T10:00:00Z")),
        repository("no repository", json!("2026-08-02T10:00:00Z")),
    ];
    for (number, repositories) in [("1", json!(first)), ("2", json!(second))] {
        let body = json!({"total_count": 102, "repositories": repositories});
        page(&world, REPOSITORIES, number, &body).await;
    }
    // 2026-08-01T10:00:00Z
    let since = Timestamp::from_seconds(1_785_578_400);
    let pushed = world.app.pushed_repositories(InstallationId(7), since).await.unwrap();
    let names: Vec<String> = pushed.iter().map(ToString::to_string).collect();
    assert_eq!(names, ["octo/latest", "octo/next-page", "octo/at-the-edge"]);
    let requests = world.server.received_requests().await.unwrap();
    let last = requests.last().unwrap();
    assert_eq!(last.headers["authorization"], "Bearer token-7");
}

#[tokio::test]
async fn queued_and_running_runs_are_listed_once() {
    let world = World::start().await;
    for (status, runs) in [
        ("queued", json!([{"id": 23}, {"id": 22}])),
        ("in_progress", json!([{"id": 22}, {"id": 21}])),
    ] {
        Mock::given(path(RUNS))
            .and(query_param("status", status))
            .and(query_param("per_page", "100"))
            .respond_with(ok(&json!({"total_count": 2, "workflow_runs": runs})))
            .expect(1)
            .mount(&world.server)
            .await;
    }
    let open = world.app.open_runs(&scope()).await.unwrap();
    assert_eq!(open, [RunId(21), RunId(22), RunId(23)]);
}

#[tokio::test]
async fn the_latest_attempts_jobs_are_listed_from_all_pages() {
    let world = World::start().await;
    let job = |id: u64| json!({"id": id, "run_id": 22, "run_attempt": 2, "status": "queued"});
    let first: Vec<Value> = (1..=100).map(job).collect();
    page(&world, JOBS, "1", &json!({"total_count": 101, "jobs": first})).await;
    page(&world, JOBS, "2", &json!({"total_count": 101, "jobs": [job(101)]})).await;
    let jobs = world.app.jobs_of(&scope(), RunId(22)).await.unwrap();
    let ids: Vec<JobId> = jobs.iter().map(|job| job.job).collect();
    assert_eq!(ids, (1..=101).map(JobId).collect::<Vec<_>>());
    assert!(
        jobs.iter()
            .all(|job| (job.run, job.attempt) == (RunId(22), RunAttempt(2)))
    );
    let requests = world.server.received_requests().await.unwrap();
    let mut asked = requests.iter().filter(|request| request.url.path() == JOBS);
    assert!(asked.all(|request| request.url.query().unwrap().contains("filter=latest")));
}

#[tokio::test]
async fn all_runners_are_listed() {
    let world = World::start().await;
    let runners = json!([
        {"id": 5, "name": "dayfly-11-1-1", "status": "offline", "busy": false},
        {"id": 6, "name": "somebody's", "status": "online", "busy": true},
    ]);
    page(&world, RUNNERS, "1", &json!({"total_count": 2, "runners": runners})).await;
    let view = |id, name: &str, busy, online| RunnerView {
        id: RunnerId(id),
        name: name.to_owned(),
        busy,
        online,
    };
    let expected = [
        view(5, "dayfly-11-1-1", false, false),
        view(6, "somebody's", true, true),
    ];
    assert_eq!(world.app.runners(&scope()).await.unwrap(), expected);
}

#[tokio::test]
async fn an_endless_list_is_cut_off() {
    let world = World::bare().await;
    let full: Vec<Value> = (1..=100).map(|id| json!({"id": id})).collect();
    world.answers("GET", INSTALLATIONS, ok(&json!(full))).await;
    let listed = world.app.installations().await.unwrap();
    assert_eq!(listed.len(), 100 * crate::MAX_PAGES);
    assert_eq!(world.asked(INSTALLATIONS).await, crate::MAX_PAGES);
}

fn delivery(id: u64, hours: i64, status_code: u16) -> Value {
    let at = jiff::Timestamp::now() - hours.hours();
    json!({"id": id, "guid": format!("d-{id}"), "delivered_at": at.to_string(), "status_code": status_code})
}

/// Answers one page of deliveries, expected once.
async fn deliveries(world: &World, cursor: Option<&str>, body: &[Value], next: Option<&str>) {
    let mut answer = ok(&json!(body));
    if let Some(next) = next {
        let link = format!(
            "<{}{DELIVERIES}?per_page=100&cursor={next}&status=failure>; rel=\"next\"",
            world.server.uri()
        );
        answer = answer.insert_header("link", link);
    }
    let mock = Mock::given(method("GET"))
        .and(path(DELIVERIES))
        .and(query_param("status", "failure"))
        .and(query_param("per_page", "100"));
    let mock = match cursor {
        Some(cursor) => mock.and(query_param("cursor", cursor)),
        None => mock.and(query_param_is_missing("cursor")),
    };
    mock.respond_with(answer).expect(1).mount(&world.server).await;
}

async fn numbers(world: &World, after: u64, limit: usize) -> Vec<u64> {
    let failed = world.app.failed_deliveries(after, limit).await.unwrap();
    failed.iter().map(|one| one.number).collect()
}

#[tokio::test]
async fn failed_deliveries_are_read_from_all_pages() {
    let world = World::bare().await;
    deliveries(&world, None, &[delivery(9, 1, 502), delivery(8, 1, 0)], Some("v1_8")).await;
    deliveries(&world, Some("v1_8"), &[delivery(7, 2, 200), delivery(6, 3, 503)], None).await;
    let failed = world.app.failed_deliveries(0, 10).await.unwrap();
    let listed: Vec<(u64, &DeliveryId)> = failed.iter().map(|one| (one.number, &one.delivery)).collect();
    let guid = |text: &str| DeliveryId::new(text);
    assert_eq!(listed, [(9, &guid("d-9")), (8, &guid("d-8")), (6, &guid("d-6"))]);
    let FailedDelivery { at, .. } = failed[0];
    let hour_ago = (jiff::Timestamp::now() - SignedDuration::from_hours(1)).as_second();
    assert!((at.seconds() - hour_ago).abs() < 60, "{at:?}");
}

#[tokio::test]
async fn failed_deliveries_end_at_the_last_known_one() {
    let world = World::bare().await;
    let page = [delivery(9, 1, 502), delivery(8, 1, 502), delivery(7, 1, 502)];
    deliveries(&world, None, &page, Some("v1_7")).await;
    assert_eq!(numbers(&world, 8, 10).await, [9]);
}

#[tokio::test]
async fn failed_deliveries_end_at_the_limit() {
    let world = World::bare().await;
    deliveries(&world, None, &[delivery(9, 1, 502), delivery(8, 1, 502)], Some("v1_8")).await;
    assert_eq!(numbers(&world, 0, 2).await, [9, 8]);
}

#[tokio::test]
async fn failed_deliveries_end_where_github_drops_them() {
    let world = World::bare().await;
    deliveries(
        &world,
        None,
        &[delivery(9, 71, 502), delivery(8, 73, 502)],
        Some("v1_8"),
    )
    .await;
    assert_eq!(numbers(&world, 0, 10).await, [9]);
}

#[tokio::test]
async fn a_redelivery_is_requested_once() {
    let world = World::bare().await;
    let at = "/app/hook/deliveries/9/attempts";
    Mock::given(method("POST"))
        .and(path(at))
        .and(header("x-github-api-version", "2022-11-28"))
        .respond_with(ResponseTemplate::new(202).set_body_json(json!({})))
        .expect(1)
        .mount(&world.server)
        .await;
    world.app.redeliver(9).await.unwrap();
    for (status, kind) in [(422, ApiErrorKind::BadRequest), (503, ApiErrorKind::Unavailable)] {
        let refusing = World::bare().await;
        refusing.answers("POST", at, refusal(status, "no")).await;
        let error = refusing.app.redeliver(9).await.unwrap_err();
        assert_eq!(error.kind, kind);
        assert_eq!(refusing.asked(at).await, 1);
    }
}
