use dayfly_ports::{Fleet, FleetErrorKind};

use super::support::{Ec2, described, ids, page};

const OURS: [(&str, &str); 1] = [("dayfly:stack", "dayfly-test")];
const DONE: &str = "<instancesSet/>";

/// An EC2 that lists these instances.
async fn with(instances: &[String]) -> Ec2 {
    let ec2 = Ec2::start().await;
    ec2.answers("DescribeInstances", "", &page(instances, None)).await;
    ec2
}

/// Returns the instances of each termination call.
async fn ended(ec2: &Ec2) -> Vec<Vec<String>> {
    let calls = ec2.asked("TerminateInstances").await;
    calls
        .iter()
        .map(|call| {
            (1..)
                .map_while(|n| call.get(&format!("InstanceId.{n}")))
                .cloned()
                .collect()
        })
        .collect()
}

#[tokio::test]
async fn instances_end_normally_or_at_once() {
    for at_once in [false, true] {
        let ec2 = with(&[described("i-1", "running", &OURS)]).await;
        ec2.answers("TerminateInstances", "", DONE).await;
        ec2.fleet.terminate(&ids(&["i-1"]), at_once).await.unwrap();
        let call = &ec2.asked("TerminateInstances").await[0];
        for option in ["Force", "SkipOsShutdown"] {
            assert_eq!(
                call.get(option).is_some_and(|value| value == "true"),
                at_once,
                "{option}"
            );
        }
    }
}

#[tokio::test]
async fn an_instance_of_another_stack_is_left_alone_and_reported() {
    let ec2 = with(&[
        described("i-1", "running", &OURS),
        described("i-2", "running", &[("dayfly:stack", "another")]),
        described("i-3", "running", &[("Name", "production")]),
    ])
    .await;
    ec2.answers("TerminateInstances", "", DONE).await;
    let error = ec2
        .fleet
        .terminate(&ids(&["i-1", "i-2", "i-3"]), true)
        .await
        .unwrap_err();
    assert_eq!(error.kind, FleetErrorKind::BadRequest);
    assert!(error.message.starts_with("i-2, i-3 left alone"), "{error}");
    assert_eq!(ended(&ec2).await, [["i-1"]]);
}

#[tokio::test]
async fn an_instance_that_ec2_does_not_list_yet_is_ended() {
    let ec2 = with(&[]).await;
    ec2.answers("TerminateInstances", "", DONE).await;
    ec2.fleet.terminate(&ids(&["i-1"]), true).await.unwrap();
    assert_eq!(ended(&ec2).await, [["i-1"]]);
}

#[tokio::test]
async fn a_missing_instance_does_not_keep_the_others() {
    let ec2 = with(&[]).await;
    let gone = "InstanceId.1=i-gone";
    ec2.refuses("TerminateInstances", gone, "InvalidInstanceID.NotFound", "i-gone")
        .await;
    ec2.answers("TerminateInstances", "", DONE).await;
    ec2.fleet.terminate(&ids(&["i-gone", "i-1"]), true).await.unwrap();
    let ended = ended(&ec2).await;
    assert_eq!(ended, [vec!["i-gone", "i-1"], vec!["i-gone"], vec!["i-1"]]);
}

#[tokio::test]
async fn a_refused_end_at_once_falls_back_to_a_normal_one() {
    let ec2 = with(&[]).await;
    ec2.refuses(
        "TerminateInstances",
        "SkipOsShutdown=true",
        "InvalidParameterCombination",
        "no",
    )
    .await;
    ec2.answers("TerminateInstances", "", DONE).await;
    ec2.fleet.terminate(&ids(&["i-1"]), true).await.unwrap();
    assert_eq!(ended(&ec2).await.len(), 2);
}

#[tokio::test]
async fn a_failed_termination_is_an_error() {
    let ec2 = with(&[]).await;
    ec2.refuses("TerminateInstances", "", "UnauthorizedOperation", "not yours")
        .await;
    let error = ec2.fleet.terminate(&ids(&["i-1"]), false).await.unwrap_err();
    assert_eq!(error.to_string(), "UnauthorizedOperation: not yours");
}

#[tokio::test]
async fn ending_no_instances_makes_no_call() {
    let ec2 = Ec2::start().await;
    ec2.fleet.terminate(&[], true).await.unwrap();
    assert_eq!(ec2.server.received_requests().await.unwrap().len(), 0);
}
