use dayfly_config::Config;
use dayfly_config::labels::Label;
use dayfly_engine::launch::claim;
use dayfly_records::event::JobEvent;
use dayfly_records::{LaunchOption, LaunchPlan, Ledger, Record, Version};
use dayfly_types::budget::Budget;
use dayfly_types::deadlines::Deadlines;
use dayfly_types::ids::{DeliveryId, ImageId, InstallationId, JobId, RunAttempt, RunId};
use dayfly_types::month::Month;

use super::*;

const DOLLAR: u64 = 1_000_000;

fn now() -> Timestamp {
    Timestamp::from_seconds(1_800_000_000)
}

/// A reservation of so many dollars of the stack's budget.
fn dollars(amount: u64) -> Reservation {
    Reservation {
        tariff: Tariff {
            compute: MicroDollars(amount * DOLLAR),
            disk_month: MicroDollars(0),
            address: MicroDollars(0),
            source: PriceSource::Aws,
        },
        budgets: vec![Budget::Stack],
        shares: vec![(Month::of(now()), MicroDollars(amount * DOLLAR))],
    }
}

/// The runner of a job, which may hold a reservation already.
fn runner(job: u64, held: Option<u64>) -> Stored<Runner> {
    let event = JobEvent {
        delivery: DeliveryId::new("d"),
        received_at: now(),
        created_at: Some(now()),
        installation: InstallationId(7),
        repository: "octo/gpu".parse().unwrap(),
        job: JobId(job),
        run: RunId(22),
        attempt: RunAttempt(1),
        name: "test".into(),
        workflow: None,
        actor: None,
        head_sha: "abc".into(),
        labels: vec![Label::new("dayfly-gpu")],
        runner_name: None,
        runner_id: None,
        conclusion: None,
    };
    let option = LaunchOption {
        spec: Config::built_in().unwrap().runners.remove(0),
        image: ImageId::new("ami-01234567"),
        root_device: "/dev/sda1".into(),
        image_gib: None,
        lifecycle: InstanceLifecycle::Spot,
    };
    let plan = LaunchPlan::new(option, Vec::new());
    let (_, mut record) = claim::claim(claim::new_job(&event), plan, now(), &Deadlines::default());
    record.reserved = held.map(dollars);
    Stored {
        record,
        version: Version::FIRST,
    }
}

/// The stack's ledger with so many dollars reserved.
fn ledgers(reserved: u64) -> Ledgers {
    let id = LedgerId {
        budget: Budget::Stack,
        month: Month::of(now()),
    };
    let ledger = Ledger {
        reserved: MicroDollars(reserved * DOLLAR),
        ..Ledger::new(id.clone())
    };
    let stored = Stored {
        record: ledger,
        version: Version::FIRST,
    };
    Ledgers::of(BTreeMap::from([(id, Some(stored))]))
}

/// Three runners under a cap of three dollars. The first holds two from a dearer launch try; each is to hold one
/// now, and all fit only if the first gives one back.
fn three_that_fit_together() -> Reservations {
    let caps = Caps {
        stack: Some(MicroDollars(3 * DOLLAR)),
        ..Caps::default()
    };
    let asked = [(1, Some(2)), (2, None), (3, None)];
    let asked = asked.map(|(job, held)| (runner(job, held), dollars(1)));
    Reservations::split(asked.into(), ledgers(2), caps, now())
}

fn jobs(runners: &[Stored<Runner>]) -> Vec<u64> {
    runners.iter().map(|runner| runner.record.wanted_by.job.0).collect()
}

/// The dollars that the changes leave reserved in the stack's ledger.
fn reserved(changes: &[Change]) -> Option<u64> {
    match changes {
        [] => None,
        [
            Change {
                record: Record::Ledger(ledger),
                delete: false,
                ..
            },
        ] => Some(ledger.reserved.0 / DOLLAR),
        other => panic!("{other:?}"),
    }
}

#[test]
fn unknown_price_waits_and_missing_price_is_refused_under_caps() {
    let rates = Rates::embedded().unwrap();
    let record = runner(1, None).record;
    let option = record.plan.option();
    let volume = rates.volume(prices::kind_of(option.spec.volume), None, "eu-west-1", now());
    let capped = Caps {
        stack: Some(MicroDollars(DOLLAR)),
        ..Caps::default()
    };
    let price = Price {
        per_hour: MicroDollars(DOLLAR),
        source: PriceSource::Aws,
    };
    let of = |caps: &Caps, price: Result<Option<Price>, PriceUnknown>| {
        let types = option.spec.instance_types.iter();
        let answers: Vec<PriceAnswer<'_>> = types.map(|name| (name, price.clone())).collect();
        tariff_of(option, &option.spec.instance_types, (rates, &volume), caps, &answers)
    };
    let silent = || Err(PriceUnknown("a time-out".to_owned()));
    assert_eq!(of(&capped, Ok(Some(price))).unwrap().compute, price.per_hour);
    assert!(matches!(of(&capped, Ok(None)), Err(TryOutcome::Unaffordable(_))));
    match of(&capped, silent()) {
        Err(TryOutcome::Failed { errors }) => assert!(errors[0].message.contains("a time-out"), "{errors:?}"),
        other => panic!("{other:?}"),
    }
    // Without caps no launch waits, and the volume counts all the same.
    for price in [Ok(None), silent()] {
        let tariff = of(&Caps::default(), price).unwrap();
        assert!(
            tariff.compute == MicroDollars(0) && tariff.disk_month > MicroDollars(0),
            "{tariff:?}"
        );
    }
}

#[test]
fn runner_that_no_longer_fits_a_cap_is_taken_out_and_the_rest_reserve() {
    let reservations = three_that_fit_together();
    assert_eq!(jobs(&reservations.runners), [1, 2, 3]);
    assert!(reservations.refused.is_empty());
    for (admitted, reserving, left_reserved) in [
        (&[1, 2, 3][..], &[1, 2, 3][..], Some(3)),
        // The one that gives a dollar back is missing: there is room for one more, not for two.
        (&[2, 3], &[2], Some(3)),
        (&[3, 2], &[3], Some(3)),
        (&[3], &[3], Some(3)),
        (&[1, 3], &[1, 3], Some(2)),
        (&[1], &[1], Some(1)),
        // The fourth asked for no reservation.
        (&[4, 2], &[2], Some(3)),
        (&[4], &[], None),
        (&[], &[], None),
    ] {
        let held = |job: u64| (job == 1).then_some(2);
        let mut runners: Vec<Stored<Runner>> = admitted.iter().map(|job| runner(*job, held(*job))).collect();
        let changes = reservations.reserve_for(&mut runners, now());
        assert_eq!(jobs(&runners), reserving, "{admitted:?}");
        assert_eq!(reserved(&changes), left_reserved, "{admitted:?}");
        for Stored { record, .. } in &runners {
            assert_eq!(record.reserved, Some(dollars(1)), "{admitted:?}");
        }
    }
}
