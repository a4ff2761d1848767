//! Re-runs: when they are refused, and what a new attempt contains.

use std::time::Duration;

use dayfly_twin::{CarriedOver, Conclusion, JobId, Rerun, RunId, Status, TwinConfig};
use serde_json::{Value, json};

use crate::support::{Lab, Receiver, answered};

const THREE_JOBS: &str = "\
on: push
jobs:
  a:
    runs-on: self-hosted
    steps: [{run: echo a}]
  b:
    runs-on: self-hosted
    steps: [{run: echo b}]
  c:
    needs: [b]
    runs-on: self-hosted
    steps: [{run: echo c}]
";

impl Lab {
    async fn rerun_job(&self, job: JobId) -> (u16, Value) {
        self.api.post(&format!("/actions/jobs/{job}/rerun"), json!({})).await
    }

    async fn rerun_failed(&self, run: RunId) -> (u16, Value) {
        self.api
            .post(&format!("/actions/runs/{run}/rerun-failed-jobs"), json!({}))
            .await
    }

    fn finish(&self, run: RunId, name: &str, end: Conclusion) -> JobId {
        let job = self.job_named(run, name).id;
        self.twin.run_elsewhere(job, end).unwrap();
        job
    }

    /// A run whose `a` succeeded and whose `b` failed, so that `c` was skipped.
    async fn half_failed(&self) -> (RunId, JobId, JobId) {
        let run = self.push(THREE_JOBS);
        let good = self.finish(run, "a", Conclusion::Success);
        let bad = self.finish(run, "b", Conclusion::Failure);
        assert_eq!(self.until_run_completed(run, 1).await, Conclusion::Failure);
        (run, good, bad)
    }
}

#[tokio::test]
async fn nothing_is_rerun_before_every_job_is_done() {
    let lab = Lab::start().await;
    let run = lab.push(THREE_JOBS);
    let bad = lab.finish(run, "b", Conclusion::Failure);
    let (status, body) = lab.rerun_job(bad).await;
    assert_eq!(status, 403);
    assert_eq!(
        body["message"],
        "The workflow run containing this job is already running"
    );
    let (status, body) = lab.rerun_failed(run).await;
    assert_eq!(status, 403);
    assert_eq!(body["message"], "This workflow is already running");
    lab.finish(run, "a", Conclusion::Success);
    lab.until_run_completed(run, 1).await;
    assert_eq!(lab.rerun_job(bad).await.0, 201);
    assert_eq!(lab.rerun_job(bad).await.0, 403, "it runs again by now");
    lab.assert_no_violations();
}

#[tokio::test]
async fn failed_jobs_and_their_dependents_rerun_under_new_ids() {
    let lab = Lab::start().await;
    let (run, good, bad) = lab.half_failed().await;
    assert_eq!(lab.rerun_failed(run).await.0, 201);
    let again = lab.job_named(run, "b");
    assert_eq!((again.attempt, again.status), (2, Status::Queued));
    assert_ne!(again.id, bad);
    let carried = lab.job_named(run, "a");
    assert_eq!(carried.conclusion, Some(Conclusion::Success));
    assert_ne!(carried.id, good);
    lab.finish(run, "b", Conclusion::Success);
    lab.finish(run, "c", Conclusion::Success);
    assert_eq!(lab.until_run_completed(run, 2).await, Conclusion::Success);

    let (_, shown) = lab.api.get(&format!("/actions/runs/{run}")).await;
    assert_eq!(shown["run_attempt"], 2);
    let (_, first) = lab.api.get(&format!("/actions/runs/{run}/attempts/1")).await;
    assert_eq!(
        (&first["run_attempt"], &first["conclusion"]),
        (&json!(1), &json!("failure"))
    );
    for (query, count) in [
        ("attempts/1/jobs", 3),
        ("attempts/2/jobs", 3),
        ("jobs", 3),
        ("jobs?filter=all", 6),
    ] {
        let (_, listed) = lab.api.get(&format!("/actions/runs/{run}/{query}")).await;
        assert_eq!(listed["total_count"], count, "{query}");
    }
    assert_eq!(
        lab.api.get(&format!("/actions/runs/{run}/attempts/3/jobs")).await.0,
        404
    );
    lab.assert_no_violations();
}

#[tokio::test]
async fn a_rerun_of_one_job_leaves_the_others() {
    let lab = Lab::start().await;
    let run = lab.push(THREE_JOBS);
    let bad = lab.finish(run, "a", Conclusion::Failure);
    lab.finish(run, "b", Conclusion::Failure);
    lab.until_run_completed(run, 1).await;
    assert_eq!(lab.rerun_job(bad).await.0, 201);
    assert_eq!(lab.job_named(run, "a").status, Status::Queued);
    assert_eq!(lab.job_named(run, "b").conclusion, Some(Conclusion::Failure));
    lab.finish(run, "a", Conclusion::Success);
    assert_eq!(lab.until_run_completed(run, 2).await, Conclusion::Failure);
    let (status, body) = lab.rerun_job(bad).await;
    assert_eq!(status, 403);
    assert_eq!(body["message"], "Only jobs from the current attempt can be re-run");
    lab.assert_no_violations();
}

#[tokio::test]
async fn a_carried_over_job_sends_completed_once_more() {
    let lab = Lab::start().await;
    let receiver = Receiver::start(&lab.twin).await;
    let (run, _, _) = lab.half_failed().await;
    lab.twin.rerun(run, Rerun::Failed).unwrap();
    let carried = lab.job_named(run, "a").id;
    lab.until("its webhook", |world| {
        answered(world, "workflow_job", "completed")
            .into_iter()
            .find(|one| one.subject == Some(carried.0))
    })
    .await;
    let webhook = receiver
        .arrived()
        .into_iter()
        .find(|one| one.payload["workflow_job"]["id"] == json!(carried))
        .unwrap();
    assert_eq!(webhook.payload["workflow_job"]["run_attempt"], 2);
    assert_eq!(webhook.payload["workflow_job"]["conclusion"], "success");
    lab.assert_no_violations();
}

#[tokio::test]
async fn a_carried_over_job_keeps_its_id_if_configured() {
    let config = TwinConfig {
        carried_over: CarriedOver::Kept,
        ..TwinConfig::checked()
    };
    let lab = Lab::start_with(config).await;
    let (run, good, _) = lab.half_failed().await;
    assert_eq!(lab.rerun_failed(run).await.0, 201);
    let (_, listed) = lab.api.get(&format!("/actions/runs/{run}/jobs")).await;
    let kept = &listed["jobs"][0];
    assert_eq!((&kept["id"], &kept["run_attempt"]), (&json!(good), &json!(1)));
    lab.assert_no_violations();
}

#[tokio::test]
async fn a_run_without_failures_or_older_than_a_month_is_not_retried() {
    let lab = Lab::start().await;
    let run = lab.push(THREE_JOBS);
    for name in ["a", "b", "c"] {
        lab.finish(run, name, Conclusion::Success);
    }
    lab.until_run_completed(run, 1).await;
    let (status, body) = lab.rerun_failed(run).await;
    assert_eq!(
        (status, body["message"].as_str()),
        (403, Some("This workflow run cannot be retried"))
    );
    lab.twin.rerun(run, Rerun::All).unwrap();
    lab.twin.cancel(run).unwrap();
    lab.until_run_completed(run, 2).await;
    lab.twin.advance(Duration::from_hours(24 * 31));
    assert!(lab.twin.rerun(run, Rerun::All).is_err());
}
