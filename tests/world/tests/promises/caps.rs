//! No cap is exceeded, whichever function dies, and reserved money is released.

use std::cell::Cell;
use std::time::Duration;

use dayfly_engine::runner::interruption::Ec2Signal;
use dayfly_records::event::{Conclusion, CostDue, Event};
use dayfly_records::origin::{Head, Origin, PullHead};
use dayfly_records::{Cost, JobState, Ledger, Purpose, Record, RunnerState};
use dayfly_types::budget::Budget;
use dayfly_types::ids::{InstanceId, JobId};
use dayfly_types::money::MicroDollars;
use dayfly_types::month::Month;

use crate::stage::{Call, POLICY, RUN, Stage, dice};

pub const FILE: &str = "
messenger: false
runners:
  - name: gpu
    labels: [dayfly-gpu]
    instance_type: g4dn.xlarge
    machine_image: ami-01234567
    max_price: $0.50/h
    max_lifetime: 50m
    disk_size: 100GB
";

/// The most that one of these jobs can cost: an hour of the machine at its limit, 100 GiB at the
/// region's price in a month of 31 days, and an address.
pub const WORST: u64 = 500_000 + 11_828 + 5_000;

pub fn capped(cap: u64) -> Stage {
    let stage = Stage::new();
    stage.world.hub().config = Some(FILE.to_owned());
    cap_at(&stage, cap);
    stage
}

/// Sets the cap of each repository from now on.
pub fn cap_at(stage: &Stage, cap: u64) {
    let cap = MicroDollars(cap);
    stage
        .world
        .set_parameter(POLICY, &format!("version: 1\ncaps: {{repository: {cap}}}\n"));
}

/// Returns the subjects of the alerts to the owner.
pub fn alerts(stage: &Stage) -> Vec<String> {
    let cloud = stage.world.cloud();
    cloud.alerts.iter().map(|(subject, _)| subject.clone()).collect()
}

/// Returns the repository's ledger of the current month.
pub fn ledger(stage: &Stage) -> Option<Ledger> {
    let month = Month::of(stage.now());
    let table = stage.world.table();
    let of_repository = |record: &Record| match record {
        Record::Ledger(ledger) if matches!(ledger.budget, Budget::Repository { .. }) && ledger.month == month => {
            Some(ledger.clone())
        }
        _ => None,
    };
    table.records().find_map(of_repository)
}

pub fn committed(stage: &Stage) -> u64 {
    ledger(stage).map_or(0, |ledger| ledger.committed().0)
}

pub fn reserved(stage: &Stage) -> u64 {
    ledger(stage).map_or(0, |ledger| ledger.reserved.0)
}

pub fn costs(stage: &Stage) -> Vec<Cost> {
    let table = stage.world.table();
    let costs = table.records().filter_map(|record| match record {
        Record::Cost(cost) => Some(Cost::clone(cost)),
        _ => None,
    });
    costs.collect()
}

/// Returns why a job is refused, if it is.
pub fn refusal(stage: &Stage, job: u64) -> Option<String> {
    match stage.job_state(job)? {
        JobState::Refused { reason } => Some(reason),
        _ => None,
    }
}

/// Returns the instance launched for a job.
pub fn instance_of(stage: &Stage, job: u64) -> InstanceId {
    let runners = stage.runners();
    let its = runners
        .iter()
        .find(|runner| runner.wanted_by.job == JobId(job) && runner.is_live());
    its.and_then(|runner| runner.instance())
        .expect("it has an instance")
        .clone()
}

/// Returns the instance launched for a job once it runs the job.
pub fn busy(stage: &Stage, job: u64) -> InstanceId {
    let instance = instance_of(stage, job);
    stage.make(Call::Ec2(instance.clone(), Ec2Signal::Running));
    let runner = stage.boot(&instance);
    stage.start(runner, job);
    instance
}

