use Threshold::{All, FourFifths, Half, Refused};
use dayfly_records::LedgerId;
use dayfly_types::budget::Budget;
use dayfly_types::month::Month;

use super::*;
use crate::fixtures::{deadlines, now};

fn dollars(amount: u64) -> MicroDollars {
    MicroDollars(amount * 1_000_000)
}

fn empty() -> Ledger {
    Ledger::new(LedgerId {
        budget: Budget::Repository {
            repository: "octo/gpu".parse().unwrap(),
        },
        month: Month::of(now()),
    })
}

/// So much is spent under a cap.
fn ledger(spent: u64, cap: u64) -> Ledger {
    let mut ledger = empty();
    ledger.spent = dollars(spent);
    measure(&mut ledger, Some(dollars(cap)), now());
    ledger
}

fn news(ledger: &Ledger) -> Vec<(Threshold, u64)> {
    let news = ledger.to_report.iter();
    news.map(|(threshold, cap)| (*threshold, cap.0 / 1_000_000)).collect()
}

/// All is told.
fn told_all(mut ledger: Ledger) -> Ledger {
    while let Some(claim) = claim(&ledger, now()) {
        ledger = published(claim.ledger, claim.threshold, claim.until);
    }
    ledger
}

#[test]
fn threshold_is_reached_to_the_micro_dollar() {
    for (threshold, spent) in [(Half, 50), (FourFifths, 80), (All, 100)] {
        let cap = dollars(100);
        assert!(threshold.is_reached(dollars(spent), cap));
        assert!(!threshold.is_reached(MicroDollars(dollars(spent).0 - 1), cap));
        assert!(threshold.is_reached(MicroDollars(u64::MAX), MicroDollars(u64::MAX)));
    }
    assert!(!Refused.is_reached(dollars(100), dollars(1)));
}

#[test]
fn each_threshold_is_published_once() {
    let mut ledger = ledger(0, 100);
    for (spent, passed, expected) in [
        (49, &[][..], &[][..]),
        (50, &[Half], &[(Half, 100)]),
        (90, &[Half, FourFifths], &[(FourFifths, 100)]),
        (91, &[Half, FourFifths], &[]),
        (111, &[Half, FourFifths, All], &[(All, 100)]),
    ] {
        ledger.spent = dollars(spent);
        measure(&mut ledger, Some(dollars(100)), now());
        assert_eq!(
            (ledger.passed.as_slice(), news(&ledger)),
            (passed, expected.to_vec()),
            "{spent}"
        );
        assert_eq!(ledger.due_at.is_some(), !expected.is_empty());
        ledger = told_all(ledger);
    }
}

#[test]
fn changed_cap_keeps_the_thresholds_that_still_hold() {
    for (spent, refused, before, after, passed, expected) in [
        (80, false, 100, Some(100), &[Half, FourFifths][..], &[][..]),
        // Half of it is spent by then too, and four fifths are not any more.
        (80, false, 100, Some(150), &[Half], &[]),
        (80, false, 100, Some(1000), &[], &[]),
        (80, false, 100, Some(80), &[Half, FourFifths, All], &[(All, 80)]),
        (
            40,
            false,
            100,
            Some(50),
            &[Half, FourFifths],
            &[(Half, 50), (FourFifths, 50)],
        ),
        (80, false, 100, None, &[], &[]),
        // A job that did not fit then may fit now.
        (10, true, 100, Some(101), &[], &[]),
        (10, true, 100, Some(100), &[Refused], &[]),
        (10, true, 100, Some(90), &[Refused], &[]),
        (10, true, 100, Some(20), &[Refused, Half], &[(Half, 20)]),
    ] {
        let mut ledger = ledger(spent, before);
        if refused {
            pass(&mut ledger, Refused, dollars(before), now());
        }
        ledger = told_all(ledger);
        measure(&mut ledger, after.map(dollars), now());
        let case = format!("{spent} of {before}, then of {after:?}");
        assert_eq!(ledger.passed, passed, "{case}");
        assert_eq!(news(&ledger), expected, "{case}");
        assert_eq!(ledger.cap, after.map(dollars), "{case}");
    }
}

#[test]
fn raised_cap_has_thresholds_of_its_own() {
    let mut ledger = told_all(ledger(80, 100));
    for (spent, expected) in [
        (80, None),
        (500, Some(Half)),
        (799, None),
        (800, Some(FourFifths)),
        (1000, Some(All)),
    ] {
        ledger.spent = dollars(spent);
        measure(&mut ledger, Some(dollars(1000)), now());
        let expected: Vec<_> = expected.map(|threshold| (threshold, 1000)).into_iter().collect();
        assert_eq!(news(&ledger), expected, "{spent}");
        ledger = told_all(ledger);
    }
}

#[test]
fn nothing_is_published_twice_while_the_policy_changes() {
    let mut ledger = ledger(80, 100);
    pass(&mut ledger, Refused, dollars(100), now());
    ledger = told_all(ledger);
    for cap in [1000, 100, 1000, 100] {
        measure(&mut ledger, Some(dollars(cap)), now());
        if cap == 100 {
            pass(&mut ledger, Refused, dollars(100), now());
            assert_eq!(ledger.passed, [Half, FourFifths, Refused]);
        }
        assert_eq!(news(&ledger), [], "{cap}");
    }
}

