use std::time::Duration;

use dayfly_records::prices::VolumeRate;
use dayfly_records::{LaunchPlan, Reservation, RunnerState};
use dayfly_types::budget::Budget;

use super::*;
use crate::fixtures::{claimed, deadlines, now, option, runner};

const MINUTE: Duration = Duration::from_mins(1);

/// A spot runner whose instance ran for so long, 30 seconds after its launch, at $0.18 an hour.
fn ran(span: Duration) -> Runner {
    let mut runner = runner(RunnerState::Gone);
    let launched = runner.launched.get_or_insert_with(|| unreachable!());
    launched.price_per_hour = Some(MicroDollars(180_000));
    let from = launched.at.after(MINUTE / 2);
    runner.running_at = Some(from);
    runner.instance_ended_at = Some(from.after(span));
    runner.job = Some(runner.wanted_by);
    runner.ending = Some(Ending::JobOver);
    runner.reserved = Some(Reservation {
        tariff: Tariff {
            compute: MicroDollars(1_006_000),
            disk_month: MicroDollars(0),
            address: MicroDollars(0),
            source: PriceSource::Aws,
        },
        budgets: Vec::new(),
        shares: Vec::new(),
    });
    runner
}

fn total(runner: &Runner, answered: &Ec2Answers) -> u64 {
    cost(runner, None, answered, now().after(600 * MINUTE))
        .unwrap()
        .total()
        .0
}

#[test]
fn job_costs_its_pools_price_while_its_instance_ran() {
    let short = ran(20 * MINUTE);
    assert!(ec2_questions(&short, now()).prices.is_some() && !ec2_questions(&short, now()).end_cause);
    let mut on_demand = short.clone();
    on_demand.launched.as_mut().unwrap().lifecycle = InstanceLifecycle::OnDemand;
    assert_eq!(ec2_questions(&on_demand, now()), Ec2Questions::default());
    assert_eq!(total(&short, &Ec2Answers::default()), 60_000);
    let mut unsaid = short.clone();
    unsaid.running_at = None;
    assert_eq!(total(&unsaid, &Ec2Answers::default()), 61_500, "from its launch");
    unsaid.instance_ended_at = None;
    assert_eq!(total(&unsaid, &Ec2Answers::default()), 1_800_000, "until now");
}

#[test]
fn each_hour_costs_the_pools_price_at_its_start() {
    let long = ran(90 * MINUTE);
    let asked = ec2_questions(&long, now());
    assert!(asked.prices.is_some() && !asked.end_cause);
    let dearer = SpotPrice {
        per_hour: MicroDollars(360_000),
        since: now().after(40 * MINUTE),
    };
    let cheap = SpotPrice {
        per_hour: MicroDollars(180_000),
        since: now(),
    };
    let answered = Ec2Answers {
        prices: vec![cheap, dearer],
        ..Ec2Answers::default()
    };
    assert_eq!(total(&long, &answered), 180_000 + 180_000);
}

#[test]
fn only_an_interruption_in_the_first_hour_is_free() {
    for (minutes, by_ec2, micros) in [(40, true, 0), (40, false, 120_000), (61, true, 183_000)] {
        let mut taken = ran(minutes * MINUTE);
        taken.interrupted_at = Some(now());
        taken.ending = Some(Ending::Interrupted);
        assert_eq!(ec2_questions(&taken, now()).end_cause, minutes < 60);
        let answered = Ec2Answers {
            ended_by_ec2: by_ec2,
            ..Ec2Answers::default()
        };
        assert_eq!(total(&taken, &answered), micros, "{minutes} min, {by_ec2}");
        let cost = cost(&taken, None, &answered, now()).unwrap();
        assert_eq!(cost.purpose, Purpose::Interrupted);
    }
}

#[test]
fn job_that_finished_in_time_counts_as_a_job() {
    use dayfly_records::event::Conclusion::{Cancelled, Failure, Success, TimedOut};
    let mut taken = ran(20 * MINUTE);
    taken.interrupted_at = Some(now());
    let mut job = claimed(11).0;
    for (ending, conclusion, purpose) in [
        (Ending::Interrupted, Success, Purpose::Job),
        (Ending::Interrupted, Cancelled, Purpose::Job),
        (Ending::Interrupted, Failure, Purpose::Interrupted),
        (Ending::HeartbeatLost, TimedOut, Purpose::Interrupted),
        (Ending::Vanished, Success, Purpose::Job),
        (Ending::JobOver, Failure, Purpose::Job),
    ] {
        taken.ending = Some(ending.clone());
        job.state = JobState::Finished { conclusion };
        let cost = cost(&taken, Some(&job), &Ec2Answers::default(), now()).unwrap();
        assert_eq!(cost.purpose, purpose, "{ending:?}, {conclusion:?}");
    }
    taken.ending = Some(Ending::Interrupted);
    job.state = JobState::Running { runner: String::new() };
    assert_eq!(super::purpose(&taken, Some(&job)), Purpose::Interrupted, "as it seems");
    job.key.job = dayfly_types::ids::JobId(12);
    job.state = JobState::Finished { conclusion: Success };
    assert_eq!(
        super::purpose(&taken, Some(&job)),
        Purpose::Interrupted,
        "it ran another"
    );
}

