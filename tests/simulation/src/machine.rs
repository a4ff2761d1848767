//! What is on an instance: the agent's real decisions, the runner's process, and all that can befall
//! them.

use std::rc::Rc;
use std::time::Duration;

use dayfly_agent::machine::{Action, Event, JitConfig, State, decide};
use dayfly_core::checkin::{
    ClaimAnswer, ClaimRequest, GoodbyeReason, GoodbyeRequest, HeartbeatRequest, InterruptionNotice, OrderAnswer, Phase,
    ProgressRequest, Stage,
};
use dayfly_core::decide::interruption::Word;
use dayfly_core::event::Conclusion;
use dayfly_core::ids::{InstanceId, JobId, RunnerId, RunnerName};
use dayfly_core::time::Timestamp;

use crate::guards::Guard;
use crate::plan::{Item, Outage, Trouble};
use crate::sim::{Happening, Sim};

/// After how long without an answer of the control plane the agent ends, as the user data has it.
const UNREACHABLE: Duration = Duration::from_secs(300);

/// How much later than the agent's timer the machine's own is.
const LAST_RESORT: Duration = Duration::from_secs(180);
/// For what is taken away.
const NEVER: Duration = Duration::from_secs(60 * 24 * 3600);

/// The runner's process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Process {
    /// There is none yet.
    None,
    /// It starts.
    Starting(RunnerId),
    /// It waits for a job.
    Listening(RunnerId),
    /// It works.
    Working(RunnerId, JobId),
    /// Its job is done, and it has not left.
    Idling(RunnerId),
    /// It has ended.
    Gone,
}

/// An instance from the inside.
#[derive(Debug)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each trouble of an instance comes and goes by itself"
)]
pub struct Machine {
    agent: Option<State>,
    agent_since: Timestamp,
    generation: u64,
    /// The runner's process.
    pub process: Process,
    /// Whether anything on it moves.
    pub frozen: bool,
    /// Whether it never came up.
    pub never_booted: bool,
    cut: bool,
    hung_job: bool,
    hung_runner: bool,
    runner_broken: bool,
    /// What befalls it when its job is about to end.
    at_the_end: Option<Trouble>,
    outcome: Conclusion,
    /// When the control plane last answered it.
    pub heard_at: Option<Timestamp>,
    skew: Duration,
    /// Whether its end has begun, for a reason that counts.
    pub condemned: bool,
}

impl Machine {
    fn is_deaf(&self) -> bool {
        self.frozen || self.agent.is_none()
    }
}

/// A call of an agent.
#[derive(Clone, Debug)]
pub struct CheckIn {
    what: What,
    since: Timestamp,
    tries: u32,
}

#[derive(Clone, Debug)]
enum What {
    Claim,
    Heartbeat(Phase, Option<InterruptionNotice>),
    Progress(Stage, Timestamp),
    Goodbye(GoodbyeReason),
}

impl CheckIn {
    /// Its path.
    #[must_use]
    pub fn verb(&self) -> &'static str {
        match self.what {
            What::Claim => "claim",
            What::Heartbeat(..) => "heartbeat",
            What::Progress(..) => "progress",
            What::Goodbye(_) => "goodbye",
        }
    }

    /// Its body.
    #[must_use]
    pub fn body(&self, instance: &InstanceId) -> String {
        let instance = instance.clone();
        let body = match &self.what {
            What::Claim => serde_json::to_string(&ClaimRequest {
                instance,
                agent_version: "1".to_owned(),
            }),
            What::Heartbeat(phase, interruption) => serde_json::to_string(&HeartbeatRequest {
                instance,
                phase: *phase,
                interruption: interruption.clone(),
            }),
            What::Progress(stage, at) => serde_json::to_string(&ProgressRequest {
                instance,
                stage: *stage,
                at: *at,
                detail: None,
            }),
            What::Goodbye(reason) => serde_json::to_string(&GoodbyeRequest {
                instance,
                reason: *reason,
                detail: None,
            }),
        };
        body.unwrap_or_default()
    }

    fn patience(&self) -> Duration {
        match self.what {
            What::Claim => NEVER,
            What::Heartbeat(..) | What::Goodbye(_) => Duration::from_secs(15),
            What::Progress(..) => Duration::from_secs(60),
        }
    }
}

impl Sim {
    /// How likely a trouble is for an instance.
    pub fn rate(&self, wanted: Trouble) -> f64 {
        let rates = self.plan.items.iter().filter_map(|(_, item)| match item {
            Item::Trouble(kind, rate) if *kind == wanted => Some(*rate),
            _ => None,
        });
        rates.fold(0.0, f64::max)
    }

