use std::time::Duration;

use dayfly_config::labels::Label;
use dayfly_config::machines::Requirements;
use dayfly_config::{
    AllocationStrategy, Breaker, Fallback, GivingUp, MachineImage, Rebalance, Reporting, RerunOnDemand, RerunPolicy,
    RerunWhat, RunnerSpec, Volume, VolumeType,
};
use dayfly_policy::{Limit, Limits};
use dayfly_records::CheckConclusion;
use dayfly_records::costs::{Amounts, Tariff};
use dayfly_records::event::Conclusion;
use dayfly_records::prices::{self, Price, PriceSource, VolumeRate};
use dayfly_records::steps::{LifecycleStep as _, RunnerStep};
use dayfly_records::{
    AfterInterruption, Attribution, BucketId, CheckContent, CheckRunKey, CheckSubject, CombinedPart, Cost, Costs,
    Ending, GateState, JobState, LaunchOption, LaunchPlan, Launched, Ledger, MessengerReport, MessengerState,
    MessengerTask, OlderRuns, Orphan, PoolFailure, PoolInterruption, Prices, Purpose, RecordId, RepositorySlots, Rerun,
    Reservation, RunEnd, RunSum, RunnerState, SlotRequest, Threshold, WatchedRepository,
};
use dayfly_types::budget::Budget;
use dayfly_types::capacity::{FleetErrorKind, InstanceLifecycle, LaunchFailure, Placement, Pool};
use dayfly_types::checkin::{GoodbyeReason, Stage};
use dayfly_types::ids::{
    CheckRunId, CommentId, DeliveryId, FleetId, ImageId, InstallationId, InstanceId, InstanceType, JobId, JobKey,
    QueueId, Region, Repository, RunAttempt, RunId, RunKey, RunnerId, RunnerName, SubnetId, Zone,
};
use dayfly_types::money::MicroDollars;
use dayfly_types::month::Month;
use dayfly_types::time::Timestamp;
use proptest::collection::{btree_map, vec};
use proptest::option;
use proptest::prelude::*;
use proptest::sample::select;

use super::*;

fn time() -> impl Strategy<Value = Timestamp> {
    (-1_000_000_000_000i64..100_000_000_000_000).prop_map(Timestamp::from_millis)
}

fn check_run_key() -> impl Strategy<Value = CheckRunKey> {
    let of = prop_oneof![
        Just(CheckSubject::Jobs),
        any::<u64>().prop_map(|job| CheckSubject::Job(JobId(job))),
        Just(CheckSubject::Story),
    ];
    (of, any::<u32>()).prop_map(|(of, attempt)| CheckRunKey::new(of, RunAttempt(attempt)))
}

fn job_key() -> impl Strategy<Value = JobKey> {
    (any::<u64>(), any::<u32>()).prop_map(|(job, attempt)| JobKey {
        job: JobId(job),
        attempt: RunAttempt(attempt),
    })
}

fn run_key() -> impl Strategy<Value = RunKey> {
    (any::<u64>(), any::<u32>()).prop_map(|(run, attempt)| RunKey {
        run: RunId(run),
        attempt: RunAttempt(attempt),
    })
}

fn repository() -> impl Strategy<Value = Repository> {
    "[a-zA-Z0-9][a-zA-Z0-9_.-]{0,20}/[a-zA-Z0-9][a-zA-Z0-9_.-]{0,20}".prop_map(|text| text.parse().unwrap())
}

fn labels() -> impl Strategy<Value = Vec<Label>> {
    vec(".{0,20}".prop_map(Label::new), 0..4)
}

fn conclusion() -> impl Strategy<Value = Conclusion> {
    prop_oneof![
        Just(Conclusion::Success),
        Just(Conclusion::TimedOut),
        Just(Conclusion::StartupFailure),
        Just(Conclusion::Unknown),
    ]
}

fn runner_name() -> impl Strategy<Value = RunnerName> {
    (job_key(), any::<u32>()).prop_map(|(job, launch)| RunnerName::of(job, launch))
}

