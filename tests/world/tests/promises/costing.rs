//! Instance costs are counted once, as EC2 bills them, whatever data AWS lacks.

use std::time::Duration;

use dayfly_engine::runner::interruption::Ec2Signal;
use dayfly_records::event::{Conclusion, Event};
use dayfly_records::prices::PriceSource;
use dayfly_records::{JobState, Purpose, Record, RunnerState};
use dayfly_types::ids::{InstanceId, InstanceType, JobId};
use dayfly_types::money::MicroDollars;
use dayfly_types::month::Month;

use crate::caps::{FILE, WORST, asked_by, busy, capped, committed, costs, instance_of, ledger, refusal, reserved, run};
use crate::stage::{Call, POLICY, RUN, Stage};

#[test]
fn an_instance_reclaimed_in_its_first_hour_costs_no_compute() {
    for (by_ec2, compute) in [(true, 0), (false, 15_780)] {
        let stage = capped(10 * WORST);
        stage.queue(11);
        let instance = busy(&stage, 11);
        stage.make(Call::Ec2(instance.clone(), Ec2Signal::Warning));
        stage.wait(Duration::from_mins(6));
        if by_ec2 {
            stage.world.cloud().ended_by_ec2.insert(instance.clone());
        }
        stage.world.cloud().end(&instance);
        stage.make(Call::Ec2(instance, Ec2Signal::Ended));
        stage.complete(11, Conclusion::Failure);
        stage.minutes(3);
        let cost = costs(&stage).remove(0);
        assert_eq!(
            (cost.amounts[0].1.compute.0, cost.free, cost.purpose),
            (compute, by_ec2, Purpose::Interrupted)
        );
        assert!(cost.total().0 > compute);
    }
}

#[test]
fn an_overdue_instance_is_settled_in_a_month_without_reservation() {
    let stage = capped(10 * WORST);
    let ends = Month::of(stage.now()).ends();
    stage.wait(ends.since(stage.now()).saturating_sub(Duration::from_hours(2)));
    stage.queue(11);
    let instance = instance_of(&stage, 11);
    stage.make(Call::Ec2(instance.clone(), Ec2Signal::Running));
    stage.wait(Duration::from_hours(3));
    // The next month has a ledger of its own by now.
    stage.queue(12);
    let for_another = reserved(&stage);
    assert!(for_another > 0);
    stage.make(Call::Ec2(instance.clone(), Ec2Signal::Ended));
    stage.minutes(5);
    let [cost] = costs(&stage).try_into().expect("one cost");
    assert_eq!((&cost.instance, cost.amounts.len()), (&instance, 2));
    let next = ledger(&stage).expect("it is written in");
    // Its job was given another instance, too.
    assert_eq!(
        (next.spent, next.reserved.0),
        (cost.amounts[1].1.total(), 2 * for_another)
    );
}

#[test]
fn an_unknown_zone_is_looked_up_or_the_maximum_is_counted() {
    for (zones_known, compute) in [(true, 5_260), (false, 16_667)] {
        let stage = capped(10 * WORST);
        stage.world.cloud().lists_no_instances = true;
        stage.queue(11);
        run(&stage, 11, 2);
        stage.minute();
        assert_eq!((costs(&stage).len(), reserved(&stage)), (0, WORST), "it may tell yet");
        stage.world.cloud().lists_no_instances = !zones_known;
        stage.minutes(5);
        let [cost] = costs(&stage).try_into().expect("one cost");
        assert_eq!((cost.amounts[0].1.compute.0, reserved(&stage)), (compute, 0));
        assert_eq!(stage.left(), Vec::<String>::new());
    }
}

#[test]
fn an_orphan_is_counted_when_it_is_ended() {
    let stage = capped(10 * WORST);
    stage.queue(11);
    let instance = instance_of(&stage, 11);
    stage.world.table().clear();
    stage.wait(Duration::from_mins(30));
    for _ in 0..3 {
        stage.make(Call::Patrol);
    }
    let [cost] = costs(&stage).try_into().expect("one cost");
    assert_eq!((cost.instance, cost.purpose), (instance, Purpose::Orphan));
    assert_eq!(cost.amounts[0].1.compute.0, 78_900, "half an hour at the pool's price");
    assert_eq!(committed(&stage), costs(&stage)[0].total().0);
}

/// The policy of a stack with caps for pull requests and users.
const OWN_CAPS: &str = "version: 1\nforks: always\ncaps: {pull_request: $9, actor: $9}\n";

/// Returns the money spent of each budget in this month.
fn spent(stage: &Stage) -> Vec<(String, u64)> {
    let table = stage.world.table();
    let ledgers = table.records().filter_map(|record| match record {
        Record::Ledger(ledger) => Some((ledger.budget.to_string(), ledger.spent.0)),
        _ => None,
    });
    ledgers.collect()
}

