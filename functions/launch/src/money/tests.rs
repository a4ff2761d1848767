use dayfly_config::Config;
use dayfly_config::labels::Label;
use dayfly_engine::launch;
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

/// What so many dollars of the stack's are.
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

/// The runner of a job, for which so many dollars are set aside already.
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
    let (_, mut record) = launch::claim(launch::new_job(&event), plan, now(), &Deadlines::default());
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

/// A cap of three dollars, two of which the first holds from an attempt that was dearer. Each is to hold one
/// now, for which there is room as long as the first gives one back.
fn three_that_fit_together() -> Affordable {
    let caps = Caps {
        stack: Some(MicroDollars(3 * DOLLAR)),
        ..Caps::default()
    };
    let asked = [(1, Some(2)), (2, None), (3, None)];
    let asked = asked.map(|(job, held)| (runner(job, held), dollars(1)));
    sort(asked.into(), ledgers(2), caps, now())
}

fn jobs(runners: &[Stored<Runner>]) -> Vec<u64> {
    runners.iter().map(|runner| runner.record.wanted_by.job.0).collect()
}

/// What a change leaves reserved in the stack's ledger, in dollars.
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
fn what_aws_has_not_told_yet_is_waited_for_and_what_it_has_no_price_for_is_refused() {
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
        let told: Vec<Told<'_>> = types.map(|name| (name, price.clone())).collect();
        tariff_of(option, &option.spec.instance_types, (rates, &volume), caps, &told)
    };
    let silent = || Err(PriceUnknown("a time-out".to_owned()));
    assert_eq!(of(&capped, Ok(Some(price))).unwrap().compute, price.per_hour);
    assert!(matches!(of(&capped, Ok(None)), Err(Attempted::Unaffordable(_))));
    match of(&capped, silent()) {
        Err(Attempted::Failed { errors }) => assert!(errors[0].message.contains("a time-out"), "{errors:?}"),
        other => panic!("{other:?}"),
    }
    // Without caps nobody waits, and the volume counts all the same.
    for told in [Ok(None), silent()] {
        let tariff = of(&Caps::default(), told).unwrap();
        assert!(
            tariff.compute == MicroDollars(0) && tariff.disk_month > MicroDollars(0),
            "{tariff:?}"
        );
    }
}

#[test]
fn of_those_who_contend_for_a_cap_who_no_longer_fits_is_taken_out_and_the_rest_are_booked() {
    let affordable = three_that_fit_together();
    assert_eq!(jobs(&affordable.runners), [1, 2, 3]);
    assert!(affordable.away.is_empty());
    for (along, booked, left_reserved) in [
        (&[1, 2, 3][..], &[1, 2, 3][..], Some(3)),
        // Whoever was to give a dollar back is not along: there is room for one more and not for two.
        (&[2, 3], &[2], Some(3)),
        (&[3, 2], &[3], Some(3)),
        (&[3], &[3], Some(3)),
        (&[1, 3], &[1, 3], Some(2)),
        (&[1], &[1], Some(1)),
        // For the fourth nothing was asked.
        (&[4, 2], &[2], Some(3)),
        (&[4], &[], None),
        (&[], &[], None),
    ] {
        let held = |job: u64| (job == 1).then_some(2);
        let mut runners: Vec<Stored<Runner>> = along.iter().map(|job| runner(*job, held(*job))).collect();
        let changes = affordable.book(&mut runners, now());
        assert_eq!(jobs(&runners), booked, "{along:?}");
        assert_eq!(reserved(&changes), left_reserved, "{along:?}");
        for Stored { record, .. } in &runners {
            assert_eq!(record.reserved, Some(dollars(1)), "{along:?}");
        }
    }
}
