//! The limits of the stack policy: none is ever exceeded, every job gets its turn, and waiting is
//! always reported.

mod changes;
mod deaths;

use std::cell::Cell;
use std::collections::BTreeMap;
use std::time::Duration;

use dayfly_ports::{FleetErrorKind, Store as _};
use dayfly_records::CheckRunBody;
use dayfly_records::event::{Conclusion, Event, JobEvent};
use dayfly_records::{Gate, GateState, Job, JobState, Runner, RunnerState};
use dayfly_types::ids::{InstanceId, JobId, RunId};

use crate::stage::{Call, POLICY, Stage, dice};

const SINGLE: &str = "hexo/single";
const MATRIX: &str = "octo/matrix";

impl Stage {
    fn limit(&self, limits: &str) {
        self.world
            .set_parameter(POLICY, &format!("version: 1\nlimits: {limits}\n"));
    }

    fn no_limits(&self) {
        self.world.set_parameter(POLICY, "version: 1\n");
    }

    fn job_in(&self, repository: &str, job: u64) -> JobEvent {
        JobEvent {
            repository: repository.parse().unwrap(),
            run: run_of(repository),
            ..self.job(job)
        }
    }

    fn queued_in(&self, repository: &str, job: u64) -> Call {
        self.world.hub().queue(run_of(repository), JobId(job));
        Call::Launch(Event::JobQueued(self.job_in(repository, job)))
    }

    fn queue_in(&self, repository: &str, job: u64) {
        let call = self.queued_in(repository, job);
        self.make(call);
        self.deliver();
    }

    fn matrix(&self, jobs: std::ops::RangeInclusive<u64>) {
        for job in jobs {
            self.queue_in(MATRIX, job);
        }
    }

    /// Returns how many instances live in each repository and in all.
    fn running(&self) -> BTreeMap<String, usize> {
        let mut running = BTreeMap::new();
        for view in self.world.cloud().living() {
            let scope = view.scope.as_ref().unwrap();
            *running.entry(scope.repository.to_string()).or_default() += 1;
        }
        running
    }

    fn count(&self) -> usize {
        self.running().values().sum()
    }

    fn on(&self, instance: &InstanceId) -> Runner {
        let mut runners = self.runners().into_iter();
        runners.find(|runner| runner.instance() == Some(instance)).unwrap()
    }

    /// Boots the repository's oldest instance, which runs its job.
    fn start_oldest(&self, repository: &str) -> InstanceId {
        let instances = self.instances();
        let of_it = |instance: &&InstanceId| self.on(instance).repository.to_string() == repository;
        let instance = instances.iter().find(of_it).expect("one of the repository runs");
        let job = self.on(instance).wanted_by.job;
        // The functions have slept meanwhile, and registrations are rate-limited.
        let slept = self.world.cloud().time().since(self.now());
        self.wait(slept + Duration::from_secs(1));
        let runner = self.boot(instance);
        self.world.hub().assign(runner, job);
        self.make(Call::JobEvents(Event::JobInProgress(self.job_in(repository, job.0))));
        instance.clone()
    }

    fn minutes_of_work(&self, instance: &InstanceId, minutes: u32) {
        for _ in 0..minutes {
            self.minute();
            self.heartbeat(instance, "running");
        }
    }

    /// The same, and ends its job. Returns GitHub's report of that.
    fn last_moment(&self, repository: &str) -> Call {
        let job = self.on(&self.start_oldest(repository)).wanted_by.job;
        self.world.hub().complete(job, Conclusion::Success);
        let completed = JobEvent {
            conclusion: Some(Conclusion::Success),
            ..self.job_in(repository, job.0)
        };
        Call::JobEvents(Event::JobCompleted(completed))
    }

    fn end_one(&self, repository: &str) {
        let call = self.last_moment(repository);
        self.make(call);
        self.deliver();
    }

    /// Runs all jobs one after the other, with `each` called in between.
    fn run_all(&self, each: impl Fn(&Self)) {
        for _ in 0..1000 {
            each(self);
            let Some(repository) = self.running().into_keys().next() else {
                return;
            };
            self.end_one(&repository);
        }
        panic!("there is no end of it");
    }

    fn gate(&self) -> Gate {
        let known = self.world.run(self.world.gate()).unwrap();
        known.map(|stored| stored.record).unwrap_or_default()
    }

