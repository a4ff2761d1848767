//! The promises that are checked from time to time, and at the end.

use std::rc::Rc;
use std::time::Duration;

use dayfly_config::RerunWhat;
use dayfly_ports::JobStatus;
use dayfly_records::event::Conclusion;
use dayfly_records::{CheckContent, CheckRunKey, CheckSubject, JobState, MessengerState, Record, RecordId};
use dayfly_types::ids::{JobKey, RunnerName};
use dayfly_types::time::Timestamp;

use crate::hub::{Hub, Job};
use crate::plan::{InstanceFault, Item, Outage, clock};
use crate::promises::{
    AT_REST, AWAKE, CONTROL, DUE, FEW_CALLS, GITHUB, JOB_OVER, LIFETIME, MINUTE, NOTHING, OFFLINE, RERUN, SERVED,
    STORY, TWICE, VISIBLE,
};
use crate::sim::{Happening, Sim};

/// How long it may take to report a given-up job: a failed report is retried after as long as a pause.
const REPORT_LIMIT: Duration = Duration::from_mins(20);

impl Sim {
    /// Checks the promises that are checked from time to time.
    pub fn inspect(self: &Rc<Self>) {
        let every = self.plan.inspect_every;
        self.engine.plan(every, Happening::Inspect);
        self.instances_end();
        self.registrations_end();
        self.schedule_is_on();
        self.calls_are_few();
        self.given_up_jobs_are_reported();
        self.nothing_is_reserved();
        self.bill_is_capped();
        let hour = Duration::from_secs(3600);
        let since_calm = self.elapsed().saturating_sub(self.plan.calm_from);
        let looked_at = 20 * MINUTE + hour..20 * MINUTE + hour + every.max(MINUTE);
        if looked_at.contains(&since_calm) {
            self.waiting_jobs_are_served();
        }
    }

    pub(crate) fn instances_end(&self) {
        let cloud = self.cloud.borrow();
        let machines = self.machines.borrow();
        let emptied = self.promises.borrow().emptied_at;
        let mut broken = None;
        for one in cloud.living() {
            let id = &one.view.instance;
            let age = self.now().since(one.view.launched_at);
            let machine = machines.get(id);
            let dead = machine.is_none_or(|machine| machine.frozen || machine.never_booted || machine.hostile);
            // Nothing on it moves, or it is hostile: only the control plane can end it, once that
            // works.
            let excused = dead && self.calm_for(&[CONTROL, GITHUB]) < 30 * MINUTE;
            let forgotten = emptied.is_some_and(|at| at >= one.view.launched_at);
            // Then only the patrol can find it, which runs every quarter of an hour.
            let grace = if dead && forgotten { 21 * MINUTE } else { 5 * MINUTE };
            if age > self.plan.lifetime + grace && !excused {
                broken = Some((LIFETIME, format!("{id} is {} old", clock(age))));
            }
            let limit = if forgotten { 26 * MINUTE } else { 10 * MINUTE };
            let over = self.promises.borrow().jobs_over.get(id).copied();
            if let Some(over) = over
                && self.overdue(
                    JOB_OVER,
                    self.now().since(over),
                    limit,
                    if forgotten { &[CONTROL, GITHUB] } else { &[CONTROL] },
                )
            {
                broken = Some((
                    JOB_OVER,
                    format!("{id} lives {} after its job's end", clock(self.now().since(over))),
                ));
            }
        }
        drop((cloud, machines));
        if let Some((promise, why)) = broken {
            self.broken(promise, why);
        }
    }

    pub(crate) fn registrations_end(&self) {
        let hub = self.hub.borrow();
        let round = patrol_round(&hub);
        let left = hub.ours().find(|(_, runner)| {
            let since = runner.offline_since.filter(|_| runner.job.is_none());
            since.is_some_and(|since| self.overdue(OFFLINE, self.now().since(since), round, &[CONTROL, GITHUB]))
        });
        let why = left.map(|(id, runner)| format!("{} ({id}) is offline for more than {}", runner.name, clock(round)));
        drop(hub);
        if let Some(why) = why {
            self.broken(OFFLINE, why);
        }
    }

