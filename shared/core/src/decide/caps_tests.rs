use proptest::prelude::*;

use super::*;
use crate::config::VolumeType;
use crate::decide::fixtures::{claimed, deadlines, now, rung, runner};
use crate::ids::InstanceType;
use crate::prices::ToldRate;
use crate::record::{RunnerState, Version};

fn dollars(text: &str) -> MicroDollars {
    MicroDollars::from_decimal(text).unwrap()
}

fn price(per_hour: &str, source: PriceSource) -> Price {
    Price {
        per_hour: dollars(per_hour),
        source,
    }
}

/// What a volume costs, as AWS has just told.
fn volume_told() -> ToldRate {
    let rate = VolumeRate {
        gib_month: dollars("0.088"),
        ..VolumeRate::default()
    };
    ToldRate { rate, at: now() }
}

fn flat(per_hour: &str) -> Tariff {
    Tariff {
        compute: dollars(per_hour),
        disk_month: MicroDollars(0),
        address: MicroDollars(0),
        source: PriceSource::Aws,
    }
}

fn caps(stack: &str, repository: &str) -> Caps {
    Caps {
        stack: Some(dollars(stack)),
        repository: Some(dollars(repository)),
        ..Caps::default()
    }
}

/// What is set aside for the runner of a job, at a dollar an hour and with the default lifetime of 6 h.
fn wanted(job: u64, caps: &Caps) -> Reservation {
    reservation(&claimed(job).1, flat("1"), caps, now(), &deadlines())
}

fn month() -> Month {
    Month::of(now())
}

fn ledger(purse: Purse) -> LedgerId {
    LedgerId { purse, month: month() }
}

#[test]
fn an_attempt_costs_at_most_what_its_dearest_type_does_on_demand_or_the_limit() {
    let rates = Rates::embedded().unwrap();
    let told = |name: &InstanceType| match name.as_str() {
        "g4dn.xlarge" => Some(price("0.526", PriceSource::Aws)),
        "g5.xlarge" => Some(price("1.006", PriceSource::Shipped)),
        _ => None,
    };
    for (types, limit, lifecycle, expected) in [
        (&["g4dn.xlarge"][..], None, InstanceLifecycle::Spot, Some("0.526")),
        (
            &["g4dn.xlarge", "g5.xlarge"],
            None,
            InstanceLifecycle::Spot,
            Some("1.006"),
        ),
        (
            &["g4dn.xlarge", "g5.xlarge"],
            Some("0.60"),
            InstanceLifecycle::Spot,
            Some("0.60"),
        ),
        (&["g4dn.xlarge"], Some("2"), InstanceLifecycle::OnDemand, Some("0.526")),
        (&["g99.huge"], Some("2"), InstanceLifecycle::Spot, Some("2")),
        (&["g99.huge"], Some("2"), InstanceLifecycle::OnDemand, None),
        (&["g99.huge"], None, InstanceLifecycle::Spot, None),
    ] {
        let mut rung = rung(lifecycle);
        rung.spec.instance_types = types.iter().map(|name| InstanceType::new(*name)).collect();
        rung.spec.max_price = limit.map(dollars);
        let volume = rates.volume(VolumeType::Gp3, Some(&volume_told()), "us-east-1", now());
        let found = tariff(&rung, rates, &volume, told);
        assert_eq!(
            found.clone().ok().map(|tariff| tariff.compute),
            expected.map(dollars),
            "{types:?} {limit:?}"
        );
        if types.contains(&"g5.xlarge") && limit.is_none() {
            assert_eq!(
                found.unwrap().source,
                PriceSource::Shipped,
                "one price that AWS did not tell is enough"
            );
        }
    }
}

#[test]
fn a_tariff_has_the_volumes_rate_and_is_no_better_than_whoever_said_it() {
    let rates = Rates::embedded().unwrap();
    let price = |_: &InstanceType| Some(price("0.526", PriceSource::Aws));
    let mut rung = rung(InstanceLifecycle::Spot);
    let told = volume_told();
    for (gib, image_gib, told, disk_month, source) in [
        (Some(100), Some(60), Some(&told), "8.80", PriceSource::Aws),
        (None, Some(60), Some(&told), "5.28", PriceSource::Aws),
        (None, None, Some(&told), "17.60", PriceSource::Aws),
        (Some(100), None, None, "16", PriceSource::Shipped),
    ] {
        (rung.spec.disk_gib, rung.image_gib) = (gib, image_gib);
        let volume = rates.volume(VolumeType::Gp3, told, "eu-west-1", now());
        let tariff = tariff(&rung, rates, &volume, price).unwrap();
        assert_eq!(
            (tariff.disk_month, tariff.source),
            (dollars(disk_month), source),
            "{gib:?} {image_gib:?}"
        );
    }
}