    /// An instance is there: what will become of it is drawn.
    pub fn launched(self: &Rc<Self>, instance: &InstanceId, runner: &RunnerName) {
        self.tally.borrow_mut().instances += 1;
        self.launch_was_due(instance, runner);
        let mut dice = self.dice("instance", &format!("{runner} {instance}"));
        let calm = self.elapsed() >= self.plan.calm_from;
        let mut befalls = |trouble: Trouble| !calm && dice.happens(self.rate(trouble));
        let machine = Machine {
            agent: None,
            agent_since: self.now(),
            generation: 0,
            process: Process::None,
            frozen: false,
            never_booted: befalls(Trouble::BootFailure),
            cut: false,
            hung_job: befalls(Trouble::HungJob),
            hung_runner: befalls(Trouble::HungRunner),
            runner_broken: befalls(Trouble::RunnerBroken),
            at_the_end: None,
            outcome: Conclusion::Success,
            heard_at: None,
            skew: Duration::ZERO,
            condemned: false,
        };
        let later = [
            Trouble::AgentCrash,
            Trouble::Freeze,
            Trouble::NetworkCut,
            Trouble::Interruption,
            Trouble::Vanish,
        ]
        .map(|trouble| (trouble, befalls(trouble)));
        let mut machine = machine;
        for (trouble, _) in later.into_iter().filter(|(_, befalls)| *befalls) {
            let mut dice = self.dice("befalls", &format!("{instance} {trouble:?}"));
            if dice.happens(0.3) {
                machine.at_the_end = Some(trouble);
            } else {
                let befalls = Happening::Befalls(instance.clone(), trouble);
                self.engine.plan(dice.seconds(1, 1500), befalls);
            }
        }
        for trouble in [
            (Trouble::BootFailure, machine.never_booted),
            (Trouble::HungJob, machine.hung_job),
            (Trouble::HungRunner, machine.hung_runner),
            (Trouble::RunnerBroken, machine.runner_broken),
        ] {
            if trouble.1 {
                self.tally.borrow_mut().trouble(trouble.0);
            }
        }
        if !machine.never_booted {
            let longest = if dice.happens(0.05) { 500 } else { 90 };
            let boots = dice.seconds(15, longest);
            self.engine.plan(boots, Happening::Booted(instance.clone()));
            self.own_end(
                instance,
                boots / 2 + self.plan.lifetime + LAST_RESORT,
                "its last resort",
            );
        }
        machine.skew = dice.seconds(0, 240);
        self.machines.borrow_mut().insert(instance.clone(), machine);
    }

    fn own_end(&self, instance: &InstanceId, after: Duration, why: &'static str) {
        if self.has(Guard::AgentTimer) {
            self.engine.plan(after, Happening::PoweredOff(instance.clone(), why));
        }
    }

    /// The user data has run, and the agent starts.
    pub fn booted(self: &Rc<Self>, instance: &InstanceId) {
        let living = self
            .cloud
            .borrow()
            .instances
            .get(instance)
            .is_some_and(|one| one.ended_at.is_none());
        {
            let mut machines = self.machines.borrow_mut();
            let Some(machine) = machines.get_mut(instance).filter(|one| living && !one.frozen) else {
                return;
            };
            let (lifetime, unreachable) = if self.has(Guard::AgentTimer) {
                (self.plan.lifetime, UNREACHABLE)
            } else {
                (NEVER, NEVER)
            };
            machine.agent = Some(State::new(lifetime, unreachable));
            machine.agent_since = self.now();
        }
        if let Some(one) = self.cloud.borrow_mut().instances.get_mut(instance) {
            one.view.state = dayfly_ports::InstanceState::Running;
        }
        self.note("agent up", instance.as_str(), String::new);
        self.checks_in(instance, What::Progress(Stage::AgentUp, self.agents_now(instance)));
        self.checks_in(instance, What::Claim);
        self.feed(instance, Event::Tick);
    }

    fn agents_now(&self, instance: &InstanceId) -> Timestamp {
        let machines = self.machines.borrow();
        self.now()
            .after(machines.get(instance).map_or(Duration::ZERO, |one| one.skew))
    }