    pub(crate) fn schedule_is_on(&self) {
        let now = self.now();
        let (earliest, overdue) = {
            let table = self.table.borrow();
            let earliest = table.live().min_by_key(|record| record.due_at());
            let overdue = earliest
                .and_then(Record::due_at)
                .map_or(Duration::ZERO, |at| now.since(at));
            (earliest.map(Record::id), overdue)
        };
        // If nothing fails it is never off, except in the moment in which it is found to be needed.
        let limit = if self.control_never_fails() {
            MINUTE / 3
        } else {
            20 * MINUTE
        };
        let dark = {
            let mut promises = self.promises.borrow_mut();
            if earliest.is_some() && !self.schedule_on.get() {
                Some(*promises.dark_since.get_or_insert(now))
            } else {
                promises.dark_since = None;
                None
            }
        };
        if dark.is_some_and(|since| self.overdue(AWAKE, now.since(since), limit, &[CONTROL])) {
            self.broken(
                AWAKE,
                format!("something lives and the minute schedule is off for {limit:?}"),
            );
        }
        if self.overdue(DUE, overdue, 20 * MINUTE, &[CONTROL, GITHUB]) {
            let which = earliest.map_or_else(String::new, |id| id.to_string());
            self.broken(DUE, format!("{which} is due since {}", clock(overdue)));
        }
    }

    pub(crate) fn control_never_fails(&self) -> bool {
        self.faults.iter().all(|item| match item {
            Item::Outage(kind, ..) => !CONTROL.contains(kind),
            Item::Emptied(_) => false,
            Item::Run(_) | Item::AtSweep(..) | Item::InstanceFault(..) => true,
        })
    }

    pub(crate) fn calls_are_few(&self) {
        let refused = self.promises.borrow().refused;
        let hours = self.elapsed().as_secs() / 3600 + 1;
        if refused > hours {
            self.broken(FEW_CALLS, format!("GitHub refused {refused} calls in {hours} hours"));
        }
        let only_drought = self.faults.iter().all(|item| match item {
            Item::Outage(kind, ..) => !CONTROL.contains(kind) && !GITHUB.contains(kind) && *kind != Outage::BusDouble,
            Item::Emptied(_) => false,
            Item::Run(_) | Item::AtSweep(..) | Item::InstanceFault(..) => true,
        });
        let cloud = self.cloud.borrow();
        let stormed = cloud.stormed.first_key_value().filter(|_| only_drought);
        let why = stormed.map(|(runner, count)| format!("{count} launches of {runner}"));
        drop(cloud);
        if let Some(why) = why {
            self.broken(FEW_CALLS, why);
        }
    }

    /// Whether a job was given up and everything was done to report it.
    pub fn is_reported(&self, job: &Job) -> bool {
        let key = JobKey {
            job: job.id,
            attempt: job.attempt,
        };
        let over = match self.table.borrow().peek(&RecordId::Job(key)) {
            Some(Record::Job(job)) => job.messenger_state == MessengerState::Over,
            _ => false,
        };
        over && self.is_given_up(job)
    }

    /// Whether a job that still waits on GitHub was given up with a reason.
    pub fn is_given_up(&self, job: &Job) -> bool {
        let key = JobKey {
            job: job.id,
            attempt: job.attempt,
        };
        self.was_given_up(key) && job.status == JobStatus::Queued
    }

    /// Whether the table has the job as given up.
    pub fn was_given_up(&self, key: JobKey) -> bool {
        match self.table.borrow().peek(&RecordId::Job(key)) {
            Some(Record::Job(job)) => job.state.is_given_up(),
            _ => false,
        }
    }

    pub(crate) fn waiting_jobs_are_served(&self) {
        let calm_from = self.at(self.plan.calm_from);
        let hub = self.hub.borrow();
        let given_up: Vec<&Job> = hub.jobs.values().filter(|job| self.is_given_up(job)).collect();
        // GitHub assigns a runner to the job that has waited longest: one that not even a messenger
        // could fail takes it from later ones.
        let comes_first = |one: &Job, other: &Job| {
            one.created_at < other.created_at
                && one.labels == other.labels
                && hub.runs[&one.run].repository == hub.runs[&other.run].repository
        };
        let forgotten = hub.jobs.values().find(|job| {
            let failed_at_start = hub.failed_at_start(job);
            let key = JobKey {
                job: job.id,
                attempt: job.attempt,
            };
            let forgotten = job.status == JobStatus::Queued && job.created_at < calm_from && !failed_at_start;
            let forgotten = forgotten && !self.waits_for_its_turn(key);
            forgotten && !self.is_given_up(job) && !given_up.iter().any(|one| comes_first(one, job))
        });
        let why =
            forgotten.map(|job| format!("job {} waits since {}", job.id, clock(self.now().since(job.created_at))));
        drop(hub);
        if let Some(why) = why {
            self.broken(SERVED, why);
        }
    }