#[test]
fn a_refusal_says_of_when_the_prices_are_that_aws_did_not_tell() {
    let over = |source| OverCap {
        purse: Purse::Stack,
        month: month(),
        cap: dollars("1"),
        spent: dollars("0"),
        reserved: dollars("0"),
        wanted: dollars("2"),
        tariff: Tariff { source, ..flat("2") },
    };
    for (source, said) in [
        (PriceSource::Earlier, Some("older than a day")),
        (
            PriceSource::Shipped,
            Some("by prices of 2026-02-09 that dayfly came with"),
        ),
        (PriceSource::Aws, None),
    ] {
        let words = over(source).refused(&[]).to_string();
        assert_eq!(words.contains("by prices"), said.is_some(), "{words}");
        assert!(words.contains(said.unwrap_or_default()), "{words}");
    }
}

#[test]
fn a_launch_that_could_pass_a_cap_by_a_micro_dollar_is_refused() {
    let free = Caps::default();
    let one = wanted(1, &free).total();
    for (spare, fits) in [(0, true), (1, false)] {
        let caps = Caps {
            repository: Some(MicroDollars(3 * one.0 - spare)),
            ..free
        };
        let mut ledgers = Ledgers::default();
        ledgers.reserve(None, &wanted(1, &caps), &caps).unwrap();
        ledgers.reserve(None, &wanted(2, &caps), &caps).unwrap();
        let before = ledgers.clone();
        let third = ledgers.reserve(None, &wanted(3, &caps), &caps);
        assert_eq!(third.is_ok(), fits);
        if let Err(over) = third {
            assert_eq!(
                (over.spent.0, over.reserved, over.wanted),
                (0, MicroDollars(2 * one.0), one)
            );
            assert_eq!(
                ledgers.changes(),
                before.changes(),
                "nothing is set aside of what does not fit"
            );
        }
    }
}

#[test]
fn another_attempt_sets_aside_what_it_costs_in_place_of_what_the_last_one_did() {
    let caps = caps("10", "10");
    let mut ledgers = Ledgers::default();
    let spot = wanted(1, &caps);
    ledgers.reserve(None, &spot, &caps).unwrap();
    let stack = ledger(Purse::Stack);
    assert_eq!(ledgers.get(&stack).reserved, spot.total());
    let dearer = reservation(&claimed(1).1, flat("1.5"), &caps, now(), &deadlines());
    ledgers.reserve(Some(&spot), &dearer, &caps).unwrap();
    assert_eq!(ledgers.get(&stack).reserved, dearer.total());
    let dearest = reservation(&claimed(1).1, flat("2"), &caps, now(), &deadlines());
    let over = ledgers.reserve(Some(&dearer), &dearest, &caps).unwrap_err();
    assert_eq!(
        (over.reserved, over.wanted),
        (MicroDollars(0), dearest.total()),
        "what it holds itself stands in nobody's way"
    );
    ledgers.release(&dearer);
    assert_eq!(ledgers.get(&stack).reserved, MicroDollars(0));
}

#[test]
fn a_job_that_may_run_into_the_next_month_is_set_aside_in_both() {
    let ends = month().ends();
    let late = Timestamp::from_seconds(ends.seconds() - 3600);
    let caps = Caps::default();
    let both = reservation(&claimed(1).1, flat("1"), &caps, late, &deadlines());
    let shares: Vec<(Month, u64)> = both.shares.iter().map(|(month, share)| (*month, share.0)).collect();
    // An hour is left of this month. If EC2's answer is not clear for half an hour, that much more is in the next.
    let next = (1_000_000u64 * (5 * 60 + 10 + 30)).div_ceil(60);
    assert_eq!(shares, [(month(), 1_000_000), (month().next(), next)]);
}

#[test]
fn those_who_pay_are_the_stack_and_its_parts_and_others_where_they_have_a_cap() {
    let mut runner = runner(RunnerState::Requested);
    runner.attribution.actor = Some("Alice".to_owned());
    runner.attribution.pull = Some(12);
    let names = |caps: &Caps| purses(&runner, caps).iter().map(Purse::to_string).collect::<Vec<_>>();
    assert_eq!(names(&Caps::default()), ["the stack", "octo", "octo/gpu"]);
    let many = Caps {
        pull_request: Some(dollars("5")),
        actor: Some(dollars("20")),
        ..Caps::default()
    };
    assert_eq!(names(&many)[3..], ["octo/gpu#12", "@alice"]);
}

