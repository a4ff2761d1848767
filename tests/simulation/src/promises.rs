//! The promises, checked wherever they could be broken.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use dayfly_engine::launch::fleet;
use dayfly_ports::{FleetRequest, JobStatus};
use dayfly_records::steps::{JobKind, JobStep, LifecycleStep, RerunKind, RunStep};
use dayfly_records::{FleetCall, JobState, Record, RecordId, Runner, RunnerState};
use dayfly_types::ids::{FleetId, InstanceId, JobId, JobKey, QueueId, RunAttempt, RunnerName};
use dayfly_types::time::Timestamp;

use crate::machine::Process;
use crate::plan::{Item, Outage, clock};
use crate::sim::Sim;
use crate::table::Written;

mod reruns;
mod texts;

pub use texts::*;

pub(crate) const MINUTE: Duration = Duration::from_secs(60);

/// The outages that affect the control plane.
pub(crate) const CONTROL: &[Outage] = &[
    Outage::Table,
    Outage::Bus,
    Outage::BusLate,
    Outage::LambdaKill,
    Outage::LambdaDies,
    Outage::LambdaThrottle,
    Outage::Ec2,
    Outage::Ec2Throttle,
    Outage::SchedulerLate,
    Outage::SchedulerApi,
    Outage::Prices,
    Outage::Alerts,
];

/// The outages that also affect everything about GitHub.
pub(crate) const GITHUB: &[Outage] = &[Outage::GitHub, Outage::GitHubLimit];

/// The faults that keep the end of a job or its runner from being reported.
const LAST_WORDS: &[Outage] = &[
    Outage::AgentLate,
    Outage::WebhookLost,
    Outage::WebhookFailed,
    Outage::WebhookLate,
];

/// A broken promise.
#[derive(Clone, Debug)]
pub struct Broken {
    pub promise: &'static str,
    pub why: String,
    /// When, after the beginning.
    pub at: Duration,
}

/// How often a runner goes through its launch tries at most: the waits grow, and it is given up in the
/// end.
const MOST_ROUNDS: u32 = 6;

const HOUR: Duration = Duration::from_secs(3600);

/// GitHub's limit of calls per hour.
///
/// <https://docs.github.com/en/rest/using-the-rest-api/rate-limits-for-the-rest-api>
const CALLS_AN_HOUR: u64 = 5000;

/// The history that promises are judged by.
pub struct Promises {
    /// The first broken promise.
    pub broken: Option<Broken>,
    pub(crate) settled: BTreeMap<JobKey, Timestamp>,
    pub(crate) dark_since: Option<Timestamp>,
    pub(crate) emptied_at: Option<Timestamp>,
    github_calls: (Timestamp, u64),
    limited_until: Option<Timestamp>,
    pub(crate) refused: u64,
    /// When the last call of each queue was begun, and whether it was full.
    called: BTreeMap<QueueId, (Timestamp, bool)>,
    pub(crate) jobs_over: BTreeMap<InstanceId, Timestamp>,
    /// The given-up jobs, each with whether it was refused.
    pub(crate) given_up: BTreeMap<JobKey, bool>,
    /// The given-up jobs that were seen reported.
    pub(crate) reported: BTreeSet<JobKey>,
    /// How often each alert was sent to the owner.
    pub(crate) alerts: BTreeMap<String, u32>,
}

impl Default for Promises {
    fn default() -> Self {
        Self {
            broken: None,
            settled: BTreeMap::new(),
            dark_since: None,
            emptied_at: None,
            github_calls: (Timestamp::from_millis(0), 0),
            limited_until: None,
            refused: 0,
            called: BTreeMap::new(),
            jobs_over: BTreeMap::new(),
            given_up: BTreeMap::new(),
            reported: BTreeSet::new(),
            alerts: BTreeMap::new(),
        }
    }
}

impl Promises {
    /// The table was emptied.
    pub fn table_emptied(&mut self, now: Timestamp) {
        self.emptied_at = Some(now);
        self.settled.clear();
    }

    /// The end of a job was recorded.
    pub fn end_settled(&mut self, job: JobKey, now: Timestamp) {
        self.settled.entry(job).or_insert(now);
    }

