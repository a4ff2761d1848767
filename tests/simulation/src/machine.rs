//! What is on an instance: the agent's real decisions, the runner's process, and all that can befall
//! them.

use std::rc::Rc;
use std::time::Duration;

use dayfly_agent::machine::{Action, Event, JitConfig, State, decide};
use dayfly_records::event::Conclusion;
use dayfly_types::checkin::Stage;
use dayfly_types::ids::{InstanceId, JobId, RunnerId};
use dayfly_types::time::Timestamp;

use crate::checkin::What;
use crate::guards::Guard;
use crate::plan::{Item, Trouble};
use crate::sim::{Happening, Sim};

/// After how long without an answer of the control plane the agent ends, as the user data has it.
const UNREACHABLE: Duration = Duration::from_secs(300);

/// How much later than the agent's timer the machine's own is.
const LAST_RESORT: Duration = Duration::from_secs(180);
/// For what is taken away.
pub(crate) const NEVER: Duration = Duration::from_secs(60 * 24 * 3600);

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
    pub(crate) agent: Option<State>,
    pub(crate) agent_since: Timestamp,
    pub(crate) generation: u64,
    /// The runner's process.
    pub process: Process,
    /// Whether anything on it moves.
    pub frozen: bool,
    /// Whether its runner fails the job that it takes, with a reason, before any step.
    pub messenger: bool,
    /// Whether it never came up.
    pub never_booted: bool,
    pub(crate) cut: bool,
    pub(crate) hung_job: bool,
    pub(crate) hung_runner: bool,
    pub(crate) runner_broken: bool,
    /// Whether it obeys nobody.
    pub(crate) hostile: bool,
    /// What befalls it when its job is about to end.
    pub(crate) at_the_end: Option<Trouble>,
    pub(crate) outcome: Conclusion,
    /// When the control plane last answered it.
    pub heard_at: Option<Timestamp>,
    pub(crate) skew: Duration,
    /// Whether its end has begun, for a reason that counts.
    pub condemned: bool,
}

impl Machine {
    pub(crate) fn is_deaf(&self) -> bool {
        self.frozen || self.agent.is_none()
    }
}

impl Sim {
    /// How likely a trouble is for an instance.
    pub fn rate(&self, wanted: Trouble) -> f64 {
        let rates = self.faults.iter().filter_map(|item| match item {
            Item::Trouble(kind, rate) if *kind == wanted => Some(*rate),
            _ => None,
        });
        rates.fold(0.0, f64::max)
    }

    /// An instance is there: what will become of it is drawn.
    pub fn launched(self: &Rc<Self>, instance: &InstanceId) {
        self.tally.borrow_mut().instances += 1;
        let mut dice = self.dice("instance", instance.as_str());
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
            messenger: false,
            hung_job: befalls(Trouble::HungJob),
            hung_runner: befalls(Trouble::HungRunner),
            runner_broken: befalls(Trouble::RunnerBroken),
            hostile: befalls(Trouble::Hostile),
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
            Trouble::Rebalance,
        ]
        .map(|trouble| (trouble, befalls(trouble)));
        let mut machine = machine;
        for (trouble, _) in later.into_iter().filter(|(_, befalls)| *befalls) {
            let mut dice = self.dice("befalls", &format!("{instance} {trouble:?}"));
            if dice.happens(0.3) {
                machine.at_the_end = Some(trouble);
            } else {
                let befalls = Happening::Befalls(instance.clone(), trouble);
                let latest = if trouble == Trouble::Rebalance { 300 } else { 1500 };
                self.engine.plan(dice.seconds(1, latest), befalls);
            }
        }
        for trouble in [
            (Trouble::BootFailure, machine.never_booted),
            (Trouble::HungJob, machine.hung_job),
            (Trouble::HungRunner, machine.hung_runner),
            (Trouble::RunnerBroken, machine.runner_broken),
            (Trouble::Hostile, machine.hostile),
        ] {
            if trouble.1 {
                self.tally.borrow_mut().trouble(trouble.0);
            }
        }
        if !machine.never_booted {
            let longest = if dice.happens(0.05) { 500 } else { 90 };
            let boots = dice.seconds(15, longest);
            self.engine.plan(boots, Happening::Booted(instance.clone()));
            if !machine.hostile {
                let last_resort = boots / 2 + self.plan.lifetime + LAST_RESORT;
                self.own_end(instance, last_resort, "its last resort");
            }
        }
        machine.skew = dice.seconds(0, 240);
        self.machines.borrow_mut().insert(instance.clone(), machine);
    }

    pub(crate) fn own_end(&self, instance: &InstanceId, after: Duration, why: &'static str) {
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
            let (lifetime, unreachable) = if self.has(Guard::AgentTimer) && !machine.hostile {
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
        self.checks_in(
            instance,
            What::Progress(Stage::AgentUp, self.agents_now(instance), None),
        );
        self.checks_in(instance, What::Claim);
        self.feed(instance, Event::Tick);
    }

    pub(crate) fn agents_now(&self, instance: &InstanceId) -> Timestamp {
        let machines = self.machines.borrow();
        self.now()
            .after(machines.get(instance).map_or(Duration::ZERO, |one| one.skew))
    }

    pub(crate) fn feed(self: &Rc<Self>, instance: &InstanceId, event: Event) {
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

    pub(crate) fn act(self: &Rc<Self>, instance: &InstanceId, action: Action) {
        match action {
            Action::StartRunner(JitConfig(jit)) => {
                let runner = RunnerId(jit.parse().unwrap_or(0));
                self.with(instance, |machine| machine.process = Process::Starting(runner));
                let wait = self.dice("runner", instance.as_str()).seconds(2, 8);
                self.engine.plan(wait, Happening::RunnerUp(instance.clone()));
                self.feed(instance, Event::RunnerStarted);
            }
            Action::AskToStart { run, attempt } => self.checks_in(instance, What::Start(run, attempt)),
            Action::RunStartup => self.run_startup(instance),
            Action::RunHook { .. } => self.run_hook(instance),
            // Its end is told all the same, to an agent that waits for it no more.
            Action::KillHook | Action::KillStartup => {}
            Action::SignalRunner => self.signal_runner(instance),
            Action::KillRunner => {
                self.ended_by_us(instance);
                self.runner_exits(instance, None);
            }
            Action::Heartbeat { phase, interruption } => {
                self.checks_in(instance, What::Heartbeat(phase, interruption));
            }
            Action::Report { stage, detail } => {
                let at = self.agents_now(instance);
                self.checks_in(instance, What::Progress(stage, at, detail));
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

    pub(crate) fn with<T>(&self, instance: &InstanceId, change: impl FnOnce(&mut Machine) -> T) -> Option<T> {
        self.machines.borrow_mut().get_mut(instance).map(change)
    }

    pub(crate) fn process(&self, instance: &InstanceId) -> Process {
        self.machines
            .borrow()
            .get(instance)
            .map_or(Process::Gone, |one| one.process)
    }
}
