use dayfly_records::CheckContent;

use super::*;
use crate::fixtures::{deadlines, event, now};
use crate::launch::claim;

const CHECK: CheckRunId = CheckRunId(5);
const OTHER: CheckRunId = CheckRunId(6);
const NEUTRAL: Option<CheckConclusion> = Some(CheckConclusion::Neutral);
const FAILURE: Option<CheckConclusion> = Some(CheckConclusion::Failure);

fn check_run() -> CheckRun {
    let content = CheckContent::Waiting {
        next_at: now(),
        tried: Vec::new(),
    };
    CheckRun::of(None, &claim::new_job(&event(11)), content, now())
}

fn after(seconds: u64) -> Timestamp {
    now().after(Duration::from_secs(seconds))
}

fn asked(check_run: &CheckRun, wanted: Option<CheckConclusion>, now: Timestamp) -> (CheckRun, CheckRunCall) {
    match step(check_run, wanted, now) {
        CheckRunStep::Call(held, ask) => (*held, ask),
        CheckRunStep::Nothing => panic!("nothing to do about {check_run:?}"),
    }
}

#[test]
fn report_updates_or_replaces_the_check_run_by_its_conclusion() {
    for (check, concluded, asked_before, wanted, expected) in [
        (None, None, false, None, CheckRunCall::Create),
        (None, None, true, None, CheckRunCall::Find),
        (None, None, true, FAILURE, CheckRunCall::Find),
        (Some(CHECK), None, true, None, CheckRunCall::Update(CHECK)),
        (Some(CHECK), None, true, FAILURE, CheckRunCall::Update(CHECK)),
        (Some(CHECK), FAILURE, true, FAILURE, CheckRunCall::Update(CHECK)),
        (Some(CHECK), NEUTRAL, true, FAILURE, CheckRunCall::Create),
        (Some(CHECK), NEUTRAL, true, None, CheckRunCall::Create),
    ] {
        let check_run = CheckRun {
            check,
            concluded,
            may_exist: asked_before,
            ..check_run()
        };
        let (held, ask) = asked(&check_run, wanted, now());
        assert_eq!(ask, expected, "{check:?} {concluded:?} {asked_before} {wanted:?}");
        assert!(held.may_exist);
        assert_eq!(held.held_until, Some(now().after(PUBLISH_LEASE)));
        assert_eq!(held.due_at, held.held_until);
        let takes_its_place = ask == CheckRunCall::Create && check.is_some();
        assert_eq!(
            (held.serial, held.check.is_none()),
            (1 + u32::from(takes_its_place), takes_its_place || check.is_none())
        );
    }
}

#[test]
fn held_or_postponed_check_run_is_left_alone() {
    let (held, _) = asked(&check_run(), None, now());
    let said = published(&held, CHECK, None);
    let later = CheckRun {
        not_before: Some(after(60)),
        ..check_run()
    };
    let told = deferred(check_run(), now(), &deadlines());
    assert_eq!(told.due_at, Some(after(60)));
    for (check_run, at, left_alone) in [
        (&held, now(), true),
        (&held, after(44), true),
        (&held, after(45), false),
        (&said, after(1000), true),
        (&later, after(59), true),
        (&later, after(60), false),
        (&told, now(), false),
    ] {
        assert_eq!(
            step(check_run, None, at) == CheckRunStep::Nothing,
            left_alone,
            "{at:?} {check_run:?}"
        );
    }
}

#[test]
fn newer_report_is_published_by_the_holder() {
    let (held, _) = asked(&check_run(), None, now());
    let job = claim::new_job(&event(11));
    let newer = CheckRun::of(
        Some(held.clone()),
        &job,
        CheckContent::Ended { tried: Vec::new() },
        after(3),
    );
    assert_eq!(step(&newer, NEUTRAL, after(3)), CheckRunStep::Nothing);
    let goes_on = published_meanwhile(&newer, &held, CHECK, None, after(4)).unwrap();
    let (_, ask) = asked(&goes_on, NEUTRAL, after(4));
    assert_eq!(ask, CheckRunCall::Update(CHECK));

    // The reporter died: another takes over and finds out what was done.
    let (taken_up, ask) = asked(&newer, NEUTRAL, after(60));
    assert_eq!(ask, CheckRunCall::Find);
    assert_eq!(published_meanwhile(&taken_up, &held, CHECK, None, after(61)), None);
}

#[test]
fn requested_check_run_is_adopted_if_found_and_created_if_not() {
    let check_run = CheckRun {
        may_exist: true,
        ..check_run()
    };
    let (held, _) = asked(&check_run, FAILURE, now());
    let there = found(&held, Some((OTHER, None)), after(1));
    assert_eq!(asked(&there, FAILURE, after(1)).1, CheckRunCall::Update(OTHER));
    let concluded_otherwise = found(&held, Some((OTHER, NEUTRAL)), after(1));
    assert_eq!(asked(&concluded_otherwise, FAILURE, after(1)).1, CheckRunCall::Create);
    let absent = found(&held, None, after(1));
    assert_eq!(asked(&absent, FAILURE, after(1)).1, CheckRunCall::Create);
}

#[test]
fn failed_report_is_retried_unless_it_can_never_succeed() {
    let before = check_run();
    let (held, _) = asked(&before, None, now());
    let wait = Duration::from_mins(30);
    for (trouble, waits, asked) in [
        (WriteFailure::Permanent, None, true),
        (WriteFailure::Later(None), Some(Duration::from_mins(1)), false),
        (WriteFailure::Later(Some(wait)), Some(wait), false),
        (WriteFailure::Unclear, Some(Duration::from_mins(1)), true),
    ] {
        let next = failed(&before, &held, trouble, now(), &deadlines());
        assert_eq!(
            (next.may_exist, next.tries, next.held_until),
            (asked, 1, None),
            "{trouble:?}"
        );
        assert_eq!(next.due_at.is_some(), waits.is_some(), "{trouble:?}");
        if let (Some(due_at), Some(waits)) = (next.due_at, waits) {
            assert!(
                due_at >= now().after(waits) && due_at <= now().after(waits * 3 / 2),
                "{trouble:?}"
            );
        }
    }
}

#[test]
fn possibly_created_check_run_is_looked_for_after_a_refusal() {
    let before = CheckRun {
        may_exist: true,
        ..check_run()
    };
    let (held, _) = asked(&before, None, now());
    assert!(failed(&before, &held, WriteFailure::Later(None), now(), &deadlines()).may_exist);
}

#[test]
fn retries_stop_when_a_job_can_wait_no_longer() {
    let (held, _) = asked(&check_run(), None, now());
    let late = now().after(QUEUE_LIMIT);
    assert_eq!(
        failed(&check_run(), &held, WriteFailure::Unclear, late, &deadlines()).due_at,
        None
    );
}
