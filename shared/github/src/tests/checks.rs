use dayfly_ports::{ApiErrorKind, CheckView, GitHub};
use dayfly_records::CheckConclusion;
use dayfly_records::CheckRunBody;
use dayfly_types::ids::{CheckRunId, RunId};
use serde_json::{Value, json};
use wiremock::matchers::{body_json, method, path, query_param};
use wiremock::{Mock, ResponseTemplate};

use super::support::{World, refusal, scope};

const CHECKS: &str = "/repos/octo/gpu/check-runs";
const CHECK: &str = "/repos/octo/gpu/check-runs/5";
const LIST: &str = "/repos/octo/gpu/commits/f00d/check-runs";
const CANCEL: &str = "/repos/octo/gpu/actions/runs/22/cancel";

fn check(conclusion: Option<CheckConclusion>, text: Option<&str>) -> CheckRunBody {
    CheckRunBody {
        head_sha: "f00d".to_owned(),
        name: "dayfly / test (a&b)".to_owned(),
        external_id: "11/1".to_owned(),
        details_url: "https://github.com/octo/gpu/actions/runs/22/job/11".to_owned(),
        conclusion,
        title: "Waiting".to_owned(),
        summary: "For capacity.".to_owned(),
        text: text.map(str::to_owned),
    }
}

fn check_json(id: u64, external_id: &str, conclusion: Option<&str>) -> Value {
    json!({"id": id, "name": "dayfly / test (a&b)", "external_id": external_id, "conclusion": conclusion})
}

#[tokio::test]
async fn a_check_run_is_created_open_or_concluded() {
    for (conclusion, status, word) in [
        (None, "in_progress", None),
        (Some(CheckConclusion::Neutral), "completed", Some("neutral")),
        (Some(CheckConclusion::Failure), "completed", Some("failure")),
    ] {
        let world = World::start().await;
        let mut expected = json!({
            "name": "dayfly / test (a&b)",
            "head_sha": "f00d",
            "external_id": "11/1",
            "details_url": "https://github.com/octo/gpu/actions/runs/22/job/11",
            "status": status,
            "output": {"title": "Waiting", "summary": "For capacity.", "text": "a table"},
        });
        if let Some(word) = word {
            expected["conclusion"] = word.into();
        }
        Mock::given(method("POST"))
            .and(path(CHECKS))
            .and(body_json(expected))
            .respond_with(ResponseTemplate::new(201).set_body_json(check_json(5, "11/1", word)))
            .expect(1)
            .mount(&world.server)
            .await;
        let id = world
            .app
            .create_check(&scope(), &check(conclusion, Some("a table")))
            .await;
        assert_eq!(id.unwrap(), CheckRunId(5));
    }
}

#[tokio::test]
async fn creating_a_check_run_is_not_retried() {
    let world = World::start().await;
    world.answers("POST", CHECKS, refusal(502, "Server Error")).await;
    let error = world.app.create_check(&scope(), &check(None, None)).await.unwrap_err();
    assert_eq!(error.kind, ApiErrorKind::Unavailable);
    assert_eq!(world.asked(CHECKS).await, 1);
}

#[tokio::test]
async fn an_update_replaces_the_whole_check_run() {
    let world = World::start().await;
    Mock::given(method("PATCH"))
        .and(path(CHECK))
        .and(body_json(json!({
            "name": "dayfly / test (a&b)",
            "external_id": "11/1",
            "details_url": "https://github.com/octo/gpu/actions/runs/22/job/11",
            "status": "completed",
            "conclusion": "neutral",
            "output": {"title": "Waiting", "summary": "For capacity.", "text": ""},
        })))
        .respond_with(ResponseTemplate::new(200).set_body_json(check_json(5, "11/1", Some("neutral"))))
        .expect(1)
        .mount(&world.server)
        .await;
    let changed = check(Some(CheckConclusion::Neutral), None);
    world.app.update_check(&scope(), CheckRunId(5), &changed).await.unwrap();
}

#[tokio::test]
async fn updating_a_check_run_is_retried() {
    let world = World::start().await;
    Mock::given(method("PATCH"))
        .and(path(CHECK))
        .respond_with(refusal(503, "Unavailable"))
        .up_to_n_times(1)
        .mount(&world.server)
        .await;
    let done = ResponseTemplate::new(200).set_body_json(check_json(5, "11/1", None));
    world.answers("PATCH", CHECK, done).await;
    world
        .app
        .update_check(&scope(), CheckRunId(5), &check(None, None))
        .await
        .unwrap();
    assert_eq!(world.asked(CHECK).await, 2);
}

#[tokio::test]
async fn a_check_run_is_found_by_its_external_id_on_any_page() {
    let world = World::start().await;
    let mut first: Vec<Value> = (100..200).map(|id| check_json(id, "12/1", None)).collect();
    first[0]["external_id"] = "11/1".into();
    first[0]["name"] = "dayfly / test".into();
    for (page, runs) in [("1", first), ("2", vec![check_json(5, "11/1", Some("failure"))])] {
        Mock::given(path(LIST))
            .and(query_param("check_name", "dayfly / test (a&b)"))
            .and(query_param("filter", "all"))
            .and(query_param("page", page))
            .respond_with(ResponseTemplate::new(200).set_body_json(json!({"total_count": 101, "check_runs": runs})))
            .mount(&world.server)
            .await;
    }
    let find = |external_id: &'static str| {
        let app = &world.app;
        async move {
            app.find_check(&scope(), "f00d", "dayfly / test (a&b)", external_id)
                .await
        }
    };
    let expected = CheckView {
        id: CheckRunId(5),
        concluded: Some(CheckConclusion::Failure),
    };
    assert_eq!(find("11/1").await.unwrap(), Some(expected));
    assert_eq!(find("11/2").await.unwrap(), None);
}

#[tokio::test]
async fn a_write_limit_is_kept_and_is_no_missing_permission() {
    let world = World::start().await;
    let limited = refusal(403, "You have exceeded a secondary rate limit.").insert_header("retry-after", "60");
    world.answers("POST", CHECKS, limited).await;
    for _ in 0..2 {
        let error = world.app.create_check(&scope(), &check(None, None)).await.unwrap_err();
        assert!(matches!(error.kind, ApiErrorKind::RateLimited(Some(_))), "{error:?}");
    }
    assert_eq!(world.asked(CHECKS).await, 1);
}

#[tokio::test]
async fn cancelling_a_finished_run_succeeds() {
    for (answer, expected) in [
        (ResponseTemplate::new(202).set_body_json(json!({})), Ok(())),
        (refusal(409, "Cannot cancel a workflow run that is completed."), Ok(())),
        (refusal(404, "Not Found"), Err(ApiErrorKind::NotFound)),
    ] {
        let world = World::start().await;
        world.answers("POST", CANCEL, answer).await;
        let cancelled = world.app.cancel_run(&scope(), RunId(22)).await;
        assert_eq!(cancelled.map_err(|error| error.kind), expected);
    }
}
