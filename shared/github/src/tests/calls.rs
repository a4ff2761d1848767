use dayfly_config::labels::Label;
use dayfly_ports::{
    ApiErrorKind, ConfigFile, GitHub, JobStatus, JobView, Minted, Removal, RerunAnswer, RunView, RunnerView,
};
use dayfly_records::event::Conclusion;
use dayfly_types::ids::{JobId, RunAttempt, RunId, RunnerId};
use dayfly_types::time::Timestamp;
use secrecy::ExposeSecret;
use serde_json::{Value, json};
use wiremock::matchers::{body_json, header, header_exists, method, path, query_param};
use wiremock::{Mock, ResponseTemplate};

use super::support::{World, refusal, scope};

const CONFIG: &str = "/repos/octo/gpu/contents/.dayfly.yml";
const MINT: &str = "/repos/octo/gpu/actions/runners/generate-jitconfig";
const RUNNERS: &str = "/repos/octo/gpu/actions/runners";
const RUNNER: &str = "/repos/octo/gpu/actions/runners/5";
const RERUN_JOB: &str = "/repos/octo/gpu/actions/jobs/11/rerun";
const RERUN_FAILED: &str = "/repos/octo/gpu/actions/runs/22/rerun-failed-jobs";

#[tokio::test]
async fn every_request_names_the_client_and_api_version() {
    let world = World::start().await;
    world.answers("GET", CONFIG, refusal(404, "Not Found")).await;
    world.app.config_file(&scope(), ".dayfly.yml", None).await.unwrap();
    let requests = world.server.received_requests().await.unwrap();
    assert_eq!(requests.len(), 2);
    for request in requests {
        let agents: Vec<_> = request.headers.get_all("user-agent").iter().collect();
        assert_eq!(agents.len(), 1, "{agents:?}");
        assert!(agents[0].to_str().unwrap().starts_with("dayfly/"));
        assert_eq!(request.headers["x-github-api-version"], "2022-11-28");
        assert!(request.headers.contains_key("accept"));
    }
}

#[tokio::test]
async fn a_configuration_is_read_raw_and_again_only_if_changed() {
    let world = World::start().await;
    Mock::given(method("GET"))
        .and(path(CONFIG))
        .and(header("if-none-match", "\"e-1\""))
        .and(header("accept", "application/vnd.github.raw+json"))
        .respond_with(ResponseTemplate::new(304))
        .expect(1)
        .mount(&world.server)
        .await;
    Mock::given(method("GET"))
        .and(path(CONFIG))
        .and(header("accept", "application/vnd.github.raw+json"))
        .respond_with(
            ResponseTemplate::new(200)
                .insert_header("etag", "\"e-1\"")
                .set_body_string("runners: []\n"),
        )
        .expect(1)
        .mount(&world.server)
        .await;
    let found = world.app.config_file(&scope(), ".dayfly.yml", None).await.unwrap();
    let expected = ConfigFile::Found {
        etag: Some("\"e-1\"".to_owned()),
        text: "runners: []\n".to_owned(),
    };
    assert_eq!(found, expected);
    let again = world.app.config_file(&scope(), ".dayfly.yml", Some("\"e-1\"")).await;
    assert_eq!(again.unwrap(), ConfigFile::NotModified);
}

#[tokio::test]
async fn a_missing_configuration_is_no_error() {
    let world = World::start().await;
    world.answers("GET", CONFIG, refusal(404, "Not Found")).await;
    let found = world.app.config_file(&scope(), ".dayfly.yml", None).await.unwrap();
    assert_eq!(found, ConfigFile::Missing);
}

#[tokio::test]
async fn a_runner_is_registered_with_every_label_of_its_job() {
    let world = World::start().await;
    Mock::given(method("POST"))
        .and(path(MINT))
        .and(body_json(json!({
            "name": "dayfly-11-1-1",
            "runner_group_id": 1,
            "labels": ["self-hosted", "dayfly-gpu--22"],
            "work_folder": "_work",
        })))
        .respond_with(ResponseTemplate::new(201).set_body_json(json!({
            "runner": {"id": 5, "name": "dayfly-11-1-1", "os": "unknown", "status": "offline", "busy": false},
            "encoded_jit_config": "aml0",
        })))
        .expect(1)
        .mount(&world.server)
        .await;
    let labels = [Label::new("self-hosted"), Label::new("dayfly-gpu--22")];
    let minted = world.app.mint(&scope(), "dayfly-11-1-1", &labels).await.unwrap();
    assert!(!format!("{minted:?}").contains("aml0"));
    let Minted::Config(config) = minted else {
        panic!("{minted:?}")
    };
    assert_eq!((config.runner, config.encoded.expose_secret()), (RunnerId(5), "aml0"));
}

