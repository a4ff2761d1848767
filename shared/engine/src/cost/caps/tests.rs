use dayfly_config::VolumeType;
use dayfly_records::costs::Compute;
use dayfly_records::prices::DatedRate;
use dayfly_records::{RunnerState, Version};
use dayfly_types::ids::InstanceType;

use super::*;
use crate::fixtures::{claimed, deadlines, now, option, runner};

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
fn volume_told() -> DatedRate {
    let rate = VolumeRate {
        gib_month: dollars("0.088"),
        ..VolumeRate::default()
    };
    DatedRate { rate, at: now() }
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

fn ledger(budget: Budget) -> LedgerId {
    LedgerId { budget, month: month() }
}

#[test]
fn option_costs_at_most_its_dearest_type_or_the_spot_limit() {
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
        // What is not known to be above its limit may cost its price all the same.
        (
            &["g4dn.xlarge", "g5.xlarge"],
            Some("0.60"),
            InstanceLifecycle::OnDemand,
            Some("1.006"),
        ),
        (&["g99.huge"], Some("2"), InstanceLifecycle::Spot, Some("2")),
        (&["g99.huge"], Some("2"), InstanceLifecycle::OnDemand, None),
        (&["g99.huge"], None, InstanceLifecycle::Spot, None),
    ] {
        let mut option = option(lifecycle);
        option.spec.instance_types = types.iter().map(|name| InstanceType::new(*name)).collect();
        option.spec.max_price = limit.map(dollars);
        let volume = rates.volume(VolumeType::Gp3, Some(&volume_told()), "us-east-1", now());
        let found = tariff(&option, &option.spec.instance_types, rates, &volume, told);
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
fn tariff_has_the_volume_rate_and_its_least_reliable_source() {
    let rates = Rates::embedded().unwrap();
    let price = |_: &InstanceType| Some(price("0.526", PriceSource::Aws));
    let mut option = option(InstanceLifecycle::Spot);
    let told = volume_told();
    for (gib, image_gib, told, disk_month, source) in [
        (Some(100), Some(60), Some(&told), "8.80", PriceSource::Aws),
        (None, Some(60), Some(&told), "5.28", PriceSource::Aws),
        (None, None, Some(&told), "17.60", PriceSource::Aws),
        (Some(100), None, None, "16", PriceSource::Shipped),
    ] {
        (option.spec.disk_gib, option.image_gib) = (gib, image_gib);
        let volume = rates.volume(VolumeType::Gp3, told, "eu-west-1", now());
        let tariff = tariff(&option, &option.spec.instance_types, rates, &volume, price).unwrap();
        assert_eq!(
            (tariff.disk_month, tariff.source),
            (dollars(disk_month), source),
            "{gib:?} {image_gib:?}"
        );
    }
}

#[test]
fn refusal_names_the_date_of_prices_that_are_not_from_aws() {
    let over = |source| OverCap {
        budget: Budget::Stack,
        month: month(),
        cap: dollars("1"),
        spent: dollars("0"),
        reserved: dollars("0"),
        wanted: dollars("2"),
        tariff: Tariff { source, ..flat("2") },
    };
    for (source, said) in [
        (
            PriceSource::Earlier,
            Some("by AWS prices that are older than a day, because newer ones could not be fetched"),
        ),
        (
            PriceSource::Shipped,
            Some("by dayfly's built-in prices of 2026-02-09, because AWS prices could not be fetched"),
        ),
        (PriceSource::Aws, None),
    ] {
        let words = over(source).refused(&claimed(11).1.name, &[]).to_string();
        assert_eq!(words.contains("(by "), said.is_some(), "{words}");
        assert!(words.contains(said.unwrap_or_default()), "{words}");
    }
}

#[test]
fn launch_that_could_exceed_a_cap_by_a_micro_dollar_is_refused() {
    let free = Caps::default();
    let one = wanted(1, &free).total();
    for (spare, fits) in [(0, true), (1, false)] {
        let caps = Caps {
            repository: Some(MicroDollars(3 * one.0 - spare)),
            ..free
        };
        let mut ledgers = Ledgers::default();
        ledgers.reserve(None, &wanted(1, &caps), &caps, now()).unwrap();
        ledgers.reserve(None, &wanted(2, &caps), &caps, now()).unwrap();
        let before = ledgers.clone();
        let third = ledgers.reserve(None, &wanted(3, &caps), &caps, now());
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
fn next_option_replaces_the_reservation_of_the_last() {
    let caps = caps("10", "10");
    let mut ledgers = Ledgers::default();
    let spot = wanted(1, &caps);
    ledgers.reserve(None, &spot, &caps, now()).unwrap();
    let stack = ledger(Budget::Stack);
    assert_eq!(ledgers.get(&stack).reserved, spot.total());
    let dearer = reservation(&claimed(1).1, flat("1.5"), &caps, now(), &deadlines());
    ledgers.reserve(Some(&spot), &dearer, &caps, now()).unwrap();
    assert_eq!(ledgers.get(&stack).reserved, dearer.total());
    let dearest = reservation(&claimed(1).1, flat("2"), &caps, now(), &deadlines());
    let over = ledgers.reserve(Some(&dearer), &dearest, &caps, now()).unwrap_err();
    assert_eq!(
        (over.reserved, over.wanted),
        (MicroDollars(0), dearest.total()),
        "what it holds itself stands in nobody's way"
    );
    ledgers.release(&dearer);
    assert_eq!(ledgers.get(&stack).reserved, MicroDollars(0));
}

#[test]
fn job_that_may_run_into_the_next_month_is_reserved_in_both() {
    let ends = month().ends();
    let late = Timestamp::from_seconds(ends.seconds() - 3600);
    let caps = Caps::default();
    let both = reservation(&claimed(1).1, flat("1"), &caps, late, &deadlines());
    let shares: Vec<(Month, u64)> = both.shares.iter().map(|(month, share)| (*month, share.0)).collect();
    // An hour is left of this month. A call is made for half an hour and may take two minutes, so that much more is in
    // the next.
    let next = (1_000_000u64 * (5 * 60 + 10 + 30 + 2)).div_ceil(60);
    assert_eq!(shares, [(month(), 1_000_000), (month().next(), next)]);
}

#[test]
fn instance_of_the_last_call_costs_nothing_in_a_month_without_reservation() {
    let limits = deadlines();
    let ends = month().ends();
    for minutes in 0..120 {
        let recorded = Timestamp::from_seconds(ends.seconds() - 60 * minutes);
        let reserved = reservation(&claimed(1).1, flat("1"), &Caps::default(), recorded, &limits);
        let launched = fleet::last_call_at(recorded, &limits).after(LONGEST_CALL);
        let ended = launched.after(limits.lifetime + MAX_OVERRUN);
        let price = Compute::Flat(dollars("1"));
        for (of, cost) in reserved.tariff.cost(launched, ended, &price, false) {
            let share = reserved.shares.iter().find(|(known, _)| *known == of);
            assert!(
                share.is_some_and(|(_, share)| cost.total() <= *share),
                "recorded {minutes} minutes before the end of the month: {cost:?} of {share:?} in {of}"
            );
        }
    }
}

#[test]
fn budgets_are_the_stack_its_parts_and_others_with_a_cap() {
    let mut runner = runner(RunnerState::Requested);
    runner.attribution.actor = Some("Alice".to_owned());
    runner.attribution.pull = Some(12);
    let names = |caps: &Caps| budgets(&runner, caps).iter().map(Budget::to_string).collect::<Vec<_>>();
    assert_eq!(names(&Caps::default()), ["the stack", "octo", "octo/gpu"]);
    let many = Caps {
        pull_request: Some(dollars("5")),
        actor: Some(dollars("20")),
        ..Caps::default()
    };
    assert_eq!(names(&many)[3..], ["octo/gpu#12", "@alice"]);
}

#[test]
fn repository_has_one_ledger_in_any_case_of_its_name() {
    let mut runner = runner(RunnerState::Requested);
    runner.attribution.actor = Some("alice".to_owned());
    runner.attribution.pull = Some(12);
    let caps = Caps {
        pull_request: Some(dollars("5")),
        actor: Some(dollars("20")),
        ..Caps::default()
    };
    let small = budgets(&runner, &caps);
    runner.repository = "Octo/GPU".parse().unwrap();
    runner.attribution.actor = Some("Alice".to_owned());
    assert_eq!(budgets(&runner, &caps), small);
    let repository = "octo/gpu".parse().unwrap();
    assert_eq!(budgets_of(Some(&runner.repository)), budgets_of(Some(&repository)));
    assert_eq!(small[3], budget_of_pull(&runner.repository, 12));
}

#[test]
fn refusing_cap_is_noted_once_and_stored_in_the_ledger() {
    let lowered = caps("1", "1");
    let mut ledgers = Ledgers::default();
    ledgers
        .reserve(None, &wanted(1, &lowered), &caps("100", "100"), now())
        .unwrap();
    let stack = ledger(Budget::Stack);
    assert_eq!(ledgers.get(&stack).cap, Some(dollars("100")));
    let over = ledgers
        .reserve(None, &wanted(2, &lowered), &lowered, now())
        .unwrap_err();
    for _ in 0..2 {
        ledgers.refused(&over, now());
        let refused = ledgers.get(&over.ledger());
        assert_eq!(refused.to_report, [(Threshold::Refused, dollars("1"))]);
        assert_eq!(
            refused.cap,
            Some(dollars("1")),
            "what is left of another cap is no news of this one"
        );
    }
    assert_eq!(ledgers.newly_due().collect::<Vec<_>>(), [over.ledger()]);
    let read = ledgers.changes().into_iter().filter_map(|change| match change.record {
        dayfly_records::Record::Ledger(record) => Some((
            record.id(),
            Some(Stored {
                record,
                version: Version::FIRST,
            }),
        )),
        _ => None,
    });
    let mut again = Ledgers::of(read.collect());
    again.refused(&over, now());
    assert_eq!(
        (again.newly_due().count(), again.changes().len()),
        (0, 0),
        "it is noted"
    );
}

#[test]
fn refusal_names_the_amounts_the_holders_and_the_reset() {
    let caps = caps("1000", "10");
    let mut ledgers = Ledgers::default();
    let first = wanted(1, &caps);
    ledgers.reserve(None, &first, &caps, now()).unwrap();
    let over = ledgers.reserve(None, &wanted(2, &caps), &caps, now()).unwrap_err();
    let holder = ReservationHolder {
        runner: claimed(1).1.name,
        reserved: first,
        repository: "octo/gpu".to_owned(),
    };
    let asks = ReservationHolder {
        runner: claimed(2).1.name,
        ..holder.clone()
    };
    let words = over.refused(&asks.runner, &[holder, asks.clone()]).to_string();
    assert!(
        !words.contains("job 2"),
        "what it holds itself stands in nobody's way: {words}"
    );
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

#[test]
fn written_ledgers_name_the_versions_that_were_read() {
    let caps = caps("100", "100");
    let id = ledger(Budget::Stack);
    let known = Stored {
        record: Ledger::new(id.clone()),
        version: Version(7),
    };
    let mut ledgers = Ledgers::of([(id, Some(known))].into());
    ledgers.reserve(None, &wanted(1, &caps), &caps, now()).unwrap();
    let mut expected: Vec<Option<u64>> = ledgers
        .changes()
        .iter()
        .map(|change| change.expected.map(|at| at.0))
        .collect();
    expected.sort_unstable();
    assert_eq!(expected, [None, None, Some(7)]);
}