/// A runner that is gone while EC2 never ended its instance: its reservation is settled.
fn left_alone(stage: &Stage) -> InstanceId {
    stage.world.set_parameter(POLICY, OWN_CAPS);
    stage.world.hub().origins.insert(RUN, asked_by("alice", 12));
    stage.queue(11);
    let instance = stage.instance();
    let runner = stage.runners().remove(0);
    let Some(Record::Runner(mut gone)) = stage
        .world
        .table()
        .records()
        .find(|one| one.id() == runner_id(&runner))
        .cloned()
    else {
        panic!("it is there")
    };
    gone.state = RunnerState::Gone;
    gone.reserved = None;
    gone.due_at = None;
    stage.world.table().overwrite(*gone);
    instance
}

fn runner_id(runner: &dayfly_records::Runner) -> dayfly_records::RecordId {
    dayfly_records::RecordId::Runner(runner.name.clone())
}

#[test]
fn an_orphan_is_counted_for_all_payers_despite_missing_data() {
    for (down, compute, source) in [
        (&[][..], 78_900, PriceSource::Aws),
        // By the table of another region, and twice its price.
        (
            &["on_demand_price", "volume_rate", "spot_prices"],
            526_000,
            PriceSource::Shipped,
        ),
    ] {
        let stage = capped(10 * WORST);
        let instance = left_alone(&stage);
        stage.world.table().forget_prices();
        for call in down {
            stage.world.break_down(call);
        }
        stage.wait(Duration::from_mins(30));
        for _ in 0..2 {
            stage.make(Call::Patrol);
        }
        let [cost] = costs(&stage).try_into().expect("one cost");
        assert_eq!((&cost.instance, cost.purpose), (&instance, Purpose::Orphan));
        assert_eq!(
            (cost.amounts[0].1.compute.0, cost.source),
            (compute, source),
            "{down:?}"
        );
        assert!(cost.amounts[0].1.disk.0 > 0);
        let total = cost.total().0;
        for budget in ["the stack", "octo", "octo/gpu", "octo/gpu#12", "@alice"] {
            assert!(
                spent(&stage).contains(&(budget.to_owned(), total)),
                "{budget}: {:?}",
                spent(&stage)
            );
        }
    }
}

#[test]
fn an_orphan_is_counted_once_wherever_the_patrol_dies() {
    for fatal in 0..60 {
        let stage = capped(10 * WORST);
        let instance = left_alone(&stage);
        stage.wait(Duration::from_mins(30));
        let ended_at = stage.now();
        let died = stage.make_and_die(Call::Patrol, fatal);
        let ended = stage.instances().is_empty();
        for _ in 0..2 {
            stage.wait(Duration::from_mins(15));
            stage.make(Call::Patrol);
        }
        let [cost] = costs(&stage).try_into().expect("one cost");
        assert_eq!(cost.instance, instance);
        assert!(
            !ended || cost.to == ended_at,
            "counted until it ended: death before call {fatal}"
        );
        assert!(spent(&stage).contains(&("@alice".to_owned(), cost.total().0)));
        if !died {
            assert!(fatal > 5);
            return;
        }
    }
    panic!("it never came to its end");
}

#[test]
fn an_orphan_that_ec2_forgets_before_the_next_patrol_is_counted() {
    let stage = capped(10 * WORST);
    let instance = left_alone(&stage);
    stage.wait(Duration::from_mins(30));
    stage.make(Call::Patrol);
    assert_eq!((stage.instances(), costs(&stage)), (Vec::new(), Vec::new()));
    stage.wait(Duration::from_hours(2));
    for _ in 0..2 {
        stage.make(Call::Patrol);
    }
    let [cost] = costs(&stage).try_into().expect("one cost");
    assert_eq!((&cost.instance, cost.to), (&instance, stage.now()));
    let kept = stage.world.table().records().find_map(|record| match record {
        Record::Patrol(patrol) => Some(patrol.orphans.len()),
        _ => None,
    });
    assert_eq!(kept, Some(0));
}

#[test]
fn an_unrecorded_instance_that_ended_by_itself_is_counted() {
    let stage = capped(10 * WORST);
    stage.queue(11);
    let instance = stage.instance();
    stage.world.table().clear();
    stage.wait(Duration::from_mins(20));
    stage.world.cloud().end(&instance);
    stage.wait(Duration::from_mins(20));
    for _ in 0..3 {
        stage.make(Call::Patrol);
    }
    let [cost] = costs(&stage).try_into().expect("one cost");
    assert_eq!(
        (&cost.instance, cost.purpose, cost.amounts[0].1.compute.0),
        (&instance, Purpose::Orphan, 52_600)
    );
}

