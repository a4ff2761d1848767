use dayfly_records::RunnerState;
use dayfly_records::event::Conclusion;

use super::*;
use crate::fixtures::{deadlines, event, now, runner};
use crate::launch::new_job;

#[test]
fn an_instance_is_ended_when_no_live_runner_owns_it_and_github_is_asked_when_no_record_knows_it() {
    use Orphan::{AskGitHub, End, Owned};
    let (mine, other) = (InstanceId::new("i-1"), InstanceId::new("i-2"));
    let young = Duration::from_secs(10);
    let old = 2 * deadlines().absence;
    let ancient = deadlines().lifetime;
    for (runner, instance, registered, age, expected) in [
        (Some(runner(RunnerState::Busy)), &mine, true, old, Owned),
        (Some(runner(RunnerState::Gone)), &mine, true, young, End),
        (Some(runner(RunnerState::Busy)), &other, true, young, Owned),
        (Some(runner(RunnerState::Busy)), &other, true, old, End),
        (Some(runner(RunnerState::Requested)), &other, true, young, Owned),
        (None, &mine, true, young, Owned),
        (None, &mine, true, old, AskGitHub),
        (None, &mine, false, old, End),
        (None, &mine, true, ancient, End),
    ] {
        assert_eq!(
            orphan(runner.as_ref(), instance, registered, age, &deadlines()),
            expected,
            "{runner:?} {instance} {age:?}"
        );
    }
}

#[test]
fn an_instance_that_ec2_does_not_name_is_gone_only_when_it_is_old_enough() {
    let later = now().after(deadlines().absence);
    for (state, named, at, gone) in [
        (RunnerState::Busy, false, later, true),
        (RunnerState::Busy, true, later, false),
        (RunnerState::Busy, false, now(), false),
        (RunnerState::Requested, false, later, false),
        (RunnerState::Gone, false, later, false),
    ] {
        assert_eq!(has_vanished(&runner(state), named, at, &deadlines()), gone, "{state:?}");
    }
}

#[test]
fn a_registration_is_left_over_when_no_live_runner_is_about_to_use_it() {
    let mut live = runner(RunnerState::Launched);
    live.mints = 2;
    let gone = runner(RunnerState::Gone);
    let name = |mint| live.registration(mint).unwrap();
    let offline = |name| Listed {
        name,
        online: false,
        busy: false,
    };
    let name1 = name(1);
    assert!(is_left_over(offline(&name1), None));
    let name1 = name(1);
    assert!(is_left_over(offline(&name1), Some(&gone)));
    let name1 = name(1);
    assert!(is_left_over(offline(&name1), Some(&live)), "its answer was lost");
    let name2 = name(2);
    assert!(
        !is_left_over(offline(&name2), Some(&live)),
        "its runner is about to start"
    );
    assert!(!is_left_over(offline("somebody-elses"), None));
    let online = Listed {
        online: true,
        ..offline("dayfly-11-1-1")
    };
    assert!(!is_left_over(online, None));
    let busy = Listed {
        busy: true,
        ..offline("dayfly-11-1-1")
    };
    assert!(!is_left_over(busy, None), "GitHub ends its job first");
}

#[test]
fn only_what_we_should_have_been_told_by_now_is_news() {
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
    for (known, standing, news) in [
        (None, Standing::Queued, true),
        (None, Standing::Running { ours: true }, true),
        (None, Standing::Running { ours: false }, false),
        (None, Standing::Over, false),
        (Some(job(JobState::Launching)), Standing::Queued, false),
        (Some(job(JobState::Launching)), Standing::Running { ours: false }, true),
        (Some(running()), Standing::Running { ours: true }, false),
        (Some(running()), Standing::Over, true),
        (Some(refused()), Standing::Queued, false),
        (Some(over()), Standing::Over, false),
    ] {
        assert_eq!(
            is_news(known.as_ref(), standing, old, &deadlines()),
            news,
            "{known:?} {standing:?}"
        );
        assert!(!is_news(known.as_ref(), standing, Duration::ZERO, &deadlines()));
    }
}

fn failed(number: u64, delivery: &str) -> Failed {
    Failed {
        number,
        delivery: DeliveryId::new(delivery),
    }
}

#[test]
fn a_delivery_is_asked_for_once_a_round_and_not_for_ever() {
    let mut patrol = Patrol::default();
    let mut number = 10;
    for round in 1..=MAX_REDELIVERIES {
        let asked = redeliveries(&patrol, vec![failed(number, "a"), failed(number - 1, "a")]);
        assert_eq!(asked.len(), 1, "round {round}");
        assert_eq!(asked[0].0.number, number);
        patrol = asked[0].1.clone();
        assert_eq!(
            (patrol.deliveries_seen, patrol.redelivered[&DeliveryId::new("a")]),
            (number, round)
        );
        number += 10;
    }
    assert!(redeliveries(&patrol, vec![failed(number, "a")]).is_empty());
}

