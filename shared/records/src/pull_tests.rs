use proptest::collection::vec;
use proptest::prelude::*;

use super::*;

fn now() -> Timestamp {
    Timestamp::from_seconds(1_800_000_000)
}

const NOTHING: MicroDollars = MicroDollars(0);

fn after(seconds: u64) -> Timestamp {
    now().after(Duration::from_secs(seconds))
}

fn report() -> PullReport {
    PullReport::new("octo/gpu".parse().unwrap(), 12, InstallationId(7), now())
}

fn sum(run: u64, attempt: u32, cost: u64, is_final: bool) -> RunSum {
    RunSum {
        run: RunId(run),
        attempt: RunAttempt(attempt),
        workflow: Some("ci".to_owned()),
        jobs: 2,
        minutes: cost / 1000,
        cost: MicroDollars(cost),
        saved: cost.is_multiple_of(2).then_some(MicroDollars(cost / 2)),
        wasted: MicroDollars(cost / 10),
        on_github: Some(MicroDollars(cost * 3)),
        github_charge: None,
        is_final,
    }
}

fn with(report: &PullReport, sum: RunSum, at: Timestamp) -> Option<PullReport> {
    report.with(sum, settings(report.above), at)
}

fn settings(above: MicroDollars) -> CommentSettings {
    CommentSettings::new(InstallationId(7), above)
}

/// A report with these sums, added in this order.
fn report_of(sums: &[RunSum]) -> PullReport {
    sums.iter().fold(report(), |report, sum| {
        with(&report, sum.clone(), now()).unwrap_or(report)
    })
}

#[test]
fn new_sum_replaces_that_of_the_same_attempt() {
    let first = with(&report(), sum(1, 1, 1000, false), now()).unwrap();
    assert_eq!(with(&first, sum(1, 1, 1000, false), after(9)), None, "nothing changes");
    let more = with(&first, sum(1, 1, 3000, true), after(9)).unwrap();
    let again = with(&more, sum(1, 2, 500, true), after(10)).unwrap();
    assert_eq!((again.attempts(), again.total().cost), (2, MicroDollars(3500)));
    assert!(!first.is_final() && again.is_final());
    assert_eq!(again.since, after(10));
}

#[test]
fn comment_appears_above_the_threshold_and_stays() {
    let above = MicroDollars(1000);
    let add = |report: &PullReport, sum| report.with(sum, settings(above), now()).unwrap();
    let at_threshold = add(&report(), sum(1, 1, 1000, true));
    assert_eq!(at_threshold.due_at, None);
    let over = add(&at_threshold, sum(2, 1, 1, true));
    assert_eq!(over.due_at, Some(now()));
    let commented = PullReport {
        comment: Some(CommentId(5)),
        due_at: None,
        ..over
    };
    assert_eq!(add(&commented, sum(1, 1, 10, true)).due_at, Some(now()));
    let deleted = PullReport {
        removed: true,
        ..commented
    };
    assert_eq!(add(&deleted, sum(3, 1, 9000, true)).due_at, None);
    assert_eq!(
        report()
            .with(sum(1, 1, 0, true), settings(NOTHING), now())
            .unwrap()
            .due_at,
        None
    );
}

#[test]
fn sums_that_are_not_final_are_published_at_intervals() {
    let published = PullReport {
        comment: Some(CommentId(5)),
        published_at: Some(now()),
        due_at: None,
        ..with(&report(), sum(1, 1, 1000, false), now()).unwrap()
    };
    let paced = now().after(COMMENT_INTERVAL);
    let cases = [
        (sum(1, 1, 2000, false), 60, paced),
        (sum(1, 1, 2000, false), 301, after(301)),
        (sum(1, 1, 2000, true), 60, after(60)),
        (sum(2, 1, 1, false), 60, after(60)),
    ];
    for (sum, seconds, due) in cases {
        let next = with(&published, sum.clone(), after(seconds)).unwrap();
        assert_eq!(next.due_at, Some(due), "{sum:?}");
    }
    let waits = with(&published, sum(1, 1, 2000, false), after(60)).unwrap();
    let more = with(&waits, sum(1, 1, 3000, false), after(120)).unwrap();
    assert_eq!(more.due_at, Some(paced), "it is not put off again");
    let over = with(&more, sum(1, 1, 3000, true), after(130)).unwrap();
    assert_eq!(over.due_at, Some(after(130)));
}

#[test]
fn change_waits_for_the_publisher_and_for_github() {
    let first = with(&report(), sum(1, 1, 1000, true), now()).unwrap();
    let held = PullReport {
        held_until: Some(after(45)),
        due_at: Some(after(45)),
        ..first.clone()
    };
    assert_eq!(
        with(&held, sum(2, 1, 1, true), after(9)).unwrap().due_at,
        Some(after(45))
    );
    let later = PullReport {
        not_before: Some(after(600)),
        due_at: Some(after(600)),
        ..first
    };
    assert_eq!(
        with(&later, sum(2, 1, 1, true), after(9)).unwrap().due_at,
        Some(after(600))
    );
}

#[test]
fn oldest_final_runs_are_summed_up_and_counted_once() {
    let all: Vec<RunSum> = (1..=25).map(|run| sum(run, 1, run * 1000, run != 3)).collect();
    let report = report_of(&all);
    assert_eq!((report.runs.len(), report.together().0), (MAX_LISTED_RUNS, 5));
    assert_eq!(report.runs[0].run, RunId(3), "it is not final, and still listed");
    assert_eq!((report.attempts(), report.total().cost), (25, MicroDollars(325_000)));
    assert_eq!(with(&report, sum(5, 1, 5000, true), now()), None, "it is known");
    let cases = [
        (sum(5, 1, 6000, true), 25, 326_000),
        (sum(2, 2, 99_000, true), 26, 424_000),
        (sum(3, 1, 4000, true), 25, 326_000),
    ];
    for (sum, attempts, cost) in cases {
        let next = with(&report, sum.clone(), now()).unwrap();
        assert_eq!((next.attempts(), next.total().cost.0), (attempts, cost), "{sum:?}");
        assert_eq!(with(&next, sum, now()), None, "and once only");
    }
}

