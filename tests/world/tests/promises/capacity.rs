//! Where instances come from: spot, on-demand, the next entry; and many of them at once.

use std::time::Duration;

use dayfly_ports::Store as _;
use dayfly_records::event::{Conclusion, Event, QueueDue};
use dayfly_records::{Change, CheckContent, JobState, LaunchQueue, QueuedRunner, Record, Stored};
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

/// Returns count, lifecycle and types of each call to EC2.
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
fn a_launch_falls_back_to_on_demand_then_to_the_next_entry() {
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
fn a_recently_failed_pool_is_left_out_while_others_exist() {
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
fn a_missing_image_falls_back_to_the_next_entry() {
    let stage = with_config(&LADDER.replacen("ami-01234567", "ssm:/no/such/parameter", 1));
    stage.queue(11);
    assert_eq!(asked(&stage), [(1, "spot g5.12xlarge".to_owned())]);
}

/// Queues jobs while job 1's launch holds the queue, so that they wait.
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
    let waiting = table
        .records()
        .filter(|record| matches!(record, Record::QueuedRunner(_)));
    waiting.count()
}

#[test]
fn waiting_jobs_of_the_same_kind_share_one_call() {
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
fn a_batch_launch_may_die_anywhere_and_each_job_gets_one_instance() {
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
fn waiting_entries_of_finished_jobs_get_nothing() {
    let stage = Stage::new();
    let due = queued_while_held(&stage, 11..14);
    stage.complete(12, Conclusion::Cancelled);
    stage.make(Call::Launch(Event::QueueDue(due)));
    let counts: Vec<u32> = asked(&stage).iter().map(|(count, _)| *count).collect();
    assert_eq!(counts, [1, 2]);
}

#[test]
fn a_partial_fleet_serves_some_jobs_and_the_others_go_on() {
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
fn a_job_waiting_for_a_retry_reports_when_it_is_due() {
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
fn a_leftover_queue_entry_is_removed() {
    let stage = Stage::new();
    let due = queued_while_held(&stage, 11..12);
    let queue = due.queue.clone();
    let entry: Stored<QueuedRunner> = stage.world.run(stage.world.waiting(&queue)).unwrap().remove(0);
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