    /// Every given-up job has a failed check run with the reason.
    pub(crate) fn given_up_jobs_are_reported(&self) {
        let waiting: Vec<JobKey> = {
            let promises = self.promises.borrow();
            let all = promises.given_up.keys();
            all.filter(|key| !promises.reported.contains(*key)).copied().collect()
        };
        let mut silent = None;
        for key in waiting {
            if self.has_failed_check_run(key) {
                self.promises.borrow_mut().reported.insert(key);
                continue;
            }
            let since = match self.table.borrow().peek(&RecordId::Job(key)) {
                Some(Record::Job(job)) if job.state.is_given_up() => job.ended_at,
                _ => None,
            };
            let late =
                |since: Timestamp| self.overdue(VISIBLE, self.now().since(since), REPORT_LIMIT, &[CONTROL, GITHUB]);
            if since.is_some_and(late) {
                silent = silent.or(Some(key.job));
            }
        }
        if let Some(job) = silent {
            self.broken(VISIBLE, format!("job {job} is given up without a report"));
        }
    }

    /// Whether a failed check run is about a job, alone or among others.
    fn has_failed_check_run(&self, key: JobKey) -> bool {
        let hub = self.hub.borrow();
        let Some(job) = hub.jobs.get(&key.job).filter(|job| job.attempt == key.attempt) else {
            return true;
        };
        let link = format!("/runs/{}/job/{})", job.run, job.id);
        let names = |text: &Option<String>| text.as_ref().is_some_and(|text| text.contains(&link));
        let mut failures = hub.checks.failures();
        failures.any(|check| check.job == Some(key) || (check.job.is_none() && names(&check.body.text)))
    }

    /// Checks what must hold at the end.
    pub fn inspect_end(&self) {
        self.every_job_ended();
        self.interrupted_jobs_ran_again();
        let mut left: Vec<String> = self
            .table
            .borrow()
            .live()
            .map(|record| record.id().to_string())
            .collect();
        left.extend(self.cloud.borrow().living().map(|one| one.view.instance.to_string()));
        left.extend(self.hub.borrow().ours().map(|(_, runner)| runner.name.clone()));
        if self.schedule_on.get() {
            left.push("the minute schedule".to_owned());
        }
        if !left.is_empty() {
            self.broken(NOTHING, left.join(", "));
        }
        self.money_is_right();
        self.stories_are_published();
        let tally = self.tally.borrow();
        let waking: Vec<_> = tally
            .at_rest
            .iter()
            .filter(|(function, _)| **function != crate::lambda::Function::Sweeper)
            .collect();
        let patrols = tally
            .at_rest
            .get(&crate::lambda::Function::Sweeper)
            .copied()
            .unwrap_or(0);
        let most = self.plan.quiet.as_secs() / 900 + 1;
        let why = (!waking.is_empty() || patrols > most).then(|| format!("{waking:?}, {patrols} sweeps and patrols"));
        drop(tally);
        if let Some(why) = why {
            self.broken(AT_REST, why);
        }
        let mut tally = self.tally.borrow_mut();
        tally.histories = 1;
        tally.seconds = self.elapsed().as_secs();
    }

    /// Every job that ran on a runner of ours is in a story, in the end with its cost.
    pub(crate) fn stories_are_published(&self) {
        if self.promises.borrow().emptied_at.is_some() {
            return;
        }
        let (table, hub) = (self.table.borrow(), self.hub.borrow());
        let unreported = hub.jobs.values().find(|job| {
            let key = JobKey {
                job: job.id,
                attempt: job.attempt,
            };
            let ran_on = match table.peek(&RecordId::Job(key)) {
                Some(Record::Job(job)) if job.reporting.check => job.ran_on.clone(),
                _ => None,
            };
            let runner = ran_on.and_then(|name| table.peek(&RecordId::Runner(name)));
            let ran = matches!(runner, Some(Record::Runner(runner)) if runner.message.is_none());
            let id = format!("story-{}/{}", job.run, job.attempt);
            let check_run = table.peek(&RecordId::CheckRun(
                job.run,
                CheckRunKey::new(CheckSubject::Story, job.attempt),
            ));
            let is_part = matches!(check_run, Some(Record::CheckRun(check_run))
                if matches!(&check_run.content, CheckContent::Story { jobs } if jobs.contains(&job.id)));
            let is_published = hub
                .checks
                .of(&id)
                .any(|(_, check)| !check.body.title.contains(" so far "));
            ran && !(is_part && is_published)
        });
        let why = unreported.map(|job| format!("job {} of run {} ran, and its cost was not reported", job.id, job.run));
        drop((table, hub));
        if let Some(why) = why {
            self.broken(STORY, why);
        }
    }

