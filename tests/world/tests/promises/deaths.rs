//! Each function dies between any two of its calls and is run again: a job attempt gets one runner at
//! most, and nothing is left in the end.

use dayfly_engine::runner::interruption::Ec2Signal;
use dayfly_records::event::{Conclusion, Event};
use dayfly_types::ids::{InstanceId, JobId};

use crate::stage::{Answer, Call, RUN, Stage};

/// No handler makes more calls than this.
const MOST_CALLS: u32 = 80;

/// Prepares a stage on which `call` is due, lets the call die before each of its own calls in turn,
/// repeats it as its event is redelivered, and plays on to the end.
fn dies_anywhere(set: impl Fn(&Stage) -> Call, play_on: impl Fn(&Stage)) {
    for fatal in 0..MOST_CALLS {
        let stage = Stage::new();
        let call = set(&stage);
        if !stage.make_and_die(call.clone(), fatal) {
            assert!(fatal > 0, "the call made no call of its own");
            return;
        }
        stage.make(call);
        stage.deliver();
        play_on(&stage);
        stage.minutes(25);
        assert_eq!(stage.left(), Vec::<String>::new(), "after a death before call {fatal}");
        assert!(
            stage.world.cloud().launched_total() <= 2,
            "after a death before call {fatal}"
        );
    }
    panic!("the call never came to its end");
}

/// Boots every living instance, lets it take the job if it waits, and ends the job.
fn run_to_the_end(stage: &Stage) {
    stage.minutes(3);
    let [instance] = stage.instances().try_into().expect("one runner for one job");
    let runner = stage.boot(&instance);
    stage.start(runner, 11);
    stage.complete(11, Conclusion::Success);
}

fn queued(stage: &Stage) -> Event {
    stage.world.hub().queue(RUN, JobId(11));
    Event::JobQueued(stage.job(11))
}

fn running(stage: &Stage) -> InstanceId {
    stage.queue(11);
    let instance = stage.instance();
    let runner = stage.boot(&instance);
    stage.start(runner, 11);
    instance
}

#[test]
fn launch_on_a_queued_job() {
    dies_anywhere(|stage| Call::Launch(queued(stage)), run_to_the_end);
}

#[test]
fn launch_on_a_retry() {
    dies_anywhere(
        |stage| {
            stage
                .world
                .cloud()
                .refuse([(dayfly_ports::FleetErrorKind::Capacity, "InsufficientInstanceCapacity")]);
            stage.make(Call::Launch(queued(stage)));
            stage.wait(std::time::Duration::from_mins(1));
            Call::Launch(Event::LaunchDue(dayfly_records::event::LaunchDue {
                key: stage.job(11).key(),
                runner: Some(dayfly_types::ids::RunnerName::of(stage.job(11).key(), 1)),
            }))
        },
        run_to_the_end,
    );
}

#[test]
fn job_events_on_a_started_job() {
    dies_anywhere(
        |stage| {
            stage.queue(11);
            let runner = stage.boot(&stage.instance());
            stage.world.hub().assign(runner, JobId(11));
            Call::JobEvents(Event::JobInProgress(stage.job(11)))
        },
        |stage| stage.complete(11, Conclusion::Success),
    );
}

#[test]
fn job_events_on_a_completed_job() {
    dies_anywhere(
        |stage| {
            running(stage);
            Call::JobEvents(stage.completed(11, Conclusion::Success))
        },
        |_| {},
    );
}

#[test]
fn job_events_on_a_completed_run_request_one_rerun() {
    dies_anywhere(
        |stage| {
            let instance = running(stage);
            stage.make(Call::Ec2(instance, Ec2Signal::Warning));
            stage.complete(11, Conclusion::Failure);
            Call::JobEvents(stage.run_completed())
        },
        |stage| {
            stage.minutes(3);
            assert_eq!(stage.world.hub().reruns, [(RUN, Some(JobId(11)))]);
        },
    );
}

#[test]
fn interruption_on_a_warning() {
    dies_anywhere(
        |stage| {
            let instance = running(stage);
            Call::Ec2(instance, Ec2Signal::Warning)
        },
        |stage| {
            stage.complete(11, Conclusion::Failure);
            stage.make(Call::JobEvents(stage.run_completed()));
            stage.minutes(3);
            assert_eq!(stage.world.hub().reruns, [(RUN, Some(JobId(11)))]);
        },
    );
}

#[test]
fn interruption_of_an_instance_without_a_job() {
    dies_anywhere(
        |stage| {
            stage.queue(11);
            let instance = stage.instance();
            stage.world.cloud().end(&instance);
            Call::Ec2(instance, Ec2Signal::Ended)
        },
        run_to_the_end,
    );
}

#[test]
fn check_in_on_a_claim() {
    dies_anywhere(
        |stage| {
            stage.queue(11);
            let instance = stage.instance();
            let body = serde_json::json!({ "instance": instance, "agent_version": "1" });
            Call::CheckIn(instance, "claim", body)
        },
        |stage| {
            // An agent without a config powers off; the job gets another instance.
            stage.wait(std::time::Duration::from_mins(1));
            let instance = stage.instance();
            if let Answer::Http(200, answer) = stage.claim(&instance) {
                let name = answer["runner"].as_str().unwrap().to_owned();
                let runner = *stage
                    .world
                    .hub()
                    .runners
                    .iter()
                    .find(|(_, runner)| runner.name == name)
                    .unwrap()
                    .0;
                stage.start(runner, 11);
                stage.complete(11, Conclusion::Success);
            } else {
                stage.world.cloud().end(&instance);
                stage.make(Call::Ec2(instance, Ec2Signal::Ended));
                stage.deliver();
                run_to_the_end(stage);
            }
        },
    );
}

#[test]
fn check_in_on_a_goodbye() {
    dies_anywhere(
        |stage| {
            let instance = running(stage);
            let body = serde_json::json!({ "instance": instance, "reason": "finished" });
            Call::CheckIn(instance, "goodbye", body)
        },
        |stage| stage.complete(11, Conclusion::Success),
    );
}

#[test]
fn sweeper_on_a_lost_runner() {
    dies_anywhere(
        |stage| {
            running(stage);
            stage.wait(std::time::Duration::from_mins(6));
            Call::Sweep
        },
        |stage| {
            stage.complete(11, Conclusion::Failure);
            stage.make(Call::JobEvents(stage.run_completed()));
        },
    );
}

#[test]
fn sweeper_on_going_to_sleep() {
    dies_anywhere(
        |stage| {
            running(stage);
            stage.complete(11, Conclusion::Success);
            stage.wait(std::time::Duration::from_mins(5));
            Call::Sweep
        },
        |stage| {
            stage.make(Call::Patrol);
        },
    );
}
