//! A job that is given up is failed by one messenger.

use std::time::Duration;

use dayfly_ports::{FleetErrorKind, Store as _};
use dayfly_records::event::{Conclusion, Event};
use dayfly_records::{CheckContent, JobState};
use dayfly_types::ids::JobId;

use crate::lifecycle::{fail_by_messenger, state_of};
use crate::stage::{Call, RUN, Stage};

/// Job 11 cannot have what it requests, and its messenger is on its way.
fn given_up(stage: &Stage) {
    stage
        .world
        .cloud()
        .refuse([(FleetErrorKind::BadRequest, "InvalidParameterValue")]);
    stage.queue(11);
    assert!(state_of(stage, 11).is_given_up());
}

fn said(stage: &Stage, job: u64) -> CheckContent {
    let check_run = stage.world.run(stage.world.check_run(RUN, stage.job(job).key()));
    check_run.unwrap().unwrap().record.content
}

#[test]
fn a_given_up_job_is_failed_with_the_reason_and_leaves_nothing() {
    let stage = Stage::new();
    given_up(&stage);
    assert!(matches!(said(&stage, 11), CheckContent::GivenUp { .. }));
    assert_eq!(asked_last(&stage), ["t4g.nano"]);
    fail_by_messenger(&stage, 11);
    assert!(matches!(state_of(&stage, 11), JobState::Finished { .. }));
    assert_eq!(stage.left(), Vec::<String>::new());
    assert_eq!(stage.world.hub().reruns, [], "it was to fail");
}

/// Returns the types of the last call to EC2.
fn asked_last(stage: &Stage) -> Vec<String> {
    let cloud = stage.world.cloud();
    let asked = cloud.asked().last().unwrap().placements.iter();
    asked.map(|one| one.pool.instance_type.to_string()).collect()
}

#[test]
fn a_messenger_waits_for_jobs_that_it_could_take() {
    let stage = Stage::new();
    stage.queue(12);
    given_up(&stage);
    stage.minute();
    assert_ne!(asked_last(&stage), ["t4g.nano"], "it could take job 12");
    let runner = stage.boot(&stage.instance());
    stage.start(runner, 12);
    stage.minute();
    assert_eq!(asked_last(&stage), ["t4g.nano"]);
}

#[test]
fn a_messenger_is_sent_in_the_end_though_other_jobs_still_wait() {
    let stage = Stage::new();
    stage.queue(12);
    given_up(&stage);
    stage.minutes(4);
    assert_ne!(asked_last(&stage), ["t4g.nano"]);
    stage.minutes(2);
    assert_eq!(asked_last(&stage), ["t4g.nano"]);
}

#[test]
fn a_job_taken_by_a_messenger_by_mistake_is_rerun() {
    let stage = Stage::new();
    given_up(&stage);
    let messenger = stage.instance();
    let runner = stage.boot(&messenger);
    stage.queue(12);
    stage.start(runner, 12);
    stage.complete(12, Conclusion::Failure);
    stage.minutes(2);
    assert!(state_of(&stage, 11).is_given_up());
    assert!(!stage.instances().contains(&messenger));
    assert_eq!(stage.instances().len(), 1, "another messenger is on its way");
    fail_by_messenger(&stage, 11);
    stage.make(Call::JobEvents(stage.run_completed()));
    stage.minutes(3);
    assert_eq!(stage.world.hub().reruns, [(RUN, Some(JobId(12)))]);
    assert_eq!(stage.left(), Vec::<String>::new());
}

#[test]
fn an_early_leaving_messenger_is_followed_by_no_other() {
    let stage = Stage::new();
    given_up(&stage);
    let messenger = stage.instance();
    let runner = stage.boot(&messenger);
    stage.world.hub().assign(runner, JobId(11));
    stage.world.hub().complete(JobId(11), Conclusion::Failure);
    stage.make(Call::CheckIn(
        messenger.clone(),
        "goodbye",
        serde_json::json!({ "instance": messenger, "reason": "finished" }),
    ));
    stage.deliver();
    stage.minutes(3);
    assert_eq!(stage.world.cloud().launched_total(), 1);
    assert!(matches!(state_of(&stage, 11), JobState::Finished { .. }));
    assert_eq!(stage.left(), Vec::<String>::new());
}

#[test]
fn a_failed_messenger_is_reported_and_may_cancel_the_run() {
    for (config, cancelled) in [("true", 1), ("false", 0)] {
        let stage = Stage::new();
        let entry = "{name: gpu, labels: [dayfly-gpu], instance_type: g5.xlarge, machine_image: ami-01234567}";
        stage.world.hub().config = Some(format!(
            "runners:\n  - {entry}\ncancel_run_when_unlaunchable: {config}\n"
        ));
        let never = (FleetErrorKind::BadRequest, "UnauthorizedOperation");
        stage.world.cloud().refuse([never, never]);
        stage.queue(11);
        stage.minutes(3);
        let CheckContent::GivenUp { messenger, .. } = said(&stage, 11) else {
            panic!("{:?}", said(&stage, 11))
        };
        assert!(
            format!("{messenger:?}").contains("UnauthorizedOperation"),
            "{messenger:?}"
        );
        assert_eq!(stage.world.calls("cancel_run"), cancelled);
        assert_eq!(stage.left(), Vec::<String>::new());
    }
}

#[test]
fn messengers_can_be_turned_off() {
    let stage = Stage::new();
    stage.world.hub().config = Some("runners: []\nmessenger: false\n".to_owned());
    stage.make(Call::Launch(Event::JobQueued(stage.job(11))));
    stage.deliver();
    stage.minutes(3);
    assert!(state_of(&stage, 11).is_given_up());
    assert_eq!(stage.world.cloud().launched_total(), 0);
    assert_eq!(stage.left(), Vec::<String>::new());
}

#[test]
fn one_messenger_is_sent_wherever_the_function_dies() {
    for fatal in 0..60 {
        let stage = Stage::new();
        stage
            .world
            .cloud()
            .refuse([(FleetErrorKind::BadRequest, "InvalidParameterValue")]);
        stage.world.hub().queue(RUN, JobId(11));
        stage.make(Call::Launch(Event::JobQueued(stage.job(11))));
        let due = loop {
            match stage.world.next_event() {
                Some(event @ Event::LaunchDue(_)) => break event,
                Some(_) => {}
                None => panic!("no messenger is sent"),
            }
        };
        if !stage.make_and_die(Call::Launch(due), fatal) {
            assert!(fatal > 5, "it made few calls of its own");
            return;
        }
        stage.wait(Duration::from_secs(5));
        stage.minutes(4);
        assert_eq!(stage.instances().len(), 1, "after a death before call {fatal}");
        fail_by_messenger(&stage, 11);
        assert_eq!(stage.left(), Vec::<String>::new(), "after a death before call {fatal}");
    }
    panic!("the call never came to its end");
}