#[test]
fn instance_has_one_cost() {
    let runner = ran(MINUTE);
    let launched = runner.launched.clone().unwrap();
    let said = launched.at.after(MINUTE);
    let another = InstanceId::new("i-another");
    assert_eq!(launched_at(Some(&runner), &launched.instance, said), launched.at);
    assert_eq!(launched_at(Some(&runner), &another, said), said);
    assert_eq!(launched_at(None, &launched.instance, said), said);
    assert!(is_counted_with(&runner, &launched.instance) && !is_counted_with(&runner, &another));
    let settled = Runner {
        reserved: None,
        ..runner
    };
    assert!(!is_counted_with(&settled, &launched.instance));
}

#[test]
fn ec2_may_list_a_new_instance_minutes_late() {
    let runner = ran(MINUTE);
    let launched = runner.launched.as_ref().unwrap().at;
    let absence = deadlines().absence;
    assert!(may_be_listed_yet(
        &runner,
        launched.after(absence.saturating_sub(MINUTE)),
        &deadlines()
    ));
    assert!(!may_be_listed_yet(&runner, launched.after(absence), &deadlines()));
}

#[test]
fn unknown_price_is_costed_at_the_tariff_and_marked() {
    let mut unpriced = ran(30 * MINUTE);
    unpriced.launched.as_mut().unwrap().price_per_hour = None;
    assert!(ec2_questions(&unpriced, now()).prices.is_some());
    let cost = cost(&unpriced, None, &Ec2Answers::default(), now()).unwrap();
    assert_eq!((cost.total().0, cost.source), (503_000, PriceSource::Shipped));
}

fn on_demand(source: PriceSource) -> Price {
    Price {
        per_hour: MicroDollars(500_000),
        source,
    }
}

/// A gp3 volume in a region a tenth dearer than that of the program's table.
fn gp3(source: PriceSource) -> VolumePrice {
    let rate = VolumeRate {
        gib_month: MicroDollars(88_000),
        ..VolumeRate::default()
    };
    VolumePrice { rate, source }
}

#[test]
fn volume_is_costed_at_the_regions_rate() {
    let mut runner = ran(30 * MINUTE);
    let reserved = runner.reserved.as_mut().unwrap();
    (reserved.tariff.disk_month, reserved.tariff.source) = (MicroDollars(16_000_000), PriceSource::Shipped);
    let mut option = option(InstanceLifecycle::Spot);
    option.spec.disk_gib = Some(100);
    runner.plan = LaunchPlan::new(option, Vec::new());
    let disk = |answered: &Ec2Answers| {
        let cost = cost(&runner, None, answered, now()).unwrap();
        (cost.amounts[0].1.disk.0, cost.source)
    };
    let half_hour = |month: u64| {
        let month_of = dayfly_types::month::Month::of(now()).length();
        MicroDollars(month).per(month_of, 30 * MINUTE).0
    };
    let told = |source| Ec2Answers {
        volume: Some(gp3(source)),
        ..Ec2Answers::default()
    };
    assert_eq!(disk(&told(PriceSource::Aws)), (half_hour(8_800_000), PriceSource::Aws));
    assert_eq!(
        disk(&told(PriceSource::Shipped)),
        (half_hour(8_800_000), PriceSource::Shipped)
    );
    assert_eq!(
        disk(&Ec2Answers::default()),
        (half_hour(16_000_000), PriceSource::Shipped)
    );
}

#[test]
fn cost_names_the_least_reliable_source_of_its_parts() {
    use PriceSource::{Aws, Earlier, Shipped};
    for (at_launch, later, volume, expected) in [
        (Some(Aws), None, Aws, Aws),
        (None, None, Aws, Aws),
        // What was saved is said by a price that AWS did not tell.
        (Some(Shipped), None, Aws, Shipped),
        (Some(Shipped), Some(Aws), Aws, Aws),
        (Some(Aws), None, Earlier, Earlier),
        (Some(Aws), None, Shipped, Shipped),
    ] {
        let mut runner = ran(30 * MINUTE);
        runner.launched.as_mut().unwrap().on_demand = at_launch.map(on_demand);
        let answered = Ec2Answers {
            on_demand: later.map(on_demand),
            volume: Some(gp3(volume)),
            ..Ec2Answers::default()
        };
        let cost = cost(&runner, None, &answered, now()).unwrap();
        assert_eq!(cost.source, expected, "{at_launch:?} {later:?} {volume:?}");
        assert_eq!(cost.on_demand.is_some(), at_launch.is_some());
    }
}

#[test]
fn interruption_without_a_notice_is_possible() {
    for (ending, asked) in [
        (Ending::Vanished, true),
        (Ending::HeartbeatLost, true),
        (Ending::NeverBooted, true),
        (Ending::JobOver, false),
        (Ending::Idle, false),
    ] {
        for (minutes, early) in [(59, true), (61, false)] {
            let mut runner = ran(minutes * MINUTE);
            runner.ending = Some(ending.clone());
            let unknown = ec2_questions(&runner, now());
            assert_eq!(unknown.end_cause, asked && early, "{ending:?} after {minutes} min");
        }
    }
}

