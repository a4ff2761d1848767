//! No cap is passed, whoever dies, and what was set aside is given back.

use std::cell::Cell;
use std::time::Duration;

use dayfly_core::decide::admission::{Head, Origin, PullHead};
use dayfly_core::decide::interruption::Word;
use dayfly_core::event::{CapDue, Conclusion, CostDue, Event};
use dayfly_core::ids::{InstanceId, InstanceType, JobId};
use dayfly_core::money::MicroDollars;
use dayfly_core::month::Month;
use dayfly_core::prices::PriceSource;
use dayfly_core::record::{Change, Cost, JobState, Ledger, LedgerId, Purpose, Purse, Record, RunnerState, Threshold};
use dayfly_ports::{Schedule as _, Store as _};

use crate::stage::{Call, POLICY, RUN, Stage, dice};

const FILE: &str = "
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

/// What one of these jobs can cost at most: an hour of the machine at its limit, of 100 GiB at the region's
/// price in a month of 31 days, and of an address.
const WORST: u64 = 500_000 + 11_828 + 5_000;

pub fn capped(cap: u64) -> Stage {
    let stage = Stage::new();
    stage.world.hub().config = Some(FILE.to_owned());
    cap_at(&stage, cap);
    stage
}

/// From now on this is the cap of each repository.
fn cap_at(stage: &Stage, cap: u64) {
    let cap = MicroDollars(cap);
    stage
        .world
        .set_parameter(POLICY, &format!("version: 1\ncaps: {{repository: {cap}}}\n"));
}

/// What the owner was told, by its subjects.
fn told(stage: &Stage) -> Vec<String> {
    let cloud = stage.world.cloud();
    cloud.alerts.iter().map(|(subject, _)| subject.clone()).collect()
}

/// The ledger of the repository, of the month that it is.
fn ledger(stage: &Stage) -> Option<Ledger> {
    let month = Month::of(stage.now());
    let table = stage.world.table();
    let of_repository = |record: &Record| match record {
        Record::Ledger(ledger) if matches!(ledger.purse, Purse::Repository { .. }) && ledger.month == month => {
            Some(ledger.clone())
        }
        _ => None,
    };
    table.records().find_map(of_repository)
}

fn committed(stage: &Stage) -> u64 {
    ledger(stage).map_or(0, |ledger| ledger.committed().0)
}

fn reserved(stage: &Stage) -> u64 {
    ledger(stage).map_or(0, |ledger| ledger.reserved.0)
}

fn costs(stage: &Stage) -> Vec<Cost> {
    let table = stage.world.table();
    let costs = table.records().filter_map(|record| match record {
        Record::Cost(cost) => Some(Cost::clone(cost)),
        _ => None,
    });
    costs.collect()
}

fn refusal(stage: &Stage, job: u64) -> Option<String> {
    let table = stage.world.table();
    let of_job = |record: &Record| match record {
        Record::Job(found) if found.key.job == JobId(job) => Some(found.state.clone()),
        _ => None,
    };
    match table.records().find_map(of_job)? {
        JobState::Refused { reason } => Some(reason),
        _ => None,
    }
}

/// The instance that was launched for a job.
fn instance_of(stage: &Stage, job: u64) -> InstanceId {
    let runners = stage.runners();
    let its = runners
        .iter()
        .find(|runner| runner.wanted_by.job == JobId(job) && runner.is_live());
    its.and_then(|runner| runner.instance())
        .expect("it has an instance")
        .clone()
}

/// A job's instance runs for so many minutes and ends with its job, of all of which EC2 tells.
fn run(stage: &Stage, job: u64, minutes: u32) {
    let instance = instance_of(stage, job);
    stage.make(Call::Ec2(instance.clone(), Word::Running));
    let runner = stage.boot(&instance);
    stage.start(runner, job);
    for _ in 0..minutes {
        stage.minute();
        stage.heartbeat(&instance, "running");
    }
    stage.complete(job, Conclusion::Success);
    stage.make(Call::Ec2(instance, Word::Ended));
    stage.deliver();
}

