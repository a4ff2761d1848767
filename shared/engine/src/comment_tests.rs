use dayfly_records::{RunSum, Wish};
use dayfly_types::ids::{InstallationId, RunAttempt, RunId};
use dayfly_types::money::MicroDollars;

use super::*;
use crate::fixtures::{deadlines, now};

const COMMENT: CommentId = CommentId(5);

fn sum(run: u64) -> RunSum {
    RunSum {
        run: RunId(run),
        attempt: RunAttempt(1),
        workflow: None,
        jobs: 1,
        minutes: 3,
        cost: MicroDollars(1000),
        saved: None,
        wasted: MicroDollars(0),
        on_github: None,
        github_charge: None,
        is_final: true,
    }
}

fn with(report: &PullReport, run: u64, at: Timestamp) -> PullReport {
    report
        .with(sum(run), Wish::new(InstallationId(7), report.above), at)
        .unwrap()
}

fn report() -> PullReport {
    let new = PullReport::new("octo/gpu".parse().unwrap(), 12, InstallationId(7), now());
    with(&new, 1, now())
}

fn after(seconds: u64) -> Timestamp {
    now().after(Duration::from_secs(seconds))
}

fn asked(report: &PullReport, now: Timestamp) -> (PullReport, Ask) {
    match step(report, now) {
        Step::Ask(held, ask) => (*held, ask),
        Step::Nothing => panic!("nothing to do about {report:?}"),
    }
}

#[test]
fn a_comment_is_looked_for_then_made_then_changed() {
    let (held, ask) = asked(&report(), now());
    assert_eq!(ask, Ask::Find, "the table may have forgotten one");
    let (held, ask) = asked(&found(&held, None, after(1)), after(1));
    assert_eq!((ask, held.asked), (Ask::Create, true));
    assert_eq!((held.held_until, held.due_at), (Some(after(46)), Some(after(46))));
    let said = said(&held, COMMENT, after(2));
    assert_eq!((said.due_at, step(&said, after(900))), (None, Step::Nothing));
    let (_, ask) = asked(&with(&said, 2, after(900)), after(900));
    assert_eq!(ask, Ask::Update(COMMENT));
}

#[test]
fn one_that_is_there_is_taken_up() {
    let (held, _) = asked(&report(), now());
    assert_eq!(
        asked(&found(&held, Some(COMMENT), now()), now()).1,
        Ask::Update(COMMENT)
    );
}

#[test]
fn nobody_makes_another_while_one_may_have_been_made() {
    let (held, _) = asked(&report(), now());
    let before = found(&held, None, now());
    let (held, ask) = asked(&before, now());
    assert_eq!(ask, Ask::Create);
    assert_eq!(step(&held, after(44)), Step::Nothing, "somebody is at it");
    assert_eq!(asked(&held, after(45)).1, Ask::Find, "he has died");
    for (trouble, expected) in [
        (Trouble::Unclear, Some(Ask::Find)),
        (Trouble::Later(None), Some(Ask::Create)),
        (Trouble::Hopeless, None),
    ] {
        let next = failed(&before, &held, trouble, now(), &deadlines());
        assert_eq!(next.due_at.is_some(), expected.is_some(), "{trouble:?}");
        let due = next.due_at.map(|at| asked(&next, at).1);
        assert_eq!(due, expected, "{trouble:?}");
    }
    let unclear = failed(&before, &held, Trouble::Unclear, now(), &deadlines());
    let (held, _) = asked(&unclear, after(900));
    let refused = failed(&unclear, &held, Trouble::Later(None), after(900), &deadlines());
    assert!(refused.asked, "the first of them may still have been made");
}

#[test]
fn what_github_will_not_take_is_tried_again_with_the_next_thing_to_say() {
    let (held, _) = asked(&report(), now());
    let refused = failed(&report(), &held, Trouble::Hopeless, now(), &deadlines());
    assert_eq!(step(&refused, after(9)), Step::Nothing);
    assert_eq!(asked(&with(&refused, 2, after(9)), after(9)).1, Ask::Find);
}

#[test]
fn one_that_a_person_has_deleted_is_not_made_again() {
    let (held, _) = asked(&report(), now());
    let (held, _) = asked(&found(&held, Some(COMMENT), now()), now());
    let gone = removed(&with(&held, 2, after(1)));
    assert_eq!((gone.due_at, gone.held_until), (None, None));
    let more = with(&gone, 3, after(900));
    assert_eq!((more.due_at, step(&more, after(900))), (None, Step::Nothing));
    assert_eq!(more.attempts(), 3, "what they cost is counted all the same");
}

#[test]
fn what_is_to_be_said_in_the_meantime_is_said_by_whoever_is_at_it() {
    let (held, _) = asked(&report(), now());
    let newer = with(&held, 2, after(3));
    assert_eq!(step(&newer, after(3)), Step::Nothing);
    let goes_on = said_meanwhile(&newer, &held, COMMENT, after(4)).unwrap();
    assert_eq!(asked(&goes_on, after(4)).1, Ask::Update(COMMENT));
    let (taken_up, ask) = asked(&newer, after(60));
    assert_eq!(ask, Ask::Find);
    assert_eq!(said_meanwhile(&taken_up, &held, COMMENT, after(61)), None);
}

#[test]
fn what_waits_for_its_turn_comes_behind_and_is_left_alone_until_then() {
    let told = told(report(), now(), &deadlines());
    assert_eq!(told.due_at, Some(after(60)));
    assert_ne!(step(&told, now()), Step::Nothing, "whoever is told of it says it");
    let off = put_off(&report(), Duration::from_secs(90), now());
    assert_eq!((step(&off, after(89)), off.due_at), (Step::Nothing, Some(after(90))));
    assert_ne!(step(&off, after(90)), Step::Nothing);
}