    pub(crate) fn every_job_ended(&self) {
        let hub = self.hub.borrow();
        let open = hub.jobs.values().find(|job| {
            let failed_at_start = hub.failed_at_start(job);
            !job.is_over() && !failed_at_start
        });
        let twice = hub.jobs.values().find(|job| job.starts > 1);
        let why = open.map(|job| format!("job {} is {:?}", job.id, job.status));
        let table = self.table.borrow();
        let unheard = hub.jobs.values().filter(|job| job.is_over()).find_map(|job| {
            let key = JobKey {
                job: job.id,
                attempt: job.attempt,
            };
            match table.peek(&RecordId::Job(key)) {
                // Only webhooks report the end of a job on another's runner.
                Some(Record::Job(record)) if !record.state.is_end() && !runs_elsewhere(&record.state) => {
                    Some(format!("job {} is over, and recorded as {:?}", job.id, record.state))
                }
                _ => None,
            }
        });
        drop(table);
        let twice = twice.map(|job| format!("job {} started {} times", job.id, job.starts));
        drop(hub);
        if let Some(why) = unheard {
            self.broken(NOTHING, why);
        }
        if let Some(why) = why {
            self.broken(SERVED, why);
        }
        if let Some(why) = twice {
            self.broken(TWICE, why);
        }
    }

    /// If only instances failed, an interrupted job was re-run, if its configuration wants and allows
    /// that.
    pub(crate) fn interrupted_jobs_ran_again(&self) {
        let plain = self.plan.items.iter().all(|(_, item)| match item {
            Item::InstanceFault(kind, _) => matches!(
                kind,
                InstanceFault::Interruption | InstanceFault::Rebalance | InstanceFault::Vanish | InstanceFault::Freeze
            ),
            Item::Run(_) | Item::AtSweep(..) => true,
            Item::Outage(kind, ..) => HARMLESS.contains(kind),
            Item::Emptied(_) => false,
        });
        if !plain {
            return;
        }
        let hub = self.hub.borrow();
        let started = self.started.borrow();
        let forgotten = hub.jobs.values().find(|job| {
            let run = &hub.runs[&job.run];
            let config = self.plan.config(&run.repository);
            let left_alone = started
                .get(&job.run)
                .is_some_and(|run| run.cancelled.is_none() && run.rerun.is_none() && !run.startup_failure);
            job.interrupted
                && job.status == JobStatus::Completed(Conclusion::Failure)
                && run.attempt == job.attempt
                && left_alone
                // People may have cancelled what waited beside it for good.
                && run.ended != Some(Conclusion::Cancelled)
                && config.rerun.what != RerunWhat::Never
                && run.in_a_row < config.rerun.max
                && !(config.concurrency && hub.newer_than(job.run).is_some())
        });
        let why = forgotten.map(|job| format!("job {} was interrupted and is not run again", job.id));
        drop((hub, started));
        if let Some(why) = why {
            self.broken(RERUN, why);
        }
    }
}

/// Outages after which an interruption can still be found and its job re-run.
const HARMLESS: &[Outage] = &[
    Outage::Table,
    Outage::Bus,
    Outage::BusLate,
    Outage::BusDouble,
    Outage::LambdaKill,
    Outage::LambdaDies,
    Outage::LambdaThrottle,
    Outage::Ec2,
    Outage::Ec2Throttle,
    Outage::Drought,
    Outage::GitHub,
    Outage::GitHubLimit,
    Outage::WebhookLost,
    Outage::WebhookFailed,
    Outage::WebhookLate,
    Outage::WebhookDouble,
    Outage::AgentLate,
    Outage::SchedulerLate,
    Outage::SchedulerApi,
    Outage::Prices,
    Outage::Alerts,
];

/// How long the patrol needs for a full round: it runs every quarter of an hour, and checks a limited
/// number of recently pushed repositories.
fn patrol_round(hub: &Hub) -> Duration {
    const AT_ONCE: usize = 50;
    let visits = hub.pushed.len().div_ceil(AT_ONCE).max(1);
    u32::try_from(visits).unwrap_or(u32::MAX) * 15 * MINUTE + 5 * MINUTE
}

/// Whether a job runs on a runner that is not ours.
fn runs_elsewhere(state: &JobState) -> bool {
    matches!(state, JobState::Running { runner } if RunnerName::from_registered(runner).is_none())
}