    fn feed(self: &Rc<Self>, instance: &InstanceId, event: Event) {
        let (actions, tick) = {
            let mut machines = self.machines.borrow_mut();
            let Some(machine) = machines.get_mut(instance).filter(|one| !one.frozen) else {
                return;
            };
            let now = self.now().since(machine.agent_since);
            let Some(state) = &mut machine.agent else { return };
            let actions = decide(state, event, now);
            machine.generation += 1;
            let wait = state.deadline().map(|deadline| deadline.saturating_sub(now));
            (actions, wait.map(|wait| (wait, machine.generation)))
        };
        if let Some((wait, generation)) = tick.filter(|(wait, _)| *wait < NEVER / 2) {
            self.engine.plan(wait, Happening::Tick(instance.clone(), generation));
        }
        for action in actions {
            self.act(instance, action);
        }
    }

    /// A deadline of the agent.
    pub fn tick(self: &Rc<Self>, instance: &InstanceId, generation: u64) {
        let current = self
            .machines
            .borrow()
            .get(instance)
            .is_some_and(|one| one.generation == generation);
        if current {
            self.feed(instance, Event::Tick);
        }
    }

    fn act(self: &Rc<Self>, instance: &InstanceId, action: Action) {
        match action {
            Action::StartRunner(JitConfig(jit)) => {
                let runner = RunnerId(jit.parse().unwrap_or(0));
                self.with(instance, |machine| machine.process = Process::Starting(runner));
                let wait = self.dice("runner", instance.as_str()).seconds(2, 8);
                self.engine.plan(wait, Happening::RunnerUp(instance.clone()));
                self.feed(instance, Event::RunnerStarted);
            }
            Action::SignalRunner => self.signal_runner(instance),
            Action::KillRunner => {
                self.ended_by_us(instance);
                self.runner_exits(instance, None);
            }
            Action::Heartbeat { phase, interruption } => {
                self.checks_in(instance, What::Heartbeat(phase, interruption));
            }
            Action::Report { stage, .. } => {
                let at = self.agents_now(instance);
                self.checks_in(instance, What::Progress(stage, at));
            }
            Action::Goodbye { reason, .. } => {
                self.note("goodbye", instance.as_str(), || format!("{reason:?}"));
                self.checks_in(instance, What::Goodbye(reason));
            }
            Action::PowerOff => {
                self.ended_by_us(instance);
                let wait = self.dice("power off", instance.as_str()).seconds(1, 10);
                let off = Happening::PoweredOff(instance.clone(), "powered itself off");
                self.engine.plan(wait, off);
            }
        }
    }

    fn with<T>(&self, instance: &InstanceId, change: impl FnOnce(&mut Machine) -> T) -> Option<T> {
        self.machines.borrow_mut().get_mut(instance).map(change)
    }

    fn process(&self, instance: &InstanceId) -> Process {
        self.machines
            .borrow()
            .get(instance)
            .map_or(Process::Gone, |one| one.process)
    }

    fn signal_runner(self: &Rc<Self>, instance: &InstanceId) {
        let mut dice = self.dice("signal", instance.as_str());
        match self.process(instance) {
            Process::Working(_, job) => {
                self.ended_by_us(instance);
                self.job_loses_its_instance(job);
                self.with(instance, |machine| machine.outcome = Conclusion::Failure);
                let done = Happening::JobDone(instance.clone(), job);
                self.engine.plan(dice.seconds(5, 25), done);
            }
            Process::Starting(_) | Process::Listening(_) | Process::Idling(_) => {
                let exits = Happening::RunnerExits(instance.clone(), Some(0));
                self.engine.plan(dice.seconds(1, 3), exits);
            }
            Process::None | Process::Gone => {}
        }
    }

    /// The runner's process is up and connects.
    pub fn runner_up(self: &Rc<Self>, instance: &InstanceId) {
        let Process::Starting(runner) = self.process(instance) else {
            return;
        };
        let (broken, cut) = self
            .with(instance, |machine| {
                (machine.runner_broken || machine.frozen, machine.cut)
            })
            .unwrap_or((true, true));
        if cut {
            self.engine
                .plan(Duration::from_secs(30), Happening::RunnerUp(instance.clone()));
            return;
        }
        let repository = {
            let mut hub = self.hub.borrow_mut();
            hub.runners.get_mut(&runner).filter(|_| !broken).map(|found| {
                found.online = true;
                found.offline_since = None;
                found.instance = Some(instance.clone());
                found.repository.clone()
            })
        };
        let Some(repository) = repository else {
            self.runner_exits(instance, Some(1));
            return;
        };
        self.with(instance, |machine| machine.process = Process::Listening(runner));
        self.note("runner listens", instance.as_str(), || runner.to_string());
        let mut dice = self.dice("evicted", instance.as_str());
        if self.elapsed() < self.plan.calm_from && dice.happens(self.rate(Trouble::Eviction)) {
            self.engine.plan(dice.seconds(120, 360), Happening::Evicted(runner));
        }
        self.give_out(&repository);
    }

