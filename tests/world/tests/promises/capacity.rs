//! Where instances come from: spot, on-demand, the next entry; and many of them at once.

use std::time::Duration;

use dayfly_ports::Store as _;
use dayfly_records::event::{Conclusion, Event, QueueDue};
use dayfly_records::{Change, CheckContent, JobState, LaunchQueue, Record, Stored, Waiting};
use dayfly_types::capacity::InstanceLifecycle;

use crate::lifecycle::state_of;
use crate::stage::{Call, RUN, Stage};

const LADDER: &str = "
runners:
  - {name: small, labels: [dayfly-gpu], instance_type: [g4dn.xlarge, g5.xlarge], machine_image: ami-01234567, fallback: on-demand}
  - {name: large, labels: [dayfly-gpu], instance_type: g5.12xlarge, machine_image: ami-01234567}
";

fn with_config(text: &str) -> Stage {
    let stage = Stage::new();
    stage.world.hub().config = Some(text.to_owned());
    stage
}

/// How long a queue is held in these tests.
const HELD: Duration = Duration::from_secs(30);

/// What was asked of EC2: count, lifecycle and types of each call.
fn asked(stage: &Stage) -> Vec<(u32, String)> {
    let cloud = stage.world.cloud();
    let asked = cloud.asked().iter().map(|request| {
        let mut types: Vec<&str> = request
            .placements
            .iter()
            .map(|one| one.pool.instance_type.as_str())
            .collect();
        types.dedup();
        (request.count, format!("{} {}", request.lifecycle, types.join(" ")))
    });
    asked.collect()
}

fn empty(stage: &Stage, types: &[&str], lifecycle: InstanceLifecycle) {
    for one in types {
        stage.world.cloud().empty(one, "eu-west-1a", lifecycle);
    }
}

#[test]
fn what_spot_cannot_give_is_had_on_demand_and_then_from_the_next_entry_at_once() {
    let stage = with_config(LADDER);
    empty(&stage, &["g4dn.xlarge", "g5.xlarge"], InstanceLifecycle::Spot);
    stage.queue(11);
    let spot = (1, "spot g4dn.xlarge g5.xlarge".to_owned());
    let on_demand = (1, "on-demand g4dn.xlarge g5.xlarge".to_owned());
    assert_eq!(asked(&stage), [spot.clone(), on_demand.clone()]);
    assert_eq!(stage.instances().len(), 1);

    let stage = with_config(LADDER);
    empty(&stage, &["g4dn.xlarge", "g5.xlarge"], InstanceLifecycle::Spot);
    empty(&stage, &["g4dn.xlarge", "g5.xlarge"], InstanceLifecycle::OnDemand);
    stage.queue(11);
    assert_eq!(asked(&stage), [spot, on_demand, (1, "spot g5.12xlarge".to_owned())]);
    assert_eq!(stage.instances().len(), 1);
}

#[test]
fn a_pool_that_failed_of_late_is_left_out_while_others_are_there() {
    let stage = with_config(LADDER);
    empty(&stage, &["g4dn.xlarge"], InstanceLifecycle::Spot);
    stage.queue(11);
    stage.world.cloud().refill();
    stage.queue(12);
    let calls = asked(&stage);
    assert_eq!(calls.last(), Some(&(1, "spot g5.xlarge".to_owned())), "{calls:?}");
    stage.wait(Duration::from_mins(61));
    stage.queue(13);
    let calls = asked(&stage);
    assert_eq!(
        calls.last(),
        Some(&(1, "spot g4dn.xlarge g5.xlarge".to_owned())),
        "it is forgotten: {calls:?}"
    );
}

#[test]
fn an_image_that_is_not_there_leaves_the_next_entry() {
    let stage = with_config(&LADDER.replacen("ami-01234567", "ssm:/no/such/parameter", 1));
    stage.queue(11);
    assert_eq!(asked(&stage), [(1, "spot g5.12xlarge".to_owned())]);
}

/// Somebody launches job 1 and still holds the queue when these come, so that they wait.
pub fn queued_while_held(stage: &Stage, jobs: impl IntoIterator<Item = u64>) -> QueueDue {
    stage.queue(1);
    let free: LaunchQueue = {
        let table = stage.world.table();
        let queue = table
            .records()
            .find_map(|record| LaunchQueue::try_from(record.clone()).ok());
        queue.unwrap()
    };
    let known = stage.world.run(stage.world.queue(&free.id)).unwrap();
    let held = LaunchQueue {
        held_until: stage.now().after(HELD),
        ..free.clone()
    };
    let change = vec![Change::put(known.as_ref(), held)];
    stage.world.run(stage.world.commit(change)).unwrap();
    for job in jobs {
        stage.queue(job);
    }
    stage.wait(HELD);
    QueueDue {
        queue: free.id,
        fleet: None,
    }
}

