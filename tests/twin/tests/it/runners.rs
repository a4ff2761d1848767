//! Runners: registered, listed, refused, removed.

use std::collections::BTreeMap;
use std::time::Duration;

use dayfly_twin::runner_protocol::{CompleteJob, EndedBy, RefusedCode};
use dayfly_twin::{ApiDisturbance, ApiFault, Conclusion, Happening, RunnerRemoval, SHUTDOWN_ANNOTATION, TwinConfig};
use serde_json::json;

use crate::support::{FakeRunner, Lab, ONE_JOB, PATIENCE};

const LABELS: [&str; 2] = ["self-hosted", "dayfly-gpu"];

#[tokio::test]
async fn a_jit_config_registers_an_offline_runner_with_its_labels() {
    let lab = Lab::start().await;
    let (status, body) = lab.api.generate_jit("dayfly-1", &LABELS).await;
    assert_eq!(status, 201);
    assert_eq!(body["runner"]["status"], "offline");
    let (_, listed) = lab.api.get("/actions/runners").await;
    assert_eq!(listed["total_count"], 1);
    let id = listed["runners"][0]["id"].as_u64().unwrap();
    let (_, shown) = lab.api.get(&format!("/actions/runners/{id}")).await;
    assert_eq!(shown["name"], "dayfly-1");
    let labels: Vec<_> = shown["labels"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| &one["name"])
        .collect();
    assert_eq!(labels, LABELS.iter().collect::<Vec<_>>());
    lab.assert_no_violations();
}

#[tokio::test]
async fn a_second_runner_of_a_name_is_a_conflict() {
    let lab = Lab::start().await;
    lab.api.jit("dayfly-1", &LABELS).await;
    let (status, body) = lab.api.generate_jit("dayfly-1", &LABELS).await;
    assert_eq!(status, 409);
    assert_eq!(
        body["message"],
        "Already exists - A runner with the name dayfly-1 already exists."
    );
    lab.assert_no_violations();
}

#[tokio::test]
async fn a_jit_config_without_labels_or_of_a_foreign_group_is_refused() {
    let config = TwinConfig {
        // The requests are wrong on purpose, and the description would say so.
        schemas: None,
        ..TwinConfig::default()
    };
    let lab = Lab::start_with(config).await;
    let path = "/actions/runners/generate-jitconfig";
    for body in [
        json!({"name": "a", "runner_group_id": 1, "labels": []}),
        json!({"name": "a", "runner_group_id": 1}),
        json!({"name": "", "runner_group_id": 1, "labels": ["gpu"]}),
        json!({"name": "a".repeat(65), "runner_group_id": 1, "labels": ["gpu"]}),
        json!({"name": "a", "runner_group_id": 2, "labels": ["gpu"]}),
    ] {
        assert_eq!(lab.api.post(path, body.clone()).await.0, 422, "{body}");
    }
}

#[tokio::test]
async fn runners_are_listed_by_pages_and_by_name() {
    let lab = Lab::start().await;
    for number in 0..5 {
        lab.api.jit(&format!("dayfly-{number}"), &LABELS).await;
    }
    let (_, page) = lab.api.get("/actions/runners?per_page=2&page=3").await;
    assert_eq!(page["total_count"], 5);
    assert_eq!(page["runners"].as_array().unwrap().len(), 1);
    assert_eq!(page["runners"][0]["name"], "dayfly-4");
    let (_, found) = lab.api.get("/actions/runners?name=dayfly-2").await;
    assert_eq!(found["total_count"], 1);
    let first = lab
        .api
        .call(reqwest::Method::GET, "/actions/runners?per_page=2", None)
        .await;
    assert!(first.headers()["link"].to_str().unwrap().contains("rel=\"next\""));
    lab.assert_no_violations();
}

#[tokio::test]
async fn an_ephemeral_runner_is_gone_after_its_one_job() {
    let lab = Lab::start().await;
    let run = lab.push(ONE_JOB);
    let runner = lab.runner("dayfly-1", &LABELS).await;
    let job = runner.take().await.job_id;
    runner.succeed(job).await;
    lab.until_run_completed(run, 1).await;
    let (_, listed) = lab.api.get("/actions/runners").await;
    assert_eq!(listed["total_count"], 0);
    lab.push(ONE_JOB);
    assert_eq!(runner.poll().await, Err(401), "it gets no second job");
    lab.assert_no_violations();
}

#[tokio::test]
async fn a_busy_runner_is_not_deleted_and_an_idle_one_is() {
    let lab = Lab::start().await;
    lab.push(ONE_JOB);
    let config = lab.api.jit("dayfly-1", &LABELS).await;
    let runner = FakeRunner::open(&config).await.unwrap();
    let path = format!("/actions/runners/{}", config.runner.agent_id);
    let job = runner.take().await.job_id;
    let (status, body) = lab.api.delete(&path).await;
    assert_eq!(status, 422);
    assert_eq!(
        body["message"],
        "Bad request - Runner \"dayfly-1\" is still running a job\""
    );
    lab.twin.let_busy_read_false(true);
    assert_eq!(lab.api.get(&path).await.1["busy"], false);
    assert_eq!(lab.api.delete(&path).await.0, 422, "whatever `busy` reads");
    runner.succeed(job).await;

    let idle = lab.api.jit("dayfly-2", &LABELS).await;
    let path = format!("/actions/runners/{}", idle.runner.agent_id);
    let runner = FakeRunner::open(&idle).await.unwrap();
    assert_eq!(lab.api.delete(&path).await.0, 204);
    assert_eq!(lab.api.delete(&path).await.0, 404);
    assert_eq!(runner.poll().await, Err(401));
    lab.assert_no_violations();
}