    /// Counts a call to GitHub. Returns how long to wait if the hour's calls are used up: the adapter
    /// remembers that, and calls no more until then.
    pub fn ask_github(&mut self, now: Timestamp) -> Option<Duration> {
        if let Some(wait) = self
            .limited_until
            .map(|until| until.since(now))
            .filter(|wait| !wait.is_zero())
        {
            return Some(wait);
        }
        let (since, calls) = self.github_calls;
        let over = now.since(since) >= HOUR;
        self.github_calls = if over { (now, 1) } else { (since, calls + 1) };
        if self.github_calls.1 < CALLS_AN_HOUR {
            return None;
        }
        self.refused += 1;
        self.limited_until = Some(self.github_calls.0.after(HOUR));
        Some(HOUR)
    }
}

impl Sim {
    /// A promise is broken.
    pub fn broken(&self, promise: &'static str, why: String) {
        let at = self.elapsed();
        self.note("BROKEN", promise, || why.clone());
        let mut promises = self.promises.borrow_mut();
        promises.broken.get_or_insert(Broken { promise, why, at });
    }

    /// How long none of these outages has lasted.
    pub(crate) fn calm_for(&self, kinds: &[&[Outage]]) -> Duration {
        let now = self.elapsed();
        let ends = self.faults.iter().filter_map(|item| match item {
            Item::Outage(kind, from, to, _) if *from <= now && kinds.iter().any(|some| some.contains(kind)) => {
                Some((*to).min(now))
            }
            _ => None,
        });
        now.saturating_sub(ends.max().unwrap_or(Duration::ZERO))
    }

    /// Whether a condition that began this long ago, and without which a promise does not hold, should be
    /// over, given the outages that affect it.
    pub(crate) fn overdue(&self, promise: &'static str, since: Duration, limit: Duration, kinds: &[&[Outage]]) -> bool {
        let calm = self.calm_for(kinds);
        let limited = self.promises.borrow().limited_until;
        // As good as an outage: GitHub accepts no more calls in this hour.
        let refused = limited.is_some_and(|until| self.now() < until.after(limit)) && kinds.contains(&GITHUB);
        if !refused {
            let lasted = since.min(calm);
            self.tally
                .borrow_mut()
                .recoveries
                .lasted(self.plan.seed, promise, lasted);
        }
        since > limit && calm > limit && !refused
    }

    /// A record was written.
    pub fn record_written(&self, written: &Written) {
        let before = written.before.as_ref().map(|kept| &kept.record);
        let Some(after) = written.after.as_ref().map(|kept| &kept.record) else {
            return;
        };
        match (before, after) {
            (Some(Record::Runner(before)), Record::Runner(after)) => {
                if (before.state, before.step) != (after.state, after.step) {
                    self.took(Some(before.state), after.step, after.state);
                    self.note("runner", after.name.as_str(), || {
                        format!(
                            "{:?} -> {:?} ({:?}), {:?}",
                            before.state, after.state, after.step, after.ending
                        )
                    });
                }
                if before.wanted_by != after.wanted_by {
                    self.note("swapped", after.name.as_str(), || {
                        format!("now for job {}", after.wanted_by)
                    });
                }
                self.runner_written(after);
            }
            (None, Record::Runner(after)) => {
                self.took(None, after.step, after.state);
                self.note("runner", after.name.as_str(), || format!("{:?}", after.state));
                self.runner_written(after);
            }
            (None, Record::FleetCall(call)) => self.call_begun(call),
            (_, Record::Instance(after)) => self.instance_given(&after.instance, &after.runner),
            (before, Record::Job(after)) => {
                let from = match before {
                    Some(Record::Job(before)) => Some(JobKind::from(&before.state)),
                    _ => None,
                };
                self.went::<JobStep>(from, JobKind::from(&after.state));
                if let Some(runner) = after.runner.as_ref().filter(|_| after.state == JobState::Launching) {
                    self.claimed(before, runner);
                }
                if from != Some(JobKind::from(&after.state)) {
                    self.given_up_after_all(after);
                    self.note("job", &after.key.to_string(), || {
                        format!("{from:?} -> {:?}, runner {:?}", after.state, after.runner)
                    });
                }
                if after.state.is_given_up() {
                    let refused = matches!(after.state, JobState::Refused { .. });
                    self.promises.borrow_mut().given_up.insert(after.key, refused);
                }
                if after.state == JobState::Queued && after.due_at.is_none() {
                    self.broken(DUE, format!("job {} waits and is not due", after.key));
                }
            }
            (before, Record::Run(after)) => {
                let from = match before {
                    Some(Record::Run(before)) => Some(RerunKind::from(&before.rerun)),
                    _ => None,
                };
                let to = RerunKind::from(&after.rerun);
                self.went::<RunStep>(from, to);
                self.note("run", &after.key.to_string(), || format!("{:?}", after.rerun));
                if matches!(to, RerunKind::NotYet | RerunKind::Intended) && after.due_at.is_none() {
                    self.broken(DUE, format!("run {} is not settled and not due", after.key));
                }
            }
            _ => {}
        }
    }

