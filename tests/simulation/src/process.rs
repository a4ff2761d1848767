//! The runner's process on an instance.

use std::rc::Rc;
use std::time::Duration;

use dayfly_agent::machine::Event;
use dayfly_records::event::Conclusion;
use dayfly_types::ids::{InstanceId, JobId, JobKey, RunnerId, RunnerName};

use crate::machine::Process;
use crate::plan::InstanceFault;
use crate::promises::claimed_for;
use crate::sim::{Happening, Sim};

impl Sim {
    pub(crate) fn signal_runner(self: &Rc<Self>, instance: &InstanceId) {
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
        if self.elapsed() < self.plan.calm_from && dice.happens(self.rate(InstanceFault::Eviction)) {
            self.engine.plan(dice.seconds(120, 360), Happening::Evicted(runner));
        }
        self.give_out(&repository);
    }

    /// Makes a runner take a job, if it can. Returns whether it does.
    pub fn takes(self: &Rc<Self>, instance: &InstanceId, job: JobId) -> bool {
        let mut works = self.hub.borrow().jobs.get(&job).map_or(Duration::ZERO, |job| job.works);
        let of_run = self.hub.borrow().jobs.get(&job).map(|job| (job.run, job.attempt));
        let (hung, trouble, is_messenger) = {
            let mut machines = self.machines.borrow_mut();
            let Some(machine) = machines.get_mut(instance).filter(|one| !one.frozen && !one.cut) else {
                return false;
            };
            let Process::Listening(runner) = machine.process else {
                return false;
            };
            machine.process = Process::Working(runner, job);
            if machine.messenger {
                self.messenger_takes(runner, job);
                works = Duration::from_secs(2);
                machine.hung_job = false;
                machine.outcome = Conclusion::Failure;
            }
            (machine.hung_job, machine.at_the_end.take(), machine.messenger)
        };
        self.runs_nothing_for_a_message(instance, is_messenger);
        if let Some(trouble) = trouble {
            let around = self.dice("at the end", instance.as_str()).seconds(0, 10);
            let after = (works + Duration::from_secs(4)).saturating_sub(around);
            self.engine.plan(after, Happening::Fault(instance.clone(), trouble));
        }
        if !hung {
            self.engine.plan(works, Happening::JobDone(instance.clone(), job));
        }
        let event = match of_run {
            Some((run, attempt)) if !is_messenger => Event::JobStartRequested { run, attempt },
            _ => Event::JobStarted,
        };
        self.feed(instance, event);
        true
    }

    /// Admission of the job was not answered in time: it fails, and has to be re-run.
    pub(crate) fn job_kept(self: &Rc<Self>, instance: &InstanceId) {
        let Process::Working(_, job) = self.process(instance) else {
            return;
        };
        self.job_loses_its_instance(job);
        self.with(instance, |machine| machine.outcome = Conclusion::Failure);
        let done = Happening::JobDone(instance.clone(), job);
        self.engine.plan(Duration::from_secs(1), done);
    }

    /// A messenger took a job, possibly not the one it was sent to.
    fn messenger_takes(&self, messenger: RunnerId, job: JobId) {
        let mut hub = self.hub.borrow_mut();
        let name = hub.runners.get(&messenger).map(|one| one.name.clone());
        let sent_to = name.and_then(|name| claimed_for(&RunnerName::from_registered(&name)?));
        let sent_to = sent_to.and_then(|key| Some((hub.jobs.get(&key.job)?.run, key.attempt)));
        let Some((run, attempt)) = hub.jobs.get(&job).map(|job| (job.run, job.attempt)) else {
            return;
        };
        let is_right = sent_to == Some((run, attempt)) && self.was_given_up(JobKey { job, attempt });
        if let Some(run) = hub.runs.get_mut(&run).filter(|_| !is_right) {
            run.mistaken = true;
        }
        if let Some(job) = hub.jobs.get_mut(&job) {
            job.refused = is_right;
        }
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
        let fails = self.hub.borrow().fails_by_itself(job);
        let outcome = if fails && outcome == Conclusion::Success {
            Conclusion::Failure
        } else {
            outcome
        };
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
        let last_line = None;
        self.feed(instance, Event::RunnerExited { code, last_line });
    }

    pub(crate) fn runner_is_gone(self: &Rc<Self>, instance: &InstanceId, process: Process) {
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

    pub(crate) fn disconnected(&self, runner: RunnerId) {
        if let Some(found) = self.hub.borrow_mut().runners.get_mut(&runner) {
            found.online = false;
            found.offline_since.get_or_insert(self.now());
        }
    }

    /// The registration of a runner is gone.
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
}
