use dayfly_records::CheckContent;

use super::*;
use crate::fixtures::{deadlines, event, now};
use crate::launch;

const CHECK: CheckRunId = CheckRunId(5);
const OTHER: CheckRunId = CheckRunId(6);
const NEUTRAL: Option<CheckConclusion> = Some(CheckConclusion::Neutral);
const FAILURE: Option<CheckConclusion> = Some(CheckConclusion::Failure);

fn check_run() -> CheckRun {
    let content = CheckContent::Waiting {
        next_at: now(),
        tried: Vec::new(),
    };
    CheckRun::of(None, &launch::new_job(&event(11)), content, now())
}

fn after(seconds: u64) -> Timestamp {
    now().after(Duration::from_secs(seconds))
}

fn asked(check_run: &CheckRun, wanted: Option<CheckConclusion>, now: Timestamp) -> (CheckRun, Ask) {
    match step(check_run, wanted, now) {
        Step::Ask(held, ask) => (*held, ask),
        Step::Nothing => panic!("nothing to do about {check_run:?}"),
    }
}

#[test]
fn a_check_run_is_said_by_the_check_run_that_can_say_it() {
    for (check, concluded, asked_before, wanted, expected) in [
        (None, None, false, None, Ask::Create),
        (None, None, true, None, Ask::Find),
        (None, None, true, FAILURE, Ask::Find),
        (Some(CHECK), None, true, None, Ask::Update(CHECK)),
        (Some(CHECK), None, true, FAILURE, Ask::Update(CHECK)),
        (Some(CHECK), FAILURE, true, FAILURE, Ask::Update(CHECK)),
        (Some(CHECK), NEUTRAL, true, FAILURE, Ask::Create),
        (Some(CHECK), NEUTRAL, true, None, Ask::Create),
    ] {
        let check_run = CheckRun {
            check,
            concluded,
            asked: asked_before,
            ..check_run()
        };
        let (held, ask) = asked(&check_run, wanted, now());
        assert_eq!(ask, expected, "{check:?} {concluded:?} {asked_before} {wanted:?}");
        assert!(held.asked);
        assert_eq!(held.held_until, Some(now().after(SAYING)));
        assert_eq!(held.due_at, held.held_until);
        let takes_its_place = ask == Ask::Create && check.is_some();
        assert_eq!(
            (held.serial, held.check.is_none()),
            (1 + u32::from(takes_its_place), takes_its_place || check.is_none())
        );
    }
}

#[test]
fn a_check_run_is_left_alone_while_somebody_is_at_it_or_its_time_has_not_come() {
    let (held, _) = asked(&check_run(), None, now());
    let said = said(&held, CHECK, None);
    let later = CheckRun {
        not_before: Some(after(60)),
        ..check_run()
    };
    let told = told(check_run(), now(), &deadlines());
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
            step(check_run, None, at) == Step::Nothing,
            left_alone,
            "{at:?} {check_run:?}"
        );
    }
}

#[test]
fn what_is_to_be_said_in_the_meantime_is_said_by_whoever_is_at_it() {
    let (held, _) = asked(&check_run(), None, now());
    let job = launch::new_job(&event(11));
    let newer = CheckRun::of(
        Some(held.clone()),
        &job,
        CheckContent::Over { tried: Vec::new() },
        after(3),
    );
    assert_eq!(step(&newer, NEUTRAL, after(3)), Step::Nothing);
    let goes_on = said_meanwhile(&newer, &held, CHECK, None, after(4)).unwrap();
    let (_, ask) = asked(&goes_on, NEUTRAL, after(4));
    assert_eq!(ask, Ask::Update(CHECK));

    // Whoever was at it died: another takes it up, and finds out what was done.
    let (taken_up, ask) = asked(&newer, NEUTRAL, after(60));
    assert_eq!(ask, Ask::Find);
    assert_eq!(said_meanwhile(&taken_up, &held, CHECK, None, after(61)), None);
}

#[test]
fn a_check_run_that_was_asked_for_is_taken_up_if_it_is_there_and_made_if_not() {
    let check_run = CheckRun {
        asked: true,
        ..check_run()
    };
    let (held, _) = asked(&check_run, FAILURE, now());
    let there = found(&held, Some((OTHER, None)), after(1));
    assert_eq!(asked(&there, FAILURE, after(1)).1, Ask::Update(OTHER));
    let concluded_otherwise = found(&held, Some((OTHER, NEUTRAL)), after(1));
    assert_eq!(asked(&concluded_otherwise, FAILURE, after(1)).1, Ask::Create);
    let absent = found(&held, None, after(1));
    assert_eq!(asked(&absent, FAILURE, after(1)).1, Ask::Create);
}

#[test]
fn what_failed_is_said_later_and_what_never_can_be_is_not() {
    let before = check_run();
    let (held, _) = asked(&before, None, now());
    let wait = Duration::from_mins(30);
    for (trouble, waits, asked) in [
        (Trouble::Hopeless, None, true),
        (Trouble::Later(None), Some(Duration::from_mins(1)), false),
        (Trouble::Later(Some(wait)), Some(wait), false),
        (Trouble::Unclear, Some(Duration::from_mins(1)), true),
    ] {
        let next = failed(&before, &held, trouble, now(), &deadlines());
        assert_eq!(
            (next.asked, next.tries, next.held_until),
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
fn a_check_run_that_may_have_been_made_before_is_still_looked_for_after_a_refusal() {
    let before = CheckRun {
        asked: true,
        ..check_run()
    };
    let (held, _) = asked(&before, None, now());
    assert!(failed(&before, &held, Trouble::Later(None), now(), &deadlines()).asked);
}

#[test]
fn nothing_is_tried_for_longer_than_a_job_can_wait() {
    let (held, _) = asked(&check_run(), None, now());
    let late = now().after(QUEUE_LIMIT);
    assert_eq!(
        failed(&check_run(), &held, Trouble::Unclear, late, &deadlines()).due_at,
        None
    );
}