#[test]
fn whoever_dies_between_two_redeliveries_goes_on_where_it_was() {
    let asked = redeliveries(&Patrol::default(), vec![failed(3, "c"), failed(1, "a"), failed(2, "b")]);
    let order: Vec<u64> = asked.iter().map(|(one, _)| one.number).collect();
    assert_eq!(order, [1, 2, 3]);
    assert_eq!(asked[0].1.deliveries_seen, 1);
}

#[test]
fn what_is_too_much_for_one_patrol_is_looked_at_by_the_next_ones() {
    let few: Vec<u32> = (0..40).collect();
    assert_eq!(some_of(few.clone(), 40, now()), few);
    for count in [41, 43, 80, 100, 200] {
        let mut seen = std::collections::BTreeSet::new();
        for patrol in 0..6 {
            let at = now().after(patrol * PATROL_EVERY);
            let some = some_of((0..count).collect(), 40, at);
            assert_eq!(some.len(), 40);
            seen.extend(some);
        }
        assert_eq!(seen.len(), count, "within an hour and a half");
    }
}

#[test]
fn what_an_instance_that_ended_has_cost_is_counted_with_its_runner_if_that_does_so() {
    let deadlines = deadlines();
    let young = deadlines.absence;
    let old = 2 * young;
    let other = InstanceId::new("i-another");
    let live = runner(RunnerState::Busy);
    let its = live.instance().unwrap().clone();
    let gone = runner(RunnerState::Gone);
    let to_settle = Runner {
        reserved: Some(dayfly_records::Reservation {
            tariff: dayfly_records::costs::Tariff {
                compute: dayfly_types::money::MicroDollars(1),
                disk_month: dayfly_types::money::MicroDollars(1),
                address: dayfly_types::money::MicroDollars(1),
                source: dayfly_records::prices::PriceSource::Aws,
            },
            budgets: Vec::new(),
            shares: Vec::new(),
        }),
        ..gone.clone()
    };
    for (runner, instance, age, expected) in [
        (Some(&live), &its, old, false),
        (Some(&to_settle), &its, old, false),
        // Settled, or never reserved for: whether it has a cost is in the table.
        (Some(&gone), &its, young, true),
        // Its launch may not be recorded yet.
        (Some(&live), &other, young, false),
        (Some(&live), &other, old, true),
        (None, &its, young, false),
        (None, &its, old, true),
    ] {
        assert_eq!(
            is_nobodys_cost(runner, instance, age, &deadlines),
            expected,
            "{instance} {age:?}"
        );
    }
}

#[test]
fn every_repository_gets_its_turn_though_others_come_and_go() {
    let name = |number: u32| -> Repository { format!("octo/r{number:03}").parse().unwrap() };
    let mut all: BTreeMap<Repository, u32> = (0..120).map(|number| (name(number), number)).collect();
    let (mut looked_at, mut seen) = (None, std::collections::BTreeSet::new());
    for patrol in 0..3 {
        let next = next_behind(&all, looked_at.as_ref(), 50);
        assert_eq!(next.len(), 50);
        seen.extend(next.iter().map(|(_, number)| *number));
        looked_at = next.last().map(|(name, _)| name.clone());
        // Another is pushed to, and one has not been for a day.
        all.insert(name(200 + patrol), 200 + patrol);
        all.remove(&name(patrol));
    }
    assert!((0..120).all(|number| seen.contains(&number)), "{seen:?}");
}

#[test]
fn where_they_are_few_each_is_looked_at_once_with_every_patrol() {
    let all: BTreeMap<Repository, u32> = ["octo/a", "octo/b", "octo/c"]
        .map(|name| (name.parse().unwrap(), 1))
        .into();
    for last in [
        None,
        Some("octo/a"),
        Some("octo/b"),
        Some("octo/bb"),
        Some("octo/c"),
        Some("octo/z"),
    ] {
        let last = last.map(|name| name.parse().unwrap());
        let mut next: Vec<String> = next_behind(&all, last.as_ref(), 50)
            .into_iter()
            .map(|(name, _)| name.to_string())
            .collect();
        next.sort();
        assert_eq!(next, ["octo/a", "octo/b", "octo/c"], "behind {last:?}");
    }
    assert!(next_behind(&BTreeMap::<Repository, u32>::new(), None, 50).is_empty());
}
