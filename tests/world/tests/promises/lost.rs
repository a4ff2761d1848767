//! What gets lost on the way, and is found again.

use std::time::Duration;

use dayfly_engine::interruption::Word;
use dayfly_ports::FleetErrorKind;
use dayfly_records::JobState;
use dayfly_records::event::{Conclusion, Event};
use dayfly_types::ids::{InstallationId, JobId};

use crate::lifecycle::state_of;
use crate::stage::{Call, RUN, Stage};

#[test]
fn a_schedule_that_is_on_although_nothing_says_so_goes_off_again() {
    let stage = Stage::new();
    stage.queue(11);
    stage.world.table().clear();
    let instance = stage.instance();
    stage.world.cloud().end(&instance);
    assert!(stage.world.schedule_is_on());
    stage.minutes(5);
    assert_eq!(stage.left(), Vec::<String>::new());
}

#[test]
fn a_run_that_succeeded_is_not_run_again_although_a_job_seemed_interrupted() {
    let stage = Stage::new();
    stage.queue(11);
    let instance = stage.instance();
    let runner = stage.boot(&instance);
    stage.start(runner, 11);
    stage.make(Call::Ec2(instance, Word::Warning));
    // It ended well all the same, and nobody told us of the job's end, only of the run's.
    stage.world.hub().complete(JobId(11), Conclusion::Success);
    stage.make(Call::JobEvents(stage.run_completed()));
    stage.minutes(4);
    assert_eq!(stage.world.hub().reruns, []);
}

#[test]
fn a_lost_end_is_asked_for_when_the_runner_is_gone() {
    let stage = Stage::new();
    stage.queue(11);
    let instance = stage.instance();
    let runner = stage.boot(&instance);
    stage.start(runner, 11);
    stage.world.hub().complete(JobId(11), Conclusion::Success);
    stage.make(Call::CheckIn(
        instance.clone(),
        "goodbye",
        serde_json::json!({ "instance": instance, "reason": "finished" }),
    ));
    stage.minutes(8);
    assert!(matches!(
        state_of(&stage, 11),
        JobState::Finished {
            conclusion: Conclusion::Success
        }
    ));
    assert_eq!(stage.left(), Vec::<String>::new());
}

#[test]
fn a_lost_job_is_found_by_patrol_and_runs() {
    let stage = Stage::new();
    let pushed = ("octo/gpu".parse().unwrap(), stage.now());
    stage
        .world
        .hub()
        .repositories
        .push((InstallationId(7), pushed.0, pushed.1));
    stage.world.hub().queue(RUN, JobId(11));
    stage.make(Call::Patrol);
    stage.deliver();
    assert_eq!(
        stage.instances().len(),
        1,
        "nobody told us, and GitHub says that it waits"
    );
    stage.make(Call::Patrol);
    stage.deliver();
    assert_eq!(stage.instances().len(), 1, "it is no news any more");
}

/// A world in which a registration is left over that nobody uses.
fn left_over() -> Stage {
    let stage = Stage::new();
    stage.queue(11);
    let instance = stage.instance();
    let runner = stage.boot(&instance);
    stage.world.table().clear();
    stage.world.cloud().end(&instance);
    stage.world.hub().runners.get_mut(&runner).unwrap().online = false;
    stage
}

/// Somebody pushes to a repository.
fn push(stage: &Stage, repository: &str) {
    let pushed = (InstallationId(7), repository.parse().unwrap(), stage.now());
    stage.world.hub().repositories.push(pushed);
}

#[test]
fn a_registration_that_nobody_uses_is_removed_by_patrol() {
    let stage = left_over();
    push(&stage, "octo/gpu");
    stage.make(Call::Patrol);
    assert!(stage.world.hub().runners.is_empty());
}

#[test]
fn patrol_looks_at_all_repositories_though_some_are_closed_to_it() {
    let stage = left_over();
    for number in 0..50 {
        let shut = format!("octo/a{number}");
        push(&stage, &shut);
        stage.world.hub().shut.insert(shut.parse().unwrap());
    }
    push(&stage, "octo/gpu");
    let mut patrols = 0;
    while !stage.world.hub().runners.is_empty() {
        stage.make(Call::Patrol);
        patrols += 1;
        assert!(patrols <= 2, "it never comes to `octo/gpu`");
    }
}

#[test]
fn a_registration_whose_record_is_lost_is_removed_with_its_instance() {
    let stage = Stage::new();
    stage.queue(11);
    let instance = stage.instance();
    stage.boot(&instance);
    stage.world.table().clear();
    // The same call to EC2 leads to the same instance, of whose registration nothing is known any more.
    stage.make(Call::Launch(Event::JobQueued(stage.job(11))));
    assert_eq!(stage.instance(), instance);
    let goodbye = serde_json::json!({ "instance": instance, "reason": "startup_failed" });
    stage.make(Call::CheckIn(instance.clone(), "goodbye", goodbye));
    stage.minute();
    let left = stage
        .world
        .hub()
        .runners
        .values()
        .map(|runner| runner.name.clone())
        .collect::<Vec<_>>();
    assert_eq!(left, Vec::<String>::new());
}

#[test]
fn an_instance_of_a_lost_answer_is_recorded_once_ec2_says_how_old_it_is() {
    let stage = Stage::new();
    let asked_at = stage.now();
    stage.world.cloud().refuse([(FleetErrorKind::Unknown, "Timeout")]);
    stage.queue(11);
    stage.world.break_down("describe");
    for _ in 0..3 {
        stage.wait(Duration::from_mins(1));
        stage.make(Call::Sweep);
        stage.deliver();
    }
    assert_eq!(stage.runners()[0].launched, None);
    stage.world.mend();
    let launched = (0..10).find_map(|_| {
        stage.minute();
        stage.runners()[0].launched.clone()
    });
    assert_eq!(launched.expect("the instance is there").at, asked_at);
}
