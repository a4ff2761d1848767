use dayfly_records::event::Conclusion;

use super::*;
use crate::fixtures::{deadlines, event};
use crate::launch::claim::new_job;

#[test]
fn webhook_is_lost_only_when_it_should_have_come_by_now() {
    let old = deadlines().webhook;
    let job = |state| Job {
        state,
        ..new_job(&event(11))
    };
    let running = || job(JobState::Running { runner: "x".into() });
    let over = || {
        job(JobState::Finished {
            conclusion: Conclusion::Success,
        })
    };
    let refused = || job(JobState::Refused { reason: "x".into() });
    for (known, on_github, expected) in [
        (None, JobOnGitHub::Queued, true),
        (None, JobOnGitHub::Running { ours: true }, true),
        (None, JobOnGitHub::Running { ours: false }, false),
        (None, JobOnGitHub::Over, false),
        (Some(job(JobState::Launching)), JobOnGitHub::Queued, false),
        (
            Some(job(JobState::Launching)),
            JobOnGitHub::Running { ours: false },
            true,
        ),
        (Some(running()), JobOnGitHub::Running { ours: true }, false),
        (Some(running()), JobOnGitHub::Over, true),
        (Some(refused()), JobOnGitHub::Queued, false),
        (Some(over()), JobOnGitHub::Over, false),
    ] {
        assert_eq!(
            is_lost(known.as_ref(), on_github, old, &deadlines()),
            expected,
            "{known:?} {on_github:?}"
        );
        assert!(!is_lost(known.as_ref(), on_github, Duration::ZERO, &deadlines()));
    }
}

fn failed(number: u64, delivery: &str) -> FailedDelivery {
    FailedDelivery {
        number,
        delivery: DeliveryId::new(delivery),
    }
}

#[test]
fn delivery_is_requested_once_a_round_and_not_forever() {
    let mut patrol = Patrol::default();
    let mut number = 10;
    for round in 1..=MAX_REDELIVERIES {
        let requested = redeliveries(&patrol, vec![failed(number, "a"), failed(number - 1, "a")]);
        assert_eq!(requested.len(), 1, "round {round}");
        assert_eq!(requested[0].0.number, number);
        patrol = requested[0].1.clone();
        assert_eq!(
            (patrol.deliveries_seen, patrol.redelivered[&DeliveryId::new("a")]),
            (number, round)
        );
        number += 10;
    }
    assert!(redeliveries(&patrol, vec![failed(number, "a")]).is_empty());
}

#[test]
fn patrol_that_dies_between_redeliveries_resumes_where_it_was() {
    let requested = redeliveries(&Patrol::default(), vec![failed(3, "c"), failed(1, "a"), failed(2, "b")]);
    let order: Vec<u64> = requested.iter().map(|(one, _)| one.number).collect();
    assert_eq!(order, [1, 2, 3]);
    assert_eq!(requested[0].1.deliveries_seen, 1);
}
