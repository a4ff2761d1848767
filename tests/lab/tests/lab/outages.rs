//! Outages of what all jobs depend on: GitHub's API, the functions themselves, the table.

use std::time::Duration;

use dayfly_lab::functions::Function;
use dayfly_lab::lab::{Lab, LabConfig};
use dayfly_twin::{Conclusion, Happening, TwinEvent};
use tokio::sync::broadcast;

use crate::whole::{PATIENCE, Pushed, assert_nothing_left, function_logs, push, start_with};

/// Longer than a failed event is retried in the lab: something else has to resume it.
const OUTAGE: Duration = Duration::from_secs(8);

/// A job that outlasts an outage.
const LONG: [&str; 2] = ["echo began", "sleep 11"];

/// A lab whose patrol runs every fifteen seconds.
async fn start(change: impl FnOnce(&mut LabConfig)) -> Lab {
    start_with(|config| {
        config.minute = Duration::from_secs(1);
        change(config);
    })
    .await
}

/// The jobs run, each on the only instance launched for it.
async fn assert_run_once(jobs: &[Pushed<'_>]) {
    for pushed in jobs {
        assert_eq!(pushed.over(1).await, Conclusion::Success, "{}", pushed.repository);
        assert_eq!(pushed.instances().await.len(), 1, "{}", pushed.repository);
    }
}

/// Waits until GitHub's API has answered with 503.
async fn refused(lab: &Lab, events: &mut broadcast::Receiver<TwinEvent>) {
    let refused = async {
        loop {
            if let Happening::ApiCall { status: 503, .. } = events.recv().await.unwrap().what {
                return;
            }
        }
    };
    let Ok(()) = tokio::time::timeout(PATIENCE, refused).await else {
        panic!("GitHub was not asked\n{}", function_logs(lab).await);
    };
}

/// One job outlasts the outage, one ends in it, one is queued in it. GitHub sends its webhooks and
/// serves its runners meanwhile.
async fn jobs_get_through_an_outage_of_githubs_api(lab: &Lab) {
    let running = push(lab, "octo-org/api-running", None, &LONG);
    let ending = push(lab, "octo-org/api-ending", None, &["echo began", "sleep 3"]);
    running.printed("began").await;
    ending.printed("began").await;
    let mut events = lab.twin().events();
    lab.twin().take_api_down(OUTAGE);
    let queued = push(lab, "octo-org/api-queued", None, &["true"]);
    refused(lab, &mut events).await;
    assert_run_once(&[running, ending, queued]).await;
    assert_nothing_left(lab).await;
}

/// An event for a throttled launch function waits. A delivery to the webhook's URL fails, and
/// redelivery is requested; a check-in is repeated by its instance.
async fn jobs_get_through_throttling_of_the_functions(lab: &Lab) {
    let running = push(lab, "octo-org/throttled-running", None, &LONG);
    running.printed("began").await;
    lab.cloud().throttle(Function::Launch).await.unwrap();
    let taken_in = push(lab, "octo-org/throttled-launch", None, &["true"]);
    let published = lab.twin().wait_for("the answer to a webhook", PATIENCE, |state| {
        let job = state.jobs_of(taken_in.run, 1)[0].id.0;
        let mut deliveries = state.deliveries().filter(|one| one.subject == Some(job));
        deliveries.any(|one| one.outcome.is_some()).then_some(())
    });
    published.await.unwrap();
    for function in Function::ALL {
        lab.cloud().throttle(function).await.unwrap();
    }
    let refused = push(lab, "octo-org/throttled-webhook", None, &["true"]);
    tokio::time::sleep(OUTAGE).await;
    assert!(taken_in.instances().await.is_empty());
    for function in Function::ALL {
        lab.cloud().release(function).await.unwrap();
    }
    assert_run_once(&[running, taken_in, refused]).await;
    assert_nothing_left(lab).await;
    assert_eq!(lab.cloud().dead_letters().await.unwrap(), 0);
}

#[tokio::test]
async fn jobs_get_through_outages_of_github_and_of_the_functions() {
    let lab = start(|_| {}).await;
    jobs_get_through_an_outage_of_githubs_api(&lab).await;
    jobs_get_through_throttling_of_the_functions(&lab).await;
    lab.shutdown().await.unwrap();
}

/// The table is all that dayfly knows, and a running job does not need it: the patrol leaves its
/// instance alone because GitHub lists it as busy, and after the job it ends itself.
#[tokio::test]
async fn a_job_ends_well_though_the_table_is_emptied_while_it_runs() {
    let lab = start(|config| config.deadlines.absence = 2).await;
    let pushed = push(&lab, "octo-org/forgotten", None, &["echo began", "sleep 18"]);
    pushed.printed("began").await;
    lab.cloud().empty_table().await.unwrap();
    let left_alone = "an instance without a record runs a job: it is left to end by itself";
    assert_eq!(pushed.over(1).await, Conclusion::Success);
    let patrolled = lab.cloud().function_log(Function::Sweeper).await.unwrap();
    assert!(patrolled.iter().any(|line| line.contains(left_alone)), "{patrolled:?}");
    assert_nothing_left(&lab).await;
    assert_eq!(pushed.instances().await.len(), 1);
    lab.shutdown().await.unwrap();
}