    fn took<S: LifecycleStep>(&self, from: Option<S::State>, step: S, to: S::State) {
        let leads = from.map_or(step.from().is_empty(), |from| step.leads_from(from));
        if !leads || step.to() != to {
            self.broken(TABLE, format!("{step:?} led from {from:?} to {to:?}"));
        }
        self.tally.borrow_mut().step(from, step);
    }

    /// A record without its step went from one state to another.
    fn went<S: LifecycleStep>(&self, from: Option<S::State>, to: S::State) {
        if from == Some(to) {
            return;
        }
        let leads =
            |from: Option<S::State>, step: &S| from.map_or(step.from().is_empty(), |from| step.leads_from(from));
        let one = S::ALL.iter().find(|step| leads(from, step) && step.to() == to);
        if let Some(step) = one {
            self.tally.borrow_mut().step(from, *step);
            return;
        }
        // A record that is created and changed at once is written once.
        let made = S::ALL.iter().filter(|_| from.is_none()).find_map(|made| {
            let next = S::ALL
                .iter()
                .find(|next| leads(Some(made.to()), next) && next.to() == to);
            next.filter(|_| made.from().is_empty()).map(|next| (*made, *next))
        });
        match made {
            Some((made, next)) => {
                let mut tally = self.tally.borrow_mut();
                tally.step(None, made);
                tally.step(Some(made.to()), next);
            }
            None => self.broken(TABLE, format!("no step leads from {from:?} to {to:?}")),
        }
    }

    fn runner_written(&self, runner: &Runner) {
        if runner.is_live() && runner.due_at.is_none() {
            self.broken(DUE, format!("runner {} lives and is not due", runner.name));
        }
        let instance = runner.instance().filter(|_| !runner.is_live());
        let lives = |id: &InstanceId| {
            let cloud = self.cloud.borrow();
            cloud.instances.get(id).is_some_and(|one| one.ended_at.is_none())
        };
        if let Some(instance) = instance.filter(|id| lives(id)) {
            self.broken(GONE, format!("runner {} is gone and {instance} lives", runner.name));
        }
        if runner.plan.round > MOST_ROUNDS {
            self.broken(
                FEW_CALLS,
                format!("{} rounds of launches of {}", runner.plan.round, runner.name),
            );
        }
    }

    /// A runner was claimed for a job, which must have no other that is on its way or waits for it.
    fn claimed(&self, before: Option<&Record>, runner: &RunnerName) {
        let Some(Record::Job(job)) = before else { return };
        let Some(earlier) = job.runner.as_ref().filter(|earlier| *earlier != runner) else {
            return;
        };
        let table = self.table.borrow();
        let Some(Record::Runner(found)) = table.peek(&RecordId::Runner(earlier.clone())) else {
            return;
        };
        let free = found.job.is_none()
            && found.wanted_by == job.key
            && matches!(
                found.state,
                RunnerState::Requested | RunnerState::Launched | RunnerState::Enrolled
            );
        let why = free.then(|| format!("job {} has {earlier} ({:?}) and gets {runner}", job.key, found.state));
        drop(table);
        if let Some(why) = why {
            self.broken(ONE, why);
        }
    }

    /// A call is about to be made: waiting jobs of the same kind are launched together, so it comes no
    /// sooner after the last one than others may follow, unless one of the two is full: the last one then had no
    /// room for those of this one, which have waited long enough.
    fn call_begun(&self, call: &FleetCall) {
        let is_full = call.runners.len() >= fleet::MOST;
        let this = (call.requested_at, is_full);
        let last = self.promises.borrow_mut().called.insert(call.queue.clone(), this);
        let soon = |(at, was_full): (Timestamp, bool)| !was_full && call.requested_at.since(at) < fleet::GATHER / 2;
        if last.is_some_and(soon) && !is_full {
            self.broken(
                TOGETHER,
                format!("{} comes right after another of {}", call.id, call.queue),
            );
        }
    }