#[test]
fn a_volume_is_settled_at_its_regions_rate() {
    for (down, rate, source) in [
        (&[][..], 88_000, PriceSource::Aws),
        (&["volume_rate"], 160_000, PriceSource::Shipped),
    ] {
        let stage = capped(10 * WORST);
        for call in down {
            stage.world.break_down(call);
        }
        stage.queue(11);
        run(&stage, 11, 30);
        stage.minutes(3);
        let [cost] = costs(&stage).try_into().expect("one cost");
        let month = Month::of(stage.now()).length();
        let disk = MicroDollars(100 * rate).per(month, Duration::from_mins(30));
        assert_eq!((cost.amounts[0].1.disk, cost.source), (disk, source), "{down:?}");
    }
}

#[test]
fn an_instance_without_ec2_data_blocks_no_other_and_is_counted() {
    let stage = capped(10 * WORST);
    stage.queue(11);
    stage.queue(12);
    let known = instance_of(&stage, 11);
    stage.world.cloud().end_reason_denied.insert(instance_of(&stage, 12));
    for job in [11, 12] {
        let instance = busy(&stage, job);
        stage.make(Call::Ec2(instance, Ec2Signal::Warning));
    }
    stage.minutes(2);
    for job in [11, 12] {
        let instance = instance_of(&stage, job);
        stage.world.cloud().end(&instance);
        stage.make(Call::Ec2(instance, Ec2Signal::Ended));
        stage.complete(job, Conclusion::Failure);
    }
    stage.minutes(3);
    let [cost] = costs(&stage).try_into().expect("one is known of");
    assert_eq!(cost.instance, known);
    let asked = stage.world.calls("ended_by_ec2");
    stage.minutes(50);
    assert_eq!((costs(&stage).len(), reserved(&stage)), (1, WORST));
    assert!(
        stage.world.calls("ended_by_ec2") < asked + 15,
        "it is not asked each minute"
    );
    stage.minutes(12);
    let costs = costs(&stage);
    assert_eq!((costs.len(), reserved(&stage)), (2, 0));
    assert_eq!(stage.left(), Vec::<String>::new());
}

#[test]
fn a_launch_waits_for_its_price_and_is_refused_without_one() {
    let unlisted = FILE
        .replace("g4dn.xlarge", "g99.huge")
        .replace("    max_price: $0.50/h\n", "");
    for (down, launched) in [(true, true), (false, false)] {
        let stage = capped(10 * WORST);
        stage.world.hub().config = Some(unlisted.clone());
        if down {
            stage.world.break_down("on_demand_price");
        }
        stage.queue(11);
        stage.minutes(2);
        assert_eq!(refusal(&stage, 11).is_none(), down, "{:?}", refusal(&stage, 11));
        assert!(stage.instances().is_empty());
        stage.world.restore();
        stage
            .world
            .cloud()
            .listed
            .insert(InstanceType::new("g99.huge"), MicroDollars(400_000));
        stage.minutes(10);
        assert_eq!(!stage.instances().is_empty(), launched);
    }
}

#[test]
fn a_job_without_any_price_is_given_up_with_the_reason() {
    let stage = capped(10 * WORST);
    let unlisted = FILE
        .replace("g4dn.xlarge", "g99.huge")
        .replace("    max_price: $0.50/h\n", "");
    stage.world.hub().config = Some(unlisted);
    stage.world.break_down("on_demand_price");
    stage.queue(11);
    stage.minutes(30);
    let table = stage.world.table();
    let reason = table.records().find_map(|record| match record {
        Record::Job(job) => match &job.state {
            JobState::Unlaunchable { reason } => Some(reason.clone()),
            _ => None,
        },
        _ => None,
    });
    let reason = reason.expect("it is given up");
    assert!(
        reason.contains("the on-demand price of `g99.huge` is not known"),
        "{reason}"
    );
}

#[test]
fn the_last_known_price_is_used_and_the_report_says_so() {
    let stage = capped(10 * WORST);
    stage.queue(11);
    run(&stage, 11, 10);
    stage.minutes(3);
    for call in ["on_demand_price", "volume_rate"] {
        stage.world.break_down(call);
    }
    for (hours, job, source) in [(1, 12, PriceSource::Aws), (24, 13, PriceSource::Earlier)] {
        stage.wait(Duration::from_hours(hours));
        stage.queue(job);
        assert_eq!(reserved(&stage), WORST, "the region's own rate");
        run(&stage, job, 10);
        stage.minutes(3);
        let cost = costs(&stage).pop().expect("it is settled");
        assert_eq!(
            (cost.source, cost.amounts[0].1.compute.0),
            (source, 26_300),
            "{hours} h later"
        );
    }
}

#[test]
fn no_launch_waits_for_a_price_without_caps() {
    for fatal in 0..60 {
        let stage = Stage::new();
        stage.world.hub().config = Some(FILE.to_owned());
        stage.world.hub().queue(RUN, JobId(11));
        stage.make_and_die(Call::Launch(Event::JobQueued(stage.job(11))), fatal);
        let asked = stage.world.calls("on_demand_price") + stage.world.calls("volume_rate");
        if stage.world.calls("create_fleet") > 0 {
            assert_eq!(asked, 0);
            return;
        }
    }
    panic!("it is launched");
}