fn job_state() -> impl Strategy<Value = JobState> {
    prop_oneof![
        Just(JobState::Queued),
        Just(JobState::Launching),
        ".*".prop_map(|runner| JobState::Running { runner }),
        conclusion().prop_map(|conclusion| JobState::Finished { conclusion }),
        ".*".prop_map(|reason| JobState::Refused { reason }),
        ".*".prop_map(|reason| JobState::Unlaunchable { reason }),
    ]
}

prop_compose! {
    fn job()(
        key in job_key(), run: u64, repository in repository(), installation: u64, name in ".*",
        labels in labels(), queued_at in time(), state in job_state(), launches: u32,
        runner in option::of(runner_name()), due_at in option::of(time()), ended_at in option::of(time()),
    ) -> Job {
        Job {
            key, run: RunId(run), repository, installation: InstallationId(installation), name,
            head_sha: "f00d".to_owned(), labels, queued_at, state, launches,
            giving_up: GivingUp { messenger: launches > 3, cancel_run: launches < 3 }, messenger_state: MessengerState::Due, messengers: launches,
            first_launch: launches / 2, runner, end_lookups: launches, due_at, ended_at,
            reporting: Reporting { check: launches > 3, comment: (launches < 3).then_some(MicroDollars(run)), all_caps: launches > 1 },
            attribution: attribution(launches),
            ran_on: None, started_at: due_at, created_at: ended_at, github_per_minute: MicroDollars(run),
        }
    }
}

fn attribution(seed: u32) -> Attribution {
    let odd = seed % 2 == 1;
    Attribution {
        workflow: odd.then(|| "ci".to_owned()),
        actor: odd.then(|| "alice".to_owned()),
        pull: odd.then_some(12),
    }
}

fn budgets() -> Vec<Budget> {
    let repository: Repository = "octo/gpu".parse().unwrap();
    vec![
        Budget::Stack,
        Budget::Organization {
            name: "octo".to_owned(),
        },
        Budget::Repository {
            repository: repository.clone(),
        },
        Budget::PullRequest { repository, number: 12 },
        Budget::Actor {
            login: "alice".to_owned(),
        },
    ]
}

fn reservation(amount: u64) -> Reservation {
    Reservation {
        tariff: Tariff {
            compute: MicroDollars(amount),
            disk_month: MicroDollars(7),
            address: MicroDollars(5000),
            source: PriceSource::Aws,
        },
        budgets: budgets(),
        shares: vec![("2026-11".parse().unwrap(), MicroDollars(amount))],
    }
}

prop_compose! {
    fn ledger()(
        budget in select(budgets()), month in 1u8..=12, spent: u64, reserved: u64, cap in option::of(any::<u64>()),
        due_at in option::of(time()),
    ) -> Ledger {
        Ledger {
            budget, month: format!("2026-{month:02}").parse().unwrap(), spent: MicroDollars(spent),
            reserved: MicroDollars(reserved), cap: cap.map(MicroDollars), passed: vec![Threshold::Half],
            recorded: vec![(Threshold::Half, MicroDollars(reserved)), (Threshold::Refused, MicroDollars(spent))],
            to_report: cap.map(|cap| (Threshold::Refused, MicroDollars(cap))).into_iter().collect(), due_at,
            publishing_until: due_at,
        }
    }
}

prop_compose! {
    fn cost()(
        id in "i-[0-9a-f]{17}", repository in option::of(repository()), job in option::of(job_key()), micros: u32,
        at in 0i64..4_000_000_000, purpose in select(vec![Purpose::Job, Purpose::Interrupted, Purpose::Orphan]),
    ) -> Cost {
        let amounts = Amounts { compute: MicroDollars(micros.into()), ..Amounts::default() };
        let at = Timestamp::from_seconds(at);
        Cost {
            instance: InstanceId::new(id), runner: None, job, run: Some(RunId(micros.into())), job_name: Some("test".to_owned()),
            repository, attribution: attribution(micros), pool: a_pool(), lifecycle: InstanceLifecycle::Spot, purpose,
            launched_at: at, from: at, to: at, amounts: vec![(Month::of(at), amounts)],
            on_demand: Some(MicroDollars(micros.into())), free: micros % 2 == 0, source: PriceSource::Aws,
        }
    }
}

