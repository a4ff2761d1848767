//! One history: everything on one clock.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::Duration;

use dayfly_records::event::Event;
use dayfly_sweeper::Task;
use dayfly_types::deadlines::Deadlines;
use dayfly_types::ids::{InstanceId, JobId, RunId, RunnerId};
use dayfly_types::time::Timestamp;

use crate::budgets::Budgets;
use crate::checkin::CheckIn;
use crate::cloud::Cloud;
use crate::dice::{Dice, Hash};
use crate::engine::{Engine, Stepped};
use crate::guards::Guard;
use crate::hub::Hub;
use crate::lambda::{Caller, Lambda};
use crate::machine::Machine;
use crate::money::{Accrued, ReceivedEvents};
use crate::plan::{InstanceFault, Item, Outage, Plan, PlannedRun};
use crate::promises::Promises;
use crate::table::Table;
use crate::tally::Tally;

/// Something that happens in the world.
#[derive(Clone, Debug)]
pub enum Happening {
    /// A run of the plan starts.
    RunStarts(PlannedRun),
    /// A person cancels a run.
    Cancelled(RunId),
    /// Another runner takes a job of a run.
    TakenElsewhere(RunId),
    /// Another runner ends a job.
    EndsElsewhere(JobId),
    /// A person re-runs a run, if it is over.
    RerunByPerson(RunId, Duration),
    /// A runner may take its assigned job.
    Given(RunnerId, JobId),
    /// An assigned job was not taken.
    NotTaken(JobId),
    /// GitHub sends the webhook of this index.
    Deliver(usize),
    /// GitHub fails a job whose runner it lost.
    Lost(JobId),
    /// GitHub checks if a run is over.
    RunMayBeOver(RunId),
    /// GitHub removes an unused runner.
    Evicted(RunnerId),
    /// A function is called.
    Call(Caller, u32),
    /// A call of a function is killed, by its timeout or at random.
    Kill(u64, &'static str),
    /// The minute is over.
    Minute,
    /// The quarter of an hour is over.
    Quarter,
    /// An instance is up.
    Booted(InstanceId),
    /// A fault hits an instance.
    Fault(InstanceId, InstanceFault),
    /// The network of an instance is back.
    NetworkBack(InstanceId),
    /// A deadline of this generation of an agent passes.
    Tick(InstanceId, u64),
    /// A runner's process is up.
    RunnerUp(InstanceId),
    /// A runner's job is done.
    JobDone(InstanceId, JobId),
    /// A runner's process ends.
    RunnerExits(InstanceId, Option<i32>),
    /// An agent calls.
    Calls(InstanceId, CheckIn),
    /// An agent's call arrives late.
    Arrives(InstanceId, CheckIn),
    /// An agent gets no answer.
    NoAnswer(InstanceId, CheckIn),
    /// The agent sees the interruption notice.
    SeesNotice(InstanceId),
    /// The startup script of an instance ends by itself, successfully or not.
    StartupEnds(InstanceId, bool),
    /// The interruption hook of an instance ends by itself.
    HookEnds(InstanceId),
    /// EC2 reclaims an instance.
    Reclaimed(InstanceId),
    /// An instance runs, and is billed from now on.
    Runs(InstanceId),
    /// The operating system is off.
    PoweredOff(InstanceId, &'static str),
    /// EC2 sends an event about an instance.
    Ec2Tells(InstanceId, dayfly_engine::runner::interruption::Ec2Signal, Timestamp),
    /// Everything in the table is lost.
    TableEmptied,
    /// People cancel given-up jobs that still wait.
    TidyUp,
    /// The promises that are checked from time to time.
    Inspect,
}

/// The world.
pub struct Sim {
    pub engine: Engine<Happening>,
    /// The drawn plan.
    pub plan: Plan,
    /// The faults among its items, which are searched at every call.
    pub faults: Vec<Item>,
    /// The disabled guards.
    without: Vec<Guard>,
    pub deadlines: Deadlines,
    pub table: RefCell<Table>,
    pub cloud: RefCell<Cloud>,
    pub hub: RefCell<Hub>,
    /// The software on the instances.
    pub machines: RefCell<BTreeMap<InstanceId, Machine>>,
    /// The functions' calls.
    pub lambda: RefCell<Lambda>,
    pub schedule_on: Cell<bool>,
    pub promises: RefCell<Promises>,
    /// The expected content of the ledgers.
    pub budgets: RefCell<Budgets>,
    /// EC2's bill.
    pub accrued: RefCell<Accrued>,
    /// The EC2 events that the functions received.
    pub heard: RefCell<ReceivedEvents>,
    pub tally: RefCell<Tally>,
    /// The started runs, with their plans.
    pub started: RefCell<BTreeMap<RunId, PlannedRun>>,
    /// A hash of every line of the history.
    hash: Cell<Hash>,
    /// The lines of the history, if wanted.
    lines: Option<RefCell<Vec<String>>>,
    /// The text that each kept line must contain; `None` for all lines.
    about: Option<String>,
    start: Timestamp,
}

/// How often people check for waiting jobs that no messenger can fail.
const PEOPLE_LOOK: Duration = Duration::from_mins(70);

/// How long before the final deadline all activity ends.
const QUIET: Duration = Duration::from_mins(45);

impl Sim {
    /// A new history that keeps only lines with `about`, if given.
    #[must_use]
    pub fn about(plan: Plan, about: Option<String>) -> Rc<Self> {
        let mut sim = Self::built(plan, &[], about.is_some());
        sim.about = about;
        Rc::new(sim)
    }

    /// A new history.
    #[must_use]
    pub fn new(plan: Plan, without: &[Guard], keep_lines: bool) -> Rc<Self> {
        Rc::new(Self::built(plan, without, keep_lines))
    }

    fn built(plan: Plan, without: &[Guard], keep_lines: bool) -> Self {
        let deadlines = Guard::without(
            without,
            Deadlines {
                lifetime: plan.lifetime,
                ..Deadlines::default()
            },
        );
        Self {
            engine: Engine::new(plan.start),
            deadlines,
            without: without.to_vec(),
            table: RefCell::default(),
            cloud: RefCell::default(),
            hub: RefCell::default(),
            machines: RefCell::default(),
            lambda: RefCell::default(),
            schedule_on: Cell::new(false),
            promises: RefCell::default(),
            budgets: RefCell::default(),
            accrued: RefCell::default(),
            heard: RefCell::default(),
            tally: RefCell::default(),
            started: RefCell::default(),
            hash: Cell::new(Hash::START),
            lines: keep_lines.then(RefCell::default),
            about: None,
            start: plan.start,
            faults: plan.faults(),
            plan,
        }
    }

    pub fn now(&self) -> Timestamp {
        self.engine.now()
    }

    pub fn elapsed(&self) -> Duration {
        self.now().since(self.start)
    }

    /// Returns the moment this long after the beginning.
    pub fn at(&self, after: Duration) -> Timestamp {
        self.start.after(after)
    }

    /// Returns the random numbers of one thing.
    pub fn dice(&self, purpose: &str, subject: &str) -> Dice {
        Dice::of(self.plan.seed, purpose, subject)
    }

    /// Whether a guard is enabled.
    pub fn has(&self, guard: Guard) -> bool {
        !self.without.contains(&guard)
    }

    /// Returns the probability that an outage hits now.
    pub fn outage(&self, kind: Outage) -> f64 {
        let now = self.elapsed();
        let hits = self.faults.iter().filter_map(|item| match item {
            Item::Outage(one, from, to, rate) if *one == kind && (*from..*to).contains(&now) => Some(*rate),
            _ => None,
        });
        hits.fold(0.0, f64::max)
    }

    /// Whether an outage hits.
    pub fn hit(&self, kind: Outage, dice: &mut Dice) -> bool {
        let rate = self.outage(kind);
        let hit = dice.happens(rate);
        if hit {
            self.outage_hits(kind);
        }
        hit
    }

    /// Adds a line to the history.
    pub fn note(&self, what: &'static str, subject: &str, more: impl FnOnce() -> String) {
        let hash = self
            .hash
            .get()
            .with(&self.now().millis().to_le_bytes())
            .with(what.as_bytes())
            .with(subject.as_bytes());
        self.hash.set(hash);
        if let Some(lines) = &self.lines {
            let at = crate::plan::clock(self.elapsed());
            let millis = self.elapsed().subsec_millis();
            let line = format!("{at:>9}.{millis:03}  {what:<22} {subject} {}", more());
            if self.about.as_ref().is_none_or(|about| line.contains(about)) {
                lines.borrow_mut().push(line);
            }
        }
    }

    pub fn hash(&self) -> u64 {
        self.hash.get().0
    }

    pub fn lines(&self) -> Vec<String> {
        self.lines
            .as_ref()
            .map(|lines| lines.borrow().clone())
            .unwrap_or_default()
    }

    /// Runs the history from beginning to end. `watch` receives the time as it passes.
    pub fn run(self: &Rc<Self>, watch: &dyn Fn(Duration)) {
        self.begin();
        let end = self.end();
        while self.promises.borrow().broken.is_none() {
            match self.engine.step(end) {
                Stepped::Ended => break,
                Stepped::WentOn => {}
                Stepped::Happens(happening) => {
                    if matches!(happening, Happening::Inspect) {
                        watch(self.elapsed());
                    }
                    self.happens(happening);
                }
            }
        }
        if self.promises.borrow().broken.is_none() {
            self.inspect_end();
        }
    }

    /// Drops all handlers.
    pub fn end_all(&self) {
        self.engine.clear();
    }

    /// Returns when everything must be over.
    pub fn over_by(&self) -> Duration {
        self.plan.calm_from + Duration::from_secs(3 * 3600) + self.plan.lifetime + self.plan.patience()
    }

    fn end(&self) -> Timestamp {
        self.at(self.over_by() + self.plan.quiet)
    }

    fn begin(&self) {
        let mut dice = self.dice("schedule", "phase");
        let phase = dice.seconds(0, 60);
        for (_, item) in &self.plan.items {
            match item {
                Item::Run(run) => self.engine.plan(run.at, Happening::RunStarts(run.clone())),
                Item::Emptied(at) => self.engine.plan(*at, Happening::TableEmptied),
                Item::AtSweep(at, works, before) => {
                    let minutes = at.saturating_sub(phase).as_secs() / 60 + 1;
                    let at = (phase + Duration::from_secs(minutes * 60)).saturating_sub(*before);
                    let run = PlannedRun::simple(20, at, *works);
                    self.engine.plan(at, Happening::RunStarts(run));
                }
                Item::Outage(..) | Item::InstanceFault(..) => {}
            }
        }
        self.engine.plan(self.plan.calm_from + PEOPLE_LOOK, Happening::TidyUp);
        self.engine.plan(phase, Happening::Minute);
        self.engine.plan(dice.seconds(0, 900), Happening::Quarter);
        self.engine.plan(self.plan.inspect_every, Happening::Inspect);
    }

    fn happens(self: &Rc<Self>, happening: Happening) {
        match happening {
            Happening::RunStarts(run) => self.run_starts(run),
            Happening::Cancelled(run) => self.cancelled(run),
            Happening::TakenElsewhere(run) => self.taken_elsewhere(run),
            Happening::EndsElsewhere(job) => self.job_ends(job, dayfly_records::event::Conclusion::Success),
            Happening::RerunByPerson(run, after) => self.rerun_by_person(run, after),
            Happening::Given(runner, job) => self.given(runner, job),
            Happening::NotTaken(job) => self.not_taken(job),
            Happening::Deliver(delivery) => self.deliver(delivery),
            Happening::Lost(job) => self.lost(job),
            Happening::RunMayBeOver(run) => self.run_may_be_over(run),
            Happening::Evicted(runner) => self.evicted(runner),
            Happening::Call(caller, tries) => self.call(caller, tries),
            Happening::Kill(call, why) => self.kill(call, why),
            Happening::Minute => self.minute(),
            Happening::Quarter => self.quarter(),
            Happening::Booted(instance) => self.booted(&instance),
            Happening::Fault(instance, trouble) => self.befalls(&instance, trouble),
            Happening::NetworkBack(instance) => self.network_back(&instance),
            Happening::Tick(instance, generation) => self.tick(&instance, generation),
            Happening::RunnerUp(instance) => self.runner_up(&instance),
            Happening::JobDone(instance, job) => self.job_done(&instance, job),
            Happening::RunnerExits(instance, code) => self.runner_exits(&instance, code),
            Happening::Calls(instance, what) => self.agent_calls(&instance, what),
            Happening::Arrives(instance, what) => self.arrives(&instance, what),
            Happening::NoAnswer(instance, what) => self.agent_hears_nothing(&instance, what),
            Happening::SeesNotice(instance) => self.sees_notice(&instance),
            Happening::StartupEnds(instance, ok) => self.startup_ends(&instance, ok),
            Happening::HookEnds(instance) => self.hook_ends(&instance),
            Happening::Reclaimed(instance) => self.reclaimed(&instance),
            Happening::Runs(instance) => self.instance_runs(&instance),
            Happening::PoweredOff(instance, why) => self.instance_ends(&instance, why),
            Happening::Ec2Tells(instance, word, at) => self.call(Caller::Ec2(instance, word, at), 0),
            Happening::TableEmptied => self.table_emptied(),
            Happening::TidyUp => {
                self.tidy_up();
                if self.elapsed() + PEOPLE_LOOK + QUIET < self.over_by() {
                    self.engine.plan(PEOPLE_LOOK, Happening::TidyUp);
                }
            }
            Happening::Inspect => self.inspect(),
        }
    }

    fn table_emptied(&self) {
        self.note("table emptied", "", String::new);
        self.table.borrow_mut().clear();
        self.budgets.borrow_mut().clear();
        self.heard.borrow_mut().clear();
        self.promises.borrow_mut().table_emptied(self.now());
    }

    fn minute(self: &Rc<Self>) {
        self.engine.plan(Duration::from_secs(60), Happening::Minute);
        if !self.schedule_on.get() || !self.has(Guard::Sweep) {
            return;
        }
        self.fire(Task::Sweep);
    }

    fn quarter(self: &Rc<Self>) {
        self.engine.plan(Duration::from_secs(900), Happening::Quarter);
        if self.has(Guard::Patrol) {
            self.fire(Task::Patrol);
        }
    }

    fn fire(self: &Rc<Self>, task: Task) {
        let number = self.tally.borrow_mut().fired();
        let mut dice = self.dice("schedule", &number.to_string());
        let late = if self.hit(Outage::SchedulerLate, &mut dice) {
            dice.seconds(1, 55)
        } else {
            dice.millis(0, 500)
        };
        self.engine.plan(late, Happening::Call(Caller::Schedule(task), 0));
        if dice.happens(self.outage(Outage::SchedulerLate) * 0.2) {
            let again = late + dice.seconds(0, 30);
            self.engine.plan(again, Happening::Call(Caller::Schedule(task), 0));
        }
    }

    /// Puts an event on the bus, which delivers it at least once, in any order.
    pub fn publish(&self, event: &Event) {
        let number = self.tally.borrow_mut().published();
        let mut dice = self.dice("bus", &number.to_string());
        let mut wait = dice.millis(30, 400);
        if self.hit(Outage::BusLate, &mut dice) {
            wait += dice.seconds(1, 240);
        }
        self.engine
            .plan(wait, Happening::Call(Caller::Bus(Box::new(event.clone())), 0));
        if self.hit(Outage::BusDouble, &mut dice) {
            let again = wait + dice.seconds(0, 120);
            self.engine
                .plan(again, Happening::Call(Caller::Bus(Box::new(event.clone())), 0));
        }
    }
}
