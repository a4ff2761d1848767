//! Cancelling a run in each state that its jobs may be in.

use std::time::Duration;

use dayfly_twin::runner_protocol::Order;
use dayfly_twin::{Conclusion, Status, TwinConfig};
use serde_json::json;

use crate::support::{Lab, ONE_JOB};

const LABELS: [&str; 2] = ["self-hosted", "dayfly-gpu"];

impl Lab {
    async fn cancel(&self, run: dayfly_twin::RunId) -> u16 {
        self.api.post(&format!("/actions/runs/{run}/cancel"), json!({})).await.0
    }
}

#[tokio::test]
async fn a_queued_job_is_cancelled_at_once() {
    let lab = Lab::start().await;
    let run = lab.push(ONE_JOB);
    assert_eq!(lab.cancel(run).await, 202);
    assert_eq!(lab.until_run_completed(run, 1).await, Conclusion::Cancelled);
    assert_eq!(lab.job_named(run, "build").conclusion, Some(Conclusion::Cancelled));
    assert_eq!(lab.cancel(run).await, 409, "it is done");
    lab.assert_no_violations();
}

#[tokio::test]
async fn an_offered_job_is_cancelled_at_once_and_its_runner_stays() {
    let lab = Lab::start().await;
    let run = lab.push(ONE_JOB);
    let runner = lab.runner("dayfly-1", &LABELS).await;
    let job = runner.poll().await.unwrap();
    assert_eq!(lab.cancel(run).await, 202);
    assert_eq!(runner.acknowledge(job).await.unwrap_err(), 409);
    let next = lab.push(ONE_JOB);
    assert_eq!(runner.take().await.job_id, lab.job_named(next, "build").id);
    lab.assert_no_violations();
}

#[tokio::test]
async fn a_running_jobs_runner_is_informed_by_its_renewal() {
    let lab = Lab::start().await;
    let run = lab.push(ONE_JOB);
    let runner = lab.runner("dayfly-1", &LABELS).await;
    let job = runner.take().await.job_id;
    assert_eq!(runner.renew(job).await.unwrap().order, Order::Continue);
    assert_eq!(lab.cancel(run).await, 202);
    assert_eq!(lab.job(job).status, Status::InProgress);
    assert_eq!(runner.renew(job).await.unwrap().order, Order::Cancel);
    runner.end(job, Conclusion::Cancelled).await;
    assert_eq!(lab.until_run_completed(run, 1).await, Conclusion::Cancelled);
    lab.assert_no_violations();
}

#[tokio::test]
async fn a_runner_that_does_not_cancel_loses_its_job_after_five_minutes() {
    let lab = Lab::start().await;
    let run = lab.push(ONE_JOB);
    let runner = lab.runner("dayfly-1", &LABELS).await;
    let job = runner.take().await.job_id;
    lab.twin.cancel(run).unwrap();
    lab.twin.advance(Duration::from_mins(4));
    assert_eq!(runner.renew(job).await.unwrap().order, Order::Cancel);
    lab.twin.advance(Duration::from_secs(61));
    assert_eq!(lab.until_run_completed(run, 1).await, Conclusion::Cancelled);
    assert_eq!(runner.renew(job).await.unwrap_err(), 410);
}

#[tokio::test]
async fn a_forced_cancel_does_not_wait_for_the_runner() {
    let lab = Lab::start().await;
    let run = lab.push(ONE_JOB);
    let runner = lab.runner("dayfly-1", &LABELS).await;
    let job = runner.take().await.job_id;
    let path = format!("/actions/runs/{run}/force-cancel");
    assert_eq!(lab.api.post(&path, json!({})).await.0, 202);
    assert_eq!(lab.until_run_completed(run, 1).await, Conclusion::Cancelled);
    assert_eq!(runner.renew(job).await.unwrap_err(), 410);
    assert_eq!(runner.log(job, 2, &["too late"]).await, 410);
    lab.assert_no_violations();
}

#[tokio::test]
async fn waiting_jobs_are_cancelled_and_future_ones_skipped() {
    let config = TwinConfig {
        protected_environments: vec!["production".to_owned()],
        ..TwinConfig::checked()
    };
    let lab = Lab::start_with(config).await;
    let run = lab.push(
        "\
on: push
jobs:
  deploy:
    runs-on: self-hosted
    environment: production
    steps: [{run: echo}]
  tell:
    needs: [deploy]
    runs-on: self-hosted
    steps: [{run: echo}]
",
    );
    assert_eq!(lab.job_named(run, "deploy").status, Status::Waiting);
    assert_eq!(lab.cancel(run).await, 202);
    assert_eq!(lab.until_run_completed(run, 1).await, Conclusion::Cancelled);
    assert_eq!(lab.job_named(run, "tell").conclusion, Some(Conclusion::Skipped));
    lab.assert_no_violations();
}
