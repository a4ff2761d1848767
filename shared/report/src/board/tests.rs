use std::collections::BTreeMap;
use std::time::Duration;

use dayfly_engine::costing::{Answered, cost};
use dayfly_records::costs::{Compute, Tariff};
use dayfly_records::event::Conclusion;
use dayfly_records::prices::{Price, PriceSource};
use dayfly_records::{Cost, Ending, Job, JobState, Ledger, LedgerId, Purpose, Reservation, Runner, RunnerState, Turn};
use dayfly_types::capacity::InstanceLifecycle;
use dayfly_types::checkin::Stage;
use dayfly_types::ids::{InstanceId, JobId, JobKey, RunAttempt};
use dayfly_types::month::Month;

use super::*;
use crate::fixtures::{claimed, now, runner};

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
            budgets: Vec::new(),
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
    let ledger = |budget, spent, cap: Option<u64>| Ledger {
        spent: MicroDollars(spent),
        cap: cap.map(MicroDollars),
        ..Ledger::new(LedgerId {
            budget,
            month: Month::of(now()),
        })
    };
    let repository = || "octo/gpu".parse().unwrap();
    let pull = |number| Budget::PullRequest {
        repository: repository(),
        number,
    };
    let actor = Budget::Actor {
        login: "mona".to_owned(),
    };
    let organization = |name: &str| Budget::Organization { name: name.to_owned() };
    let ledgers = [
        ledger(pull(1), 9, None),
        ledger(pull(2), 1, Some(5)),
        ledger(actor, 9, None),
        ledger(organization("b"), 3, Some(5)),
        ledger(organization("a"), 4, None),
        ledger(organization("c"), 4, None),
        ledger(
            Budget::Repository {
                repository: repository(),
            },
            9,
            Some(10),
        ),
        ledger(Budget::Stack, 0, None),
    ];
    let shown: Vec<String> = Gauge::all(&ledgers).iter().map(|it| it.budget.to_string()).collect();
    assert_eq!(shown, ["b", "octo/gpu", "octo/gpu#2", "the stack", "a", "c"]);
}