prop_compose! {
    fn volume_prices()(kinds in vec(select(vec![VolumeType::Gp3, VolumeType::Gp2, VolumeType::Io1, VolumeType::Io2]), 0..4), micros: u32, at in time()) -> VolumePrices {
        let rate = VolumeRate {
            gib_month: MicroDollars(micros.into()), iops_month: MicroDollars(1), throughput_month: MicroDollars(2),
        };
        VolumePrices { rates: kinds.into_iter().map(|kind| (kind, prices::DatedRate { rate, at })).collect() }
    }
}

prop_compose! {
    fn prices()(name in "[a-z0-9.]{1,12}", micros in option::of(any::<u64>()), at in time()) -> Prices {
        let dated = |micros| prices::DatedPrice { per_hour: MicroDollars(micros), at };
        Prices {
            instance_type: InstanceType::new(name), on_demand: micros.map(dated),
            spot: micros.map(|micros| (Zone::new("eu-west-1a"), dated(micros))).into_iter().collect(),
        }
    }
}

prop_compose! {
    fn spec()(
        name in ".*", labels in labels(), image in "ami-[0-9a-f]{8}", path: bool, spot: bool,
        disk_gib in option::of(any::<u32>()), idle in option::of(any::<u64>()), life in option::of(any::<u64>()),
        hook in option::of(".*"), price in option::of(any::<u64>()),
    ) -> RunnerSpec {
        RunnerSpec {
            name, labels, spot, disk_gib,
            fallback: if spot { Fallback::OnDemand } else { Fallback::None },
            max_price: price.map(MicroDollars),
            allocation_strategy: AllocationStrategy::CapacityOptimized,
            breaker: price.map(|price| Breaker {
                interruptions: 3, within: Duration::from_millis(price), on_demand_for: Duration::from_secs(price),
            }),
            on_interruption: hook,
            rebalance: Rebalance::DrainIfIdle,
            rerun: RerunPolicy { what: RerunWhat::Failed, max: 7, on_demand: RerunOnDemand::Always },
            instance_types: vec![InstanceType::new("g5.xlarge"), InstanceType::new("g6.xlarge")],
            image: if path { MachineImage::Parameter(image) } else { MachineImage::Ami(ImageId::new(image)) },
            idle_timeout: idle.map(Duration::from_millis),
            max_lifetime: life.map(Duration::from_secs),
            requirements: price.map(|_| {
                let mut wants = Requirements::default();
                assert!(wants.set("gpu", "a10g+l4").is_ok() && wants.set("vram", ">=24GiB").is_ok());
                wants
            }),
            volume: Volume { kind: spot.then_some(VolumeType::Gp3), iops: spot.then_some(6000), throughput: None },
            startup_script: spot.then(|| "true".to_owned()),
            env: [("A".to_owned(), "b".to_owned())].into(),
            tags: [("team".to_owned(), String::new())].into(),
            region: spot.then(|| Region::new("eu-west-1")),
            subnets: vec![SubnetId::new("subnet-01234567")],
            security_groups: Vec::new(),
            instance_profile: spot.then(|| "gpu".to_owned()),
        }
    }
}

prop_compose! {
    fn launched()(id in "i-[0-9a-f]{17}", spot: bool, price in option::of(any::<u64>()), at in time()) -> Launched {
        Launched {
            instance: InstanceId::new(id), instance_type: InstanceType::new("g5.xlarge"),
            zone: Zone::new("eu-west-1a"), lifecycle: if spot { InstanceLifecycle::Spot } else { InstanceLifecycle::OnDemand },
            price_per_hour: price.map(MicroDollars), at, at_by_ec2: spot,
            on_demand: price.map(|price| Price { per_hour: MicroDollars(price), source: PriceSource::Shipped }),
        }
    }
}

