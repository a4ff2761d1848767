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

/// An instance of a job of that id, that ran for 10 minutes for so many micro-dollars.
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
fn what_a_month_has_cost_is_shown_with_what_is_left_of_its_caps() {
    insta::assert_snapshot!(words::of(&report(2_000), None));
}

#[test]
fn where_nothing_was_spent_and_no_cap_is_set_that_is_said() {
    let report = Report::of(month(), By::Day, &[], &[], MicroDollars(2_000));
    let said = words::of(&report, Some(80));
    assert!(said.contains("no instance that was launched in 2026-11"), "{said}");
    assert!(said.contains("no cap was in force"), "{said}");
    assert_eq!(report.github_charge, None);
}

#[test]
fn a_table_fits_the_terminal() {
    let said = words::of(&report(0), Some(90));
    let table = said.split("\n\n").next().unwrap();
    assert!(table.lines().all(|line| line.chars().count() <= 90), "{table}");
    assert!(!said.contains("GitHub charges"), "{said}");
}

#[test]
fn as_csv_amounts_are_dollars_and_each_row_has_every_column() {
    let text = csv::of(&report(0));
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines[1], "octo/gpu ci,1,2,2,20,1.50,0.02,0.002,1.522,3.00,0,0.00,0");
    assert_eq!(
        lines[2],
        "\"octo/gpu ci, nightly\",1,1,1,10,0.07,0.01,0.001,0.081,0.00,1,0.081,1"
    );
    assert_eq!(lines[0].split(',').count(), lines[1].split(',').count());
}

#[test]
fn as_json_amounts_are_micro_dollars() {
    let told = serde_json::to_value(report(2_000)).unwrap();
    assert_eq!(told["month"], "2026-11");
    assert_eq!(
        (&told["by"], &told["total"]["total"]),
        (&"workflow".into(), &1_603_000.into())
    );
    assert_eq!(told["rows"][0]["name"], "octo/gpu ci");
    assert_eq!(told["rows"][0]["saved"], 3_000_000);
    assert_eq!(told["github_charge"], 60_000);
    assert_eq!(told["caps"][0]["left"], 7_920_000);
}

#[test]
fn as_json_a_report_has_what_programs_count_on() {
    insta::assert_snapshot!(serde_json::to_string_pretty(&report(2_000)).unwrap());
}

#[test]
fn a_repository_may_be_asked_for_in_short() {
    for (text, asked) in [
        ("repo", Some(Asked::Repository)),
        ("repository", Some(Asked::Repository)),
        ("workflow", Some(Asked::Workflow)),
        ("type", Some(Asked::Type)),
        ("actor", Some(Asked::Actor)),
        ("day", Some(Asked::Day)),
        ("rep", None),
    ] {
        assert_eq!(Asked::from_str(text, false).ok(), asked, "{text}");
    }
}
