//! A run that its author cancels in any state of its job: nothing is left of it, and nothing is re-run.

use std::time::Duration;

use dayfly_lab::lab::Lab;
use dayfly_twin::{ApiDisturbance, ApiFault, Conclusion, State};
use serde_json::Value;

use crate::whole::{PATIENCE, POLL, Pushed, assert_nothing_left, function_logs, is_first_launch, push, start_with};

/// Between launch and boot: long enough to be cancelled in.
const BOOT: Duration = Duration::from_secs(3);

const ZONES: [&str; 3] = ["eu-west-1a", "eu-west-1b", "eu-west-1c"];

fn file(instance_type: &str) -> String {
    format!(
        "runners:\n  - name: gpu\n    labels: [dayfly-gpu]\n    instance_type: {instance_type}\n    \
         machine_image: ami-0123456789abcdef0\n"
    )
}

/// The run ends as cancelled, in its first attempt.
async fn cancel(pushed: &Pushed<'_>) {
    pushed.lab.twin().cancel(pushed.run).unwrap();
    assert_eq!(pushed.over(1).await, Conclusion::Cancelled);
}

/// Waits until GitHub has something about the run's job.
async fn github_has<T>(pushed: &Pushed<'_>, what: &str, look: impl FnMut(&State) -> Option<T>) -> T {
    match pushed.lab.twin().wait_for(what, PATIENCE, look).await {
        Ok(found) => found,
        Err(error) => panic!("{error}\n{}", function_logs(pushed.lab).await),
    }
}

/// Waits until EC2 was asked for an instance for the run's job.
async fn asked_for_a_fleet(pushed: &Pushed<'_>) {
    let asked = async {
        while pushed.fleets().is_empty() {
            tokio::time::sleep(POLL).await;
        }
    };
    let Ok(()) = tokio::time::timeout(PATIENCE, asked).await else {
        panic!("no fleet is asked for\n{}", function_logs(pushed.lab).await);
    };
}

/// Waits until the table has a matching item.
async fn recorded(lab: &Lab, what: &str, like: impl Fn(&Value) -> bool) {
    let found = async {
        while !lab.table_items().await.unwrap().iter().any(&like) {
            tokio::time::sleep(POLL).await;
        }
    };
    let Ok(()) = tokio::time::timeout(PATIENCE, found).await else {
        panic!("{what} is not recorded\n{}", function_logs(lab).await);
    };
}

/// GitHub's API does not answer, so that it is not known yet what to launch.
async fn before_it_is_known_what_to_launch(lab: &Lab) {
    lab.twin().take_api_down(PATIENCE);
    let pushed = push(lab, "octo-org/cancelled-queued", None, &["true"]);
    recorded(lab, "a job that waits", |item| {
        item["pk"]["S"].as_str().is_some_and(|key| key.starts_with("JOB#"))
    })
    .await;
    cancel(&pushed).await;
    assert_nothing_left(lab).await;
    lab.twin().take_api_down(Duration::ZERO);
}

async fn while_there_is_no_capacity(lab: &Lab) {
    lab.ec2().change(|scenario| scenario.exhaust(&["g5.xlarge"], &ZONES));
    let pushed = push(lab, "octo-org/cancelled-launching", Some(&file("g5.xlarge")), &["true"]);
    asked_for_a_fleet(&pushed).await;
    cancel(&pushed).await;
    assert!(pushed.instances().await.is_empty());
}

async fn while_its_instance_boots(lab: &Lab) {
    let pushed = push(lab, "octo-org/cancelled-launched", None, &["true"]);
    pushed.launched().await;
    cancel(&pushed).await;
    assert_eq!(pushed.instances().await.len(), 1);
}

/// The instance has requested its config, and GitHub takes its time.
async fn while_its_runner_is_registered(lab: &Lab) {
    let slow = ApiDisturbance::Delay(Duration::from_secs(5));
    let mint = "actions/generate-runner-jitconfig-for-repo";
    lab.twin().disturb_api(ApiFault::new(mint, 1, slow).unwrap());
    let pushed = push(lab, "octo-org/cancelled-booting", None, &["true"]);
    let name = format!("dayfly-{}-1-1", pushed.job(1).id);
    recorded(lab, "a registration that is under way", |item| {
        item["name"]["S"] == name && item["mints"]["N"] == "1"
    })
    .await;
    cancel(&pushed).await;
    assert!(pushed.job(1).runner.is_none(), "there was no job left for it");
}

/// Another runner has the job, and ours waits in vain.
async fn while_its_runner_waits(lab: &Lab) {
    let pushed = push(lab, "octo-org/cancelled-enrolled", None, &["true"]);
    let job = pushed.job(1).id;
    pushed.launched().await;
    lab.twin().start_elsewhere(job).unwrap();
    github_has(&pushed, "a runner that listens", |state| {
        state
            .runners()
            .find(|runner| is_first_launch(&runner.name, job, 1) && runner.session.is_some())
            .map(drop)
    })
    .await;
    lab.twin().cancel(pushed.run).unwrap();
    lab.twin().end_elsewhere(job, Conclusion::Cancelled).unwrap();
    assert_eq!(pushed.over(1).await, Conclusion::Cancelled);
}

async fn while_its_job_runs(lab: &Lab) {
    let pushed = push(lab, "octo-org/cancelled-running", None, &["echo on", "sleep 300"]);
    pushed.printed("on").await;
    cancel(&pushed).await;
    assert_eq!(pushed.job(1).conclusion, Some(Conclusion::Cancelled));
}

#[tokio::test]
async fn a_run_that_is_cancelled_leaves_nothing_whatever_its_job_has_come_to() {
    let lab = start_with(|config| config.boot_delay = BOOT).await;
    before_it_is_known_what_to_launch(&lab).await;
    while_its_runner_is_registered(&lab).await;
    tokio::join!(
        while_there_is_no_capacity(&lab),
        while_its_instance_boots(&lab),
        while_its_runner_waits(&lab),
        while_its_job_runs(&lab),
    );
    assert_nothing_left(&lab).await;
    let instances = lab.cloud().instances().await.unwrap();
    let mut launched_for: Vec<&str> = instances.iter().map(|one| &*one.tags["dayfly:repository"]).collect();
    launched_for.sort_unstable();
    let expected = ["booting", "enrolled", "launched", "running"].map(|state| format!("octo-org/cancelled-{state}"));
    assert_eq!(
        launched_for,
        expected,
        "none more than once, and none after it was cancelled\n{}",
        function_logs(&lab).await
    );
    lab.shutdown().await.unwrap();
}