/// Runs a job for some minutes and ends its instance, all of which EC2 reports.
pub fn run(stage: &Stage, job: u64, minutes: u32) {
    let instance = busy(stage, job);
    for _ in 0..minutes {
        stage.minute();
        stage.heartbeat(&instance, "running");
    }
    stage.complete(job, Conclusion::Success);
    stage.make(Call::Ec2(instance, Ec2Signal::Ended));
    stage.deliver();
}

#[test]
fn a_job_that_could_exceed_a_cap_is_refused_with_the_amounts() {
    for (cap, fits) in [(2 * WORST, 2), (2 * WORST - 1, 1)] {
        let stage = capped(cap);
        for job in 11..14 {
            stage.queue(job);
        }
        stage.minute();
        assert_eq!(stage.instances().len(), fits, "{cap}");
        assert_eq!(committed(&stage), u64::try_from(fits).unwrap() * WORST);
        let words = refusal(&stage, 13).expect("the last is refused");
        for part in [
            "`caps.repository`",
            &MicroDollars(cap).to_string(),
            "$0.516828 by job 11 of octo/gpu",
            "could cost up to $0.516828",
            "2027-02-01",
        ] {
            assert!(words.contains(part), "`{part}` in: {words}");
        }
    }
}

#[test]
fn a_cost_replaces_its_reservation_and_a_new_month_starts_at_zero() {
    let stage = capped(WORST + 100_000);
    stage.queue(11);
    run(&stage, 11, 30);
    let [cost] = costs(&stage).try_into().expect("one instance");
    // Half an hour at the pool's price, not at the limit.
    assert_eq!(cost.amounts[0].1.compute.0, 78_900);
    assert_eq!(
        (cost.purpose, cost.runner.is_some(), cost.free),
        (Purpose::Job, true, false)
    );
    assert_eq!(
        (cost.attribution.workflow.as_deref(), cost.attribution.actor.as_deref()),
        (Some("ci"), Some("alice"))
    );
    assert_eq!((committed(&stage), reserved(&stage)), (cost.total().0, 0));
    assert!(cost.total().0 > 85_000 && cost.on_demand.is_some_and(|price| price > cost.amounts[0].1.compute));

    stage.queue(12);
    stage.minute();
    assert!(stage.instances().len() == 1 && refusal(&stage, 12).is_none());
    run(&stage, 12, 20);
    stage.queue(13);
    stage.minute();
    assert!(refusal(&stage, 13).is_some(), "{:?}", ledger(&stage));

    let next = Month::of(stage.now()).ends();
    stage.wait(next.since(stage.now()) + Duration::from_secs(1));
    stage.queue(14);
    stage.minute();
    assert_eq!((refusal(&stage, 14), stage.instances().len()), (None, 1));
    run(&stage, 14, 5);
    stage.minutes(5);
    assert_eq!(stage.left(), Vec::<String>::new());
}

#[test]
fn concurrent_jobs_do_not_exceed_a_cap() {
    for seed in 0..100 {
        let stage = capped(3 * WORST);
        stage.queue(11);
        stage.queue(12);
        let busy = instance_of(&stage, 11);
        let runner = stage.boot(&busy);
        stage.start(runner, 11);
        let ends = stage.completed(11, Conclusion::Success);
        let mut calls: Vec<Call> = (21..26)
            .map(|job| {
                stage.world.hub().queue(RUN, JobId(job));
                Call::Launch(Event::JobQueued(stage.job(job)))
            })
            .collect();
        calls.extend([Call::JobEvents(ends), Call::Ec2(busy, Ec2Signal::Ended), Call::Sweep]);
        let most = Cell::new(0);
        stage.make_interleaved(calls, dice(seed), || most.set(most.get().max(committed(&stage))));
        stage.deliver();
        assert!(most.get() <= 3 * WORST, "seed {seed}: {}", most.get());
        stage.minutes(4);
        assert!(
            committed(&stage) <= 3 * WORST && stage.instances().len() <= 3,
            "seed {seed}"
        );
    }
}

