//! A job's whole way: pushed, queued, taken, done.

use dayfly_twin::{Conclusion, Status};
use reqwest::Method;
use serde_json::json;

use crate::support::{Lab, ONE_JOB, Receiver, answered};

#[tokio::test]
async fn a_pushed_job_is_queued_taken_run_and_completed() {
    let lab = Lab::start().await;
    let receiver = Receiver::start(&lab.twin).await;
    let run = lab.push(ONE_JOB);
    let queued = lab.job_named(run, "build");
    assert_eq!(queued.status, Status::Queued);
    lab.until("the queued webhook", |world| {
        answered(world, "workflow_job", "queued").pop()
    })
    .await;

    let runner = lab.runner("dayfly-1", &["self-hosted", "dayfly-gpu"]).await;
    let message = runner.take().await;
    assert_eq!(message.job_id, queued.id);
    assert_eq!(message.repository, "octo-org/demo");
    assert_eq!(message.run_attempt, 1);
    let scripts: Vec<_> = message.steps.iter().map(|step| step.run.as_deref()).collect();
    assert_eq!(scripts, [Some("echo one"), Some("echo two")]);

    let (_, shown) = lab.api.get(&format!("/actions/jobs/{}", message.job_id)).await;
    assert_eq!(shown["status"], "in_progress");
    assert_eq!(shown["runner_name"], "dayfly-1");
    for step in &message.steps {
        assert_eq!(runner.step(message.job_id, step.number, None).await, 204);
        assert_eq!(runner.log(message.job_id, step.number, &["hello"]).await, 204);
        let end = Some(Conclusion::Success);
        assert_eq!(runner.step(message.job_id, step.number, end).await, 204);
    }
    runner.succeed(message.job_id).await;

    assert_eq!(lab.until_run_completed(run, 1).await, Conclusion::Success);
    let (_, shown) = lab.api.get(&format!("/actions/runs/{run}")).await;
    assert_eq!(shown["conclusion"], "success");
    let (_, listed) = lab.api.get(&format!("/actions/runs/{run}/attempts/1/jobs")).await;
    assert_eq!(listed["total_count"], 1);
    let names: Vec<_> = listed["jobs"][0]["steps"]
        .as_array()
        .unwrap()
        .iter()
        .map(|step| step["name"].as_str().unwrap())
        .collect();
    assert_eq!(names, ["Set up job", "Run echo one", "Second", "Complete job"]);

    lab.until("every webhook of the run", |world| {
        answered(world, "workflow_run", "completed").pop()
    })
    .await;
    let mut names = receiver.names();
    names.sort();
    assert_eq!(
        names,
        [
            "workflow_job.completed",
            "workflow_job.in_progress",
            "workflow_job.queued",
            "workflow_run.completed",
            "workflow_run.in_progress",
            "workflow_run.requested",
        ]
    );
    assert!(receiver.arrived().iter().all(|one| one.signed));
    lab.assert_no_violations();
}

#[tokio::test]
async fn a_jobs_log_is_readable_when_it_is_done() {
    let lab = Lab::start().await;
    let run = lab.push(ONE_JOB);
    let runner = lab.runner("dayfly-1", &["self-hosted", "dayfly-gpu"]).await;
    let job = runner.take().await.job_id;
    let path = format!("/actions/jobs/{job}/logs");
    assert_eq!(lab.api.get(&path).await.0, 404);
    runner.log(job, 2, &["first", "second"]).await;
    runner.succeed(job).await;
    lab.until_run_completed(run, 1).await;

    let answer = lab.api.call(Method::GET, &path, None).await;
    assert_eq!(answer.status(), 302);
    let location = answer.headers()["location"].to_str().unwrap().to_owned();
    let text = lab.api.http.get(location).send().await.unwrap().text().await.unwrap();
    let lines: Vec<_> = text.lines().map(|line| line.split_once(' ').unwrap().1).collect();
    assert_eq!(lines, ["first", "second"]);
    lab.assert_no_violations();
}

#[tokio::test]
async fn a_poll_that_waits_is_answered_when_a_job_comes() {
    let lab = Lab::start().await;
    let runner = lab.runner("dayfly-1", &["self-hosted", "dayfly-gpu"]).await;
    let (job, run) = tokio::join!(runner.poll(), async { lab.push(ONE_JOB) });
    assert_eq!(job, Ok(lab.job_named(run, "build").id));
}

#[tokio::test]
async fn a_job_waits_for_what_it_needs_and_is_skipped_when_that_fails() {
    let lab = Lab::start().await;
    let run = lab.push(
        "\
on: push
jobs:
  first:
    runs-on: self-hosted
    steps: [{run: exit 1}]
  second:
    needs: first
    runs-on: self-hosted
    steps: [{run: echo second}]
",
    );
    let first = lab.job_named(run, "first").id;
    assert!(
        lab.twin
            .inspect(|world| crate::support::find_job(world, run, "second"))
            .is_none()
    );
    lab.twin.run_elsewhere(first, Conclusion::Failure).unwrap();
    assert_eq!(lab.until_run_completed(run, 1).await, Conclusion::Failure);
    assert_eq!(lab.job_named(run, "second").conclusion, Some(Conclusion::Skipped));
    let (status, _) = lab.api.post(&format!("/actions/runs/{run}/cancel"), json!({})).await;
    assert_eq!(status, 409);
    lab.assert_no_violations();
}
