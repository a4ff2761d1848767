use std::collections::BTreeMap;
use std::time::Duration;

use super::*;
use crate::capacity::InstanceLifecycle;
use crate::checkin::Stage;
use crate::costs::Tariff;
use crate::decide::fixtures::{claimed, now, runner};
use crate::decide::settlement::{Answered, cost};
use crate::event::Conclusion;
use crate::ids::InstanceId;
use crate::prices::{Price, PriceSource};
use crate::record::{Cost, Ending, Job, JobState, Ledger, LedgerId, Purpose, Reservation, Runner, RunnerState};

fn after(seconds: u64) -> Timestamp {
    now().after(Duration::from_secs(seconds))
}

fn began(runner: &Runner, job: Option<&Job>) -> Vec<(Phase, u64)> {
    let live = Live::of(runner, job);
    let phases = live.phases.iter();
    phases.map(|(phase, at)| (*phase, at.since(now()).as_secs())).collect()
}

#[test]
fn a_runner_is_in_the_phases_that_it_came_to_and_for_as_long_as_until_the_next() {
    let (job, _) = claimed(11);
    let mut it = runner(RunnerState::Requested);
    it.requested_at = after(3);
    assert_eq!(began(&it, Some(&job)), [(Phase::Queued, 0), (Phase::Launching, 3)]);
    assert_eq!(began(&it, None), [(Phase::Launching, 3)], "its job is not known");

    let mut it = runner(RunnerState::Busy);
    it.requested_at = after(3);
    it.launched.as_mut().unwrap().at = after(20);
    it.stages = vec![(Stage::RunnerStarted, after(80)), (Stage::JobStarted, after(90))];
    let phases = [
        (Phase::Queued, 0),
        (Phase::Launching, 3),
        (Phase::Booting, 20),
        (Phase::Idle, 80),
        (Phase::Running, 90),
    ];
    assert_eq!(began(&it, Some(&job)), phases);
    let spans = Live::of(&it, Some(&job)).spans(after(150));
    let seconds: Vec<u64> = spans.iter().map(|(_, span)| span.as_secs()).collect();
    assert_eq!(seconds, [3, 17, 60, 10, 60]);

    it.state = RunnerState::Draining;
    it.since = after(200);
    assert_eq!(began(&it, Some(&job)).last(), Some(&(Phase::Ending, 200)));
}

#[test]
fn nothing_began_before_what_was_before_it_whatever_an_instance_says() {
    let mut it = runner(RunnerState::Busy);
    it.launched.as_mut().unwrap().at = after(20);
    it.stages = vec![(Stage::JobStarted, after(1))];
    assert_eq!(
        began(&it, None),
        [(Phase::Launching, 0), (Phase::Booting, 20), (Phase::Running, 20)]
    );
}

fn tariff() -> Tariff {
    Tariff {
        compute: MicroDollars(1_006_000),
        disk_month: MicroDollars(0),
        address: MicroDollars(5_000),
        source: PriceSource::Aws,
    }
}

#[test]
fn what_a_runner_has_cost_so_far_is_by_its_own_price_with_its_address() {
    let per_hour = |lifecycle, price: Option<u64>, on_demand: Option<u64>| {
        let mut it = runner(RunnerState::Busy);
        it.running_at = Some(after(10));
        it.reserved = Some(Reservation {
            tariff: tariff(),
            purses: Vec::new(),
            shares: Vec::new(),
        });
        let launched = it.launched.as_mut().unwrap();
        launched.lifecycle = lifecycle;
        launched.price_per_hour = price.map(MicroDollars);
        launched.on_demand = on_demand.map(|price| Price {
            per_hour: MicroDollars(price),
            source: PriceSource::Aws,
        });
        let placed = Live::of(&it, None).placed.unwrap();
        let cost = placed.so_far(after(10 + 3600)).unwrap();
        (placed.per_hour.map(|price| price.0), cost.0)
    };
    let (spot, on_demand) = (InstanceLifecycle::Spot, InstanceLifecycle::OnDemand);
    assert_eq!(per_hour(spot, Some(180_000), Some(526_000)), (Some(180_000), 185_000));
    assert_eq!(per_hour(on_demand, None, Some(526_000)), (Some(526_000), 531_000));
    assert_eq!(
        per_hour(spot, None, Some(526_000)),
        (None, 1_011_000),
        "the most that it can be"
    );
    assert_eq!(Live::of(&runner(RunnerState::Requested), None).placed, None);
}

#[test]
fn only_a_job_for_which_nothing_is_under_way_waits() {
    let (mut job, _) = claimed(11);
    assert_eq!(Waiting::of(&job), None);
    job.state = JobState::Queued;
    assert_eq!(Waiting::of(&job).unwrap().since, job.queued_at);
}

