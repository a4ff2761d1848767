//! The software on an instance: the agent's real decisions, the runner's process, and their faults.

use std::rc::Rc;
use std::time::Duration;

use dayfly_agent::machine::{Action, Event, JitConfig, State, decide};
use dayfly_records::event::Conclusion;
use dayfly_types::checkin::Stage;
use dayfly_types::ids::{InstanceId, JobId, RunnerId};
use dayfly_types::time::Timestamp;

use crate::checkin::What;
use crate::guards::Guard;
use crate::plan::{InstanceFault, Item};
use crate::sim::{Happening, Sim};

/// After this time without an answer of the control plane the agent exits, as the user data sets it.
const UNREACHABLE: Duration = Duration::from_secs(300);

/// How much later the machine's own timer is than the agent's.
const LAST_RESORT: Duration = Duration::from_secs(180);
/// The time of disabled timers.
pub(crate) const NEVER: Duration = Duration::from_secs(60 * 24 * 3600);

/// The runner's process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Process {
    None,
    Starting(RunnerId),
    Listening(RunnerId),
    Working(RunnerId, JobId),
    /// Its job is done, but it has not exited.
    Idling(RunnerId),
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
    pub process: Process,
    /// Whether everything on it stands still.
    pub frozen: bool,
    /// Whether its runner fails its job with a message before any step.
    pub messenger: bool,
    pub never_booted: bool,
    pub(crate) cut: bool,
    pub(crate) hung_job: bool,
    pub(crate) hung_runner: bool,
    pub(crate) runner_broken: bool,
    /// Whether it ignores all orders.
    pub(crate) hostile: bool,
    /// The fault that hits it shortly before its job's end.
    pub(crate) at_the_end: Option<InstanceFault>,
    pub(crate) outcome: Conclusion,
    /// When the control plane last answered it.
    pub heard_at: Option<Timestamp>,
    pub(crate) skew: Duration,
    /// Whether it is being ended for a good reason.
    pub condemned: bool,
}

impl Machine {
    pub(crate) fn is_deaf(&self) -> bool {
        self.frozen || self.agent.is_none()
    }
}

impl Sim {
    /// Returns the probability of a fault per instance.
    pub fn rate(&self, wanted: InstanceFault) -> f64 {
        let rates = self.faults.iter().filter_map(|item| match item {
            Item::InstanceFault(kind, rate) if *kind == wanted => Some(*rate),
            _ => None,
        });
        rates.fold(0.0, f64::max)
    }

    /// An instance is launched: its faults are drawn.
    pub fn launched(self: &Rc<Self>, instance: &InstanceId) {
        self.tally.borrow_mut().instances += 1;
        let mut dice = self.dice("instance", instance.as_str());
        let calm = self.elapsed() >= self.plan.calm_from;
        let mut has_fault = |trouble: InstanceFault| !calm && dice.happens(self.rate(trouble));
        let machine = Machine {
            agent: None,
            agent_since: self.now(),
            generation: 0,
            process: Process::None,
            frozen: false,
            never_booted: has_fault(InstanceFault::BootFailure),
            cut: false,
            messenger: false,
            hung_job: has_fault(InstanceFault::HungJob),
            hung_runner: has_fault(InstanceFault::HungRunner),
            runner_broken: has_fault(InstanceFault::RunnerBroken),
            hostile: has_fault(InstanceFault::Hostile),
            at_the_end: None,
            outcome: Conclusion::Success,
            heard_at: None,
            skew: Duration::ZERO,
            condemned: false,
        };
        let later = [
            InstanceFault::AgentCrash,
            InstanceFault::Freeze,
            InstanceFault::NetworkCut,
            InstanceFault::Interruption,
            InstanceFault::Vanish,
            InstanceFault::Rebalance,
        ]
        .map(|trouble| (trouble, has_fault(trouble)));
        let mut machine = machine;
        for (trouble, _) in later.into_iter().filter(|(_, happens)| *happens) {
            let mut dice = self.dice("befalls", &format!("{instance} {trouble:?}"));
            if dice.happens(0.3) {
                machine.at_the_end = Some(trouble);
            } else {
                let fault = Happening::Fault(instance.clone(), trouble);
                let latest = if trouble == InstanceFault::Rebalance { 300 } else { 1500 };
                self.engine.plan(dice.seconds(1, latest), fault);
            }
        }
        for trouble in [
            (InstanceFault::BootFailure, machine.never_booted),
            (InstanceFault::HungJob, machine.hung_job),
            (InstanceFault::HungRunner, machine.hung_runner),
            (InstanceFault::RunnerBroken, machine.runner_broken),
            (InstanceFault::Hostile, machine.hostile),
        ] {
            if trouble.1 {
                self.instance_fault_hits(instance, trouble.0);
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

    /// A deadline of the agent passes.
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
            Action::RequestJobStart { run, attempt } => self.checks_in(instance, What::Start(run, attempt)),
            Action::RunStartup => self.run_startup(instance),
            Action::RunHook { .. } => self.run_hook(instance),
            // Its end is still reported, to an agent that no longer waits for it.
            Action::KillHook | Action::KillStartup => {}
            Action::SignalRunner => {
                if let Some(fault) = self.with(instance, |machine| machine.at_the_end.take()).flatten() {
                    let soon = self.dice("at the end", instance.as_str()).seconds(0, 10);
                    self.engine.plan(soon, Happening::Fault(instance.clone(), fault));
                }
                self.signal_runner(instance);
            }
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
            Action::Goodbye { reason, detail } => {
                self.note("goodbye", instance.as_str(), || format!("{reason:?}"));
                self.checks_in(instance, What::Goodbye(reason, detail));
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