#[test]
fn a_job_that_could_pass_a_cap_by_a_micro_dollar_is_refused_with_the_amounts() {
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
fn what_a_job_has_cost_takes_the_place_of_what_was_set_aside_and_the_next_month_begins_anew() {
    let stage = capped(WORST + 100_000);
    stage.queue(11);
    run(&stage, 11, 30);
    let [cost] = costs(&stage).try_into().expect("one instance");
    // Half an hour of the pool's price, not of the limit.
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
fn no_cap_is_passed_by_jobs_that_come_at_once_while_others_end() {
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
        calls.extend([Call::Settle(ends), Call::Ec2(busy, Word::Ended), Call::Sweep]);
        let most = Cell::new(0);
        stage.make_at_once(calls, dice(seed), || most.set(most.get().max(committed(&stage))));
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
fn a_cost_is_counted_once_wherever_whoever_counts_it_dies() {
    for fatal in 0..60 {
        let stage = capped(10 * WORST);
        stage.queue(11);
        let instance = instance_of(&stage, 11);
        stage.make(Call::Ec2(instance.clone(), Word::Running));
        let runner = stage.boot(&instance);
        stage.start(runner, 11);
        stage.wait(Duration::from_mins(1));
        stage.complete(11, Conclusion::Success);
        // The bus has lost it: only that it is due is left.
        stage.make(Call::Ec2(instance, Word::Ended));
        while stage.world.next_event().is_some() {}
        let runner = stage.runners().remove(0);
        assert!(runner.state == RunnerState::Gone && runner.reserved.is_some());
        let due = Call::Settle(Event::CostDue(CostDue { runner: runner.name }));
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

#[test]
fn an_instance_that_ec2_takes_in_its_first_hour_costs_its_address_and_volume_only() {
    for (by_ec2, compute) in [(true, 0), (false, 15_780)] {
        let stage = capped(10 * WORST);
        stage.queue(11);
        let instance = instance_of(&stage, 11);
        stage.make(Call::Ec2(instance.clone(), Word::Running));
        let runner = stage.boot(&instance);
        stage.start(runner, 11);
        stage.make(Call::Ec2(instance.clone(), Word::Warning));
        stage.wait(Duration::from_mins(6));
        if by_ec2 {
            stage.world.cloud().taken_back.insert(instance.clone());
        }
        stage.world.cloud().end(&instance);
        stage.make(Call::Ec2(instance, Word::Ended));
        stage.complete(11, Conclusion::Failure);
        stage.minutes(3);
        let cost = costs(&stage).remove(0);
        assert_eq!(
            (cost.amounts[0].1.compute.0, cost.free, cost.purpose),
            (compute, by_ec2, Purpose::Interrupted)
        );
        assert!(cost.total().0 > compute);
    }
}

#[test]
fn an_instance_that_nobody_ended_in_time_is_settled_in_a_month_of_which_nothing_was_set_aside() {
    let stage = capped(10 * WORST);
    let ends = Month::of(stage.now()).ends();
    stage.wait(ends.since(stage.now()).saturating_sub(Duration::from_hours(2)));
    stage.queue(11);
    let instance = instance_of(&stage, 11);
    stage.make(Call::Ec2(instance.clone(), Word::Running));
    stage.wait(Duration::from_hours(3));
    // By now the next month has a ledger of its own.
    stage.queue(12);
    let for_another = reserved(&stage);
    assert!(for_another > 0);
    stage.make(Call::Ec2(instance.clone(), Word::Ended));
    stage.minutes(5);
    let [cost] = costs(&stage).try_into().expect("one cost");
    assert_eq!((&cost.instance, cost.amounts.len()), (&instance, 2));
    let next = ledger(&stage).expect("it is written in");
    // Its job was given another instance, too.
    assert_eq!(
        (next.spent, next.reserved.0),
        (cost.amounts[1].1.total(), 2 * for_another)
    );
}

#[test]
fn what_ran_nobody_knows_where_is_counted_when_ec2_tells_and_at_its_most_if_it_never_does() {
    for (told, compute) in [(true, 5_260), (false, 16_667)] {
        let stage = capped(10 * WORST);
        stage.world.cloud().names_none = true;
        stage.queue(11);
        run(&stage, 11, 2);
        stage.minute();
        assert_eq!((costs(&stage).len(), reserved(&stage)), (0, WORST), "it may tell yet");
        stage.world.cloud().names_none = !told;
        stage.minutes(5);
        let [cost] = costs(&stage).try_into().expect("one cost");
        assert_eq!((cost.amounts[0].1.compute.0, reserved(&stage)), (compute, 0));
        assert_eq!(stage.left(), Vec::<String>::new());
    }
}

#[test]
fn the_owner_is_told_once_of_each_threshold_and_of_the_first_refusal() {
    let stage = capped(WORST + 20_000);
    stage.queue(11);
    stage.queue(12);
    stage.queue(13);
    stage.minutes(2);
    assert!(refusal(&stage, 12).is_some() && refusal(&stage, 13).is_some());
    let refuses = "dayfly dayfly: the cap of $0.536828 of octo/gpu in 2027-01 refuses launches";
    assert_eq!(told(&stage), [refuses]);
    run(&stage, 11, 48);
    stage.minutes(3);
    // 48 minutes at the pool's price are a quarter of the cap.
    assert_eq!(told(&stage), [refuses]);
    // With a cap of no more than that, all of it is spent.
    let spent = ledger(&stage).expect("it is written in").spent;
    cap_at(&stage, spent.0);
    stage.queue(14);
    stage.minutes(3);
    let of = format!("of its cap of {spent} in 2027-01");
    let expected = [
        refuses.to_owned(),
        format!("dayfly dayfly: octo/gpu has spent 50 % {of}"),
        format!("dayfly dayfly: octo/gpu has spent 80 % {of}"),
        format!("dayfly dayfly: octo/gpu has spent 100 % {of}"),
    ];
    assert_eq!(told(&stage), expected);

    let half = capped(1_000_000);
    for job in 11..15 {
        half.queue(job);
        if job == 14 {
            half.world.break_down("alert");
        }
        run(&half, job, 48);
        half.minutes(2);
        assert!(half.world.cloud().alerts.is_empty(), "{job}");
    }
    half.world.mend();
    half.minutes(12);
    assert!(
        told(&half).len() == 1 && told(&half)[0].contains("50 %"),
        "{:?}",
        told(&half)
    );
    assert_eq!(half.left(), Vec::<String>::new());
}

#[test]
fn a_cap_that_refuses_stands_in_the_ledger_as_it_is_by_then() {
    let stage = capped(3 * WORST);
    stage.queue(11);
    assert_eq!(
        ledger(&stage).expect("it is written in").cap,
        Some(MicroDollars(3 * WORST))
    );
    cap_at(&stage, WORST + 1);
    stage.queue(12);
    stage.minute();
    assert!(refusal(&stage, 12).is_some());
    assert_eq!(
        ledger(&stage).expect("it is written in").cap,
        Some(MicroDollars(WORST + 1))
    );
}

/// The job's instance has ended, and what it has cost is to be counted: of that nobody hears but by this.
fn ended(stage: &Stage, job: u64) -> Call {
    let instance = instance_of(stage, job);
    let of_job = |runner: &dayfly_core::record::Runner| runner.wanted_by.job == JobId(job);
    stage.complete(job, Conclusion::Success);
    stage.make(Call::Ec2(instance, Word::Ended));
    while stage.world.next_event().is_some() {}
    let runner = stage.runners().into_iter().find(of_job).expect("it is known");
    assert!(runner.reserved.is_some(), "it is not counted yet");
    Call::Settle(Event::CostDue(CostDue { runner: runner.name }))
}

#[test]
fn a_refusal_is_told_whoever_else_writes_in_the_ledger_meanwhile() {
    let mut refused = 0;
    for first in 0..80 {
        let stage = capped(WORST + 20_000);
        stage.queue(11);
        let instance = instance_of(&stage, 11);
        stage.make(Call::Ec2(instance.clone(), Word::Running));
        let runner = stage.boot(&instance);
        stage.start(runner, 11);
        stage.wait(Duration::from_mins(1));
        let counting = ended(&stage, 11);
        stage.world.hub().queue(RUN, JobId(12));
        let launching = Call::Launch(Event::JobQueued(stage.job(12)));
        // After so many steps of the one all those of the other.
        let steps = Cell::new(0);
        let pick = |open: usize| {
            steps.set(steps.get() + 1);
            usize::from(open > 1 && steps.get() > first)
        };
        stage.make_at_once(vec![launching, counting], pick, || {});
        stage.deliver();
        stage.minutes(3);
        let is_refused = refusal(&stage, 12).is_some();
        refused += usize::from(is_refused);
        assert_eq!(
            told(&stage).len(),
            usize::from(is_refused),
            "after {first}: {:?}",
            told(&stage)
        );
    }
    assert!((10..70).contains(&refused), "{refused}");
}

/// Two thresholds of the repository are to be told, and this tells somebody.
fn two_to_tell(stage: &Stage) -> Call {
    let cap = MicroDollars(1_000_000);
    let id = LedgerId {
        purse: Purse::Repository {
            repository: "octo/gpu".parse().unwrap(),
        },
        month: Month::of(stage.now()),
    };
    let news = vec![(Threshold::Half, cap), (Threshold::FourFifths, cap)];
    let ledger = Ledger {
        spent: MicroDollars(850_000),
        cap: Some(cap),
        passed: vec![Threshold::Half, Threshold::FourFifths],
        noted: news.clone(),
        to_tell: news,
        due_at: Some(stage.now().after(Duration::from_mins(1))),
        ..Ledger::new(id.clone())
    };
    stage
        .world
        .run(stage.world.commit(vec![Change::create(ledger)]))
        .unwrap();
    stage.world.run(stage.world.switch(true)).unwrap();
    let LedgerId { purse, month } = id;
    Call::Report(Event::CapDue(CapDue { purse, month }))
}

#[test]
fn several_who_tell_of_a_cap_at_once_tell_each_threshold_once() {
    for seed in 0..200 {
        let stage = capped(1_000_000);
        let telling = two_to_tell(&stage);
        let calls = vec![telling.clone(), telling.clone(), telling];
        stage.make_at_once(calls, dice(seed), || {});
        stage.minutes(4);
        assert_eq!(told(&stage).len(), 2, "seed {seed}: {:?}", told(&stage));
        assert_eq!(stage.left(), Vec::<String>::new());
    }
}

#[test]
fn what_was_told_stays_told_if_the_next_cannot_be() {
    let stage = capped(1_000_000);
    let telling = two_to_tell(&stage);
    let breaks = || {
        if told(&stage).len() == 1 {
            stage.world.break_down("alert");
        }
    };
    stage.make_at_once(vec![telling], |_| 0, breaks);
    stage.world.mend();
    assert_eq!(told(&stage).len(), 1);
    stage.minutes(6);
    let [first, second] = told(&stage).try_into().expect("each once");
    assert!(first.contains("50 %") && second.contains("80 %"), "{first} {second}");
    assert_eq!(stage.left(), Vec::<String>::new());
}

#[test]
fn only_who_dies_between_telling_and_recording_leaves_it_to_be_told_twice() {
    let mut twice = 0;
    for fatal in 0..40 {
        let stage = capped(1_000_000);
        let telling = two_to_tell(&stage);
        let died = stage.make_and_die(telling, fatal);
        let (sent, open) = (told(&stage).len(), ledger(&stage).expect("it is there").to_tell.len());
        let unrecorded = sent + open - 2;
        twice += unrecorded;
        stage.minutes(6);
        assert_eq!(
            told(&stage).len(),
            2 + unrecorded,
            "before call {fatal}: {:?}",
            told(&stage)
        );
        assert_eq!(stage.left(), Vec::<String>::new(), "before call {fatal}");
        if !died {
            assert_eq!(twice, 2, "once for each threshold");
            return;
        }
    }
    panic!("it never came to its end");
}

#[test]
fn who_sweeps_while_a_threshold_is_on_its_way_does_not_send_it_again() {
    let on_its_way = |stage: &Stage| {
        let events = stage.world.events();
        events.iter().filter(|event| matches!(event, Event::CapDue(_))).count()
    };
    for refuses in [true, false] {
        let stage = capped(1_000_000);
        stage.queue(11);
        let cause = if refuses {
            cap_at(&stage, WORST + 1);
            stage.world.hub().queue(RUN, JobId(12));
            Call::Launch(Event::JobQueued(stage.job(12)))
        } else {
            let instance = instance_of(&stage, 11);
            stage.make(Call::Ec2(instance.clone(), Word::Running));
            let runner = stage.boot(&instance);
            stage.start(runner, 11);
            // For longer than it should have.
            stage.wait(Duration::from_hours(3));
            ended(&stage, 11)
        };
        stage.make(cause);
        assert_eq!(on_its_way(&stage), 1);
        stage.make(Call::Sweep);
        stage.wait(Duration::from_secs(1));
        stage.make(Call::Sweep);
        assert_eq!(on_its_way(&stage), 1);
        stage.deliver();
        assert_eq!(told(&stage).len(), 1, "{:?}", told(&stage));
        stage.minutes(5);
        assert_eq!(told(&stage).len(), 1, "{:?}", told(&stage));
    }
}

#[test]
fn an_instance_that_nobody_owned_is_counted_when_it_is_ended() {
    let stage = capped(10 * WORST);
    stage.queue(11);
    let instance = instance_of(&stage, 11);
    stage.world.table().clear();
    stage.wait(Duration::from_mins(30));
    for _ in 0..3 {
        stage.make(Call::Patrol);
    }
    let [cost] = costs(&stage).try_into().expect("one cost");
    assert_eq!((cost.instance, cost.purpose), (instance, Purpose::Stray));
    assert_eq!(cost.amounts[0].1.compute.0, 78_900, "half an hour at the pool's price");
    assert_eq!(committed(&stage), costs(&stage)[0].total().0);
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
fn a_pull_request_and_whoever_asks_have_caps_of_their_own() {
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
fn whoever_asks_pays_for_being_told_that_his_file_cannot_be_read() {
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
    let purses = &messenger.reserved.as_ref().unwrap().purses;
    for whose in ["octo/gpu#12", "@alice"] {
        assert!(purses.iter().any(|purse| purse.to_string() == whose), "{purses:?}");
    }
}

/// The policy of a stack that keeps what pull requests and users spend.
const OWN_CAPS: &str = "version: 1\nforks: always\ncaps: {pull_request: $9, actor: $9}\n";

/// What is spent of each purse's money in this month.
fn spent(stage: &Stage) -> Vec<(String, u64)> {
    let table = stage.world.table();
    let ledgers = table.records().filter_map(|record| match record {
        Record::Ledger(ledger) => Some((ledger.purse.to_string(), ledger.spent.0)),
        _ => None,
    });
    ledgers.collect()
}

/// A runner that lives no more, whose instance EC2 never ended: what it was set aside is settled.
fn left_alone(stage: &Stage) -> InstanceId {
    stage.world.set_parameter(POLICY, OWN_CAPS);
    stage.world.hub().origins.insert(RUN, asked_by("alice", 12));
    stage.queue(11);
    let instance = stage.instance();
    let runner = stage.runners().remove(0);
    let Some(Record::Runner(mut gone)) = stage
        .world
        .table()
        .records()
        .find(|one| one.id() == runner_id(&runner))
        .cloned()
    else {
        panic!("it is there")
    };
    gone.state = RunnerState::Gone;
    gone.reserved = None;
    gone.due_at = None;
    stage.world.table().overwrite(*gone);
    instance
}

fn runner_id(runner: &dayfly_core::record::Runner) -> dayfly_core::record::RecordId {
    dayfly_core::record::RecordId::Runner(runner.name.clone())
}

#[test]
fn a_stray_is_counted_whatever_aws_does_not_tell_and_for_all_who_pay_for_its_runner() {
    for (down, compute, source) in [
        (&[][..], 78_900, PriceSource::Aws),
        // By the table of another region, and twice as much as that has.
        (
            &["on_demand_price", "volume_rate", "spot_prices"],
            526_000,
            PriceSource::Shipped,
        ),
    ] {
        let stage = capped(10 * WORST);
        let instance = left_alone(&stage);
        stage.world.table().forget_prices();
        for call in down {
            stage.world.break_down(call);
        }
        stage.wait(Duration::from_mins(30));
        stage.make(Call::Patrol);
        let [cost] = costs(&stage).try_into().expect("one cost");
        assert_eq!((&cost.instance, cost.purpose), (&instance, Purpose::Stray));
        assert_eq!(
            (cost.amounts[0].1.compute.0, cost.source),
            (compute, source),
            "{down:?}"
        );
        assert!(cost.amounts[0].1.disk.0 > 0);
        let total = cost.total().0;
        for purse in ["the stack", "octo", "octo/gpu", "octo/gpu#12", "@alice"] {
            assert!(
                spent(&stage).contains(&(purse.to_owned(), total)),
                "{purse}: {:?}",
                spent(&stage)
            );
        }
    }
}

#[test]
fn a_stray_is_counted_once_wherever_the_patrol_that_ends_it_dies() {
    for fatal in 0..60 {
        let stage = capped(10 * WORST);
        let instance = left_alone(&stage);
        stage.wait(Duration::from_mins(30));
        let ended_at = stage.now();
        let died = stage.make_and_die(Call::Patrol, fatal);
        let ended = stage.instances().is_empty();
        for _ in 0..2 {
            stage.wait(Duration::from_mins(15));
            stage.make(Call::Patrol);
        }
        let [cost] = costs(&stage).try_into().expect("one cost");
        assert_eq!(cost.instance, instance);
        assert!(
            !ended || cost.to == ended_at,
            "counted until it ended: death before call {fatal}"
        );
        assert!(spent(&stage).contains(&("@alice".to_owned(), cost.total().0)));
        if !died {
            assert!(fatal > 5);
            return;
        }
    }
    panic!("it never came to its end");
}

#[test]
fn what_ended_by_itself_and_no_record_ever_named_is_counted() {
    let stage = capped(10 * WORST);
    stage.queue(11);
    let instance = stage.instance();
    stage.world.table().clear();
    stage.wait(Duration::from_mins(20));
    stage.world.cloud().end(&instance);
    stage.wait(Duration::from_mins(20));
    for _ in 0..3 {
        stage.make(Call::Patrol);
    }
    let [cost] = costs(&stage).try_into().expect("one cost");
    assert_eq!(
        (&cost.instance, cost.purpose, cost.amounts[0].1.compute.0),
        (&instance, Purpose::Stray, 52_600)
    );
}

#[test]
fn a_volume_is_settled_at_the_rate_of_its_region() {
    for (down, rate, source) in [
        (&[][..], 88_000, PriceSource::Aws),
        (&["volume_rate"], 160_000, PriceSource::Shipped),
    ] {
        let stage = capped(10 * WORST);
        for call in down {
            stage.world.break_down(call);
        }
        stage.queue(11);
        run(&stage, 11, 30);
        stage.minutes(3);
        let [cost] = costs(&stage).try_into().expect("one cost");
        let month = Month::of(stage.now()).length();
        let disk = MicroDollars(100 * rate).per(month, Duration::from_mins(30));
        assert_eq!((cost.amounts[0].1.disk, cost.source), (disk, source), "{down:?}");
    }
}

#[test]
fn one_of_whom_ec2_does_not_tell_holds_up_no_other_and_is_counted_by_what_is_known_in_the_end() {
    let stage = capped(10 * WORST);
    stage.queue(11);
    stage.queue(12);
    let told = instance_of(&stage, 11);
    stage.world.cloud().untold.insert(instance_of(&stage, 12));
    for job in [11, 12] {
        let instance = instance_of(&stage, job);
        stage.make(Call::Ec2(instance.clone(), Word::Running));
        let runner = stage.boot(&instance);
        stage.start(runner, job);
        stage.make(Call::Ec2(instance, Word::Warning));
    }
    stage.minutes(2);
    for job in [11, 12] {
        let instance = instance_of(&stage, job);
        stage.world.cloud().end(&instance);
        stage.make(Call::Ec2(instance, Word::Ended));
        stage.complete(job, Conclusion::Failure);
    }
    stage.minutes(3);
    let [cost] = costs(&stage).try_into().expect("one is told of");
    assert_eq!(cost.instance, told);
    let asked = stage.world.calls("ended_by_ec2");
    stage.minutes(50);
    assert_eq!((costs(&stage).len(), reserved(&stage)), (1, WORST));
    assert!(
        stage.world.calls("ended_by_ec2") < asked + 15,
        "it is not asked each minute"
    );
    stage.minutes(12);
    let costs = costs(&stage);
    assert_eq!((costs.len(), reserved(&stage)), (2, 0));
    assert_eq!(stage.left(), Vec::<String>::new());
}

#[test]
fn what_aws_does_not_tell_the_price_of_is_launched_later_and_what_it_has_no_price_for_is_refused() {
    let unlisted = FILE
        .replace("g4dn.xlarge", "g99.huge")
        .replace("    max_price: $0.50/h\n", "");
    for (down, launched) in [(true, true), (false, false)] {
        let stage = capped(10 * WORST);
        stage.world.hub().config = Some(unlisted.clone());
        if down {
            stage.world.break_down("on_demand_price");
        }
        stage.queue(11);
        stage.minutes(2);
        assert_eq!(refusal(&stage, 11).is_none(), down, "{:?}", refusal(&stage, 11));
        assert!(stage.instances().is_empty());
        stage.world.mend();
        stage
            .world
            .cloud()
            .listed
            .insert(InstanceType::new("g99.huge"), MicroDollars(400_000));
        stage.minutes(10);
        assert_eq!(!stage.instances().is_empty(), launched);
    }
}

#[test]
fn a_job_whose_price_aws_never_tells_is_given_up_with_the_reason() {
    let stage = capped(10 * WORST);
    let unlisted = FILE
        .replace("g4dn.xlarge", "g99.huge")
        .replace("    max_price: $0.50/h\n", "");
    stage.world.hub().config = Some(unlisted);
    stage.world.break_down("on_demand_price");
    stage.queue(11);
    stage.minutes(30);
    let table = stage.world.table();
    let reason = table.records().find_map(|record| match record {
        Record::Job(job) => match &job.state {
            JobState::Unlaunchable { reason } => Some(reason.clone()),
            _ => None,
        },
        _ => None,
    });
    let reason = reason.expect("it is given up");
    assert!(
        reason.contains("what `g99.huge` costs on demand is not known"),
        "{reason}"
    );
}

#[test]
fn the_last_that_aws_told_is_used_when_it_does_not_tell_anew_and_that_is_said() {
    let stage = capped(10 * WORST);
    stage.queue(11);
    run(&stage, 11, 10);
    stage.minutes(3);
    for call in ["on_demand_price", "volume_rate"] {
        stage.world.break_down(call);
    }
    for (hours, job, source) in [(1, 12, PriceSource::Aws), (24, 13, PriceSource::Earlier)] {
        stage.wait(Duration::from_hours(hours));
        stage.queue(job);
        assert_eq!(reserved(&stage), WORST, "the region's own rate");
        run(&stage, job, 10);
        stage.minutes(3);
        let cost = costs(&stage).pop().expect("it is settled");
        assert_eq!(
            (cost.source, cost.amounts[0].1.compute.0),
            (source, 26_300),
            "{hours} h later"
        );
    }
}

#[test]
fn nobody_waits_for_a_price_in_a_stack_without_caps() {
    for fatal in 0..60 {
        let stage = Stage::new();
        stage.world.hub().config = Some(FILE.to_owned());
        stage.world.hub().queue(RUN, JobId(11));
        stage.make_and_die(Call::Launch(Event::JobQueued(stage.job(11))), fatal);
        let asked = stage.world.calls("on_demand_price") + stage.world.calls("volume_rate");
        if stage.world.calls("create_fleet") > 0 {
            assert_eq!(asked, 0);
            return;
        }
    }
    panic!("it is launched");
}