fn orphan() -> impl Strategy<Value = Orphan> {
    (launched(), option::of((any::<u64>(), repository()))).prop_map(|(launched, scope)| Orphan {
        instance_type: launched.instance_type,
        zone: launched.zone,
        lifecycle: launched.lifecycle,
        launched_at: launched.at,
        scope: scope.map(|(installation, repository)| (InstallationId(installation), repository)),
    })
}

fn runner_state() -> impl Strategy<Value = RunnerState> {
    prop_oneof![
        Just(RunnerState::Requested),
        Just(RunnerState::Launched),
        Just(RunnerState::Enrolled),
        Just(RunnerState::Busy),
        Just(RunnerState::Draining),
        Just(RunnerState::Done),
        Just(RunnerState::Lost),
        Just(RunnerState::Gone),
    ]
}

fn ending() -> impl Strategy<Value = Ending> {
    prop_oneof![
        Just(Ending::JobOver),
        Just(Ending::HeartbeatLost),
        Just(Ending::Goodbye {
            reason: GoodbyeReason::Unreachable
        }),
        ".*".prop_map(|reason| Ending::Unlaunchable { reason }),
    ]
}

prop_compose! {
    fn times()(all in vec(option::of(time()), 6), sure in vec(time(), 3)) -> (Vec<Option<Timestamp>>, Vec<Timestamp>) {
        (all, sure)
    }
}

prop_compose! {
    fn runner()(
        name in runner_name(), wanted_by in job_key(), run: u64, repository in repository(), labels in labels(),
        state in runner_state(), step in select(RunnerStep::ALL), spec in spec(), errors in vec(tried(), 0..3), (maybe, sure) in times(),
        launched in option::of(launched()), id in option::of(any::<u64>()), job in option::of(job_key()),
        ending in option::of(ending()),
    ) -> Runner {
        Runner {
            name, wanted_by, run: RunId(run), repository, installation: InstallationId(run), labels, state,
            step, since: sure[0],
            plan: LaunchPlan::new(
                LaunchOption {
                    spec, image: ImageId::new("ami-12345678"), root_device: "/dev/sda1".to_owned(),
                    image_gib: id.map(|_| 60), lifecycle: InstanceLifecycle::OnDemand,
                },
                Vec::new(),
            ),
            fleet: id.map(|id| FleetId::new(id.to_string())), tried: errors, launch_due: sure[1], requested_at: sure[2], launched, mints: 3,
            mint_until: maybe[0], register_at: maybe[0], runner_id: id.map(RunnerId), job, job_run: id.map(RunId),
            heartbeat_at: maybe[1], interrupted_at: maybe[2], rebalance_at: maybe[3], instance_ended: id.is_some(),
            stages: vec![(Stage::AgentUp, sure[0]), (Stage::JobFinished, sure[1])],
            message: id.map(|id| MessengerTask { job: wanted_by, run: RunId(id), text: "No g5.xlarge".to_owned() }),
            start_answered: true, stage_details: vec![(Stage::HookFinished, "exit status 0, after 3 s".to_owned())],
            job_over_at: maybe[1], job_lookups: maybe[2].map(|at| (7, at)), end_tries: 5,
            attribution: attribution(3), reserved: id.map(reservation), running_at: maybe[0], enrolled_at: maybe[1], instance_ended_at: maybe[1],
            terminated_at: maybe[2], gate: maybe[5].map(|since| GateState::Admitted { vcpus: 8, since }), ending, due_at: maybe[4], ended_at: maybe[5],
        }
    }
}

fn rerun() -> impl Strategy<Value = Rerun> {
    prop_oneof![
        Just(Rerun::NotYet),
        Just(Rerun::Accepted),
        ".*".prop_map(|reason| Rerun::Declined { reason }),
    ]
}

