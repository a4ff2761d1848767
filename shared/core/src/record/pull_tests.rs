use proptest::collection::vec;
use proptest::prelude::*;

use super::*;
use crate::decide::fixtures::now;

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
    report.with(sum, InstallationId(7), report.above, at)
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
    let told = |report: &PullReport, sum| report.with(sum, InstallationId(7), above, now()).unwrap();
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
        report()
            .with(sum(1, 1, 0, true), InstallationId(7), NOTHING, now())
            .unwrap()
            .due_at,
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
fn the_oldest_that_are_over_are_told_together_and_never_counted_twice() {
    let all: Vec<RunSum> = (1..=25).map(|run| sum(run, 1, run * 1000, run != 3)).collect();
    let report = after_all(&all);
    let older = report.older.clone().unwrap();
    assert_eq!((report.runs.len(), older.attempts), (TOLD_APART, 5));
    assert_eq!(older.until.run, RunId(6), "the third is not over, and still told apart");
    assert_eq!(report.runs[0].run, RunId(3));
    assert_eq!((report.attempts(), report.total().cost), (25, MicroDollars(325_000)));
    assert_eq!(with(&report, sum(5, 1, 99_000, true), now()), None);
    assert_eq!(with(&report, sum(2, 2, 99_000, true), now()), None);
    let third = with(&report, sum(3, 1, 4000, true), now()).unwrap();
    assert_eq!(third.total().cost, MicroDollars(326_000));
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

    #[test]
    fn no_order_counts_anything_twice(order in vec(0u64..60, 0..200)) {
        let told: Vec<RunSum> = order.iter().map(|run| sum(*run, 1, 1 << run, true)).collect();
        let report = after_all(&told);
        let seen = order.iter().fold(0u64, |seen, run| seen | (1 << run));
        // Each has a bit of its own, so that what is counted twice shows as another's.
        prop_assert_eq!(report.total().cost.0 & !seen, 0);
        prop_assert_eq!(u64::from(report.total().cost.0.count_ones()), report.attempts());
    }
}