#[test]
fn older_ledger_without_refusal_thresholds_is_read() {
    let before = serde_json::json!({
        "budget": {"of": "stack"}, "month": "2027-01", "spent": 10_000_000, "reserved": 0, "cap": 100_000_000,
        "passed": ["all"], "to_report": [["all", 100_000_000]], "due_at": null,
    });
    let mut ledger: Ledger = serde_json::from_value(before).unwrap();
    assert_eq!((&ledger.recorded[..], ledger.publishing_until), (&[][..], None));
    ledger = told_all(ledger);
    // It was noted for a refusal.
    ledger.spent = dollars(100);
    let mut later = ledger.clone();
    ledger.spent = dollars(20);
    measure(&mut ledger, Some(dollars(100)), now());
    assert_eq!(ledger.passed, [], "a tenth is not all of it");
    later.passed = ledger.passed;
    measure(&mut later, Some(dollars(100)), now());
    assert_eq!(news(&later), [(Half, 100), (FourFifths, 100), (All, 100)]);
}

#[test]
fn claimed_ledger_is_left_alone_until_published_or_expired() {
    let ledger = ledger(80, 100);
    let first = claim(&ledger, now()).unwrap();
    assert_eq!(
        (first.threshold, first.until),
        ((Half, dollars(100)), now().after(PUBLISH_LEASE))
    );
    assert_eq!(first.ledger.due_at, Some(first.until), "should its claimant die");
    assert_eq!(claim(&first.ledger, now()), None);
    assert_eq!(
        claim(&first.ledger, now().after(PUBLISH_LEASE)).unwrap().threshold,
        first.threshold
    );

    let next = published(first.ledger.clone(), first.threshold, first.until);
    let second = claim(&next, now()).unwrap();
    assert_eq!(second.threshold, (FourFifths, dollars(100)));
    let over = published(second.ledger, second.threshold, second.until);
    assert_eq!(
        (over.to_report.len(), over.due_at, over.publishing_until),
        (0, None, None)
    );
    assert_eq!(claim(&over, now()), None);

    // Somebody else has claimed it since, who was given the time that was over.
    let late = now().after(2 * PUBLISH_LEASE);
    let others = claim(&first.ledger, late).unwrap();
    let recorded = published(others.ledger.clone(), first.threshold, first.until);
    assert_eq!(recorded.publishing_until, Some(others.until));
    assert_eq!(
        publish_failed(others.ledger.clone(), first.until, late, &deadlines()),
        others.ledger
    );
}

#[test]
fn failed_publish_is_retried_and_nothing_is_lost() {
    let first = claim(&ledger(80, 100), now()).unwrap();
    let half = published(first.ledger, first.threshold, first.until);
    let second = claim(&half, now()).unwrap();
    let later = publish_failed(second.ledger, second.until, now(), &deadlines());
    assert_eq!(news(&later), [(FourFifths, 100)]);
    assert_eq!(
        (later.publishing_until, later.due_at),
        (None, Some(retry_at(now(), &deadlines())))
    );
    assert!(claim(&later, now()).is_some());
}

#[test]
fn ledger_is_due_at_the_earlier_of_two_moments() {
    let mut ledger = ledger(50, 100);
    ledger.spent = dollars(80);
    measure(&mut ledger, Some(dollars(100)), now().after(PUBLISH_LEASE));
    assert_eq!((ledger.to_report.len(), ledger.due_at), (2, Some(now())));
}

#[test]
fn refusal_reads_differently_from_a_spent_cap() {
    let mut ledger = ledger(100, 100);
    ledger.reserved = dollars(3);
    for (threshold, subject, text) in [
        (
            FourFifths,
            "dayfly gpu: octo/gpu has spent 80 % of its cap of $100.00 in 2027-01",
            "Jobs still run.",
        ),
        (
            All,
            "dayfly gpu: octo/gpu has spent 100 % of its cap of $100.00 in 2027-01",
            "are refused",
        ),
        (
            Refused,
            "dayfly gpu: the cap of $100.00 of octo/gpu in 2027-01 refuses launches",
            "A job was refused",
        ),
    ] {
        let (told, more) = message(&ledger, (threshold, dollars(100)), "gpu");
        assert_eq!(told, subject);
        for part in [
            text,
            "$100.00 are spent",
            "$3.00 reserved",
            "2027-02-01 00:00 UTC",
            "`caps.repository`",
        ] {
            assert!(more.contains(part), "`{part}` in: {more}");
        }
    }
}

#[test]
fn subject_is_valid_for_sns_with_any_name() {
    let mut ledger = ledger(80, 100);
    ledger.budget = Budget::Actor {
        login: "ä\n\u{7f}".repeat(50),
    };
    let (subject, _) = message(&ledger, (Half, dollars(100)), "gpu");
    assert_eq!(subject.chars().count(), 99);
    assert!(
        subject.bytes().all(|byte| byte == b' ' || byte.is_ascii_graphic()),
        "{subject}"
    );
}