prop_compose! {
    fn run()(
        key in run_key(), repository in repository(), interrupted in vec(job_key(), 0..3),
        completed in option::of((time(), conclusion())), rerun in rerun(), due_at in option::of(time()), at in time(),
        our_reruns in 0u32..9,
    ) -> Run {
        Run {
            key, repository, installation: InstallationId(7), interrupted,
            names: vec!["test (1)".to_owned()],
            policy: RerunPolicy { max: our_reruns, ..RerunPolicy::default() },
            our_reruns, with_failed: our_reruns > 1,
            completed: completed.map(|(at, conclusion)| RunEnd { at, conclusion }),
            rerun, due_at, at,
        }
    }
}

fn pool() -> impl Strategy<Value = Pool> {
    ("[a-z0-9.]{1,12}", "[a-z0-9-]{1,12}").prop_map(|(instance_type, zone)| Pool {
        instance_type: InstanceType::new(instance_type),
        zone: Zone::new(zone),
    })
}

fn lifecycle() -> impl Strategy<Value = InstanceLifecycle> {
    select(vec![InstanceLifecycle::Spot, InstanceLifecycle::OnDemand])
}

prop_compose! {
    fn tried()(
        lifecycle in lifecycle(), pool in option::of(pool()),
        kind in select(vec![FleetErrorKind::Capacity, FleetErrorKind::Quota, FleetErrorKind::BadRequest]),
        code in ".*", message in ".*", times: u32, first in time(), last in time(),
    ) -> LaunchFailure {
        LaunchFailure { lifecycle, pool, kind, code, message, times, first, last }
    }
}

fn messenger() -> impl Strategy<Value = MessengerReport> {
    prop_oneof![
        Just(MessengerReport::OnItsWay),
        Just(MessengerReport::Off),
        (".*", any::<bool>()).prop_map(|(reason, cancelled)| MessengerReport::Failed { reason, cancelled }),
    ]
}

fn after_interruption() -> impl Strategy<Value = AfterInterruption> {
    prop_oneof![
        Just(AfterInterruption::WhenRunIsOver),
        Just(AfterInterruption::AnotherInstance),
        ".*".prop_map(|reason| AfterInterruption::NotRerun { reason }),
        (any::<u32>(), any::<bool>()).prop_map(|(attempt, with_failed)| AfterInterruption::Rerun {
            attempt: RunAttempt(attempt),
            with_failed,
        }),
    ]
}

/// Boxed, because all contents of a check run at once are too large for a test's stack.
fn content() -> impl Strategy<Value = CheckContent> {
    let tried = || vec(tried(), 0..3).boxed();
    prop_oneof![
        (time(), tried()).prop_map(|(next_at, tried)| CheckContent::Waiting { next_at, tried }),
        (any::<usize>(), any::<usize>(), ".*").prop_map(|(place, of, words)| CheckContent::Queued { place, of, words }),
        (pool(), lifecycle(), tried()).prop_map(|(pool, lifecycle, tried)| CheckContent::Launched {
            pool,
            lifecycle,
            tried
        }),
        (".*", tried(), messenger()).prop_map(|(reason, tried, messenger)| CheckContent::GivenUp {
            reason,
            tried,
            messenger
        }),
        (time(), ".*", option::of((pool(), lifecycle())), after_interruption())
            .prop_map(|(at, what, ran_on, next)| CheckContent::Interrupted { at, what, ran_on, next }),
        (any::<u32>(), lifecycle()).prop_map(|(of, lifecycle)| CheckContent::Rerun {
            of: RunAttempt(of),
            lifecycle
        }),
        tried().prop_map(|tried| CheckContent::Ended { tried }),
        vec(any::<u64>(), 0..3).prop_map(|jobs| CheckContent::Story {
            jobs: jobs.into_iter().map(JobId).collect(),
        }),
        (tried(), vec((any::<u64>(), ".*"), 0..3)).prop_map(|(tried, jobs)| CheckContent::Combined {
            parts: Vec::from([CombinedPart {
                content: CheckContent::Ended { tried },
                jobs: jobs.into_iter().map(|(job, name)| (JobId(job), name)).collect(),
            }]),
        }),
    ]
    .boxed()
}

