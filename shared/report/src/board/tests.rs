use std::collections::BTreeMap;
use std::time::Duration;

use dayfly_engine::cost::costing::{Ec2Answers, cost};
use dayfly_records::costs::{Compute, Tariff};
use dayfly_records::event::Conclusion;
use dayfly_records::prices::{Price, PriceSource};
use dayfly_records::{
    Cost, Ending, GateState, Job, JobState, Ledger, LedgerId, Purpose, Reservation, Runner, RunnerState,
};
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
    let live = LiveRunner::of(runner, job);
    let phases = live.phases.iter();
    phases.map(|(phase, at)| (*phase, at.since(now()).as_secs())).collect()
}

#[test]
fn each_phase_lasts_until_the_next_one_starts() {
    let (job, _) = claimed(11);
    let mut it = runner(RunnerState::Requested);
    it.requested_at = after(3);
    assert_eq!(began(&it, Some(&job)), [(Phase::Queued, 0), (Phase::Launching, 3)]);
    assert_eq!(began(&it, None), [(Phase::Launching, 3)], "its job is unknown");

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
    let spans = LiveRunner::of(&it, Some(&job)).spans(after(150));
    let seconds: Vec<u64> = spans.iter().map(|(_, span)| span.as_secs()).collect();
    assert_eq!(seconds, [3, 17, 60, 10, 60]);

    it.state = RunnerState::Draining;
    it.since = after(200);
    assert_eq!(began(&it, Some(&job)).last(), Some(&(Phase::Ending, 200)));
}

#[test]
fn no_phase_starts_before_the_previous_one() {
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
fn cost_so_far_uses_the_runners_own_price_and_its_address() {
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
        let instance = LiveRunner::of(&it, None).instance.unwrap();
        let cost = instance.so_far(after(10 + 3600)).unwrap();
        (instance.per_hour.map(|price| price.0), cost.0)
    };
    let (spot, on_demand) = (InstanceLifecycle::Spot, InstanceLifecycle::OnDemand);
    assert_eq!(per_hour(spot, Some(180_000), Some(526_000)), (Some(180_000), 185_000));
    assert_eq!(per_hour(on_demand, None, Some(526_000)), (Some(526_000), 531_000));
    assert_eq!(
        per_hour(spot, None, Some(526_000)),
        (None, 1_011_000),
        "the highest possible price"
    );
    assert_eq!(LiveRunner::of(&runner(RunnerState::Requested), None).instance, None);
}

#[test]
fn job_waits_only_while_nothing_is_launched_for_it() {
    let (mut job, _) = claimed(11);
    assert_eq!(WaitingJob::of(&job), None);
    job.state = JobState::Queued;
    assert_eq!(WaitingJob::of(&job).unwrap().since, job.queued_at);
}

#[test]
fn capped_budgets_come_first_then_only_the_large_ones() {
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
    cost(&it, Some(&claimed(11).0), &Ec2Answers::default(), after(86_400)).unwrap()
}

#[test]
fn instances_of_a_job_are_one_row_and_the_latest_comes_first() {
    let first = ran("i-1", 10, Ending::Interrupted);
    let second = ran("i-2", 30, Ending::JobOver);
    let mut orphan = ran("i-3", 40, Ending::JobOver);
    (orphan.job, orphan.purpose) = (None, Purpose::Orphan);
    let (mut job, _) = claimed(11);
    job.state = JobState::Finished {
        conclusion: Conclusion::Failure,
    };
    let jobs = BTreeMap::from([(job.key, job)]);
    let all = PastJob::all(&[first.clone(), second.clone(), orphan], &jobs);
    let found: Vec<_> = all
        .iter()
        .map(|ran| (ran.instance.as_str(), ran.outcome, ran.instances))
        .collect();
    assert_eq!(
        found,
        [
            ("i-3", JobOutcome::Orphan, 1),
            ("i-2", JobOutcome::Ended(Conclusion::Failure), 2)
        ]
    );
    assert_eq!(all[1].cost, first.total() + second.total());
    assert_eq!(all[1].billed, Duration::from_mins(40));
    assert_eq!(all[0].job, None);
    assert_eq!(
        PastJob::all(&[first, second], &BTreeMap::new())[0].outcome,
        JobOutcome::Ran
    );
}

#[test]
fn long_job_is_ordered_by_its_end_not_by_its_launch() {
    let of_job = |id: u64, instance: &str, minutes| {
        let mut cost = ran(instance, minutes, Ending::JobOver);
        cost.job = Some(JobKey {
            job: JobId(id),
            attempt: RunAttempt(1),
        });
        cost.launched_at = after(id);
        cost
    };
    // The table returns the latest launch first.
    let mut costs: Vec<Cost> = (2..100).rev().map(|id| of_job(id, &format!("i-{id}"), id)).collect();
    costs.push(of_job(1, "i-1", 360));
    // Two instances of one job count as one job, so the idle one displaces no other job.
    costs.insert(0, of_job(99, "i-idle", 1));
    let last = PastJob::last(&costs, 50);
    assert_eq!(last.len(), 51);
    let shown = PastJob::all(&last, &BTreeMap::new());
    let jobs: Vec<u64> = shown.iter().filter_map(|ran| Some(ran.job.as_ref()?.job.0)).collect();
    let expected: Vec<u64> = [1].into_iter().chain((51..100).rev()).collect();
    assert_eq!(jobs, expected);
    assert_eq!((shown[0].instances, shown[1].instances), (1, 2));
}