#[tokio::test]
async fn a_held_poll_of_a_runner_that_is_deleted_ends_at_once() {
    let lab = Lab::start().await;
    let config = lab.api.jit("dayfly-1", &LABELS).await;
    let runner = FakeRunner::open(&config).await.unwrap();
    let path = format!("/actions/runners/{}", config.runner.agent_id);
    let (poll, deleted) = tokio::join!(runner.poll(), lab.api.delete(&path));
    assert_eq!((poll, deleted.0), (Err(401), 204));
}

#[tokio::test]
async fn a_runner_older_than_the_minimum_is_refused() {
    let lab = Lab::start().await;
    let config = lab.api.jit("dayfly-1", &LABELS).await;
    let refused = FakeRunner::open_as(&config, "2.311.0").await.err().unwrap();
    assert_eq!(refused.code, RefusedCode::VersionTooOld);
    let refused = FakeRunner::open_as(&config, "2.328.9").await.err().unwrap();
    assert_eq!(refused.code, RefusedCode::VersionTooOld);
    FakeRunner::open_as(&config, "2.329.0").await.unwrap();
}

#[tokio::test]
async fn a_runner_has_one_session_and_reads_online_while_it_has() {
    let lab = Lab::start().await;
    let config = lab.api.jit("dayfly-1", &LABELS).await;
    let path = format!("/actions/runners/{}", config.runner.agent_id);
    let runner = FakeRunner::open(&config).await.unwrap();
    assert_eq!(lab.api.get(&path).await.1["status"], "online");
    let refused = FakeRunner::open(&config).await.err().unwrap();
    assert_eq!(refused.code, RefusedCode::SessionExists);
    runner.close().await;
    assert_eq!(lab.api.get(&path).await.1["status"], "offline");
    FakeRunner::open(&config).await.unwrap();
    lab.twin.advance(Duration::from_secs(120));
    assert_eq!(
        lab.api.get(&path).await.1["status"],
        "offline",
        "silent for two minutes"
    );
    lab.assert_no_violations();
}

#[tokio::test]
async fn an_unused_runner_and_an_unused_config_are_removed_in_time() {
    let lab = Lab::start().await;
    let mut events = lab.twin.events();
    let unused = lab.api.jit("unused-config", &LABELS).await;
    let listening = lab.runner("listening", &LABELS).await;
    lab.twin.advance(Duration::from_mins(7));
    assert_eq!(listening.poll().await, Err(401));
    lab.twin.advance(Duration::from_hours(1));
    let refused = FakeRunner::open(&unused).await.err().unwrap();
    assert_eq!(refused.code, RefusedCode::NotRegistered);
    let mut removals = Vec::new();
    while removals.len() < 2 {
        let event = tokio::time::timeout(PATIENCE, events.recv()).await.unwrap().unwrap();
        if let Happening::RunnerRemoved { name, why, .. } = event.what {
            removals.push((name, why));
        }
    }
    assert_eq!(
        removals,
        [
            ("listening".to_owned(), RunnerRemoval::Unused),
            ("unused-config".to_owned(), RunnerRemoval::ConfigExpired),
        ]
    );
}

#[tokio::test]
async fn a_call_that_failed_may_have_registered_the_runner() {
    let lab = Lab::start().await;
    let operation = "actions/generate-runner-jitconfig-for-repo";
    let lost = ApiFault::new(operation, 1, ApiDisturbance::DoAndFail { status: 503 }).unwrap();
    lab.twin.disturb_api(lost);
    assert_eq!(lab.api.generate_jit("dayfly-1", &LABELS).await.0, 503);
    assert!(lab.twin.inspect(|world| world.runner_named("dayfly-1").is_some()));
    assert_eq!(lab.api.generate_jit("dayfly-1", &LABELS).await.0, 409);
    assert_eq!(lab.api.generate_jit("dayfly-1-m2", &LABELS).await.0, 201);
}

#[tokio::test]
async fn a_refused_call_has_no_effect_and_may_set_retry_after() {
    let lab = Lab::start().await;
    let refuse = ApiDisturbance::Refuse {
        status: 429,
        message: "You have exceeded a secondary rate limit.".to_owned(),
        retry_after_s: Some(60),
    };
    lab.twin.disturb_api(ApiFault::new("repos/get", 1, refuse).unwrap());
    let answer = lab.api.call(reqwest::Method::GET, "", None).await;
    assert_eq!(answer.status(), 429);
    assert_eq!(answer.headers()["retry-after"], "60");
    assert_eq!(lab.api.get("").await.0, 200);
    assert!(ApiFault::new("repos/destroy", 1, ApiDisturbance::Delay(Duration::ZERO)).is_err());
}

#[tokio::test]
async fn a_job_ended_by_a_shutdown_signal_fails_and_says_so() {
    let lab = Lab::start().await;
    let run = lab.push(ONE_JOB);
    let runner = lab.runner("dayfly-1", &LABELS).await;
    let job = runner.take().await.job_id;
    runner.step(job, 2, None).await;
    let end = CompleteJob {
        outputs: BTreeMap::new(),
        conclusion: Conclusion::Failure,
        ended_by: Some(EndedBy::ShutdownSignal),
    };
    assert_eq!(runner.complete(job, end).await, 200);
    assert_eq!(lab.until_run_completed(run, 1).await, Conclusion::Failure);
    let (_, annotations) = lab.api.get(&format!("/check-runs/{job}/annotations")).await;
    assert_eq!(annotations[0]["message"], SHUTDOWN_ANNOTATION);
    let steps: Vec<_> = lab.job(job).steps.iter().map(|step| step.conclusion.unwrap()).collect();
    assert_eq!(
        steps,
        [
            Conclusion::Success,
            Conclusion::Failure,
            Conclusion::Skipped,
            Conclusion::Success
        ]
    );
    lab.assert_no_violations();
}