    /// A runner takes a job, if it can. Answers whether it does.
    pub fn takes(self: &Rc<Self>, instance: &InstanceId, job: JobId) -> bool {
        let works = self.hub.borrow().jobs.get(&job).map_or(Duration::ZERO, |job| job.works);
        let (hung, trouble) = {
            let mut machines = self.machines.borrow_mut();
            let Some(machine) = machines.get_mut(instance).filter(|one| !one.frozen && !one.cut) else {
                return false;
            };
            let Process::Listening(runner) = machine.process else {
                return false;
            };
            machine.process = Process::Working(runner, job);
            (machine.hung_job, machine.at_the_end.take())
        };
        if let Some(trouble) = trouble {
            let around = self.dice("at the end", instance.as_str()).seconds(0, 10);
            let after = (works + Duration::from_secs(4)).saturating_sub(around);
            self.engine.plan(after, Happening::Befalls(instance.clone(), trouble));
        }
        if !hung {
            self.engine.plan(works, Happening::JobDone(instance.clone(), job));
        }
        self.feed(instance, Event::JobStarted);
        true
    }

    /// A person's cancel reaches the runner.
    pub fn cancel_on_machine(self: &Rc<Self>, job: JobId) {
        let Some(instance) = self.hub.borrow().jobs.get(&job).and_then(|job| job.instance.clone()) else {
            return;
        };
        if self.process(&instance) == Process::Gone {
            return;
        }
        self.with(&instance, |machine| machine.outcome = Conclusion::Cancelled);
        let wait = self.dice("cancel", &job.to_string()).seconds(3, 15);
        self.engine.plan(wait, Happening::JobDone(instance, job));
    }

    /// A runner's job is done.
    pub fn job_done(self: &Rc<Self>, instance: &InstanceId, job: JobId) {
        let Process::Working(runner, at) = self.process(instance) else {
            return;
        };
        let Some((outcome, stays)) = self
            .with(instance, |machine| {
                let silent = machine.frozen || machine.cut;
                (!silent).then_some((machine.outcome, machine.hung_runner))
            })
            .flatten()
        else {
            return;
        };
        if at != job {
            return;
        }
        self.with(instance, |machine| machine.process = Process::Idling(runner));
        self.job_ends(job, outcome);
        self.feed(instance, Event::JobFinished);
        if !stays {
            let wait = self.dice("leaves", instance.as_str()).seconds(1, 4);
            self.engine
                .plan(wait, Happening::RunnerExits(instance.clone(), Some(0)));
        }
    }

    /// A runner's process ends.
    pub fn runner_exits(self: &Rc<Self>, instance: &InstanceId, code: Option<i32>) {
        let process = self.process(instance);
        let still = self.machines.borrow().get(instance).is_some_and(|one| !one.frozen);
        if matches!(process, Process::Gone | Process::None) || !still {
            return;
        }
        self.note("runner exits", instance.as_str(), || format!("{code:?}"));
        self.runner_is_gone(instance, process);
        let last_words = None;
        self.feed(instance, Event::RunnerExited { code, last_words });
    }

    fn runner_is_gone(self: &Rc<Self>, instance: &InstanceId, process: Process) {
        self.with(instance, |machine| machine.process = Process::Gone);
        match process {
            Process::Working(runner, job) => {
                self.disconnected(runner);
                self.job_loses_its_instance(job);
                let wait = self.dice("lost", &job.to_string()).seconds(600, 900);
                self.engine.plan(wait, Happening::Lost(job));
            }
            Process::Listening(runner) | Process::Starting(runner) | Process::Idling(runner) => {
                self.disconnected(runner);
            }
            Process::None | Process::Gone => {}
        }
    }

    fn disconnected(&self, runner: RunnerId) {
        if let Some(found) = self.hub.borrow_mut().runners.get_mut(&runner) {
            found.online = false;
            found.offline_since.get_or_insert(self.now());
        }
    }

