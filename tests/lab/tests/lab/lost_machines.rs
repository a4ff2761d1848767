//! Instances lost with a job on them: the agent is killed, or the network is cut.

use std::time::Duration;

use dayfly_host::InstanceEnd;
use dayfly_lab::lab::Lab;
use dayfly_twin::{Conclusion, Happening, RunnerRemoval};

use crate::whole::{Pushed, assert_nothing_left, is_first_launch, push, registered_as, start_with};

/// A job that hangs in its first attempt and ends at once in its second.
const HANGS_ONCE: [&str; 2] = [
    "echo \"attempt $GITHUB_RUN_ATTEMPT\"",
    "if [ \"$GITHUB_RUN_ATTEMPT\" = 1 ]; then sleep 300; fi",
];

/// Returns why nothing of an instance runs any more.
fn ending(lab: &Lab, instance: &str) -> Option<InstanceEnd> {
    let instances = lab.host().instances();
    instances.into_iter().find(|one| one.id == instance)?.ending
}

fn said(pushed: &Pushed<'_>) -> String {
    let annotations = pushed.job(1).annotations.into_iter();
    annotations.map(|one| one.message).collect()
}

/// An instance without its agent is useless, and ends itself. Its job is over and is not re-run: what
/// killed the agent, as the kernel does when memory is short, may have been the job.
async fn an_instance_whose_agent_is_killed_ends_itself(lab: &Lab) {
    let pushed = push(lab, "octo-org/agent-killed", None, &HANGS_ONCE);
    pushed.printed("attempt 1").await;
    let instance = pushed.launched().await;
    lab.host().kill_agent(&instance.id).unwrap();
    assert_eq!(pushed.over(1).await, Conclusion::Failure);
    assert!(said(&pushed).contains("lost communication"), "{}", said(&pushed));
    assert_eq!(pushed.instances().await.len(), 1);
}

async fn a_job_on_an_instance_that_is_cut_off_runs_again_on_another(lab: &Lab) {
    let mut events = lab.twin().events();
    let pushed = push(lab, "octo-org/cut-off", None, &HANGS_ONCE);
    pushed.printed("attempt 1").await;
    let first = pushed.launched().await;
    lab.host().cut_network(&first.id).unwrap();
    assert_eq!(pushed.over(2).await, Conclusion::Success);
    assert_eq!(pushed.job(1).conclusion, Some(Conclusion::Failure));
    assert!(said(&pushed).contains("lost communication"), "{}", said(&pushed));
    let lost = registered_as(pushed.job(1).id, 1, &first.id);
    let mut why_removed = None;
    while let Ok(event) = events.try_recv() {
        match event.what {
            Happening::RunnerRemoved { name, why, .. } if name == lost => why_removed = Some(why),
            _ => {}
        }
    }
    assert_eq!(why_removed, Some(RunnerRemoval::LostCommunication));
    assert_eq!(
        ending(lab, &first.id),
        Some(InstanceEnd::Terminated),
        "it was not left to end itself"
    );
    let second = pushed.job(2);
    let runner = second.runner.map(|taken| taken.name).unwrap();
    assert!(is_first_launch(&runner, second.id, 2), "{runner}");
}

#[tokio::test]
async fn nothing_is_left_of_an_instance_that_lost_its_agent_or_network() {
    let lab = start_with(|config| {
        config.deadlines.heartbeat = 8;
        // GitHub takes twice as long to lose a runner, as with the stack's default.
        config.twin.timings.lost_after = Duration::from_secs(16);
    })
    .await;
    tokio::join!(
        an_instance_whose_agent_is_killed_ends_itself(&lab),
        a_job_on_an_instance_that_is_cut_off_runs_again_on_another(&lab),
    );
    assert_nothing_left(&lab).await;
    assert_eq!(
        lab.ec2().count("CreateFleet"),
        3,
        "one for each job, and one for the re-run"
    );
    lab.shutdown().await.unwrap();
}