#[test]
fn a_cost_is_counted_once_wherever_the_function_dies() {
    for fatal in 0..60 {
        let stage = capped(10 * WORST);
        stage.queue(11);
        let instance = busy(&stage, 11);
        stage.wait(Duration::from_mins(1));
        stage.complete(11, Conclusion::Success);
        // The event is lost: only the due time is left.
        stage.make(Call::Ec2(instance, Ec2Signal::Ended));
        while stage.world.next_event().is_some() {}
        let runner = stage.runners().remove(0);
        assert!(runner.state == RunnerState::Gone && runner.reserved.is_some());
        let due = Call::JobEvents(Event::CostDue(CostDue { runner: runner.name }));
        let died = stage.make_and_die(due, fatal);
        stage.minutes(3);
        let [cost] = costs(&stage).try_into().expect("one cost");
        assert_eq!(
            (committed(&stage), reserved(&stage)),
            (cost.total().0, 0),
            "after a death before call {fatal}"
        );
        stage.minutes(10);
        assert_eq!(stage.left(), Vec::<String>::new(), "after a death before call {fatal}");
        if !died {
            assert!(fatal > 3);
            return;
        }
    }
    panic!("it never came to its end");
}

/// A run for a pull request from a branch of the repository itself.
pub fn asked_by(actor: &str, pull: u64) -> Origin {
    Origin {
        event: "pull_request".to_owned(),
        repository: 1,
        head: Some(Head {
            id: 1,
            owner: "octo".to_owned(),
            name: "octo/gpu".to_owned(),
        }),
        head_sha: "abc".to_owned(),
        head_branch: Some("change".to_owned()),
        actor: Some(actor.to_owned()),
        triggering_actor: Some(actor.to_owned()),
        pulls: vec![PullHead {
            number: pull,
            repository: 1,
            sha: "abc".to_owned(),
        }],
    }
}

#[test]
fn pull_requests_and_requesters_have_their_own_caps() {
    for (cap, other_pull, other_actor, expected) in [
        ("pull_request: $0.60", false, true, 1),
        ("pull_request: $0.60", true, false, 2),
        ("actor: $0.60", true, false, 1),
        ("actor: $0.60", false, true, 2),
    ] {
        let stage = capped(1);
        let policy = format!("version: 1\nforks: always\ncaps: {{{cap}}}\n");
        stage.world.set_parameter(POLICY, &policy);
        for (job, pull, actor) in [
            (11, 12, "alice"),
            (
                21,
                if other_pull { 13 } else { 12 },
                if other_actor { "bob" } else { "alice" },
            ),
        ] {
            stage.world.hub().origins.insert(RUN, asked_by(actor, pull));
            stage.queue(job);
        }
        stage.minute();
        assert_eq!(stage.instances().len(), expected, "{cap} {other_pull} {other_actor}");
    }
}

#[test]
fn the_requester_pays_for_the_messenger_of_an_unreadable_file() {
    let stage = Stage::new();
    stage.world.hub().config = Some("runners: [{labels: [dayfly-gpu]}]\n".to_owned());
    stage.world.set_parameter(
        POLICY,
        "version: 1\nforks: always\ncaps: {actor: $0.60, pull_request: $0.60}\n",
    );
    stage.world.hub().origins.insert(RUN, asked_by("alice", 12));
    stage.queue(11);
    stage.minute();
    assert!(refusal(&stage, 11).is_some());
    let runners = stage.runners();
    let [messenger] = runners.as_slice() else {
        panic!("one messenger, not {runners:?}");
    };
    let budgets = &messenger.reserved.as_ref().unwrap().budgets;
    for whose in ["octo/gpu#12", "@alice"] {
        assert!(budgets.iter().any(|budget| budget.to_string() == whose), "{budgets:?}");
    }
}
