//! Faults of instances.

use std::rc::Rc;
use std::time::Duration;

use dayfly_agent::machine::Event;
use dayfly_engine::runner::interruption::Ec2Signal;
use dayfly_types::checkin::{GoodbyeReason, InterruptionNotice};
use dayfly_types::ids::InstanceId;

use crate::checkin::What;
use crate::machine::Process;
use crate::plan::InstanceFault;
use crate::sim::{Happening, Sim};

impl Sim {
    /// A fault hits an instance.
    pub fn befalls(self: &Rc<Self>, instance: &InstanceId, trouble: InstanceFault) {
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
        self.instance_fault_hits(instance, trouble);
        let process = self.process(instance);
        match trouble {
            InstanceFault::AgentCrash => self.agent_crashes(instance),
            InstanceFault::Freeze => {
                self.runner_is_gone(instance, process);
                self.with(instance, |machine| machine.frozen = true);
            }
            InstanceFault::NetworkCut => self.network_is_cut(instance, process),
            InstanceFault::Interruption => {
                if let Some(one) = self.cloud.borrow_mut().instances.get_mut(instance) {
                    one.notice_at = Some(self.now());
                }
                let mut dice = self.dice("notice", instance.as_str());
                self.ec2_tells(instance, Ec2Signal::Warning);
                let sees = Happening::SeesNotice(instance.clone());
                self.engine.plan(dice.seconds(0, 6), sees);
                let reclaimed = Happening::Reclaimed(instance.clone());
                self.engine.plan(Duration::from_secs(120), reclaimed);
            }
            InstanceFault::Rebalance => self.ec2_tells(instance, Ec2Signal::Rebalance),
            InstanceFault::Vanish => self.instance_ends(instance, "vanished"),
            _ => {}
        }
    }

    pub(crate) fn agent_crashes(self: &Rc<Self>, instance: &InstanceId) {
        let up = self.with(instance, |machine| machine.agent.is_some()).unwrap_or(false);
        let process = self.process(instance);
        self.runner_is_gone(instance, process);
        if up {
            // The agent's parent reports in its place.
            self.checks_in(instance, What::Goodbye(GoodbyeReason::RunnerFailed, None));
        }
        self.with(instance, |machine| machine.agent = None);
        let wait = self.dice("crash", instance.as_str()).seconds(3, 20);
        let off = Happening::PoweredOff(instance.clone(), "powered off after its agent");
        self.engine.plan(wait, off);
    }

    pub(crate) fn network_is_cut(self: &Rc<Self>, instance: &InstanceId, process: Process) {
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
                    // GitHub reports to it that its job is over.
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

    /// The startup script of an instance runs; some fail, and some take too long.
    pub(crate) fn run_startup(self: &Rc<Self>, instance: &InstanceId) {
        self.note("startup script runs", instance.as_str(), String::new);
        let mut dice = self.dice("startup script runs", instance.as_str());
        // Some take too long.
        let longest = if dice.happens(0.1) { 1200 } else { 200 };
        let takes = dice.seconds(1, longest);
        let ends = Happening::StartupEnds(instance.clone(), !dice.happens(0.05));
        self.engine.plan(takes, ends);
    }

    /// The startup script of an instance ends by itself, if it was not killed.
    pub fn startup_ends(self: &Rc<Self>, instance: &InstanceId, ok: bool) {
        let outcome = if ok { "exit status 0" } else { "exit status 1" }.to_owned();
        let last_lines = "ready, or not".to_owned();
        self.feed(
            instance,
            Event::StartupEnded {
                ok,
                outcome,
                last_lines,
            },
        );
    }

    /// The interruption hook of an instance runs; some take too long.
    pub(crate) fn run_hook(self: &Rc<Self>, instance: &InstanceId) {
        self.note("hook runs", instance.as_str(), String::new);
        let takes = self.dice("hook runs", instance.as_str()).seconds(1, 150);
        self.engine.plan(takes, Happening::HookEnds(instance.clone()));
    }

    /// The interruption hook of an instance ends by itself, if it was not killed.
    pub fn hook_ends(self: &Rc<Self>, instance: &InstanceId) {
        self.feed(instance, Event::HookEnded("exit status 0".to_owned()));
    }

    /// The agent sees the interruption notice.
    pub fn sees_notice(self: &Rc<Self>, instance: &InstanceId) {
        let left = Duration::from_secs(115);
        let at = self.now().after(left);
        let notice = InterruptionNotice {
            action: "terminate".to_owned(),
            at: at.seconds().to_string(),
        };
        self.feed(instance, Event::SpotNotice { notice, left });
    }
}