#[test]
fn who_has_a_cap_comes_first_and_of_the_others_only_the_large() {
    let ledger = |purse, spent, cap: Option<u64>| Ledger {
        spent: MicroDollars(spent),
        cap: cap.map(MicroDollars),
        ..Ledger::new(LedgerId {
            purse,
            month: crate::month::Month::of(now()),
        })
    };
    let repository = || "octo/gpu".parse().unwrap();
    let pull = |number| Purse::PullRequest {
        repository: repository(),
        number,
    };
    let actor = Purse::Actor {
        login: "mona".to_owned(),
    };
    let organization = |name: &str| Purse::Organization { name: name.to_owned() };
    let ledgers = [
        ledger(pull(1), 9, None),
        ledger(pull(2), 1, Some(5)),
        ledger(actor, 9, None),
        ledger(organization("b"), 3, Some(5)),
        ledger(organization("a"), 4, None),
        ledger(organization("c"), 4, None),
        ledger(
            Purse::Repository {
                repository: repository(),
            },
            9,
            Some(10),
        ),
        ledger(Purse::Stack, 0, None),
    ];
    let shown: Vec<String> = Gauge::all(&ledgers).iter().map(|it| it.purse.to_string()).collect();
    assert_eq!(shown, ["b", "octo/gpu", "octo/gpu#2", "the stack", "a", "c"]);
}

fn ran(instance: &str, minutes: u64, ending: Ending) -> Cost {
    let mut it = runner(RunnerState::Gone);
    it.reserved = Some(Reservation {
        tariff: tariff(),
        purses: Vec::new(),
        shares: Vec::new(),
    });
    let launched = it.launched.as_mut().unwrap();
    launched.instance = InstanceId::new(instance);
    launched.price_per_hour = Some(MicroDollars(60_000));
    it.instance_ended_at = Some(launched.at.after(Duration::from_mins(minutes)));
    it.job = Some(it.wanted_by);
    it.ending = Some(ending);
    cost(&it, Some(&claimed(11).0), &Answered::default(), after(86_400)).unwrap()
}

#[test]
fn the_instances_of_a_job_are_counted_together_and_the_latest_comes_first() {
    let first = ran("i-1", 10, Ending::Interrupted);
    let second = ran("i-2", 30, Ending::JobOver);
    let mut stray = ran("i-3", 40, Ending::JobOver);
    (stray.job, stray.purpose) = (None, Purpose::Stray);
    let (mut job, _) = claimed(11);
    job.state = JobState::Finished {
        conclusion: Conclusion::Failure,
    };
    let jobs = BTreeMap::from([(job.key, job)]);
    let all = Ran::all(&[first.clone(), second.clone(), stray], &jobs, 50);
    let seen: Vec<_> = all
        .iter()
        .map(|ran| (ran.instance.as_str(), ran.outcome, ran.instances))
        .collect();
    assert_eq!(
        seen,
        [
            ("i-3", Outcome::Stray, 1),
            ("i-2", Outcome::Ended(Conclusion::Failure), 2)
        ]
    );
    assert_eq!(all[1].cost, first.total() + second.total());
    assert_eq!(all[1].billed, Duration::from_mins(40));
    assert_eq!(all[0].job, None);
    assert_eq!(
        Ran::all(&[first, second], &BTreeMap::new(), 50)[0].outcome,
        Outcome::Ran
    );
}

#[test]
fn what_became_of_it_is_told_by_what_its_instances_were_there_for() {
    for (purpose, outcome) in [
        (Purpose::Interrupted, Outcome::Interrupted),
        (Purpose::Message, Outcome::Told),
        (Purpose::Idle, Outcome::Unused),
        (Purpose::Stray, Outcome::Stray),
        (Purpose::Job, Outcome::Ran),
    ] {
        let mut cost = ran("i-1", 10, Ending::JobOver);
        cost.purpose = purpose;
        assert_eq!(Ran::all(&[cost], &BTreeMap::new(), 50)[0].outcome, outcome);
    }
}

#[test]
fn no_more_is_shown_than_is_asked_for() {
    let costs: Vec<Cost> = (0..9)
        .map(|n| {
            let mut cost = ran(&format!("i-{n}"), 10 + n, Ending::JobOver);
            cost.job = None;
            cost
        })
        .collect();
    let shown: Vec<_> = Ran::all(&costs, &BTreeMap::new(), 3);
    let instances: Vec<&str> = shown.iter().map(|ran| ran.instance.as_str()).collect();
    assert_eq!(instances, ["i-8", "i-7", "i-6"]);
}