    fn record_of(&self, job: u64) -> Job {
        let key = self.job(job).key();
        self.world.run(self.world.job(key)).unwrap().unwrap().record
    }

    fn runner_of(&self, job: u64) -> Runner {
        let name = self.record_of(job).runner.unwrap();
        self.world.run(self.world.runner(&name)).unwrap().unwrap().record
    }

    fn check_of(&self, job: u64) -> Option<CheckRunBody> {
        let id = self.job(job).key().to_string();
        let hub = self.world.hub();
        let found = hub.checks.values().rev().find(|check| check.external_id == id);
        found.cloned()
    }

    fn ended(&self) -> usize {
        let over = |job: &&Job| matches!(job.state, JobState::Finished { .. });
        let table = self.world.table();
        let jobs: Vec<Job> = table
            .records()
            .filter_map(|record| Job::try_from(record.clone()).ok())
            .collect();
        jobs.iter().filter(over).count()
    }
}

fn run_of(repository: &str) -> RunId {
    RunId(
        repository
            .bytes()
            .fold(1000, |sum, byte| sum * 31 % 100_003 + u64::from(byte)),
    )
}

#[test]
fn the_limit_holds_in_any_order_of_five_handlers() {
    let repositories = ["a/1", "a/2", "b/1", "b/2", "b/2"];
    for seed in 0..150 {
        let stage = Stage::new();
        stage.limit("{stack: {runners: 2}}");
        let jobs = (11..).zip(repositories);
        let calls: Vec<Call> = jobs.map(|(job, repository)| stage.queued_in(repository, job)).collect();
        let most = Cell::new(0);
        let look = || most.set(most.get().max(stage.count()));
        stage.make_interleaved(calls, dice(seed), look);
        stage.deliver();
        assert!(
            most.get() <= 2 && stage.count() == 2,
            "seed {seed}: {:?}",
            stage.running()
        );
        stage.run_all(|stage| assert!(stage.count() <= 2, "seed {seed}: {:?}", stage.running()));
        assert_eq!(stage.ended(), 5, "seed {seed}");
        stage.minutes(25);
        assert_eq!(stage.left(), Vec::<String>::new(), "seed {seed}");
    }
}

#[test]
fn the_limit_holds_while_other_runners_leave() {
    for seed in 0..150 {
        let stage = Stage::new();
        stage.limit("{stack: {runners: 2}}");
        for (job, repository) in (11..).zip(["a/1", "b/1", "a/1", "c/1"]) {
            stage.queue_in(repository, job);
        }
        let mut calls = vec![stage.last_moment("a/1"), stage.last_moment("b/1")];
        calls.extend([stage.queued_in("a/2", 31), stage.queued_in("b/1", 32), Call::Sweep]);
        let most = Cell::new(0);
        let look = || most.set(most.get().max(stage.count()));
        stage.make_interleaved(calls, dice(seed), look);
        assert!(most.get() <= 2, "seed {seed}: {:?}", stage.running());
        stage.deliver();
        stage.minutes(5);
        stage.run_all(|stage| assert!(stage.count() <= 2, "seed {seed}: {:?}", stage.running()));
        assert_eq!(stage.ended(), 6, "seed {seed}");
        stage.minutes(25);
        assert_eq!(stage.left(), Vec::<String>::new(), "seed {seed}");
    }
}

#[test]
fn a_single_job_is_next_after_the_first_of_an_earlier_matrix() {
    let stage = Stage::new();
    stage.limit("{stack: {runners: 5}}");
    stage.matrix(11..=30);
    stage.queue_in(SINGLE, 99);
    assert_eq!(stage.running(), BTreeMap::from([(MATRIX.to_owned(), 5)]));
    stage.end_one(MATRIX);
    let both = BTreeMap::from([(MATRIX.to_owned(), 4), (SINGLE.to_owned(), 1)]);
    assert_eq!(stage.running(), both);
    stage.run_all(|stage| assert!(stage.count() <= 5));
    assert_eq!(stage.ended(), 21);
    stage.minutes(25);
    assert_eq!(stage.left(), Vec::<String>::new());
}

