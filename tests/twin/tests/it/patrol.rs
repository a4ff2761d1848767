//! The patrol's lists, and the cost of repeated reads.

use std::time::Duration;

use dayfly_twin::{Conclusion, Disturbance, RepoOptions, WebhookFault};
use reqwest::header::{ETAG, IF_NONE_MATCH, LINK};
use reqwest::{Method, Response};
use serde_json::{Value, json};

use crate::support::{Lab, ONE_JOB, Receiver, answered, read};

const TWO_JOBS: &str = "\
on: push
jobs:
  build:
    runs-on: [self-hosted, dayfly-gpu]
    steps: [{run: echo one}]
  test:
    runs-on: [self-hosted, dayfly-gpu--7]
    steps: [{run: echo two}]
";

impl Lab {
    async fn as_installation(&self, rest: &str, etag: Option<&str>) -> Response {
        let url = format!("{}{rest}", self.api.url);
        let mut request = self.api.http.get(url).bearer_auth(&self.api.token);
        if let Some(etag) = etag {
            request = request.header(IF_NONE_MATCH, etag);
        }
        request.send().await.unwrap()
    }

    async fn as_app(&self, method: Method, rest: &str, etag: Option<&str>) -> Response {
        let url = format!("{}{rest}", self.api.url);
        let mut request = self.api.http.request(method, url);
        if let Some(etag) = etag {
            request = request.header(IF_NONE_MATCH, etag);
        }
        request.bearer_auth(self.twin.app_jwt().unwrap()).send().await.unwrap()
    }

    /// The ids of the runs of a status.
    async fn runs_of(&self, status: &str) -> Vec<Value> {
        let (code, body) = self
            .api
            .get(&format!("/actions/runs?status={status}&per_page=100"))
            .await;
        assert_eq!(code, 200);
        let runs = body["workflow_runs"].as_array().unwrap();
        runs.iter().map(|run| run["id"].clone()).collect()
    }
}

fn etag_of(answer: &Response) -> String {
    answer.headers()[ETAG].to_str().unwrap().to_owned()
}

fn remaining(answer: &Response) -> u32 {
    let left = answer.headers()["x-ratelimit-remaining"].to_str().unwrap();
    left.parse().unwrap()
}

#[tokio::test]
async fn repositories_are_listed_with_their_last_push() {
    let lab = Lab::start().await;
    let _ = lab.twin.create_repo("octo-org/quiet");
    let _ = lab.twin.create_repo("strangers/other");
    let uninstalled = RepoOptions {
        installed: false,
        ..RepoOptions::default()
    };
    let _ = lab.twin.create_repo_with("octo-org/unseen", uninstalled);
    lab.twin.advance(Duration::from_mins(30));
    lab.push(ONE_JOB);
    let (status, body) = read(
        lab.as_installation("/installation/repositories?per_page=100", None)
            .await,
    )
    .await;
    assert_eq!((status, &body["total_count"]), (200, &json!(2)));
    let repositories = body["repositories"].as_array().unwrap();
    let names: Vec<_> = repositories.iter().map(|repo| &repo["full_name"]).collect();
    assert_eq!(names, ["octo-org/demo", "octo-org/quiet"]);
    let pushed =
        |index: usize| -> jiff::Timestamp { repositories[index]["pushed_at"].as_str().unwrap().parse().unwrap() };
    assert!(pushed(0).duration_since(pushed(1)).as_secs() >= 1_800);
    let paged = lab.as_installation("/installation/repositories?per_page=1", None).await;
    assert!(
        paged.headers()[LINK]
            .to_str()
            .unwrap()
            .contains("page=2>; rel=\"next\"")
    );
    lab.assert_no_violations();
}

#[tokio::test]
async fn an_unchanged_list_is_a_free_304() {
    let lab = Lab::start().await;
    lab.push(ONE_JOB);
    let run = lab.runs_of("queued").await.remove(0);
    let demo = "/repos/octo-org/demo/actions";
    for list in [
        "/installation/repositories?per_page=100&page=1".to_owned(),
        format!("{demo}/runs?status=queued&per_page=100"),
        format!("{demo}/runs/{run}/jobs?filter=latest&per_page=100&page=1"),
        format!("{demo}/runners?per_page=100&page=1"),
    ] {
        let first = lab.as_installation(&list, None).await;
        let again = lab.as_installation(&list, Some(&etag_of(&first))).await;
        assert_eq!((first.status().as_u16(), again.status().as_u16()), (200, 304), "{list}");
        assert_eq!(remaining(&again), remaining(&first), "{list}");
        let other = lab.as_installation(&list, Some("\"another\"")).await;
        assert_eq!(
            (other.status().as_u16(), remaining(&other)),
            (200, remaining(&first) - 1),
            "{list}"
        );
    }
    let first = lab.as_app(Method::GET, "/app/installations?per_page=100", None).await;
    let again = lab
        .as_app(Method::GET, "/app/installations?per_page=100", Some(&etag_of(&first)))
        .await;
    assert_eq!((again.status().as_u16(), remaining(&again)), (304, remaining(&first)));
    lab.assert_no_violations();
}