    /// The registration that a runner used is gone.
    pub fn registration_is_gone(self: &Rc<Self>, instance: &InstanceId, runner: RunnerId) {
        if self.process(instance) == Process::Listening(runner) {
            let wait = self.dice("unregistered", instance.as_str()).seconds(1, 5);
            self.engine
                .plan(wait, Happening::RunnerExits(instance.clone(), Some(0)));
        }
    }

    /// An instance is off.
    pub fn machine_is_gone(self: &Rc<Self>, instance: &InstanceId) {
        let process = self.process(instance);
        self.runner_is_gone(instance, process);
        self.with(instance, |machine| {
            machine.agent = None;
            machine.frozen = true;
        });
    }

    /// Something befalls an instance.
    pub fn befalls(self: &Rc<Self>, instance: &InstanceId, trouble: Trouble) {
        let living = self
            .cloud
            .borrow()
            .instances
            .get(instance)
            .is_some_and(|one| one.ended_at.is_none());
        if !living || self.elapsed() >= self.plan.calm_from {
            return;
        }
        self.note("trouble", instance.as_str(), || format!("{trouble:?}"));
        self.tally.borrow_mut().trouble(trouble);
        let process = self.process(instance);
        match trouble {
            Trouble::AgentCrash => self.agent_crashes(instance),
            Trouble::Freeze => {
                self.runner_is_gone(instance, process);
                self.with(instance, |machine| machine.frozen = true);
            }
            Trouble::NetworkCut => self.network_is_cut(instance, process),
            Trouble::Interruption => {
                if let Some(one) = self.cloud.borrow_mut().instances.get_mut(instance) {
                    one.notice_at = Some(self.now());
                }
                let mut dice = self.dice("notice", instance.as_str());
                self.ec2_tells(instance, Word::Warning);
                let sees = Happening::SeesNotice(instance.clone());
                self.engine.plan(dice.seconds(0, 6), sees);
                let reclaimed = Happening::Reclaimed(instance.clone());
                self.engine.plan(Duration::from_secs(120), reclaimed);
            }
            Trouble::Vanish => self.instance_ends(instance, "vanished"),
            _ => {}
        }
    }

    fn agent_crashes(self: &Rc<Self>, instance: &InstanceId) {
        let up = self.with(instance, |machine| machine.agent.is_some()).unwrap_or(false);
        let process = self.process(instance);
        self.runner_is_gone(instance, process);
        if up {
            // The parent of the agent speaks in its place.
            self.checks_in(instance, What::Goodbye(GoodbyeReason::RunnerFailed));
        }
        self.with(instance, |machine| machine.agent = None);
        let wait = self.dice("crash", instance.as_str()).seconds(3, 20);
        let off = Happening::PoweredOff(instance.clone(), "powered off after its agent");
        self.engine.plan(wait, off);
    }

    fn network_is_cut(self: &Rc<Self>, instance: &InstanceId, process: Process) {
        self.with(instance, |machine| machine.cut = true);
        let mut dice = self.dice("cut", instance.as_str());
        match process {
            Process::Working(runner, job) => {
                self.disconnected(runner);
                self.job_loses_its_instance(job);
                let gives_up = dice.seconds(600, 900);
                self.engine.plan(gives_up, Happening::Lost(job));
            }
            Process::Listening(runner) => self.disconnected(runner),
            _ => {}
        }
        if dice.happens(0.5) {
            let back = Happening::NetworkBack(instance.clone());
            self.engine.plan(dice.seconds(20, 900), back);
        }
    }

    /// The network of an instance is back.
    pub fn network_back(self: &Rc<Self>, instance: &InstanceId) {
        let process = self.process(instance);
        self.with(instance, |machine| machine.cut = false);
        let runner = match process {
            Process::Working(runner, _) | Process::Listening(runner) => runner,
            Process::None | Process::Starting(_) | Process::Idling(_) | Process::Gone => return,
        };
        self.note("network back", instance.as_str(), String::new);
        let repository = {
            let mut hub = self.hub.borrow_mut();
            hub.runners.get_mut(&runner).map(|found| {
                found.online = true;
                found.offline_since = None;
                found.repository.clone()
            })
        };
        match (process, repository) {
            (Process::Working(_, job), _) => {
                let over = self.hub.borrow().jobs.get(&job).is_none_or(crate::hub::Job::is_over);
                let wait = Duration::from_secs(5);
                if over {
                    // GitHub tells it that its job is over.
                    self.with(instance, |machine| machine.process = Process::Idling(runner));
                    self.engine
                        .plan(wait, Happening::RunnerExits(instance.clone(), Some(0)));
                } else {
                    self.engine.plan(wait, Happening::JobDone(instance.clone(), job));
                }
            }
            (_, Some(repository)) => self.give_out(&repository),
            (_, None) => self.runner_exits(instance, Some(0)),
        }
    }