prop_compose! {
    fn check_run()(
        key in check_run_key(), run: u64, repository in repository(), job_name in ".*", content in content(), since in time(),
        check in option::of(any::<u64>()), failure: bool, may_exist: bool, number: u32,
        held_until in option::of(time()), not_before in option::of(time()), due_at in option::of(time()),
    ) -> CheckRun {
        let conclusion = if failure { CheckConclusion::Failure } else { CheckConclusion::Neutral };
        CheckRun {
            key, run: RunId(run), repository, installation: InstallationId(run), head_sha: "f00d".to_owned(),
            job_name, content, since, check: check.map(CheckRunId), concluded: check.map(|_| conclusion),
            serial: number, may_exist, held_until, tries: number, not_before, due_at,
        }
    }
}

prop_compose! {
    fn run_sum()(
        key in run_key(), workflow in option::of(".*"), micros: u32, saved in option::of(any::<u64>()), is_final: bool,
    ) -> RunSum {
        RunSum {
            run: key.run, attempt: key.attempt, workflow, jobs: micros, minutes: micros.into(),
            cost: MicroDollars(micros.into()), saved: saved.map(MicroDollars), wasted: MicroDollars(1),
            on_github: saved.map(MicroDollars), github_charge: None, is_final,
        }
    }
}

prop_compose! {
    fn pull_report()(
        repository in repository(), pull: u64, runs in vec(run_sum(), 0..4), until in option::of(run_key()),
        comment in option::of(any::<u64>()), may_exist: bool, tries: u32, since in time(), times in vec(option::of(time()), 4),
    ) -> PullReport {
        PullReport {
            repository, pull, installation: InstallationId(pull), above: MicroDollars(u64::from(tries)),
            all_caps: may_exist, actor: may_exist.then(|| "mona".to_owned()), kept: runs.clone(),
            older: until.map(|until| OlderRuns {
                until, attempts: 3, costs: runs.iter().fold(Costs::default(), |all, run| all.and(&run.costs())),
            }),
            runs, comment: comment.map(CommentId), may_exist, removed: !may_exist, held_until: times[0], tries,
            not_before: times[1], published_at: times[2], since, due_at: times[3],
        }
    }
}

prop_compose! {
    fn fleet_call()(
        spec in spec(), repository in repository(), runners in vec(runner_name(), 0..4), unclear: u32,
        requested_at in time(), due_at in option::of(time()),
    ) -> FleetCall {
        FleetCall {
            id: FleetId::new("dayfly-1-1-1-t1"), queue: QueueId::new("octo/gpu/gpu/spot/1"),
            installation: InstallationId(u64::from(unclear)), repository,
            option: LaunchOption {
                spec, image: ImageId::new("ami-12345678"), root_device: "/dev/sda1".to_owned(),
                image_gib: None, lifecycle: InstanceLifecycle::Spot,
            },
            placements: vec![Placement { pool: a_pool(), subnet: SubnetId::new("subnet-1") }],
            runners, unclear, requested_at, due_at,
        }
    }
}

fn a_pool() -> Pool {
    Pool {
        instance_type: InstanceType::new("g5.xlarge"),
        zone: Zone::new("eu-west-1a"),
    }
}

prop_compose! {
    fn pools()(at in time(), repository in repository(), entry in ".*") -> PoolMemory {
        PoolMemory {
            failures: vec![PoolFailure { pool: a_pool(), lifecycle: InstanceLifecycle::OnDemand, at }],
            interruptions: vec![PoolInterruption { instance: InstanceId::new("i-1"), pool: a_pool(), repository, entry, at }],
        }
    }
}

prop_compose! {
    fn line()(
        places in btree_map(runner_name(), any::<u32>(), 0..3), waiting in vec(runner_name(), 0..3), since in time(),
        maybe in option::of(time()), place: usize,
    ) -> RepositorySlots {
        let waiter = SlotRequest { vcpus: 4, since, called_at: maybe, reported: maybe.map(|at| (place, at)) };
        RepositorySlots { slots: places, waiting: waiting.into_iter().map(|name| (name, waiter.clone())).collect(), last_turn_at: maybe }
    }
}