#[tokio::test]
async fn a_queued_job_of_a_run_that_is_in_progress_is_found() {
    let lab = Lab::start().await;
    let run = lab.push(TWO_JOBS);
    assert_eq!(lab.runs_of("queued").await, [json!(run)]);
    assert!(lab.runs_of("in_progress").await.is_empty());
    let build = lab.job_named(run, "build").id;
    lab.twin.start_elsewhere(build).unwrap();
    assert!(lab.runs_of("queued").await.is_empty());
    assert_eq!(lab.runs_of("in_progress").await, [json!(run)]);
    let (_, body) = lab.api.get(&format!("/actions/runs/{run}/jobs?filter=latest")).await;
    let jobs = body["jobs"].as_array().unwrap();
    let waiting = jobs.iter().find(|job| job["status"] == "queued").unwrap();
    assert_eq!(waiting["name"], "test");
    assert_eq!(waiting["labels"], json!(["self-hosted", "dayfly-gpu--7"]));
    assert_eq!((&waiting["run_id"], &waiting["run_attempt"]), (&json!(run), &json!(1)));
    assert!(waiting["created_at"].is_string() && waiting["head_sha"].is_string());

    lab.twin.end_elsewhere(build, Conclusion::Success).unwrap();
    let test = lab.job_named(run, "test").id;
    lab.twin.run_elsewhere(test, Conclusion::Success).unwrap();
    assert!(lab.runs_of("in_progress").await.is_empty());
    lab.assert_no_violations();
}

#[tokio::test]
async fn failed_deliveries_are_listed_but_not_lost_ones() {
    let lab = Lab::start().await;
    let receiver = Receiver::start(&lab.twin).await;
    let queued = || WebhookFault::on("workflow_job", "queued");
    lab.twin.disturb_webhooks(queued().times(2, Disturbance::Fail(502)));
    lab.twin.disturb_webhooks(queued().times(1, Disturbance::Lose));
    lab.push(TWO_JOBS);
    lab.push(ONE_JOB);
    lab.until("both failures", |world| {
        (answered(world, "workflow_job", "queued").len() == 2).then_some(())
    })
    .await;
    assert!(!receiver.names().contains(&"workflow_job.queued".to_owned()));

    let path = "/app/hook/deliveries?status=failure&per_page=1";
    let first = lab.as_app(Method::GET, path, None).await;
    let link = first.headers()[LINK].to_str().unwrap().to_owned();
    let next = link
        .split_once("cursor=")
        .unwrap()
        .1
        .split_once('>')
        .unwrap()
        .0
        .to_owned();
    let second = lab.as_app(Method::GET, &format!("{path}&cursor={next}"), None).await;
    assert!(!second.headers().contains_key(LINK), "the lost one is in no list");
    let (first, second) = (read(first).await.1, read(second).await.1);
    assert!(first[0]["id"].as_u64() > second[0]["id"].as_u64(), "the latest first");

    let again = format!("/app/hook/deliveries/{}/attempts", second[0]["id"]);
    assert_eq!(lab.as_app(Method::POST, &again, None).await.status(), 202);
    lab.until("the redelivery", |world| {
        (answered(world, "workflow_job", "queued").len() == 3).then_some(())
    })
    .await;
    let arrived = receiver
        .arrived()
        .into_iter()
        .find(|one| one.action() == "queued")
        .unwrap();
    assert_eq!(json!(arrived.guid), second[0]["guid"]);
    lab.assert_no_violations();
}

#[tokio::test]
async fn an_api_outage_answers_503_and_the_rest_goes_on() {
    let lab = Lab::start().await;
    let receiver = Receiver::start(&lab.twin).await;
    let before = remaining(&lab.api.call(Method::GET, "", None).await);
    lab.twin.take_api_down(Duration::from_mins(10));
    let run = lab.push(ONE_JOB);
    assert_eq!(lab.api.get("/actions/runs").await.0, 503);
    assert_eq!(lab.api.generate_jit("dayfly-1", &["self-hosted"]).await.0, 503);
    let job = lab.job_named(run, "build").id;
    assert_eq!(
        lab.api.post(&format!("/actions/jobs/{job}/rerun"), json!({})).await.0,
        503
    );
    assert_eq!(lab.as_app(Method::GET, "/app/installations", None).await.status(), 503);
    lab.until("the webhook", |world| {
        (!answered(world, "workflow_job", "queued").is_empty()).then_some(())
    })
    .await;
    assert!(receiver.names().contains(&"workflow_job.queued".to_owned()));

    lab.twin.advance(Duration::from_mins(11));
    let after = lab.api.call(Method::GET, "/actions/runners", None).await;
    assert_eq!((after.status().as_u16(), remaining(&after)), (200, before - 1));
    assert_eq!(read(after).await.1["total_count"], 0, "nothing was done meanwhile");
    lab.twin.take_api_down(Duration::from_hours(1));
    assert_eq!(lab.api.get("").await.0, 503);
    lab.twin.take_api_down(Duration::ZERO);
    assert_eq!(lab.api.get("").await.0, 200);
    lab.assert_no_violations();
}
