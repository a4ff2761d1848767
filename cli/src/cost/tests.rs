use std::time::Duration;

use dayfly_records::costs::Amounts;
use dayfly_records::prices::PriceSource;
use dayfly_records::{Attribution, LedgerId, Purpose};
use dayfly_types::budget::Budget;
use dayfly_types::capacity::{InstanceLifecycle, Pool};
use dayfly_types::ids::{InstanceId, InstanceType, JobId, JobKey, RunAttempt, RunId, Zone};
use dayfly_types::time::Timestamp;

use super::*;

const LAUNCHED: Timestamp = Timestamp::from_utc_day(2026, 11, 2);

fn month() -> Month {
    Month::of(LAUNCHED)
}

/// The cost of an instance that ran this job for 10 minutes, in micro-dollars.
fn cost(job: u64, workflow: &str, micros: u64) -> Cost {
    Cost {
        instance: InstanceId::new(format!("i-{job}")),
        runner: None,
        job: Some(JobKey {
            job: JobId(job),
            attempt: RunAttempt(1),
        }),
        run: Some(RunId(22)),
        job_name: Some("test".to_owned()),
        repository: Some("octo/gpu".parse().unwrap()),
        attribution: Attribution {
            workflow: Some(workflow.to_owned()),
            actor: Some("mona".to_owned()),
            pull: None,
        },
        pool: Pool {
            instance_type: InstanceType::new("g5.xlarge"),
            zone: Zone::new("eu-west-1a"),
        },
        lifecycle: InstanceLifecycle::Spot,
        purpose: Purpose::Job,
        launched_at: LAUNCHED,
        from: LAUNCHED,
        to: LAUNCHED.after(Duration::from_mins(10)),
        amounts: vec![(
            month(),
            Amounts {
                compute: MicroDollars(micros),
                disk: MicroDollars(10_000),
                address: MicroDollars(1_000),
            },
        )],
        on_demand: Some(MicroDollars(3 * micros)),
        free: false,
        source: PriceSource::Aws,
    }
}

fn ledger() -> Ledger {
    let mut ledger = Ledger::new(LedgerId {
        budget: Budget::Stack,
        month: month(),
    });
    (ledger.spent, ledger.reserved) = (MicroDollars(1_580_000), MicroDollars(500_000));
    ledger.cap = Some(MicroDollars(10_000_000));
    ledger
}

fn report(rate: u64) -> Report {
    let mut lost = cost(3, "ci, nightly", 70_000);
    (lost.purpose, lost.source) = (Purpose::Interrupted, PriceSource::Shipped);
    let costs = [cost(1, "ci", 1_000_000), cost(2, "ci", 500_000), lost];
    Report::of(month(), By::Workflow, &costs, &[ledger()], MicroDollars(rate))
}

#[test]
fn month_is_shown_with_its_costs_and_caps() {
    insta::assert_snapshot!(table::render(&report(2_000), None));
}

#[test]
fn month_without_costs_and_caps_is_reported_as_such() {
    let report = Report::of(month(), By::Day, &[], &[], MicroDollars(2_000));
    let text = table::render(&report, Some(80));
    assert!(text.contains("no instance launched in 2026-11"), "{text}");
    assert!(text.contains("no cap was in force"), "{text}");
    assert_eq!(report.github_charge, None);
}

#[test]
fn table_fits_the_terminal() {
    let text = table::render(&report(0), Some(90));
    let table = text.split("\n\n").next().unwrap();
    assert!(table.lines().all(|line| line.chars().count() <= 90), "{table}");
    assert!(!text.contains("GitHub charges"), "{text}");
}

#[test]
fn csv_amounts_are_in_dollars_and_rows_are_complete() {
    let text = csv::render(&report(0));
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines[1], "octo/gpu ci,1,2,2,20,1.50,0.02,0.002,1.522,3.00,0,0.00,0");
    assert_eq!(
        lines[2],
        "\"octo/gpu ci, nightly\",1,1,1,10,0.07,0.01,0.001,0.081,0.00,1,0.081,1"
    );
    assert_eq!(lines[0].split(',').count(), lines[1].split(',').count());
}

#[test]
fn json_amounts_are_in_micro_dollars() {
    let json = serde_json::to_value(report(2_000)).unwrap();
    assert_eq!(json["month"], "2026-11");
    assert_eq!(
        (&json["by"], &json["total"]["total"]),
        (&"workflow".into(), &1_603_000.into())
    );
    assert_eq!(json["rows"][0]["name"], "octo/gpu ci");
    assert_eq!(json["rows"][0]["saved"], 3_000_000);
    assert_eq!(json["github_charge"], 60_000);
    assert_eq!(json["caps"][0]["left"], 7_920_000);
}

#[test]
fn json_report_has_a_stable_shape() {
    insta::assert_snapshot!(serde_json::to_string_pretty(&report(2_000)).unwrap());
}

#[test]
fn repository_may_be_abbreviated() {
    for (text, expected) in [
        ("repo", Some(GroupBy::Repository)),
        ("repository", Some(GroupBy::Repository)),
        ("workflow", Some(GroupBy::Workflow)),
        ("type", Some(GroupBy::Type)),
        ("actor", Some(GroupBy::Actor)),
        ("day", Some(GroupBy::Day)),
        ("rep", None),
    ] {
        assert_eq!(GroupBy::from_str(text, false).ok(), expected, "{text}");
    }
}
