//! What gets lost, and is found again.

use std::time::Duration;

use dayfly_engine::runner::interruption::Ec2Signal;
use dayfly_ports::FleetErrorKind;
use dayfly_records::JobState;
use dayfly_records::event::{Conclusion, Event, QueueDue};
use dayfly_types::ids::{FleetId, InstallationId, JobId};
use dayfly_types::month::Month;

use crate::caps::{WORST, capped, costs, reserved};
use crate::lifecycle::state_of;
use crate::stage::{Call, RUN, Stage, dice};

#[test]
fn a_schedule_that_is_on_without_records_is_switched_off() {
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
fn a_run_that_succeeded_is_not_rerun() {
    let stage = Stage::new();
    stage.queue(11);
    let instance = stage.instance();
    let runner = stage.boot(&instance);
    stage.start(runner, 11);
    stage.make(Call::Ec2(instance, Ec2Signal::Warning));
    // The run succeeded nevertheless, and only its end was reported, not the job's.
    stage.world.hub().complete(JobId(11), Conclusion::Success);
    stage.make(Call::JobEvents(stage.run_completed()));
    stage.minutes(4);
    assert_eq!(stage.world.hub().reruns, []);
}

#[test]
fn a_lost_end_is_looked_up_when_the_runner_is_gone() {
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
        "no webhook came, and GitHub says that it waits"
    );
    stage.make(Call::Patrol);
    stage.deliver();
    assert_eq!(stage.instances().len(), 1, "it is no news any more");
}

/// A world with a leftover registration that no instance uses.
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

/// A user pushes to a repository.
fn push(stage: &Stage, repository: &str) {
    let pushed = (InstallationId(7), repository.parse().unwrap(), stage.now());
    stage.world.hub().repositories.push(pushed);
}

#[test]
fn an_unused_registration_is_removed_by_patrol() {
    let stage = left_over();
    push(&stage, "octo/gpu");
    stage.make(Call::Patrol);
    assert!(stage.world.hub().runners.is_empty());
}

#[test]
fn patrol_checks_all_repositories_though_some_are_unreadable() {
    let stage = left_over();
    for number in 0..50 {
        let shut = format!("octo/a{number}");
        push(&stage, &shut);
        stage.world.hub().unreadable.insert(shut.parse().unwrap());
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
fn patrol_finds_a_vanished_instance_though_github_is_silent_about_an_orphan() {
    let stage = Stage::new();
    stage.queue(11);
    stage.world.table().clear();
    stage.wait(Duration::from_mins(6));
    stage.queue(12);
    let [orphan, vanished] = <[_; 2]>::try_from(stage.instances()).unwrap();
    stage.world.cloud().end(&vanished);
    stage.world.hub().unreadable.insert("octo/gpu".parse().unwrap());
    stage.wait(Duration::from_mins(6));
    stage.make_fallible(Call::Patrol);
    assert_eq!(stage.instances(), [orphan], "it may run a job");
    assert!(stage.runners().iter().all(|runner| runner.instance_ended));
}

#[test]
fn a_registration_without_a_record_is_removed_with_its_instance() {
    let stage = Stage::new();
    stage.queue(11);
    let instance = stage.instance();
    stage.boot(&instance);
    stage.world.table().clear();
    // The same call to EC2 returns the same instance, whose registration is unknown by now.
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
fn an_instance_of_a_lost_answer_is_recorded_once_its_age_is_known() {
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
    stage.world.restore();
    let launched = (0..10).find_map(|_| {
        stage.minute();
        stage.runners()[0].launched.clone()
    });
    assert_eq!(launched.expect("the instance is there").at, asked_at);
}

/// Returns the call to EC2 of the only runner.
fn call_of(stage: &Stage) -> FleetId {
    let [runner] = stage.runners().try_into().expect("one runner");
    runner.fleet.expect("EC2 is called for it")
}

#[test]
fn a_call_is_not_made_in_a_month_without_a_reservation_for_it() {
    let stage = capped(10 * WORST);
    let ends = Month::of(stage.now()).ends();
    stage.wait(ends.since(stage.now()).saturating_sub(Duration::from_hours(2)));
    stage.world.break_down("create_fleet");
    stage.queue(11);
    let call = call_of(&stage);
    assert_eq!(reserved(&stage), WORST);
    // No function runs for so long.
    stage.wait(Duration::from_hours(3));
    stage.world.restore();
    stage.minutes(5);
    assert!(stage.world.cloud().asked().iter().all(|asked| asked.fleet != call));
    let job = state_of(&stage, 11);
    assert!(
        matches!(&job, JobState::Unlaunchable { reason } if reason.contains("no answer of EC2")),
        "{job:?}"
    );
    assert_eq!((reserved(&stage), stage.left()), (0, Vec::new()));
}

#[test]
fn an_ended_instance_of_a_lost_answer_is_counted_with_its_runner() {
    let stage = capped(10 * WORST);
    stage.world.cloud().refuse([(FleetErrorKind::Unknown, "Timeout")]);
    stage.queue(11);
    let instance = stage.instance();
    stage.wait(Duration::from_mins(20));
    stage.world.cloud().end(&instance);
    stage.wait(Duration::from_mins(20));
    stage.minutes(2);
    stage.make(Call::Patrol);
    stage.minutes(5);
    let [cost] = costs(&stage).try_into().expect("one cost");
    assert_eq!((&cost.instance, cost.runner.is_some()), (&instance, true));
    assert_eq!(state_of(&stage, 11), JobState::Launching, "on another one");
}

#[test]
fn an_instance_recorded_while_its_runner_ends_is_ended_too() {
    for seed in 0..60 {
        let stage = capped(10 * WORST);
        stage.world.cloud().refuse([(FleetErrorKind::Unknown, "Timeout")]);
        stage.queue(11);
        let call = call_of(&stage);
        stage.complete(11, Conclusion::Cancelled);
        stage.wait(Duration::from_mins(2));
        let due = QueueDue {
            queue: dayfly_engine::launch::fleet::queue_of(&stage.runners()[0]),
            fleet: Some(call),
        };
        let calls = vec![Call::Launch(Event::QueueDue(due)), Call::Sweep];
        stage.make_interleaved(calls, dice(seed), || {});
        stage.deliver();
        stage.minutes(5);
        assert_eq!(stage.left(), Vec::<String>::new(), "seed {seed}");
        assert_eq!(costs(&stage).len(), 1, "seed {seed}");
    }
}