#[tokio::test]
async fn a_taken_runner_name_is_recognized() {
    let world = World::start().await;
    let taken = "Already exists - A runner with the name *** already exists.";
    world.answers("POST", MINT, refusal(409, taken)).await;
    let minted = world.app.mint(&scope(), "dayfly-11-1-1", &[]).await.unwrap();
    assert!(matches!(minted, Minted::NameTaken), "{minted:?}");
}

#[tokio::test]
async fn a_refused_registration_gives_the_reason() {
    let world = World::start().await;
    let answer = ResponseTemplate::new(422).set_body_json(json!({
        "message": "Validation Failed",
        "errors": ["labels is too long", {"resource": "Runner", "message": "no such group"}],
    }));
    world.answers("POST", MINT, answer).await;
    let error = world.app.mint(&scope(), "dayfly-11-1-1", &[]).await.unwrap_err();
    assert_eq!(error.kind, ApiErrorKind::BadRequest);
    assert_eq!(
        error.to_string(),
        "GitHub, register a runner: Validation Failed: labels is too long; no such group (HTTP 422)"
    );
}

#[tokio::test]
async fn a_missing_permission_has_githubs_message() {
    let world = World::start().await;
    let denied = refusal(403, "Resource not accessible by integration");
    world.answers("POST", MINT, denied).await;
    let error = world.app.mint(&scope(), "dayfly-11-1-1", &[]).await.unwrap_err();
    assert_eq!(error.kind, ApiErrorKind::Forbidden);
    assert_eq!(error.message, "Resource not accessible by integration (HTTP 403)");
}

fn runner(id: u64, name: &str) -> Value {
    json!({"id": id, "name": name, "os": "linux", "status": "online", "busy": true, "labels": []})
}

#[tokio::test]
async fn a_runner_is_found_by_its_whole_name_on_any_page() {
    let world = World::start().await;
    let mut first: Vec<Value> = (0..100).map(|id| runner(id, &format!("dayfly-1-1-1{id}"))).collect();
    first[0] = runner(0, "dayfly-1-1-1-m2");
    for (page, runners) in [("1", first), ("2", vec![runner(500, "dayfly-1-1-1")])] {
        Mock::given(path(RUNNERS))
            .and(query_param("name", "dayfly-1-1-1"))
            .and(query_param("page", page))
            .respond_with(ResponseTemplate::new(200).set_body_json(json!({"total_count": 101, "runners": runners})))
            .expect(1)
            .mount(&world.server)
            .await;
    }
    let found = world.app.runner_named(&scope(), "dayfly-1-1-1").await.unwrap();
    let expected = RunnerView {
        id: RunnerId(500),
        name: "dayfly-1-1-1".to_owned(),
        busy: true,
        online: true,
    };
    assert_eq!(found, Some(expected));
}

#[tokio::test]
async fn an_unregistered_runner_is_none() {
    let world = World::start().await;
    let none =
        ResponseTemplate::new(200).set_body_json(json!({"total_count": 1, "runners": [runner(1, "dayfly-1-1-11")]}));
    world.answers("GET", RUNNERS, none).await;
    assert_eq!(world.app.runner_named(&scope(), "dayfly-1-1-1").await.unwrap(), None);
}

#[tokio::test]
async fn a_runner_is_removed_unless_it_is_busy() {
    for (answer, expected) in [
        (ResponseTemplate::new(204), Removal::Removed),
        (refusal(404, "Not Found"), Removal::Removed),
        (refusal(422, "Runner is currently running a job"), Removal::Busy),
    ] {
        let world = World::start().await;
        world.answers("DELETE", RUNNER, answer).await;
        assert_eq!(world.app.remove_runner(&scope(), RunnerId(5)).await.unwrap(), expected);
    }
}

#[tokio::test]
async fn a_forbidden_removal_is_an_error() {
    let world = World::start().await;
    world.answers("DELETE", RUNNER, refusal(403, "Forbidden")).await;
    let error = world.app.remove_runner(&scope(), RunnerId(5)).await.unwrap_err();
    assert_eq!(error.kind, ApiErrorKind::Forbidden);
}

#[tokio::test]
async fn a_rerun_is_accepted_postponed_or_refused() {
    for at in [RERUN_JOB, RERUN_FAILED] {
        for (answer, expected) in [
            (
                ResponseTemplate::new(201).set_body_json(json!({})),
                Ok(RerunAnswer::Accepted),
            ),
            (
                refusal(403, "The workflow run containing this job is already running"),
                Ok(RerunAnswer::StillRunning),
            ),
            (
                refusal(
                    403,
                    "Unable to retry this workflow run because it was created over a month ago",
                ),
                Err(ApiErrorKind::Forbidden),
            ),
        ] {
            let world = World::start().await;
            world.answers("POST", at, answer).await;
            let answered = if at == RERUN_JOB {
                world.app.rerun_job(&scope(), JobId(11)).await
            } else {
                world.app.rerun_failed_jobs(&scope(), RunId(22)).await
            };
            assert_eq!(answered.map_err(|error| error.kind), expected, "{at}");
        }
    }
}

