//! Lost webhooks: patrol and sweeper find out, and the job completes.

use std::time::Duration;

use dayfly_lab::lab::Lab;
use dayfly_twin::{Conclusion, Disturbance};

use crate::whole::{Pushed, assert_nothing_left, repository, start_with};

/// The job ran, on the only runner launched for it.
async fn assert_ran_once(pushed: &Pushed<'_>) {
    assert_eq!(pushed.over(1).await, Conclusion::Success);
    assert_eq!(pushed.output(1), ["trained"]);
    assert_eq!(pushed.instances().await.len(), 1);
}

async fn an_unreported_job_is_found_and_runs(lab: &Lab) {
    let pushed = repository(lab, "octo-org/queued-lost")
        .disturb("queued", Disturbance::Lose)
        .push(None, &["echo trained"]);
    assert_ran_once(&pushed).await;
}

async fn a_webhook_that_failed_is_delivered_again_and_its_job_runs(lab: &Lab) {
    let pushed = repository(lab, "octo-org/queued-failed")
        .disturb("queued", Disturbance::Fail(502))
        .push(None, &["echo trained"]);
    assert_ran_once(&pushed).await;
    let job = pushed.job(1).id;
    let again = lab.twin().inspect(|state| {
        let of_it = |action: Option<&str>, subject: Option<u64>| action == Some("queued") && subject == Some(job.0);
        state
            .deliveries()
            .filter(|one| of_it(one.action.as_deref(), one.subject))
            .filter_map(|one| Some(one.outcome.as_ref()?.status_code))
            .collect::<Vec<_>>()
    });
    assert_eq!(again, [502, 202], "it was asked for once more, and taken");
}

async fn an_unreported_end_leaves_nothing(lab: &Lab) {
    let pushed = repository(lab, "octo-org/completed-lost")
        .disturb("completed", Disturbance::Lose)
        .push(None, &["echo trained"]);
    assert_ran_once(&pushed).await;
}

async fn a_job_reported_only_as_queued_leaves_nothing(lab: &Lab) {
    let pushed = repository(lab, "octo-org/both-lost")
        .disturb("in_progress", Disturbance::Lose)
        .disturb("completed", Disturbance::Lose)
        .push(None, &["echo trained"]);
    assert_ran_once(&pushed).await;
}

/// Returns how each job ended, according to the table.
async fn conclusions(lab: &Lab) -> Vec<String> {
    let items = lab.table_items().await.unwrap();
    let jobs = items
        .iter()
        .filter(|item| item["pk"]["S"].as_str().is_some_and(|key| key.starts_with("JOB#")));
    jobs.map(ToString::to_string).collect()
}

#[tokio::test]
async fn a_job_ends_well_and_leaves_nothing_whichever_of_its_webhooks_is_lost() {
    // The patrol runs every fifteen of them.
    let lab = start_with(|config| config.minute = Duration::from_secs(1)).await;
    tokio::join!(
        an_unreported_job_is_found_and_runs(&lab),
        a_webhook_that_failed_is_delivered_again_and_its_job_runs(&lab),
        an_unreported_end_leaves_nothing(&lab),
        a_job_reported_only_as_queued_leaves_nothing(&lab),
    );
    assert_nothing_left(&lab).await;
    let jobs = conclusions(&lab).await;
    assert_eq!(jobs.len(), 4, "{jobs:?}");
    assert!(
        jobs.iter().all(|job| job.contains("success")),
        "all are known to have ended well: {jobs:?}"
    );
    assert_eq!(lab.ec2().count("CreateFleet"), 4);
    lab.shutdown().await.unwrap();
}
