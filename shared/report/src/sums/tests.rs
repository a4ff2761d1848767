use dayfly_records::{Attribution, LedgerId};
use dayfly_types::capacity::{InstanceLifecycle, Pool};
use dayfly_types::ids::{InstanceId, InstanceType, JobId, RunAttempt, Zone};
use dayfly_types::time::Timestamp;

use super::*;

/// Seconds after noon of 2026-11-02.
fn at(seconds: u64) -> Timestamp {
    Timestamp::from_utc_day(2026, 11, 2).after(Duration::from_secs(43_200 + seconds))
}

/// The cost of an instance that ran a job for 90 seconds.
fn cost(job: u64, micros: u64) -> Cost {
    let month = Month::of(at(0));
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
            workflow: Some("ci".to_owned()),
            actor: Some("mona".to_owned()),
            pull: None,
        },
        pool: Pool {
            instance_type: InstanceType::new("g5.xlarge"),
            zone: Zone::new("eu-west-1a"),
        },
        lifecycle: InstanceLifecycle::Spot,
        purpose: Purpose::Job,
        launched_at: at(0),
        from: at(0),
        to: at(90),
        amounts: vec![(
            month,
            Amounts {
                compute: MicroDollars(micros),
                disk: MicroDollars(10),
                address: MicroDollars(1),
            },
        )],
        on_demand: Some(MicroDollars(3 * micros)),
        free: false,
        source: PriceSource::Aws,
    }
}

fn with(cost: Cost, change: impl FnOnce(&mut Cost)) -> Cost {
    let mut cost = cost;
    change(&mut cost);
    cost
}

#[test]
fn each_run_and_job_counts_once_and_every_cent_counts() {
    let month = Month::of(at(0));
    let costs = [
        cost(1, 1_000),
        with(cost(2, 2_000), |two| {
            two.source = PriceSource::Shipped;
            // It ran past the end of a month.
            two.amounts.push((month.next(), two.amounts[0].1));
        }),
        with(cost(2, 500), |lost| lost.purpose = Purpose::Interrupted),
        with(cost(3, 300), |idle| {
            idle.purpose = Purpose::Idle;
            idle.run = Some(RunId(23));
        }),
        with(cost(4, 40), |orphan| {
            (orphan.purpose, orphan.run, orphan.job) = (Purpose::Orphan, None, None);
            orphan.source = PriceSource::Earlier;
        }),
    ];
    assert_eq!(
        Sums::of(&costs),
        Sums {
            runs: 1,
            jobs: 2,
            instances: 5,
            minutes: 8,
            job_minutes: 6,
            amounts: Amounts {
                compute: MicroDollars(5_840),
                disk: MicroDollars(60),
                address: MicroDollars(6),
            },
            total: MicroDollars(5_906),
            // The second one cost more than a third in its two months together.
            saved: MicroDollars(2_000 + 2_000),
            interrupted: 1,
            wasted: MicroDollars(511),
            by_shipped_prices: 1,
            by_earlier_prices: 1,
        }
    );
    assert_eq!(Sums::of([]), Sums::default());
}

#[test]
fn rows_are_sorted_by_cost_and_days_by_date() {
    let costs = [
        cost(1, 1_000),
        with(cost(2, 5_000), |two| {
            two.repository = Some("octo/web".parse().unwrap());
            two.attribution.actor = Some("hubot".to_owned());
            two.pool.instance_type = InstanceType::new("g6.xlarge");
            two.launched_at = at(86_400);
        }),
        with(cost(3, 100), |three| {
            (three.repository, three.attribution) = (None, Attribution::default());
            three.launched_at = at(2 * 86_400);
        }),
    ];
    for (by, names) in [
        (By::Repository, [Some("octo/web"), Some("octo/gpu"), None]),
        (By::Workflow, [Some("octo/web ci"), Some("octo/gpu ci"), None]),
        (By::Actor, [Some("hubot"), Some("mona"), None]),
        (By::Day, [Some("2026-11-02"), Some("2026-11-03"), Some("2026-11-04")]),
    ] {
        let rows = rows(&costs, by);
        let found: Vec<Option<&str>> = rows.iter().map(|row| row.name.as_deref()).collect();
        assert_eq!(found, names, "{by:?}");
        let sum: MicroDollars = rows.iter().map(|row| row.sums.total).sum();
        assert_eq!(sum, Sums::of(&costs).total, "{by:?}");
    }
    let types = rows(&costs, By::Type);
    let found: Vec<(&str, usize)> = types
        .iter()
        .map(|row| (row.name.as_deref().unwrap(), row.sums.instances))
        .collect();
    assert_eq!(found, [("g6.xlarge", 1), ("g5.xlarge", 2)]);
}

#[test]
fn the_most_used_cap_comes_first() {
    let ledger = |budget, spent, reserved, cap: Option<u64>| {
        let mut ledger = Ledger::new(LedgerId {
            budget,
            month: Month::of(at(0)),
        });
        (ledger.spent, ledger.reserved) = (MicroDollars(spent), MicroDollars(reserved));
        ledger.cap = cap.map(MicroDollars);
        ledger
    };
    let actor = |login: &str| Budget::Actor {
        login: login.to_owned(),
    };
    let ledgers = [
        ledger(Budget::Stack, 10, 20, Some(100)),
        ledger(actor("mona"), 1, 0, None),
        ledger(actor("hubot"), 90, 20, Some(100)),
    ];
    let left = caps_left(&ledgers);
    let found: Vec<(String, u64)> = left.iter().map(|cap| (cap.budget.to_string(), cap.left.0)).collect();
    assert_eq!(found, [("@hubot".to_owned(), 0), ("the stack".to_owned(), 70)]);
}