#[test]
fn each_limit_holds_and_only_jobs_above_it_wait() {
    for (limits, matrix, other, single) in [
        ("{repository: {runners: 2}}", 2, 1, 1),
        ("{organization: {runners: 2}}", 2, 0, 1),
        ("{stack: {vcpus: 10}}", 2, 0, 0),
        ("{stack: {runners: 4}, repository: {vcpus: 8}}", 2, 1, 1),
    ] {
        let stage = Stage::new();
        stage.limit(limits);
        stage.matrix(11..=14);
        stage.queue_in("octo/other", 21);
        stage.queue_in(SINGLE, 31);
        let running = stage.running();
        let of = |repository: &str| running.get(repository).copied().unwrap_or_default();
        assert_eq!(
            (of(MATRIX), of("octo/other"), of(SINGLE)),
            (matrix, other, single),
            "{limits}"
        );
        stage.run_all(|_| {});
        assert_eq!(stage.ended(), 6, "{limits}");
    }
}

#[test]
fn a_waiting_job_reports_its_position_rule_and_end() {
    let stage = Stage::new();
    stage.limit("{stack: {runners: 1}}");
    stage.matrix(11..=13);
    assert_eq!(stage.check_of(11), None);
    let check = stage.check_of(13).unwrap();
    assert_eq!(
        (check.conclusion, check.title.as_str()),
        (None, "Waiting for its turn: place 2 of 2")
    );
    assert!(
        check
            .summary
            .contains("the policy rule `limits.stack.runners` of the stack lets 1 runners run at once"),
        "{}",
        check.summary
    );
    stage.end_one(MATRIX);
    let check = stage.check_of(12).unwrap();
    assert!(
        check.conclusion.is_some() && check.title.starts_with("Found"),
        "{}",
        check.title
    );
    let instance = stage.start_oldest(MATRIX);
    let asked = || {
        let hub = stage.world.hub();
        let of_waiting = hub.check_writes.iter().filter(|(_, id)| id == "13/1");
        of_waiting.count()
    };
    let before = asked();
    stage.minutes_of_work(&instance, 2);
    assert_eq!(asked(), before, "not every moment");
    stage.minutes_of_work(&instance, 6);
    assert_eq!(stage.check_of(13).unwrap().title, "Waiting for its turn: place 1 of 1");
    stage.minutes_of_work(&instance, 60);
    assert_eq!(asked(), before + 1, "nothing has changed since");
}

#[test]
fn a_job_that_takes_anothers_runner_swaps_places_with_it() {
    let stage = Stage::new();
    stage.limit("{stack: {runners: 1}}");
    stage.matrix(11..=13);
    let runner = stage.boot(&stage.instance());
    stage.world.hub().assign(runner, JobId(12));
    stage.make(Call::JobEvents(Event::JobInProgress(stage.job_in(MATRIX, 12))));
    stage.deliver();
    assert!(stage.check_of(12).unwrap().title.starts_with("Found"));
    assert_eq!(stage.check_of(11).unwrap().title, "Waiting for its turn: place 1 of 2");
    assert_eq!(stage.count(), 1);
}

#[test]
fn a_job_cancelled_while_waiting_leaves_and_reports_it() {
    let stage = Stage::new();
    stage.limit("{stack: {runners: 1}}");
    stage.matrix(11..=13);
    stage.world.hub().complete(JobId(12), Conclusion::Cancelled);
    let cancelled = JobEvent {
        conclusion: Some(Conclusion::Cancelled),
        ..stage.job_in(MATRIX, 12)
    };
    stage.make(Call::JobEvents(Event::JobCompleted(cancelled)));
    stage.deliver();
    assert!(stage.check_of(12).unwrap().conclusion.is_some());
    stage.end_one(MATRIX);
    assert_eq!(stage.on(&stage.instance()).wanted_by.job, JobId(13));
}

#[test]
fn a_lost_cancellation_is_found_before_the_turn() {
    let stage = Stage::new();
    stage.limit("{stack: {runners: 1}}");
    stage.matrix(11..=12);
    stage.world.hub().complete(JobId(12), Conclusion::Cancelled);
    let ever = stage.world.cloud().launched_total();
    stage.minutes(40);
    assert!(matches!(stage.record_of(12).state, JobState::Finished { .. }));
    assert!(!stage.runner_of(12).is_live());
    assert!(stage.gate().repositories.values().all(|line| line.waiting.is_empty()));
    // The running job's webhook was lost; it is replaced.
    assert!(stage.world.cloud().launched_total() > ever);
}

