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
    report.with(sum, wish(report.above), at)
}

fn wish(above: MicroDollars) -> Wish {
    Wish::new(InstallationId(7), above)
}

/// After these sums, in this order.
fn after_all(sums: &[RunSum]) -> PullReport {
    sums.iter().fold(report(), |report, sum| {
        with(&report, sum.clone(), now()).unwrap_or(report)
    })
}

#[test]
fn a_run_attempt_that_is_told_again_takes_the_place_of_what_was_told_before() {
    let first = with(&report(), sum(1, 1, 1000, false), now()).unwrap();
    assert_eq!(with(&first, sum(1, 1, 1000, false), after(9)), None, "nothing changes");
    let more = with(&first, sum(1, 1, 3000, true), after(9)).unwrap();
    let again = with(&more, sum(1, 2, 500, true), after(10)).unwrap();
    assert_eq!((again.attempts(), again.total().cost), (2, MicroDollars(3500)));
    assert!(!first.is_final() && again.is_final());
    assert_eq!(again.since, after(10));
}

#[test]
fn a_comment_is_due_once_the_runs_have_cost_more_than_was_said_and_stays_then() {
    let above = MicroDollars(1000);
    let told = |report: &PullReport, sum| report.with(sum, wish(above), now()).unwrap();
    let at_it = told(&report(), sum(1, 1, 1000, true));
    assert_eq!(at_it.due_at, None);
    let over = told(&at_it, sum(2, 1, 1, true));
    assert_eq!(over.due_at, Some(now()));
    let commented = PullReport {
        comment: Some(CommentId(5)),
        due_at: None,
        ..over
    };
    assert_eq!(told(&commented, sum(1, 1, 10, true)).due_at, Some(now()));
    let deleted = PullReport {
        removed: true,
        ..commented
    };
    assert_eq!(told(&deleted, sum(3, 1, 9000, true)).due_at, None);
    assert_eq!(
        report().with(sum(1, 1, 0, true), wish(NOTHING), now()).unwrap().due_at,
        None
    );
}

#[test]
fn what_is_not_final_yet_is_said_at_the_pace_of_a_comment_and_the_rest_at_once() {
    let said = PullReport {
        comment: Some(CommentId(5)),
        said_at: Some(now()),
        due_at: None,
        ..with(&report(), sum(1, 1, 1000, false), now()).unwrap()
    };
    let paced = now().after(PACE);
    let cases = [
        (sum(1, 1, 2000, false), 60, paced),
        (sum(1, 1, 2000, false), 301, after(301)),
        (sum(1, 1, 2000, true), 60, after(60)),
        (sum(2, 1, 1, false), 60, after(60)),
    ];
    for (sum, seconds, due) in cases {
        let next = with(&said, sum.clone(), after(seconds)).unwrap();
        assert_eq!(next.due_at, Some(due), "{sum:?}");
    }
    let waits = with(&said, sum(1, 1, 2000, false), after(60)).unwrap();
    let more = with(&waits, sum(1, 1, 3000, false), after(120)).unwrap();
    assert_eq!(more.due_at, Some(paced), "it is not put off again");
    let over = with(&more, sum(1, 1, 3000, true), after(130)).unwrap();
    assert_eq!(over.due_at, Some(after(130)));
}