    /// The agent sees the spot notice.
    pub fn sees_notice(self: &Rc<Self>, instance: &InstanceId) {
        let at = self.now().after(Duration::from_secs(115));
        let notice = InterruptionNotice {
            action: "terminate".to_owned(),
            at: at.seconds().to_string(),
        };
        self.feed(instance, Event::SpotNotice(notice));
    }

    fn checks_in(self: &Rc<Self>, instance: &InstanceId, what: What) {
        let call = CheckIn {
            what,
            since: self.now(),
            tries: 0,
        };
        self.engine
            .plan(Duration::from_millis(60), Happening::Calls(instance.clone(), call));
    }

    /// An agent's call reaches the function, unless the network is cut.
    pub fn agent_calls(self: &Rc<Self>, instance: &InstanceId, what: CheckIn) {
        let reach = self.with(instance, |machine| (machine.frozen, machine.cut));
        let mut dice = self.dice("late", &format!("{instance} {}", self.now().millis()));
        if self.hit(Outage::AgentLate, &mut dice) {
            let late = Happening::Arrives(instance.clone(), what);
            self.engine.plan(dice.seconds(1, 60), late);
            return;
        }
        match reach {
            Some((false, false)) => self.call(crate::lambda::Caller::Agent(instance.clone(), what), 0),
            Some((false, true)) => {
                let silence = Happening::NoAnswer(instance.clone(), what);
                self.engine.plan(Duration::from_secs(10), silence);
            }
            _ => {}
        }
    }

    /// A late call of an agent arrives, if the instance still runs.
    pub fn arrives(self: &Rc<Self>, instance: &InstanceId, what: CheckIn) {
        if self.with(instance, |machine| machine.frozen) == Some(false) {
            self.call(crate::lambda::Caller::Agent(instance.clone(), what), 0);
        }
    }

    /// Nobody answers an agent.
    pub fn agent_hears_nothing(self: &Rc<Self>, instance: &InstanceId, what: CheckIn) {
        self.later(instance, what);
    }

    /// The function has answered an agent.
    pub fn agent_is_answered(self: &Rc<Self>, instance: &InstanceId, what: CheckIn, status: u16, body: &str) {
        let cut = self.with(instance, |machine| machine.cut && !machine.is_deaf());
        if cut == Some(true) {
            let silence = Happening::NoAnswer(instance.clone(), what);
            self.engine.plan(Duration::from_secs(10), silence);
            return;
        }
        match status {
            200 => {
                let now = self.now();
                self.with(instance, |machine| machine.heard_at = Some(now));
                if let Some(event) = understood(&what, body) {
                    self.feed(instance, event);
                }
            }
            400 | 403 => self.refused(instance, &what),
            _ => self.later(instance, what),
        }
    }

    fn later(self: &Rc<Self>, instance: &InstanceId, mut what: CheckIn) {
        let pause = Duration::from_secs(1 << what.tries.min(4));
        if self.now().since(what.since) + pause >= what.patience() {
            self.refused(instance, &what);
            return;
        }
        what.tries += 1;
        self.engine.plan(pause, Happening::Calls(instance.clone(), what));
    }

    fn refused(self: &Rc<Self>, instance: &InstanceId, what: &CheckIn) {
        let event = match what.what {
            What::Claim => Event::ClaimRefused,
            What::Heartbeat(..) => Event::HeartbeatFailed,
            What::Progress(..) => return,
            What::Goodbye(_) => Event::GoodbyeDone(None),
        };
        self.feed(instance, event);
    }
}

fn understood(what: &CheckIn, body: &str) -> Option<Event> {
    if matches!(what.what, What::Claim) {
        let answer: ClaimAnswer = serde_json::from_str(body).ok()?;
        return Some(Event::Claimed {
            heartbeat: answer.heartbeat(),
            lifetime: answer.lifetime(),
            drain: answer.drain(),
            jit_config: JitConfig(answer.jit_config),
        });
    }
    let OrderAnswer { order } = serde_json::from_str(body).ok()?;
    Some(match what.what {
        What::Heartbeat(..) => Event::HeartbeatAnswered(order),
        What::Progress(..) => Event::ProgressAnswered(order),
        What::Goodbye(_) | What::Claim => Event::GoodbyeDone(Some(order)),
    })
}