#[test]
fn run_summed_up_before_its_end_is_not_final() {
    let all: Vec<RunSum> = (1..=25).map(|run| sum(run, 1, 1000, false)).collect();
    let report = report_of(&all);
    assert!(!report.is_final() && report.kept.iter().all(|run| !run.is_final));
    let ended: Vec<RunSum> = (1..=25).map(|run| sum(run, 1, 2000, true)).collect();
    let end = ended
        .into_iter()
        .fold(report, |report, sum| with(&report, sum, now()).unwrap());
    assert!(end.is_final());
    assert_eq!(end.total().cost, MicroDollars(50_000));
}

/// One run attempt more than are kept, all of the same cost.
fn more_than_are_kept() -> PullReport {
    let longest = "ü".repeat(300);
    let all = (0..=(MAX_LISTED_RUNS + MAX_KEPT_RUNS) as u64).map(|run| RunSum {
        workflow: Some(longest.clone()),
        github_charge: Some(MicroDollars(999_999_999)),
        ..sum(99_999_990_000 + run, 1, 999_999_998, true)
    });
    all.fold(report(), |report, sum| with(&report, sum, now()).unwrap())
}

#[test]
fn more_runs_than_are_kept_are_counted_once_and_fit() {
    let many = more_than_are_kept();
    assert_eq!(
        (many.kept.len(), many.older.as_ref().unwrap().attempts),
        (MAX_KEPT_RUNS, 1)
    );
    assert_eq!(many.attempts(), (MAX_LISTED_RUNS + MAX_KEPT_RUNS + 1) as u64);
    assert_eq!(
        with(&many, sum(99_999_990_000, 1, 7, true), now()),
        None,
        "it may be counted"
    );
    let again = with(&many, sum(99_999_990_001, 2, 7, true), now()).unwrap();
    assert_eq!(again.total().cost, many.total().cost + MicroDollars(7));
    let bytes = serde_json::to_vec(&many).unwrap().len();
    assert!(bytes < 350_000, "{bytes}");
}

#[test]
fn report_without_kept_runs_is_read() {
    let mut stored = serde_json::to_value(report_of(&[sum(1, 1, 1000, true)])).unwrap();
    stored.as_object_mut().unwrap().remove("kept");
    stored["older"] = serde_json::json!({
        "until": {"run": 0, "attempt": 9}, "attempts": 4,
        "costs": {"jobs": 4, "minutes": 4, "cost": 500, "saved": null, "wasted": 0, "on_github": null, "github_charge": null},
    });
    let read: PullReport = serde_json::from_value(stored).unwrap();
    assert_eq!((read.attempts(), read.total().cost.0), (5, 1500));
}

fn some_sums() -> impl Strategy<Value = Vec<RunSum>> {
    vec((1u64..8, 1u32..4, 0u64..50_000), 1..MAX_LISTED_RUNS).prop_map(|all| {
        let mut sums: Vec<RunSum> = Vec::new();
        for (run, attempt, cost) in all {
            let sum = sum(run, attempt, cost, true);
            if !sums.iter().any(|known| known.key() == sum.key()) {
                sums.push(sum);
            }
        }
        sums
    })
}

fn total(sums: &[RunSum]) -> Costs {
    sums.iter().fold(Costs::default(), |total, sum| total.and(&sum.costs()))
}

proptest! {
    #[test]
    fn order_and_repetition_do_not_change_the_total(
        sums in some_sums(), order in vec(any::<prop::sample::Index>(), 0..60),
    ) {
        let mut all: Vec<RunSum> = order.iter().map(|index| index.get(&sums).clone()).collect();
        all.extend(sums.iter().rev().cloned());
        let report = report_of(&all);
        prop_assert_eq!(report.total(), total(&sums));
        prop_assert_eq!(report.attempts(), sums.len() as u64);
    }

    #[test]
    fn any_order_counts_each_run_once(order in vec(0u64..60, 0..200)) {
        let all: Vec<RunSum> = order.iter().map(|run| sum(*run, 1, 1 << run, true)).collect();
        let report = report_of(&all);
        let expected = order.iter().fold(0u64, |bits, run| bits | (1 << run));
        // Each run's cost is a bit of its own, so that counting one twice sets another bit.
        prop_assert_eq!(report.total().cost.0, expected);
        prop_assert_eq!(u64::from(expected.count_ones()), report.attempts());
    }

    #[test]
    fn repeated_runs_that_are_summed_up_are_counted_once(
        again in vec((0usize..60, any::<prop::sample::Index>()), 0..60),
    ) {
        let sums: Vec<RunSum> = (0..60).map(|run| sum(run, 1, 1000 + run, true)).collect();
        let mut all = Vec::new();
        for (index, one) in sums.iter().enumerate() {
            all.push(one.clone());
            let repeated = again.iter().filter(|(at, _)| *at == index);
            all.extend(repeated.map(|(_, which)| sums[..=index][which.index(index + 1)].clone()));
        }
        let report = report_of(&all);
        prop_assert_eq!(report.total(), total(&sums));
        prop_assert_eq!(report.runs.len(), MAX_LISTED_RUNS);
    }
}
