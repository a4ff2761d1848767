//! What instances have cost is counted once, as EC2 bills it, whatever AWS does not tell.

use std::time::Duration;

use dayfly_engine::interruption::Word;
use dayfly_records::event::{Conclusion, Event};
use dayfly_records::prices::PriceSource;
use dayfly_records::{JobState, Purpose, Record, RunnerState};
use dayfly_types::ids::{InstanceId, InstanceType, JobId};
use dayfly_types::money::MicroDollars;
use dayfly_types::month::Month;

use crate::caps::{FILE, WORST, asked_by, busy, capped, committed, costs, instance_of, ledger, refusal, reserved, run};
use crate::stage::{Call, POLICY, RUN, Stage};

#[test]
fn an_instance_that_ec2_takes_in_its_first_hour_costs_its_address_and_volume_only() {
    for (by_ec2, compute) in [(true, 0), (false, 15_780)] {
        let stage = capped(10 * WORST);
        stage.queue(11);
        let instance = busy(&stage, 11);
        stage.make(Call::Ec2(instance.clone(), Word::Warning));
        stage.wait(Duration::from_mins(6));
        if by_ec2 {
            stage.world.cloud().taken_back.insert(instance.clone());
        }
        stage.world.cloud().end(&instance);
        stage.make(Call::Ec2(instance, Word::Ended));
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
fn an_instance_that_nobody_ended_in_time_is_settled_in_a_month_of_which_nothing_was_set_aside() {
    let stage = capped(10 * WORST);
    let ends = Month::of(stage.now()).ends();
    stage.wait(ends.since(stage.now()).saturating_sub(Duration::from_hours(2)));
    stage.queue(11);
    let instance = instance_of(&stage, 11);
    stage.make(Call::Ec2(instance.clone(), Word::Running));
    stage.wait(Duration::from_hours(3));
    // By now the next month has a ledger of its own.
    stage.queue(12);
    let for_another = reserved(&stage);
    assert!(for_another > 0);
    stage.make(Call::Ec2(instance.clone(), Word::Ended));
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
fn what_ran_nobody_knows_where_is_counted_when_ec2_tells_and_at_its_most_if_it_never_does() {
    for (told, compute) in [(true, 5_260), (false, 16_667)] {
        let stage = capped(10 * WORST);
        stage.world.cloud().names_none = true;
        stage.queue(11);
        run(&stage, 11, 2);
        stage.minute();
        assert_eq!((costs(&stage).len(), reserved(&stage)), (0, WORST), "it may tell yet");
        stage.world.cloud().names_none = !told;
        stage.minutes(5);
        let [cost] = costs(&stage).try_into().expect("one cost");
        assert_eq!((cost.amounts[0].1.compute.0, reserved(&stage)), (compute, 0));
        assert_eq!(stage.left(), Vec::<String>::new());
    }
}

#[test]
fn an_instance_that_nobody_owned_is_counted_when_it_is_ended() {
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

/// The policy of a stack that keeps what pull requests and users spend.
const OWN_CAPS: &str = "version: 1\nforks: always\ncaps: {pull_request: $9, actor: $9}\n";

/// What is spent of each budget's money in this month.
fn spent(stage: &Stage) -> Vec<(String, u64)> {
    let table = stage.world.table();
    let ledgers = table.records().filter_map(|record| match record {
        Record::Ledger(ledger) => Some((ledger.budget.to_string(), ledger.spent.0)),
        _ => None,
    });
    ledgers.collect()
}

/// A runner that lives no more, whose instance EC2 never ended: what it was set aside is settled.
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
fn a_orphan_is_counted_whatever_aws_does_not_tell_and_for_all_who_pay_for_its_runner() {
    for (down, compute, source) in [
        (&[][..], 78_900, PriceSource::Aws),
        // By the table of another region, and twice as much as that has.
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
        stage.make(Call::Patrol);
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
fn a_orphan_is_counted_once_wherever_the_patrol_that_ends_it_dies() {
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
fn what_ended_by_itself_and_no_record_ever_named_is_counted() {
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
fn a_volume_is_settled_at_the_rate_of_its_region() {
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
fn one_of_whom_ec2_does_not_tell_holds_up_no_other_and_is_counted_by_what_is_known_in_the_end() {
    let stage = capped(10 * WORST);
    stage.queue(11);
    stage.queue(12);
    let told = instance_of(&stage, 11);
    stage.world.cloud().untold.insert(instance_of(&stage, 12));
    for job in [11, 12] {
        let instance = busy(&stage, job);
        stage.make(Call::Ec2(instance, Word::Warning));
    }
    stage.minutes(2);
    for job in [11, 12] {
        let instance = instance_of(&stage, job);
        stage.world.cloud().end(&instance);
        stage.make(Call::Ec2(instance, Word::Ended));
        stage.complete(job, Conclusion::Failure);
    }
    stage.minutes(3);
    let [cost] = costs(&stage).try_into().expect("one is told of");
    assert_eq!(cost.instance, told);
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
fn what_aws_does_not_tell_the_price_of_is_launched_later_and_what_it_has_no_price_for_is_refused() {
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
        stage.world.mend();
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
fn a_job_whose_price_aws_never_tells_is_given_up_with_the_reason() {
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
        reason.contains("what `g99.huge` costs on demand is not known"),
        "{reason}"
    );
}

#[test]
fn the_last_that_aws_told_is_used_when_it_does_not_tell_anew_and_that_is_said() {
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
fn nobody_waits_for_a_price_in_a_stack_without_caps() {
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