fn waiting(stage: &Stage) -> usize {
    let table = stage.world.table();
    let waiting = table.records().filter(|record| matches!(record, Record::Waiting(_)));
    waiting.count()
}

#[test]
fn those_who_wait_for_the_same_are_launched_by_one_call() {
    let stage = Stage::new();
    let due = queued_while_held(&stage, 11..51);
    assert_eq!((asked(&stage).len(), waiting(&stage)), (1, 40));
    stage.make(Call::Launch(Event::QueueDue(due)));
    let counts: Vec<u32> = asked(&stage).iter().map(|(count, _)| *count).collect();
    assert_eq!(counts, [1, 40]);
    assert_eq!((stage.instances().len(), waiting(&stage)), (41, 0));
}

#[test]
fn one_call_is_never_larger_than_a_transaction() {
    let stage = Stage::new();
    let due = queued_while_held(&stage, 11..267);
    stage.make(Call::Launch(Event::QueueDue(due)));
    let counts: Vec<u32> = asked(&stage).iter().map(|(count, _)| *count).collect();
    assert_eq!(counts, [1, 80, 80, 80, 16]);
    assert_eq!(stage.instances().len(), 257);
}

#[test]
fn whoever_launches_many_may_die_anywhere_and_each_job_gets_one_instance() {
    for fatal in 0..200 {
        let stage = Stage::new();
        let due = queued_while_held(&stage, 11..16);
        if !stage.make_and_die(Call::Launch(Event::QueueDue(due)), fatal) {
            assert!(fatal > 10, "it made few calls of its own");
            return;
        }
        stage.minutes(5);
        assert_eq!(stage.instances().len(), 6, "after a death before call {fatal}");
        for job in 11..16 {
            assert_eq!(
                state_of(&stage, job),
                JobState::Launching,
                "after a death before call {fatal}"
            );
        }
    }
    panic!("the call never came to its end");
}

#[test]
fn of_many_who_wait_those_whose_job_is_over_get_nothing() {
    let stage = Stage::new();
    let due = queued_while_held(&stage, 11..14);
    stage.complete(12, Conclusion::Cancelled);
    stage.make(Call::Launch(Event::QueueDue(due)));
    let counts: Vec<u32> = asked(&stage).iter().map(|(count, _)| *count).collect();
    assert_eq!(counts, [1, 2]);
}

#[test]
fn a_fleet_that_gives_less_than_was_asked_for_serves_some_and_the_others_go_on() {
    let stage = with_config(LADDER);
    let due = queued_while_held(&stage, 11..15);
    empty(&stage, &["g4dn.xlarge"], InstanceLifecycle::Spot);
    stage.make(Call::Launch(Event::QueueDue(due)));
    let counts: Vec<(u32, String)> = asked(&stage).into_iter().skip(1).collect();
    assert_eq!(
        counts,
        [
            (4, "spot g4dn.xlarge g5.xlarge".to_owned()),
            (2, "on-demand g4dn.xlarge g5.xlarge".to_owned())
        ]
    );
    assert_eq!(stage.instances().len(), 5);
}

#[test]
fn a_job_that_waits_for_a_retry_has_that_said_and_when_it_is() {
    let stage = Stage::new();
    empty(
        &stage,
        &["g4dn.xlarge", "g5.xlarge", "g6.xlarge"],
        InstanceLifecycle::Spot,
    );
    stage.queue(11);
    let check_run = stage
        .world
        .run(stage.world.check_run(RUN, stage.job(11).key()))
        .unwrap()
        .unwrap()
        .record;
    let CheckContent::Waiting { next_at, tried } = check_run.content else {
        panic!("{:?}", check_run.content)
    };
    assert_eq!(next_at, stage.now().after(Duration::from_mins(1)));
    assert_eq!(tried.len(), 3, "one row for each pool");
}

#[test]
fn an_entry_of_a_queue_that_is_left_over_is_struck_out() {
    let stage = Stage::new();
    let due = queued_while_held(&stage, 11..12);
    let queue = due.queue.clone();
    let entry: Stored<Waiting> = stage.world.run(stage.world.waiting(&queue)).unwrap().remove(0);
    stage.make(Call::Launch(Event::QueueDue(due.clone())));
    let again = vec![Change::create(entry.record)];
    stage.world.run(stage.world.commit(again)).unwrap();
    let held: Option<Stored<LaunchQueue>> = stage.world.run(stage.world.queue(&queue)).unwrap();
    assert!(
        held.unwrap().record.held_until <= stage.now().after(Duration::from_secs(3)),
        "it was let go"
    );
    stage.wait(Duration::from_secs(5));
    stage.make(Call::Launch(Event::QueueDue(due)));
    assert_eq!((waiting(&stage), asked(&stage).len()), (0, 2));
}
