//! Runners that do not end by doing their job: unneeded, interrupted, or too old.

use std::time::Duration;

use dayfly_lab::aws::Ec2Instance;
use dayfly_lab::lab::Lab;
use dayfly_twin::{Conclusion, Happening, RunnerRemoval, SHUTDOWN_ANNOTATION, Status};

use crate::whole::{PATIENCE, POLL, assert_nothing_left, function_logs, is_first_launch, push, start};

/// The time from notice to end; two minutes on AWS.
const NOTICE: Duration = Duration::from_secs(20);

fn own_file(limits: &str) -> String {
    format!(
        "runners:\n  - name: gpu\n    labels: [dayfly-gpu]\n    instance_type: g4dn.xlarge\n    \
         machine_image: ami-0123456789abcdef0\n    {limits}\n"
    )
}

async fn an_unneeded_runner_idles_out(lab: &Lab) {
    let mut events = lab.twin().events();
    let pushed = push(lab, "octo-org/idle", Some(&own_file("idle_timeout: 6s")), &["true"]);
    pushed.launched().await;
    let job = pushed.job(1).id;
    lab.twin().start_elsewhere(job).unwrap();
    let removed = async {
        loop {
            if let Happening::RunnerRemoved { name: removed, why, .. } = events.recv().await.unwrap().what
                && is_first_launch(&removed, job, 1)
            {
                return why;
            }
        }
    };
    let Ok(why) = tokio::time::timeout(PATIENCE, removed).await else {
        panic!("the runner does not idle out\n{}", function_logs(lab).await);
    };
    assert_eq!(why, RunnerRemoval::Deleted);
    // The instance ends while the job still runs elsewhere.
    let ended = async {
        while !pushed.instances().await.iter().all(Ec2Instance::is_ended) {
            tokio::time::sleep(POLL).await;
        }
    };
    let Ok(()) = tokio::time::timeout(PATIENCE, ended).await else {
        panic!("the instance does not end\n{}", function_logs(lab).await);
    };
    assert_eq!(pushed.job(1).status, Status::InProgress);
    lab.twin().end_elsewhere(job, Conclusion::Success).unwrap();
    assert_eq!(pushed.over(1).await, Conclusion::Success);
}

async fn an_interrupted_job_runs_again_on_another_instance(lab: &Lab) {
    let script = [
        "echo \"attempt $GITHUB_RUN_ATTEMPT\"",
        "if [ \"$GITHUB_RUN_ATTEMPT\" = 1 ]; then sleep 300; fi",
    ];
    let pushed = push(lab, "octo-org/interrupted", None, &script);
    pushed.printed("attempt 1").await;
    let first = pushed.launched().await;
    lab.interrupt(&first.id, NOTICE).await.unwrap();
    assert_eq!(pushed.over(2).await, Conclusion::Success);
    assert_eq!(pushed.job(1).conclusion, Some(Conclusion::Failure));
    let second = pushed.job(2);
    let runner = second.runner.map(|taken| taken.name).unwrap();
    assert!(is_first_launch(&runner, second.id, 2), "{runner}");
    let runs = lab.twin().inspect(|state| state.run(pushed.run).map(|run| run.attempt));
    assert_eq!(runs, Some(2), "one re-run was asked for");
}

async fn no_instance_outlives_the_maximum(lab: &Lab) {
    let script = ["echo on", "sleep 600"];
    let pushed = push(lab, "octo-org/lifetime", Some(&own_file("max_lifetime: 20s")), &script);
    pushed.printed("on").await;
    assert_eq!(pushed.over(1).await, Conclusion::Failure);
    let said: Vec<String> = pushed.job(1).annotations.into_iter().map(|one| one.message).collect();
    assert_eq!(said, [SHUTDOWN_ANNOTATION], "the job had time to end in order");
}

#[tokio::test]
async fn runners_end_when_idle_when_interrupted_and_when_their_time_is_up() {
    let lab = start().await;
    tokio::join!(
        an_unneeded_runner_idles_out(&lab),
        an_interrupted_job_runs_again_on_another_instance(&lab),
        no_instance_outlives_the_maximum(&lab),
    );
    assert_nothing_left(&lab).await;
    // One for each job, and one for the re-run: an expired lifetime causes no other.
    assert_eq!(lab.ec2().count("CreateFleet"), 4);
    lab.shutdown().await.unwrap();
}