#[test]
fn a_threshold_is_noted_once_and_due_until_it_is_told() {
    let caps = caps("100", "1000");
    let mut ledgers = Ledgers::default();
    ledgers.reserve(None, &wanted(1, &caps), &caps).unwrap();
    let spent = |dollars: u64| {
        let amounts = Amounts {
            compute: MicroDollars(dollars * 1_000_000),
            ..Amounts::default()
        };
        vec![(month(), amounts)]
    };
    let stack = ledger(Purse::Stack);
    for (more, passed, news) in [
        (49, vec![], vec![]),
        (1, vec![50], vec![50]),
        (40, vec![50, 80], vec![80]),
        (1, vec![50, 80], vec![]),
        (20, vec![50, 80, 100], vec![100]),
    ] {
        ledgers.spend(&[Purse::Stack], &spent(more), now());
        let now = ledgers.get(&stack);
        let percent = |thresholds: &[Threshold]| thresholds.iter().map(|one| one.percent()).collect::<Vec<_>>();
        let to_tell: Vec<Threshold> = now.to_tell.iter().map(|(threshold, _)| *threshold).collect();
        assert_eq!(
            (percent(&now.passed), percent(&to_tell)),
            (passed, news),
            "{}",
            now.spent
        );
        assert_eq!(now.due_at.is_some(), !to_tell.is_empty());
        let told = told(now, &to_tell);
        assert_eq!(told.due_at, None);
        ledgers.set(told);
    }
}

#[test]
fn a_cap_that_refuses_is_told_once_as_reached() {
    let caps = caps("1", "1");
    let mut ledgers = Ledgers::default();
    let over = ledgers.reserve(None, &wanted(1, &caps), &caps).unwrap_err();
    assert!(ledgers.refused(&over, now()));
    assert!(!ledgers.refused(&over, now()));
    assert_eq!(ledgers.with_news().count(), 1);
}

#[test]
fn a_refusal_says_the_amounts_who_holds_them_and_when_the_count_begins_anew() {
    let caps = caps("1000", "10");
    let mut ledgers = Ledgers::default();
    let first = wanted(1, &caps);
    ledgers.reserve(None, &first, &caps).unwrap();
    let over = ledgers.reserve(None, &wanted(2, &caps), &caps).unwrap_err();
    let holder = Holder {
        runner: claimed(1).1.name,
        reserved: first,
        repository: "octo/gpu".to_owned(),
    };
    let words = over.refused(&[holder]).to_string();
    for part in [
        "`caps.repository`",
        "octo/gpu may spend $10.00 in 2027-01",
        "$0.00 are spent and $6.166667 reserved ($6.166667 by job 1 of octo/gpu)",
        "could cost up to $6.166667.",
        "2027-02-01 00:00 UTC",
    ] {
        assert!(words.contains(part), "`{part}` in: {words}");
    }
}

#[derive(Clone, Debug)]
enum Act {
    Reserve(usize, u64),
    Settle(usize, u64),
}

fn acts() -> impl Strategy<Value = Vec<Act>> {
    let act = prop_oneof![
        (0..8usize, 1u64..5_000_000).prop_map(|(who, per_hour)| Act::Reserve(who, per_hour)),
        (0..8usize, 0u64..=100).prop_map(|(who, share)| Act::Settle(who, share)),
    ];
    proptest::collection::vec(act, 1..60)
}

proptest! {
    #[test]
    fn no_cap_is_ever_passed_and_nothing_stays_reserved(acts in acts(), cap in 1u64..60_000_000) {
        let caps = Caps { stack: Some(MicroDollars(cap)), repository: Some(MicroDollars(cap)), ..Caps::default() };
        let stack = ledger(Purse::Stack);
        let mut ledgers = Ledgers::default();
        let mut held: Vec<Option<Reservation>> = vec![None; 8];
        for act in acts {
            match act {
                Act::Reserve(who, per_hour) => {
                    let tariff = Tariff { compute: MicroDollars(per_hour), ..flat("1") };
                    let wanted = reservation(&claimed(1).1, tariff, &caps, now(), &deadlines());
                    if ledgers.reserve(held[who].as_ref(), &wanted, &caps).is_ok() {
                        held[who] = Some(wanted);
                    }
                }
                Act::Settle(who, percent) => {
                    if let Some(reserved) = held[who].take() {
                        let span = deadlines().lifetime.mul_f64(f64::from(u32::try_from(percent).unwrap()) / 100.0);
                        let compute = crate::costs::Compute::Flat(reserved.tariff.compute);
                        let cost = reserved.tariff.cost(now(), now().after(span), &compute, false);
                        ledgers.release(&reserved);
                        ledgers.spend(&reserved.purses, &cost, now());
                    }
                }
            }
            prop_assert!(ledgers.get(&stack).committed().0 <= cap);
        }
        for reserved in held.into_iter().flatten() {
            ledgers.release(&reserved);
        }
        prop_assert_eq!(ledgers.get(&stack).reserved.0, 0);
    }
}

#[test]
fn what_is_written_names_the_versions_that_were_read() {
    let caps = caps("100", "100");
    let id = ledger(Purse::Stack);
    let known = Stored {
        record: Ledger::new(id.clone()),
        version: Version(7),
    };
    let mut ledgers = Ledgers::of([(id, Some(known))].into());
    ledgers.reserve(None, &wanted(1, &caps), &caps).unwrap();
    let mut expected: Vec<Option<u64>> = ledgers
        .changes()
        .iter()
        .map(|change| change.expected.map(|at| at.0))
        .collect();
    expected.sort_unstable();
    assert_eq!(expected, [None, None, Some(7)]);
}