#[test]
fn instance_is_billed_for_at_least_a_minute() {
    let billed = |minutes| PastJob::all(&[ran("i-1", minutes, Ending::JobOver)], &BTreeMap::new())[0].billed;
    assert_eq!(billed(0), Duration::from_mins(1));
    assert_eq!(billed(2), Duration::from_mins(2));
    let unused = PastJob::all(
        &[ran("i-1", 0, Ending::Idle), ran("i-2", 2, Ending::JobOver)],
        &BTreeMap::new(),
    );
    assert_eq!(unused[0].billed, Duration::from_mins(3));
}

#[test]
fn today_sums_this_months_cost_of_what_ended_since_midnight() {
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
    assert!(of(&costs, Some(yesterday)).is_cut, "there may be another such cost");
    let long_ago = Timestamp::from_millis(midnight.millis() - 7 * 3_600_000);
    assert!(!of(&costs, Some(long_ago)).is_cut);

    // On the first of a month, earlier cost belongs to the previous month.
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
fn runner_waits_until_its_turn_comes() {
    let (job, _) = claimed(11);
    let mut it = runner(RunnerState::Requested);
    it.requested_at = after(3);
    for (turn, waits) in [
        (None, false),
        (Some(GateState::Waiting), true),
        (Some(GateState::Called), true),
        (
            Some(GateState::Admitted {
                vcpus: 4,
                since: after(600),
            }),
            false,
        ),
    ] {
        it.gate = turn;
        assert_eq!(it.waits_at_gate(), waits, "{turn:?}");
    }
    assert_eq!(began(&it, Some(&job)), [(Phase::Queued, 0), (Phase::Launching, 600)]);
    assert_eq!(began(&it, None), [(Phase::Queued, 3), (Phase::Launching, 600)]);
    it.gate = Some(GateState::Waiting);
    let waiting = WaitingJob::for_its_turn(&it, Some(&job));
    assert_eq!((waiting.since, waiting.for_its_turn), (job.queued_at, true));
    assert_eq!(WaitingJob::for_its_turn(&it, None).since, after(3));
    it.state = RunnerState::Draining;
    assert!(!it.waits_at_gate(), "it is ending, whatever it waited for");
}

#[test]
fn incomplete_numbers_are_marked() {
    let shown = |is_cut| {
        let live: Vec<LiveRunner> = (0..MOST_RUNNERS + 2)
            .map(|_| LiveRunner::of(&runner(RunnerState::Busy), None))
            .collect();
        let view = View {
            appearance: Appearance::default(),
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
            past: Vec::new(),
        };
        page(&view, now())
    };
    let words = ["<b>≥ 42</b>", "and at least 2 more runners", "<b>≥ $2.34</b>"];
    let (cut, whole) = (shown(true), shown(false));
    for words in words {
        assert!(cut.contains(words) && !whole.contains(words), "{words}: {cut}");
    }
    for words in ["<b>42</b>", "and 2 more runners", "<b>$2.34</b>"] {
        assert!(whole.contains(words), "{words}: {whole}");
    }
}

#[test]
fn outcome_follows_from_the_purpose_of_the_instances() {
    for (purpose, outcome) in [
        (Purpose::Interrupted, JobOutcome::Interrupted),
        (Purpose::Message, JobOutcome::GivenUp),
        (Purpose::Idle, JobOutcome::Unused),
        (Purpose::Orphan, JobOutcome::Orphan),
        (Purpose::Job, JobOutcome::Ran),
    ] {
        let mut cost = ran("i-1", 10, Ending::JobOver);
        cost.purpose = purpose;
        assert_eq!(PastJob::all(&[cost], &BTreeMap::new())[0].outcome, outcome);
    }
}

#[test]
fn only_as_many_jobs_as_requested_are_shown() {
    let costs: Vec<Cost> = (0..9)
        .map(|n| {
            let mut cost = ran(&format!("i-{n}"), 10 + n, Ending::JobOver);
            cost.job = None;
            cost
        })
        .collect();
    let shown: Vec<_> = PastJob::all(&PastJob::last(&costs, 3), &BTreeMap::new());
    let instances: Vec<&str> = shown.iter().map(|ran| ran.instance.as_str()).collect();
    assert_eq!(instances, ["i-8", "i-7", "i-6"]);
}
