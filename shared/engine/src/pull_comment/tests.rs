use dayfly_records::{CommentSettings, RunSum};
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
        .with(sum(run), CommentSettings::new(InstallationId(7), report.above), at)
        .unwrap()
}

fn report() -> PullReport {
    let new = PullReport::new("octo/gpu".parse().unwrap(), 12, InstallationId(7), now());
    with(&new, 1, now())
}

fn after(seconds: u64) -> Timestamp {
    now().after(Duration::from_secs(seconds))
}

fn asked(report: &PullReport, now: Timestamp) -> (PullReport, CommentCall) {
    match step(report, now) {
        CommentStep::Call(held, ask) => (*held, ask),
        CommentStep::Nothing => panic!("nothing to do about {report:?}"),
    }
}

#[test]
fn comment_is_looked_for_then_created_then_updated() {
    let (held, ask) = asked(&report(), now());
    assert_eq!(ask, CommentCall::Find, "the table may have forgotten one");
    let (held, ask) = asked(&found(&held, None, after(1)), after(1));
    assert_eq!((ask, held.may_exist), (CommentCall::Create, true));
    assert_eq!((held.held_until, held.due_at), (Some(after(46)), Some(after(46))));
    let said = published(&held, COMMENT, after(2));
    assert_eq!((said.due_at, step(&said, after(900))), (None, CommentStep::Nothing));
    let (_, ask) = asked(&with(&said, 2, after(900)), after(900));
    assert_eq!(ask, CommentCall::Update(COMMENT));
}

#[test]
fn existing_comment_is_adopted() {
    let (held, _) = asked(&report(), now());
    assert_eq!(
        asked(&found(&held, Some(COMMENT), now()), now()).1,
        CommentCall::Update(COMMENT)
    );
}

#[test]
fn no_second_comment_is_created_while_one_may_exist() {
    let (held, _) = asked(&report(), now());
    let before = found(&held, None, now());
    let (held, ask) = asked(&before, now());
    assert_eq!(ask, CommentCall::Create);
    assert_eq!(step(&held, after(44)), CommentStep::Nothing, "somebody is at it");
    assert_eq!(asked(&held, after(45)).1, CommentCall::Find, "he has died");
    for (trouble, expected) in [
        (WriteFailure::Unclear, Some(CommentCall::Find)),
        (WriteFailure::Later(None), Some(CommentCall::Create)),
        (WriteFailure::Permanent, None),
    ] {
        let next = failed(&before, &held, trouble, now(), &deadlines());
        assert_eq!(next.due_at.is_some(), expected.is_some(), "{trouble:?}");
        let due = next.due_at.map(|at| asked(&next, at).1);
        assert_eq!(due, expected, "{trouble:?}");
    }
    let unclear = failed(&before, &held, WriteFailure::Unclear, now(), &deadlines());
    let (held, _) = asked(&unclear, after(900));
    let refused = failed(&unclear, &held, WriteFailure::Later(None), after(900), &deadlines());
    assert!(refused.may_exist, "the first of them may still have been made");
}

#[test]
fn refused_comment_is_retried_with_the_next_report() {
    let (held, _) = asked(&report(), now());
    let refused = failed(&report(), &held, WriteFailure::Permanent, now(), &deadlines());
    assert_eq!(step(&refused, after(9)), CommentStep::Nothing);
    assert_eq!(asked(&with(&refused, 2, after(9)), after(9)).1, CommentCall::Find);
}

#[test]
fn deleted_comment_is_not_created_again() {
    let (held, _) = asked(&report(), now());
    let (held, _) = asked(&found(&held, Some(COMMENT), now()), now());
    let gone = removed(&with(&held, 2, after(1)));
    assert_eq!((gone.due_at, gone.held_until), (None, None));
    let more = with(&gone, 3, after(900));
    assert_eq!((more.due_at, step(&more, after(900))), (None, CommentStep::Nothing));
    assert_eq!(more.attempts(), 3, "what they cost is counted all the same");
}

#[test]
fn newer_comment_is_published_by_the_holder() {
    let (held, _) = asked(&report(), now());
    let newer = with(&held, 2, after(3));
    assert_eq!(step(&newer, after(3)), CommentStep::Nothing);
    let goes_on = published_meanwhile(&newer, &held, COMMENT, after(4)).unwrap();
    assert_eq!(asked(&goes_on, after(4)).1, CommentCall::Update(COMMENT));
    let (taken_up, ask) = asked(&newer, after(60));
    assert_eq!(ask, CommentCall::Find);
    assert_eq!(published_meanwhile(&taken_up, &held, COMMENT, after(61)), None);
}

#[test]
fn deferred_comment_is_left_alone_until_it_is_due() {
    let told = deferred(report(), now(), &deadlines());
    assert_eq!(told.due_at, Some(after(60)));
    assert_ne!(
        step(&told, now()),
        CommentStep::Nothing,
        "the next reporter publishes it"
    );
    let off = defer(&report(), Duration::from_secs(90), now());
    assert_eq!(
        (step(&off, after(89)), off.due_at),
        (CommentStep::Nothing, Some(after(90)))
    );
    assert_ne!(step(&off, after(90)), CommentStep::Nothing);
}