#[test]
fn what_changes_while_somebody_is_at_it_or_github_wants_a_rest_waits_for_that() {
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
fn the_oldest_that_are_over_are_told_together_and_counted_once_however_they_come() {
    let all: Vec<RunSum> = (1..=25).map(|run| sum(run, 1, run * 1000, run != 3)).collect();
    let report = after_all(&all);
    assert_eq!((report.runs.len(), report.together().0), (TOLD_APART, 5));
    assert_eq!(report.runs[0].run, RunId(3), "it is not over, and still told apart");
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
fn what_was_told_together_before_its_end_is_not_the_end_of_it() {
    let all: Vec<RunSum> = (1..=25).map(|run| sum(run, 1, 1000, false)).collect();
    let report = after_all(&all);
    assert!(!report.is_final() && report.kept.iter().all(|run| !run.is_final));
    let ended: Vec<RunSum> = (1..=25).map(|run| sum(run, 1, 2000, true)).collect();
    let end = ended
        .into_iter()
        .fold(report, |report, sum| with(&report, sum, now()).unwrap());
    assert!(end.is_final());
    assert_eq!(end.total().cost, MicroDollars(50_000));
}

/// More than are kept, each of which has cost the same.
fn more_than_are_kept() -> PullReport {
    let longest = "ü".repeat(300);
    let all = (0..=(TOLD_APART + KEPT_APART) as u64).map(|run| RunSum {
        workflow: Some(longest.clone()),
        github_charge: Some(MicroDollars(999_999_999)),
        ..sum(99_999_990_000 + run, 1, 999_999_998, true)
    });
    all.fold(report(), |report, sum| with(&report, sum, now()).unwrap())
}

#[test]
fn of_more_than_are_kept_nothing_is_counted_twice_and_the_table_takes_it() {
    let many = more_than_are_kept();
    assert_eq!(
        (many.kept.len(), many.older.as_ref().unwrap().attempts),
        (KEPT_APART, 1)
    );
    assert_eq!(many.attempts(), (TOLD_APART + KEPT_APART + 1) as u64);
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
fn what_the_table_has_of_before_those_were_kept_is_read() {
    let mut stored = serde_json::to_value(after_all(&[sum(1, 1, 1000, true)])).unwrap();
    stored.as_object_mut().unwrap().remove("kept");
    stored["older"] = serde_json::json!({
        "until": {"run": 0, "attempt": 9}, "attempts": 4,
        "costs": {"jobs": 4, "minutes": 4, "cost": 500, "saved": null, "wasted": 0, "on_github": null, "github_charge": null},
    });
    let read: PullReport = serde_json::from_value(stored).unwrap();
    assert_eq!((read.attempts(), read.total().cost.0), (5, 1500));
}

fn some_sums() -> impl Strategy<Value = Vec<RunSum>> {
    vec((1u64..8, 1u32..4, 0u64..50_000), 1..TOLD_APART).prop_map(|all| {
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
    fn neither_the_order_of_sums_nor_their_coming_again_changes_the_total(
        sums in some_sums(), order in vec(any::<prop::sample::Index>(), 0..60),
    ) {
        let mut told: Vec<RunSum> = order.iter().map(|index| index.get(&sums).clone()).collect();
        told.extend(sums.iter().rev().cloned());
        let report = after_all(&told);
        prop_assert_eq!(report.total(), total(&sums));
        prop_assert_eq!(report.attempts(), sums.len() as u64);
    }

    #[test]
    fn any_order_counts_all_that_came(order in vec(0u64..60, 0..200)) {
        let told: Vec<RunSum> = order.iter().map(|run| sum(*run, 1, 1 << run, true)).collect();
        let report = after_all(&told);
        let seen = order.iter().fold(0u64, |seen, run| seen | (1 << run));
        // Each has a bit of its own, so that what is counted twice shows as another's.
        prop_assert_eq!(report.total().cost.0, seen);
        prop_assert_eq!(u64::from(seen.count_ones()), report.attempts());
    }

    #[test]
    fn those_told_together_are_counted_once_however_often_they_come(
        again in vec((0usize..60, any::<prop::sample::Index>()), 0..60),
    ) {
        let sums: Vec<RunSum> = (0..60).map(|run| sum(run, 1, 1000 + run, true)).collect();
        let mut told = Vec::new();
        for (place, one) in sums.iter().enumerate() {
            told.push(one.clone());
            let back = again.iter().filter(|(at, _)| *at == place);
            told.extend(back.map(|(_, index)| sums[..=place][index.index(place + 1)].clone()));
        }
        let report = after_all(&told);
        prop_assert_eq!(report.total(), total(&sums));
        prop_assert_eq!(report.runs.len(), TOLD_APART);
    }
}
