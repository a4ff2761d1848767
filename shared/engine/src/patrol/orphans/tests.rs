use dayfly_records::RunnerState;

use super::*;
use crate::fixtures::{deadlines, now, runner};

#[test]
fn orphan_instance_ends_and_github_is_asked_about_an_unknown_one() {
    use OrphanCheck::{AskGitHub, End, Owned};
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
            check_instance(runner.as_ref(), instance, registered, age, &deadlines()),
            expected,
            "{runner:?} {instance} {age:?}"
        );
    }
}

#[test]
fn unlisted_instance_has_vanished_only_once_it_is_old_enough() {
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
fn registration_is_an_orphan_unless_a_live_runner_will_use_it() {
    let mut live = runner(RunnerState::Launched);
    live.mints = 2;
    let gone = runner(RunnerState::Gone);
    let name = |mint| live.registration(mint).unwrap();
    let offline = |name| ListedRunner {
        name,
        online: false,
        busy: false,
    };
    let name1 = name(1);
    assert!(is_orphan_registration(offline(&name1), None));
    let name1 = name(1);
    assert!(is_orphan_registration(offline(&name1), Some(&gone)));
    let name1 = name(1);
    assert!(
        is_orphan_registration(offline(&name1), Some(&live)),
        "the answer to its registration was lost"
    );
    let name2 = name(2);
    assert!(
        !is_orphan_registration(offline(&name2), Some(&live)),
        "its runner is about to start"
    );
    assert!(!is_orphan_registration(offline("somebody-elses"), None));
    let online = ListedRunner {
        online: true,
        ..offline("dayfly-11-1-1")
    };
    assert!(!is_orphan_registration(online, None));
    let busy = ListedRunner {
        busy: true,
        ..offline("dayfly-11-1-1")
    };
    assert!(!is_orphan_registration(busy, None), "GitHub ends its job first");
}

#[test]
fn ended_instance_costs_as_an_orphan_unless_its_runner_counts_it() {
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
        // Settled or never reserved for: the table says whether it has a cost.
        (Some(&gone), &its, young, true),
        // Its launch may not be recorded yet.
        (Some(&live), &other, young, false),
        (Some(&live), &other, old, true),
        (None, &its, young, false),
        (None, &its, old, true),
    ] {
        assert_eq!(
            is_orphan_cost(runner, instance, age, &deadlines),
            expected,
            "{instance} {age:?}"
        );
    }
}
