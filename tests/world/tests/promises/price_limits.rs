//! On-demand capacity above the price limit is not requested, and the rest costs no more than was
//! reserved.

use dayfly_records::event::Event;
use dayfly_records::{JobState, Record};
use dayfly_types::capacity::InstanceLifecycle;
use dayfly_types::ids::JobId;

use crate::stage::{Call, POLICY, RUN, Stage};

const FILE: &str = "
messenger: false
runners:
  - name: gpu
    labels: [dayfly-gpu]
    instance_type: [g4dn.xlarge, g5.xlarge]
    machine_image: ami-01234567
    spot: false
    max_price: $0.60/h
    max_lifetime: 50m
    disk_size: 100GB
";

/// The most that one of these jobs can cost: an hour of an on-demand g4dn.xlarge, its volume and its
/// address.
const WORST: u64 = 526_000 + 11_828 + 5_000;

fn with(file: &str, policy: &str) -> Stage {
    let stage = Stage::new();
    stage.world.hub().config = Some(file.to_owned());
    stage.world.set_parameter(POLICY, policy);
    stage
}

/// Queues jobs that GitHub all reports before any is launched.
fn queue_at_once(stage: &Stage, jobs: u64) {
    let calls = (11..11 + jobs).map(|job| {
        stage.world.hub().queue(RUN, JobId(job));
        Call::Launch(Event::JobQueued(stage.job(job)))
    });
    stage.make_interleaved(calls.collect(), |_| 0, || {});
    stage.deliver();
}

/// Returns the types of all calls to EC2, with the lifecycle of each.
fn asked(stage: &Stage) -> Vec<String> {
    let cloud = stage.world.cloud();
    let mut asked: Vec<String> = Vec::new();
    for request in cloud.asked() {
        let types = request.placements.iter().map(|one| &one.pool.instance_type);
        asked.extend(types.map(|name| format!("{} {name}", request.lifecycle)));
    }
    asked.dedup();
    asked
}

fn reserved(stage: &Stage) -> u64 {
    let table = stage.world.table();
    let of_stack = table.records().find_map(|record| match record {
        Record::Ledger(ledger) if ledger.budget == dayfly_types::budget::Budget::Stack => Some(ledger.reserved.0),
        _ => None,
    });
    of_stack.unwrap_or(0)
}

fn given_up(stage: &Stage, job: u64) -> Option<String> {
    match stage.job_state(job)? {
        JobState::Unlaunchable { reason } => Some(reason),
        _ => None,
    }
}

#[test]
fn no_instance_exceeds_the_limit_though_the_average_would_fit() {
    for policy in ["version: 1\n", "version: 1\ncaps: {stack: $100}\n"] {
        let stage = with(FILE, policy);
        queue_at_once(&stage, 10);
        assert_eq!(stage.instances().len(), 10);
        assert_eq!(asked(&stage), ["on-demand g4dn.xlarge"], "{policy}");
        assert_eq!(reserved(&stage), 10 * WORST, "the price and not the limit: {policy}");

        let stage = with(FILE, policy);
        stage
            .world
            .cloud()
            .empty("g4dn.xlarge", "eu-west-1a", InstanceLifecycle::OnDemand);
        queue_at_once(&stage, 10);
        assert_eq!(stage.instances().len(), 0, "there is only the dearer one: {policy}");
    }
}

#[test]
fn a_limit_below_every_price_is_given_up_at_once_naming_both() {
    let stage = with(&FILE.replace("$0.60", "$0.40"), "version: 1\n");
    stage.queue(11);
    assert_eq!(asked(&stage), Vec::<String>::new());
    let words = given_up(&stage, 11).expect("it is given up");
    for part in [
        "`g4dn.xlarge` costs $0.526 an hour",
        "`g5.xlarge` costs $1.006 an hour",
        "`max_price` is $0.40",
        "Raise `max_price`",
    ] {
        assert!(words.contains(part), "`{part}` in: {words}");
    }
    assert!(!words.contains("EC2 said"), "it was not asked: {words}");
    stage.minutes(5);
    assert_eq!((stage.left(), reserved(&stage)), (Vec::new(), 0));
}

#[test]
fn a_launch_try_above_the_limit_is_skipped() {
    let cheap = FILE
        .replace("spot: false", "fallback: on-demand")
        .replace("$0.60", "$0.40");
    let other =
        "  - {name: other, labels: [dayfly-gpu], instance_type: g6.xlarge, machine_image: ami-01234567, spot: false}\n";
    let stage = with(&format!("{cheap}{other}"), "version: 1\ncaps: {stack: $100}\n");
    for name in ["g4dn.xlarge", "g5.xlarge"] {
        stage.world.cloud().empty(name, "eu-west-1a", InstanceLifecycle::Spot);
    }
    stage.queue(11);
    assert_eq!(
        asked(&stage),
        ["spot g4dn.xlarge", "spot g5.xlarge", "on-demand g6.xlarge"]
    );
    assert_eq!(stage.instances().len(), 1);
}