#[test]
fn price_unknown_for_an_hour_is_costed_at_the_maximum() {
    let mut runner = ran(30 * MINUTE);
    runner.since = now();
    let at = |minutes: u32| now().after(minutes * MINUTE);
    for (minutes, overdue, again) in [
        (0, false, 1),
        (1, false, 2),
        (10, false, 15),
        (40, false, 48),
        (58, false, 60),
        (60, true, 60),
    ] {
        assert_eq!(is_overdue(&runner, at(minutes), &deadlines()), overdue, "{minutes} min");
        assert_eq!(
            ask_again_at(&runner, at(minutes), &deadlines()),
            at(again),
            "{minutes} min"
        );
    }
    let unanswered = Ec2Answers {
        unavailable: true,
        ..Ec2Answers::default()
    };
    // At the most that it can have been, and not at what it was when it was launched.
    for (on_demand, micros, source) in [
        (None, 503_000, PriceSource::Shipped),
        (Some(on_demand(PriceSource::Aws)), 250_000, PriceSource::Earlier),
    ] {
        runner.launched.as_mut().unwrap().on_demand = on_demand;
        let cost = cost(&runner, None, &unanswered, now()).unwrap();
        assert_eq!((cost.total().0, cost.source), (micros, source), "{on_demand:?}");
    }
}

#[test]
fn orphan_is_costed_at_the_prices_that_are_known() {
    let runner = ran(MINUTE);
    let spot = [SpotPrice {
        per_hour: MicroDollars(180_000),
        since: now(),
    }];
    for (known, prices, by_ec2, minutes, micros, source) in [
        (Some(PriceSource::Aws), &spot[..], false, 30, 90_000, PriceSource::Aws),
        (
            Some(PriceSource::Shipped),
            &spot[..],
            false,
            30,
            90_000,
            PriceSource::Shipped,
        ),
        (Some(PriceSource::Aws), &[][..], false, 30, 250_000, PriceSource::Aws),
        (None, &[][..], false, 30, 0, PriceSource::Shipped),
        (Some(PriceSource::Aws), &spot[..], true, 30, 0, PriceSource::Aws),
        (Some(PriceSource::Aws), &spot[..], true, 90, 270_000, PriceSource::Aws),
    ] {
        let launched = Launched {
            on_demand: known.map(on_demand),
            at: now(),
            ..runner.launched.clone().unwrap()
        };
        let answered = Ec2Answers {
            prices: prices.to_vec(),
            ended_by_ec2: by_ec2,
            volume: Some(gp3(PriceSource::Aws)),
            ..Ec2Answers::default()
        };
        let cost = orphan_cost(&launched, Some(&runner), None, &answered, now().after(minutes * MINUTE)).unwrap();
        let compute: u64 = cost.amounts.iter().map(|(_, amounts)| amounts.compute.0).sum();
        assert_eq!(
            (compute, cost.source),
            (micros, source),
            "{known:?} {prices:?} {by_ec2}"
        );
        assert!(cost.amounts[0].1.disk > MicroDollars(0) && cost.amounts[0].1.address > MicroDollars(0));
        assert_eq!(cost.free, by_ec2 && minutes <= 60);
    }
}

#[test]
fn batches_fit_into_a_transaction() {
    let ledger = |number: u64| LedgerId {
        budget: Budget::PullRequest {
            repository: "octo/gpu".parse().unwrap(),
            number,
        },
        month: dayfly_types::month::Month::of(now()),
    };
    // Each with its own ledgers, besides some that all share.
    let accounts = |count: u64, own: u64, shared: u64| -> Vec<Vec<LedgerId>> {
        let of = |one: u64| {
            let own = (0..own).map(|number| ledger(1000 * (one + 1) + number));
            own.chain((0..shared).map(ledger)).collect()
        };
        (0..count).map(of).collect()
    };
    for (accounts, expected) in [
        (accounts(0, 0, 2), &[][..]),
        (accounts(12, 0, 2), &[12]),
        // Two months of a repository, a pull request and an actor, and of stack and organisation: with all
        // twelve together 2 × 12 + 6 × 12 + 4 would be a hundred.
        (accounts(12, 6, 4), &[12]),
        (accounts(13, 6, 4), &[12, 1]),
        (accounts(12, 8, 2), &[9, 3]),
        // One by itself is written whatever it has.
        (accounts(2, 120, 0), &[1, 1]),
    ] {
        let parts = batch_sizes(accounts.iter().map(|ledgers| (2, ledgers.as_slice())));
        assert_eq!(parts, expected);
        let mut rest = accounts.as_slice();
        for count in parts {
            let (part, others) = rest.split_at(count);
            let ledgers: BTreeSet<&LedgerId> = part.iter().flatten().collect();
            assert!(count == 1 || 2 * count + ledgers.len() <= MOST_CHANGES);
            rest = others;
        }
    }
}