fn ran(instance: &str, minutes: u64, ending: Ending) -> Cost {
    let mut it = runner(RunnerState::Gone);
    it.reserved = Some(Reservation {
        tariff: tariff(),
        budgets: Vec::new(),
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
    let mut orphan = ran("i-3", 40, Ending::JobOver);
    (orphan.job, orphan.purpose) = (None, Purpose::Orphan);
    let (mut job, _) = claimed(11);
    job.state = JobState::Finished {
        conclusion: Conclusion::Failure,
    };
    let jobs = BTreeMap::from([(job.key, job)]);
    let all = Ran::all(&[first.clone(), second.clone(), orphan], &jobs);
    let seen: Vec<_> = all
        .iter()
        .map(|ran| (ran.instance.as_str(), ran.outcome, ran.instances))
        .collect();
    assert_eq!(
        seen,
        [
            ("i-3", Outcome::Orphan, 1),
            ("i-2", Outcome::Ended(Conclusion::Failure), 2)
        ]
    );
    assert_eq!(all[1].cost, first.total() + second.total());
    assert_eq!(all[1].billed, Duration::from_mins(40));
    assert_eq!(all[0].job, None);
    assert_eq!(Ran::all(&[first, second], &BTreeMap::new())[0].outcome, Outcome::Ran);
}

#[test]
fn a_long_job_that_was_launched_before_many_short_ones_ended_after_them() {
    let of_job = |id: u64, instance: &str, minutes| {
        let mut cost = ran(instance, minutes, Ending::JobOver);
        cost.job = Some(JobKey {
            job: JobId(id),
            attempt: RunAttempt(1),
        });
        cost.launched_at = after(id);
        cost
    };
    // As the table has them: the last that was launched comes first.
    let mut costs: Vec<Cost> = (2..100).rev().map(|id| of_job(id, &format!("i-{id}"), id)).collect();
    costs.push(of_job(1, "i-1", 360));
    // Two instances of a job are one job, and the idle one of another displaces none.
    costs.insert(0, of_job(99, "i-idle", 1));
    let last = Ran::last(&costs, 50);
    assert_eq!(last.len(), 51);
    let shown = Ran::all(&last, &BTreeMap::new());
    let jobs: Vec<u64> = shown.iter().filter_map(|ran| Some(ran.job.as_ref()?.job.0)).collect();
    let expected: Vec<u64> = [1].into_iter().chain((51..100).rev()).collect();
    assert_eq!(jobs, expected);
    assert_eq!((shown[0].instances, shown[1].instances), (1, 2));
}

#[test]
fn an_instance_is_billed_for_a_minute_at_least() {
    let billed = |minutes| Ran::all(&[ran("i-1", minutes, Ending::JobOver)], &BTreeMap::new())[0].billed;
    assert_eq!(billed(0), Duration::from_mins(1));
    assert_eq!(billed(2), Duration::from_mins(2));
    let unused = Ran::all(
        &[ran("i-1", 0, Ending::Idle), ran("i-2", 2, Ending::JobOver)],
        &BTreeMap::new(),
    );
    assert_eq!(unused[0].billed, Duration::from_mins(3));
}

#[test]
fn today_has_spent_what_ended_since_midnight_as_far_as_it_is_this_months() {
    let midnight = now().utc_midnight();
    let evening = midnight.after(Duration::from_hours(20));
    let cost = |from: Timestamp, hours: u64| {
        let to = from.after(Duration::from_hours(hours));
        let mut cost = ran("i-1", 10, Ending::JobOver);
        (cost.from, cost.to) = (from, to);
        cost.amounts = tariff().cost(from, to, &Compute::Flat(MicroDollars(100_000)), false);
        cost
    };
    let day = Duration::from_hours(24);
    let yesterday = Timestamp::from_millis(midnight.millis() - 7_200_000);
    let costs = [
        cost(midnight.after(Duration::from_hours(1)), 1),
        cost(yesterday, 3),
        cost(yesterday, 1),
    ];
    let of = |costs: &[Cost], oldest| Today::of(costs, oldest, Duration::from_hours(6), evening);
    let spent = costs[0].total() + costs[1].total();
    assert_eq!(of(&costs, None), Today { spent, is_cut: false });
    assert!(of(&costs, Some(yesterday)).is_cut, "there may be another like it");
    let long_ago = Timestamp::from_millis(midnight.millis() - 7 * 3_600_000);
    assert!(!of(&costs, Some(long_ago)).is_cut);

    // On the first of a month, what it cost before belongs to the month before.
    let first = Month::of(now()).ends();
    let over_the_end = cost(Timestamp::from_millis(first.millis() - 3_600_000), 3);
    let today = Today::of(
        std::slice::from_ref(&over_the_end),
        None,
        day,
        first.after(Duration::from_hours(5)),
    );
    assert_eq!(today.spent, over_the_end.amounts[1].1.total());
}

#[test]
fn a_runner_whose_turn_it_is_not_waits_and_one_that_had_it_waited_until_then() {
    let (job, _) = claimed(11);
    let mut it = runner(RunnerState::Requested);
    it.requested_at = after(3);
    for (turn, waits) in [
        (None, false),
        (Some(Turn::Waits), true),
        (Some(Turn::Asks), true),
        (
            Some(Turn::Has {
                vcpus: 4,
                since: after(600),
            }),
            false,
        ),
    ] {
        it.turn = turn;
        assert_eq!(it.waits_for_its_turn(), waits, "{turn:?}");
    }
    assert_eq!(began(&it, Some(&job)), [(Phase::Queued, 0), (Phase::Launching, 600)]);
    assert_eq!(began(&it, None), [(Phase::Queued, 3), (Phase::Launching, 600)]);
    it.turn = Some(Turn::Waits);
    let waiting = Waiting::for_its_turn(&it, Some(&job));
    assert_eq!((waiting.since, waiting.for_its_turn), (job.queued_at, true));
    assert_eq!(Waiting::for_its_turn(&it, None).since, after(3));
    it.state = RunnerState::Draining;
    assert!(!it.waits_for_its_turn(), "it ends, whatever it waited for");
}

#[test]
fn where_not_all_is_looked_at_it_is_said() {
    let shown = |is_cut| {
        let live: Vec<Live> = (0..MOST_RUNNERS + 2)
            .map(|_| Live::of(&runner(RunnerState::Busy), None))
            .collect();
        let view = View {
            look: Look::default(),
            web_url: "https://github.com".to_owned(),
            month: Month::of(now()),
            is_cut,
            live,
            waiting: Vec::new(),
            today: Today {
                spent: MicroDollars(2_340_000),
                is_cut,
            },
            budgets: Vec::new(),
            ran: Vec::new(),
        };
        page(&view, now())
    };
    let words = ["<b>≥ 42</b>", "and at least 2 runners more", "<b>≥ $2.34</b>"];
    let (cut, whole) = (shown(true), shown(false));
    for words in words {
        assert!(cut.contains(words) && !whole.contains(words), "{words}: {cut}");
    }
    for words in ["<b>42</b>", "and 2 runners more", "<b>$2.34</b>"] {
        assert!(whole.contains(words), "{words}: {whole}");
    }
}

#[test]
fn what_became_of_it_is_told_by_what_its_instances_were_there_for() {
    for (purpose, outcome) in [
        (Purpose::Interrupted, Outcome::Interrupted),
        (Purpose::Message, Outcome::Told),
        (Purpose::Idle, Outcome::Unused),
        (Purpose::Orphan, Outcome::Orphan),
        (Purpose::Job, Outcome::Ran),
    ] {
        let mut cost = ran("i-1", 10, Ending::JobOver);
        cost.purpose = purpose;
        assert_eq!(Ran::all(&[cost], &BTreeMap::new())[0].outcome, outcome);
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
    let shown: Vec<_> = Ran::all(&Ran::last(&costs, 3), &BTreeMap::new());
    let instances: Vec<&str> = shown.iter().map(|ran| ran.instance.as_str()).collect();
    assert_eq!(instances, ["i-8", "i-7", "i-6"]);
}