prop_compose! {
    fn gate()(
        lines in btree_map(repository(), line(), 0..4), due_at in option::of(time()), runners in option::of(any::<u32>()),
    ) -> Gate {
        let limits = Limits { repository: Limit { runners, vcpus: None }, ..Limits::default() };
        Gate { limits, repositories: lines, due_at }
    }
}

fn record_of_any_kind() -> impl Strategy<Value = Record> {
    prop_oneof![
        ("[0-9a-f-]{1,36}", time(), any::<bool>()).prop_map(|(id, at, published)| {
            Record::from(Delivery {
                delivery: DeliveryId::new(id),
                at,
                published,
            })
        }),
        job().prop_map(Record::from),
        check_run().prop_map(Record::from).boxed(),
        pull_report().prop_map(Record::from).boxed(),
        runner().prop_map(Record::from).boxed(),
        fleet_call().prop_map(Record::from).boxed(),
        pools().prop_map(Record::from).boxed(),
        (any::<u64>(), time()).prop_map(|(installation, full_at)| {
            Record::from(Bucket {
                id: BucketId::Registrations(InstallationId(installation)),
                full_at,
            })
        }),
        time().prop_map(|held_until| {
            Record::from(LaunchQueue {
                id: QueueId::new("octo/gpu/gpu/spot/1"),
                held_until,
            })
        }),
        (runner_name(), time()).prop_map(|(runner, since)| {
            Record::from(QueuedRunner {
                queue: QueueId::new("octo/gpu/gpu/spot/1"),
                runner,
                since,
            })
        }),
        ("i-[0-9a-f]{17}", runner_name(), time()).prop_map(|(id, runner, at)| {
            Record::from(Instance {
                instance: InstanceId::new(id),
                runner,
                at,
            })
        }),
        run().prop_map(Record::from),
        (
            repository(),
            option::of("[a-z.]{1,20}"),
            option::of(".*"),
            option::of(".*"),
            time()
        )
            .prop_map(|(repository, file, etag, text, checked_at)| {
                Record::from(CachedConfig {
                    repository,
                    file,
                    path: etag.clone(),
                    etag,
                    text,
                    checked_at,
                })
            }),
        (any::<bool>(), time(), option::of(time())).prop_map(|(on, at, empty_since)| Record::from(Wake {
            on,
            at,
            empty_since
        })),
        gate().prop_map(Record::from).boxed(),
        prop_oneof![
            ledger().prop_map(Record::from),
            cost().prop_map(Record::from),
            prices().prop_map(Record::from),
            volume_prices().prop_map(Record::from)
        ],
        btree_map(repository(), (any::<u64>(), time()), 0..4).prop_map(|all| {
            let watched = |(id, at)| WatchedRepository {
                installation: InstallationId(id),
                at,
            };
            let repositories = all.into_iter().map(|(repository, one)| (repository, watched(one)));
            Record::from(Watched {
                repositories: repositories.collect(),
            })
        }),
        (
            any::<u64>(),
            option::of(repository()),
            btree_map("[0-9a-f-]{1,36}", any::<u32>(), 0..4),
            btree_map("i-[0-9a-f]{17}", orphan(), 0..4)
        )
            .prop_map(|(seen, looked_at, all, orphans)| {
                let redelivered = all.into_iter().map(|(id, times)| (DeliveryId::new(id), times));
                Record::from(Patrol {
                    deliveries_seen: seen,
                    redelivered: redelivered.collect(),
                    last_checked: looked_at,
                    orphans: orphans
                        .into_iter()
                        .map(|(id, one)| (InstanceId::new(id), one))
                        .collect(),
                })
            }),
    ]
}