    /// Instances were launched by a call.
    pub fn launch_was_due(&self, request: &FleetRequest) {
        let cloud = self.cloud.borrow();
        let living = cloud
            .living()
            .filter(|one| one.view.fleet.as_ref() == Some(&request.fleet));
        let count = living.count();
        drop(cloud);
        if count > request.count as usize {
            self.broken(
                ONE,
                format!(
                    "{} was to launch {} and has launched {count}",
                    request.fleet, request.count
                ),
            );
        }
        let call = match self.table.borrow().peek(&RecordId::FleetCall(request.fleet.clone())) {
            Some(Record::FleetCall(call)) => call.clone(),
            _ => return,
        };
        for runner in &call.runners {
            self.claim_was_due(runner);
            self.is_in_call(runner, &request.fleet);
        }
    }

    /// A call has launched for a runner, which must be in no other call, and hold its slot and its reservation.
    fn is_in_call(&self, name: &RunnerName, call: &FleetId) {
        let (state, other) = match self.table.borrow().peek(&RecordId::Runner(name.clone())) {
            Some(Record::Runner(runner)) => (runner.state, runner.fleet.clone()),
            _ => return,
        };
        if state == RunnerState::Gone || other.as_ref() != Some(call) {
            self.broken(
                ONE,
                format!("{call} launched for {name}, which is {state:?} and in {other:?}"),
            );
        }
    }

    /// A runner is launched: its job was not known to be over when it was claimed.
    fn claim_was_due(&self, runner: &RunnerName) {
        let claimed_at = match self.table.borrow().peek(&RecordId::Runner(runner.clone())) {
            Some(Record::Runner(found)) => Some(found.requested_at),
            _ => None,
        };
        if let Some((job, at)) = claimed_for(runner).zip(claimed_at) {
            let settled = self.promises.borrow().settled.get(&job).copied();
            if settled.is_some_and(|settled| settled < at) {
                self.broken(
                    NEEDED,
                    format!("{runner} was claimed for job {job}, whose end was settled before"),
                );
            }
        }
    }

    /// An instance was given to a runner, which must have no other living one.
    fn instance_given(&self, instance: &InstanceId, runner: &RunnerName) {
        let table = self.table.borrow();
        let cloud = self.cloud.borrow();
        let twin = cloud
            .living()
            .filter(|one| one.view.instance != *instance)
            .find(|one| match table.peek(&RecordId::Instance(one.view.instance.clone())) {
                Some(Record::Instance(other)) => other.runner == *runner,
                _ => false,
            })
            .map(|one| one.view.instance.clone());
        drop(cloud);
        drop(table);
        if let Some(twin) = twin {
            self.broken(ONE, format!("{runner} has {twin} and {instance}"));
        }
    }

    /// The control plane, or the agent, ends an instance or its runner.
    pub fn ended_by_us(&self, instance: &InstanceId) {
        let machines = self.machines.borrow();
        let Some(machine) = machines.get(instance) else { return };
        let Process::Working(_, job) = machine.process else {
            return;
        };
        if machine.frozen || machine.condemned {
            return;
        }
        let heard = machine.heard_at;
        drop(machines);
        let job_runs = self
            .hub
            .borrow()
            .jobs
            .get(&job)
            .is_some_and(|job| job.status == JobStatus::InProgress && !job.cancelled);
        let cloud = self.cloud.borrow();
        let Some(one) = cloud.instances.get(instance).filter(|_| job_runs) else {
            return;
        };
        let age = self.now().since(one.view.launched_at);
        let silent = self.now().since(heard.unwrap_or(one.view.launched_at));
        let second = Duration::from_secs(1);
        let may = one.ended_at.is_some()
            || one.notice_at.is_some()
            || age + MINUTE / 2 >= self.plan.lifetime
            || silent + second >= Duration::from_secs(300);
        drop(cloud);
        if let Some(machine) = self.machines.borrow_mut().get_mut(instance) {
            machine.condemned = true;
        }
        if !may {
            self.broken(BUSY, format!("{instance} ran job {job} and was {} old", clock(age)));
        }
    }

    /// A job that ran on an instance is over.
    pub fn job_has_ended(&self, job: JobId) {
        let instance = self.hub.borrow().jobs.get(&job).and_then(|job| job.instance.clone());
        if let Some(instance) = instance {
            self.promises.borrow_mut().jobs_over.insert(instance, self.now());
        }
    }
}

/// Returns the job that a runner was claimed for, from its name.
pub(crate) fn claimed_for(runner: &RunnerName) -> Option<JobKey> {
    let mut parts = runner.as_str().split('-').skip(1);
    Some(JobKey {
        job: JobId(parts.next()?.parse().ok()?),
        attempt: RunAttempt(parts.next()?.parse().ok()?),
    })
}
