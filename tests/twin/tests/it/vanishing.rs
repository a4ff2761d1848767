//! Runners and users that do nothing.

use std::time::Duration;

use dayfly_twin::{Conclusion, Status, lost_annotation};

use crate::support::{FakeRunner, Lab, ONE_JOB};

const LABELS: [&str; 2] = ["self-hosted", "dayfly-gpu"];

#[tokio::test]
async fn a_runner_that_vanishes_with_a_job_loses_it_after_ten_minutes() {
    let lab = Lab::start().await;
    let run = lab.push(ONE_JOB);
    let runner = lab.runner("dayfly-1", &LABELS).await;
    let job = runner.take().await.job_id;
    lab.twin.advance(Duration::from_mins(9));
    assert_eq!(lab.job(job).status, Status::InProgress);
    runner.renew(job).await.unwrap();
    lab.twin.advance(Duration::from_mins(9));
    assert_eq!(lab.job(job).status, Status::InProgress, "renewed nine minutes ago");
    lab.twin.advance(Duration::from_mins(2));
    assert_eq!(lab.until_run_completed(run, 1).await, Conclusion::Failure);
    let (_, annotations) = lab.api.get(&format!("/check-runs/{job}/annotations")).await;
    assert_eq!(annotations[0]["message"], lost_annotation("dayfly-1"));
    let (_, listed) = lab.api.get("/actions/runners").await;
    assert_eq!(listed["total_count"], 0);
    assert_eq!(runner.renew(job).await.unwrap_err(), 410);
    lab.assert_no_violations();
}

#[tokio::test]
async fn an_offer_that_is_not_taken_in_a_minute_goes_to_another_runner() {
    let lab = Lab::start().await;
    let deaf = lab.runner("deaf", &LABELS).await;
    let run = lab.push(ONE_JOB);
    let job = deaf.poll().await.unwrap();
    lab.twin.advance(Duration::from_secs(61));
    lab.until("the job to be free", |world| {
        world.job(job).unwrap().offer.is_none().then_some(())
    })
    .await;
    let keen = lab.runner("keen", &LABELS).await;
    assert_eq!(keen.take().await.job_id, job);
    assert_eq!(deaf.acknowledge(job).await.unwrap_err(), 409);
    keen.succeed(job).await;
    assert_eq!(lab.until_run_completed(run, 1).await, Conclusion::Success);
    lab.assert_no_violations();
}

#[tokio::test]
async fn a_runner_that_leaves_with_an_offer_gives_it_back() {
    let lab = Lab::start().await;
    let config = lab.api.jit("dayfly-1", &LABELS).await;
    let runner = FakeRunner::open(&config).await.unwrap();
    lab.push(ONE_JOB);
    let job = runner.poll().await.unwrap();
    runner.close().await;
    let other = lab.runner("dayfly-2", &LABELS).await;
    assert_eq!(other.take().await.job_id, job);
}

#[tokio::test]
async fn an_untaken_job_fails_after_a_day() {
    let lab = Lab::start().await;
    let run = lab.push(ONE_JOB);
    lab.twin.advance(Duration::from_hours(23));
    assert_eq!(lab.job_named(run, "build").status, Status::Queued);
    lab.twin.advance(Duration::from_hours(2));
    assert_eq!(lab.until_run_completed(run, 1).await, Conclusion::Failure);
}

#[tokio::test]
async fn a_twin_that_stops_ends_the_polls_that_it_holds() {
    let lab = Lab::start().await;
    let runner = lab.runner("dayfly-1", &LABELS).await;
    let poll = tokio::spawn(async move { runner.poll().await });
    let before = lab.twin.now();
    lab.until("the runner to poll", |world| {
        let session = world.runner_named("dayfly-1")?.session.as_ref()?;
        (session.seen_at > session.opened_at && session.seen_at >= before).then_some(())
    })
    .await;
    lab.twin.stop().await;
    assert_eq!(poll.await.unwrap(), Err(204));
}