#[tokio::test]
async fn a_run_is_over_when_github_says_so() {
    for (answer, expected) in [
        (
            json!({"run_attempt": 2, "status": "completed", "conclusion": "failure"}),
            RunView {
                attempt: RunAttempt(2),
                completed: true,
                conclusion: Some(Conclusion::Failure),
            },
        ),
        (
            json!({"run_attempt": 1, "status": null, "conclusion": null}),
            RunView {
                attempt: RunAttempt(1),
                completed: false,
                conclusion: None,
            },
        ),
    ] {
        let world = World::start().await;
        let answer = ResponseTemplate::new(200).set_body_json(answer);
        world.answers("GET", "/repos/octo/gpu/actions/runs/22", answer).await;
        assert_eq!(world.app.run(&scope(), RunId(22)).await.unwrap(), expected);
    }
}

#[tokio::test]
async fn a_jobs_status_is_githubs() {
    for (status, conclusion, expected) in [
        ("queued", None, JobStatus::Queued),
        ("requested", None, JobStatus::Queued),
        ("a new word", None, JobStatus::Queued),
        ("waiting", None, JobStatus::Waiting),
        ("pending", None, JobStatus::Waiting),
        ("in_progress", None, JobStatus::InProgress),
        ("completed", Some("success"), JobStatus::Completed(Conclusion::Success)),
        ("completed", None, JobStatus::Completed(Conclusion::Unknown)),
    ] {
        let world = World::start().await;
        let answer = ResponseTemplate::new(200).set_body_json(
            json!({"id": 11, "run_id": 22, "status": status, "conclusion": conclusion, "runner_name": null}),
        );
        world.answers("GET", "/repos/octo/gpu/actions/jobs/11", answer).await;
        let view = world.app.job(&scope(), JobId(11)).await.unwrap();
        assert_eq!((view.status, view.runner_name), (expected, None), "{status}");
    }
}

#[tokio::test]
async fn a_job_has_everything_its_webhook_has() {
    let world = World::start().await;
    let answer = ResponseTemplate::new(200).set_body_json(json!({
        "id": 11,
        "run_id": 22,
        "run_attempt": 3,
        "name": "test (3.12)",
        "workflow_name": "ci",
        "head_sha": "f00d",
        "labels": ["self-hosted", "dayfly-gpu--22"],
        "created_at": "2026-08-01T10:00:00.5Z",
        "status": "in_progress",
        "conclusion": null,
        "runner_name": "dayfly-11-1-1",
    }));
    world.answers("GET", "/repos/octo/gpu/actions/jobs/11", answer).await;
    let expected = JobView {
        workflow: Some("ci".to_owned()),
        job: JobId(11),
        run: RunId(22),
        attempt: RunAttempt(3),
        name: "test (3.12)".to_owned(),
        head_sha: "f00d".to_owned(),
        labels: vec![Label::new("self-hosted"), Label::new("dayfly-gpu--22")],
        created_at: Some(Timestamp::from_millis(1_785_578_400_500)),
        status: JobStatus::InProgress,
        runner_name: Some("dayfly-11-1-1".to_owned()),
    };
    assert_eq!(world.app.job(&scope(), JobId(11)).await.unwrap(), expected);
}

#[tokio::test]
async fn a_redirect_of_a_renamed_repository_is_followed() {
    let world = World::start().await;
    let moved = format!("{}/repositories/99/actions/runners/5", world.server.uri());
    let redirect = ResponseTemplate::new(307)
        .insert_header("location", moved.as_str())
        .set_body_json(json!({"message": "Moved Permanently", "url": moved}));
    world.answers("DELETE", RUNNER, redirect).await;
    Mock::given(method("DELETE"))
        .and(path("/repositories/99/actions/runners/5"))
        .and(header("authorization", "Bearer token-7"))
        .respond_with(ResponseTemplate::new(204))
        .expect(1)
        .mount(&world.server)
        .await;
    let removed = world.app.remove_runner(&scope(), RunnerId(5)).await.unwrap();
    assert_eq!(removed, Removal::Removed);
}

#[tokio::test]
async fn a_redirect_to_another_host_is_not_followed() {
    let world = World::start().await;
    let elsewhere = wiremock::MockServer::start().await;
    Mock::given(header_exists("user-agent"))
        .respond_with(ResponseTemplate::new(204))
        .expect(0)
        .mount(&elsewhere)
        .await;
    let redirect = ResponseTemplate::new(307).insert_header("location", format!("{}/x", elsewhere.uri()).as_str());
    world.answers("DELETE", RUNNER, redirect).await;
    let error = world.app.remove_runner(&scope(), RunnerId(5)).await.unwrap_err();
    assert_eq!(error.kind, ApiErrorKind::BadRequest);
}