proptest! {
    #[test]
    fn every_record_reads_back_as_written(record in record_of_any_kind(), version: u64) {
        let item = write(&record, Version(version), "commit").unwrap();
        let stored = read(item).unwrap();
        prop_assert_eq!(stored.record, record);
        prop_assert_eq!(stored.version, Version(version));
    }

    #[test]
    fn an_item_is_in_the_due_index_if_its_record_has_a_due_time(record in record_of_any_kind()) {
        let item = write(&record, Version(1), "commit").unwrap();
        let expected = record.due_at().map(|at| AttributeValue::N(at.millis().to_string()));
        prop_assert_eq!(item.get(DUE_AT), expected.as_ref());
        prop_assert_eq!(item.contains_key(DUE), expected.is_some());
    }

    #[test]
    fn an_item_expires_in_seconds_when_its_record_does(record in record_of_any_kind()) {
        let item = write(&record, Version(1), "commit").unwrap();
        let expected = record.expires_at().map(|at| AttributeValue::N(at.seconds().to_string()));
        prop_assert_eq!(item.get(EXPIRES_AT), expected.as_ref());
    }

    /// A record's field of the same name would overwrite the attribute, or be overwritten.
    #[test]
    fn no_record_field_has_the_name_of_our_attributes(record in record_of_any_kind()) {
        let fields: Item = match &record {
            Record::Delivery(delivery) => attributes(delivery),
            Record::Job(job) => attributes(job),
            Record::Runner(runner) => attributes(runner),
            Record::Instance(instance) => attributes(instance),
            Record::Run(run) => attributes(run),
            Record::Config(config) => attributes(config),
            Record::Wake(wake) => attributes(wake),
            Record::Watched(watched) => attributes(watched),
            Record::CheckRun(check_run) => attributes(check_run),
            Record::Pull(report) => attributes(report),
        Record::FleetCall(call) => attributes(call),
        Record::Queue(queue) => attributes(queue),
        Record::QueuedRunner(waiting) => attributes(waiting),
        Record::Pools(pools) => attributes(pools),
        Record::Bucket(bucket) => attributes(bucket),
            Record::Patrol(patrol) => attributes(patrol),
            Record::Gate(gate) => attributes(gate),
            Record::Ledger(ledger) => attributes(ledger),
            Record::Cost(cost) => attributes(cost),
            Record::Prices(prices) => attributes(prices),
            Record::Volumes(volumes) => attributes(volumes),
        }.unwrap();
        for name in [PK, SK, VERSION, DUE, EXPIRES_AT, WRITTEN_BY] {
            prop_assert!(!fields.contains_key(name), "{}", name);
        }
    }
}

fn wake() -> Item {
    let wake = Wake::on(Timestamp::from_millis(3));
    write(&wake.into(), Version(4), "commit").unwrap()
}

fn refusal(item: Item) -> String {
    read(item).unwrap_err().to_string()
}

#[test]
fn numbers_stay_numbers() {
    let item = wake();
    assert_eq!(item["at"], AttributeValue::N("3".to_owned()));
    assert_eq!(item[VERSION], AttributeValue::N("4".to_owned()));
    assert_eq!(item["on"], AttributeValue::Bool(true));
    assert_eq!(item[PK], AttributeValue::S(RecordId::Wake.pk()));
}

#[test]
fn an_unreadable_item_is_refused_with_its_key_and_reason() {
    let mut no_version = wake();
    no_version.remove(VERSION);
    assert!(refusal(no_version).contains("WAKE WAKE: no version"));

    let mut no_field = wake();
    no_field.remove("on");
    assert!(refusal(no_field).contains("`on`"));

    let mut other_kind = wake();
    other_kind.insert(PK.to_owned(), AttributeValue::S("LEASE#1".to_owned()));
    assert!(refusal(other_kind).contains("LEASE#1 WAKE: unknown kind of record"));
}

#[test]
fn an_item_at_the_wrong_key_is_refused() {
    let delivery = Delivery {
        delivery: DeliveryId::new("d-1"),
        at: Timestamp::from_seconds(1),
        published: true,
    };
    let mut item = write(&delivery.into(), Version(1), "commit").unwrap();
    item.insert(PK.to_owned(), AttributeValue::S("DELIVERY#d-2".to_owned()));
    assert!(refusal(item).contains("holds what belongs at DELIVERY#d-1 DELIVERY"));
}