#[test]
fn a_job_that_waited_for_hours_is_launched_as_any_other() {
    let stage = Stage::new();
    stage.limit("{stack: {runners: 1}}");
    stage.queue_in(SINGLE, 11);
    let (instance, job) = (stage.start_oldest(SINGLE), 11);
    stage.queue_in(MATRIX, 12);
    stage.minutes_of_work(&instance, 4 * 60);
    assert_eq!(stage.record_of(12).state, JobState::Launching);
    assert_eq!((stage.running().len(), stage.record_of(12).launches), (1, 1));
    // The first round of launch tries fails, which is no reason to give up.
    let none = (FleetErrorKind::Capacity, "InsufficientInstanceCapacity");
    stage.world.cloud().refuse([none, none]);
    stage.world.hub().complete(JobId(job), Conclusion::Success);
    let completed = JobEvent {
        conclusion: Some(Conclusion::Success),
        ..stage.job_in(SINGLE, job)
    };
    stage.make(Call::JobEvents(Event::JobCompleted(completed)));
    stage.deliver();
    stage.minutes(5);
    assert_eq!(stage.running(), BTreeMap::from([(MATRIX.to_owned(), 1)]));
    stage.run_all(|_| {});
    assert_eq!(stage.ended(), 2);
}

#[test]
fn a_job_whose_turn_can_never_come_is_refused_with_the_rule() {
    let stage = Stage::new();
    stage.limit("{repository: {vcpus: 2}}");
    stage.queue_in(MATRIX, 11);
    let JobState::Refused { reason } = stage.record_of(11).state else {
        panic!("{:?}", stage.record_of(11).state)
    };
    assert!(
        reason.starts_with("policy rule `limits.repository.vcpus` of the stack: "),
        "{reason}"
    );
    // A messenger needs no slot.
    assert!(stage.on(&stage.instance()).message.is_some());
}

#[test]
fn a_runner_keeps_its_slot_for_the_next_launch_try() {
    let stage = Stage::new();
    stage.world.hub().config = Some(
        "runners:\n  - name: gpu\n    labels: [dayfly-gpu]\n    instance_type: [g5.xlarge]\n    machine_image: ami-01234567\n    fallback: on-demand\n"
            .to_owned(),
    );
    stage.limit("{stack: {runners: 1}}");
    stage
        .world
        .cloud()
        .refuse([(FleetErrorKind::Capacity, "InsufficientInstanceCapacity")]);
    stage.queue_in(MATRIX, 11);
    stage.queue_in(SINGLE, 12);
    assert_eq!(stage.running(), BTreeMap::from([(MATRIX.to_owned(), 1)]));
    assert!(matches!(
        stage.runner_of(11).gate,
        Some(GateState::Admitted { vcpus: 4, .. })
    ));
    assert_eq!(stage.runner_of(12).gate, Some(GateState::Waiting));
}

#[test]
fn a_runner_without_an_instance_gives_its_slot_back() {
    let stage = Stage::new();
    stage.limit("{stack: {runners: 1}}");
    stage
        .world
        .cloud()
        .refuse([(FleetErrorKind::QuotaTooSmall, "VcpuLimitExceeded"); 2]);
    stage.matrix(11..=12);
    assert_eq!(stage.runner_of(11).state, RunnerState::Gone);
    let of_12 = stage.world.cloud().asked().last().unwrap().fleet.to_string();
    assert!(of_12.contains("-12-") || stage.count() > 0, "{of_12}");
}

#[test]
fn jobs_256_of_8_repositories_cost_few_writes() {
    let stage = Stage::new();
    stage.limit("{stack: {runners: 20}}");
    let calls: Vec<Call> = (0..256)
        .map(|job| stage.queued_in(&format!("octo/r{}", job % 8), 1000 + job))
        .collect();
    let before = stage.world.calls("commit");
    let most = Cell::new(0);
    stage.make_interleaved(calls, dice(7), || most.set(most.get().max(stage.count())));
    stage.deliver();
    assert_eq!((most.get(), stage.count()), (20, 20));
    let per_job = (stage.world.calls("commit") - before) / 256;
    assert!(per_job <= 5, "{per_job} writes for each job");
}

#[test]
fn a_stack_without_limits_has_no_gate() {
    let stage = Stage::new();
    stage.no_limits();
    stage.matrix(11..=13);
    stage.run_all(|_| {});
    assert!(stage.world.run(stage.world.gate()).unwrap().is_none());
    assert!(stage.runners().iter().all(|runner| runner.gate.is_none()));
}
