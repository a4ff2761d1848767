//! The effects of the functions' calls.

use std::rc::Rc;
use std::time::Duration;

use dayfly_config::labels::Label;
use dayfly_engine::runner::interruption::Ec2Signal;
use dayfly_ports::{
    FailedDelivery, FleetAnswer, FleetError, FleetErrorKind, FleetRequest, JitConfig, JobView, Minted, Removal,
    RerunAnswer, RunnerView, Scope,
};
use dayfly_records::CheckRunBody;
use dayfly_records::{Change, Record};
use dayfly_report::check_run;
use dayfly_types::capacity::InstanceLifecycle;
use dayfly_types::ids::{CheckRunId, CommentId, DeliveryId, InstanceId, JobId, RunId, RunnerId};
use secrecy::SecretString;

use crate::checks::Check;
use crate::cloud::{self, Drought};
use crate::dice::Dice;
use crate::guards::Guard;
use crate::hub::{Comment, Run, Runner};
use crate::plan::{InstanceFault, Outage};
use crate::sim::{Happening, Sim};

/// The promise of a pull request's comment.
const ONE_COMMENT: &str = "a pull request has one comment of ours at most";

/// The promise of a check run's creation.
const CREATED_ONCE: &str = "a check run is of a job that there is, and is made once";

impl Sim {
    /// Writes to the table. Returns whether it was written.
    pub fn commit(self: &Rc<Self>, changes: Vec<Change>, dice: &mut Dice) -> bool {
        let changes = self.guarded(changes);
        let shown_at = self.now().after(dice.millis(0, 900));
        let blind = self.writes_blindly(&changes);
        let Some(written) = self.table.borrow_mut().commit(changes, shown_at, blind) else {
            self.tally.borrow_mut().conflicts += 1;
            return false;
        };
        for one in &written {
            self.record_written(one);
        }
        self.budgets_hold(&written);
        true
    }

    /// Removes from the changes what a disabled guard would have written.
    fn guarded(&self, mut changes: Vec<Change>) -> Vec<Change> {
        if !self.has(Guard::Dedupe) {
            changes.retain(|change| !matches!(change.record, Record::Delivery(_)));
        }
        if !self.has(Guard::Tombstone) {
            changes.retain(|change| {
                let tombstone = matches!(&change.record, Record::Job(job) if job.state.is_end());
                !(tombstone && change.expected.is_none())
            });
        }
        if !self.has(Guard::Gate) {
            let table = self.table.borrow();
            for change in &mut changes {
                if matches!(change.record, Record::Gate(_)) {
                    change.expected = table.version(&change.record.id());
                }
            }
        }
        self.ledgers_guarded(&mut changes);
        if !self.has(Guard::RerunCount) {
            for change in &mut changes {
                if let Record::Run(run) = &mut change.record {
                    run.our_reruns = 0;
                }
            }
        }
        changes
    }

    fn writes_blindly(&self, changes: &[Change]) -> bool {
        let wake = changes.iter().any(|change| matches!(change.record, Record::Wake(_)));
        !self.has(Guard::ConditionalClaim) && !wake || !self.has(Guard::QuietRecheck) && wake
    }

    /// Launches instances, or fails.
    ///
    /// # Errors
    /// The token came with another request, whose record was lost with the table.
    pub fn create_fleet(self: &Rc<Self>, request: &FleetRequest, dice: &mut Dice) -> Result<FleetAnswer, FleetError> {
        self.may_be_bought(request);
        let drought = self.drought(request.lifecycle, dice);
        let forget = !self.has(Guard::ClientToken);
        let created = self
            .cloud
            .borrow_mut()
            .create(request, &drought, forget, dice, self.now());
        match created {
            Ok((answer, new)) => {
                for instance in &new {
                    self.note("launched", instance.as_str(), || format!("by {}", request.fleet));
                    self.launched(instance);
                    let runs = self.cloud.borrow().instances.get(instance).map(|one| one.running_at);
                    let wait = runs.map_or(Duration::ZERO, |at| at.since(self.now()));
                    self.engine.plan(wait, Happening::Runs(instance.clone()));
                }
                if !new.is_empty() {
                    let living = self.cloud.borrow().living().count();
                    let mut tally = self.tally.borrow_mut();
                    tally.at_once = tally.at_once.max(living);
                    drop(tally);
                    self.launch_was_due(request);
                    self.is_within_limits();
                }
                Ok(answer)
            }
            Err(why) => {
                if self.promises.borrow().emptied_at.is_none() {
                    self.broken("a repeated CreateFleet says the same", why);
                }
                Err(cloud::error(FleetErrorKind::TokenUsed, "IdempotentParameterMismatch"))
            }
        }
    }

    /// Returns the currently empty pools: a pool stays empty for some minutes.
    fn drought(&self, lifecycle: InstanceLifecycle, dice: &mut Dice) -> Drought {
        let kind = match lifecycle {
            InstanceLifecycle::Spot => Outage::Drought,
            InstanceLifecycle::OnDemand => Outage::NoOnDemand,
        };
        let salt = self.plan.seed ^ (self.elapsed().as_secs() / 240) << 8 ^ kind as u64;
        if self.hit(Outage::NoQuota, dice) {
            return Drought {
                dry: 1.0,
                error: (FleetErrorKind::Quota, "MaxSpotInstanceCountExceeded"),
                ..Drought::none()
            };
        }
        if !self.hit(kind, dice) {
            return Drought::none();
        }
        Drought {
            dry: *dice.one_of(&[1.0, 1.0, 0.5]),
            salt,
            partial: *dice.one_of(&[0.0, 0.3]),
            ..Drought::none()
        }
    }

    /// The control plane terminates an instance.
    pub fn terminated_by_us(self: &Rc<Self>, instance: &InstanceId) {
        self.ended_by_us(instance);
        if let Some(one) = self.cloud.borrow_mut().instances.get_mut(instance) {
            one.ended_by_us |= one.ended_at.is_none();
        }
        self.instance_ends(instance, "terminated by the control plane");
    }

    /// An instance ends, and EC2 reports it.
    pub fn instance_ends(self: &Rc<Self>, instance: &InstanceId, why: &'static str) {
        if !self.cloud.borrow_mut().end(instance, self.now()) {
            return;
        }
        self.note("instance ends", instance.as_str(), || why.to_owned());
        self.machine_is_gone(instance);
        self.ec2_tells(instance, Ec2Signal::Ended);
    }

    /// EC2 reclaims an instance that has not ended yet.
    pub fn reclaimed(self: &Rc<Self>, instance: &InstanceId) {
        if let Some(one) = self.cloud.borrow_mut().instances.get_mut(instance) {
            one.ended_by_ec2 = one.ended_at.is_none();
        }
        self.instance_ends(instance, "taken by EC2");
    }

    /// An instance runs, unless it has ended before.
    pub fn instance_runs(self: &Rc<Self>, instance: &InstanceId) {
        let runs = self
            .cloud
            .borrow()
            .instances
            .get(instance)
            .is_some_and(|one| one.ended_at.is_none());
        if runs {
            self.ec2_tells(instance, Ec2Signal::Running);
        }
    }

    /// EC2 puts an event about an instance on its bus, unless it is lost.
    pub fn ec2_tells(self: &Rc<Self>, instance: &InstanceId, word: Ec2Signal) {
        let mut dice = self.dice("ec2 tells", &format!("{instance} {word:?}"));
        if !self.hit(Outage::Ec2EventsLost, &mut dice) {
            let wait = dice.seconds(0, 15);
            self.engine
                .plan(wait, Happening::Ec2Tells(instance.clone(), word, self.now()));
        }
    }

    /// Registers a runner.
    pub fn mint(self: &Rc<Self>, name: &str, scope: &Scope, labels: &[Label]) -> Minted {
        self.registers();
        match self.hub.borrow_mut().register(name, scope, labels, self.now()) {
            None => Minted::NameTaken,
            Some(runner) => {
                self.note("registered", name, || runner.to_string());
                Minted::Config(JitConfig {
                    runner,
                    encoded: SecretString::from(runner.to_string()),
                })
            }
        }
    }

    /// Returns GitHub's list of the runners that `wanted` picks.
    pub fn listed(&self, dice: &mut Dice, wanted: impl Fn(&Runner) -> bool) -> Vec<RunnerView> {
        let false_idle = self.rate(InstanceFault::FalseIdle);
        let hub = self.hub.borrow();
        let found = hub.runners.iter().filter(|(_, runner)| wanted(runner));
        found
            .map(|(id, runner)| RunnerView {
                id: *id,
                name: runner.name.clone(),
                busy: runner.job.is_some() && !dice.happens(false_idle),
                online: runner.online,
            })
            .collect()
    }

    /// Removes a runner, unless it runs a job.
    pub fn remove_runner(self: &Rc<Self>, runner: RunnerId) -> Removal {
        let Some(found) = self.hub.borrow().runners.get(&runner).cloned() else {
            return Removal::Removed;
        };
        if found.job.is_some() {
            if self.has(Guard::RunnerFirst) {
                return Removal::Busy;
            }
            return Removal::Removed;
        }
        self.note("runner removed", &found.name, String::new);
        self.unregistered(runner);
        Removal::Removed
    }

    /// Returns a job as GitHub describes it.
    pub fn job_as_asked(&self, job: JobId) -> Option<JobView> {
        let mut view = self.hub.borrow().view(job)?;
        if !self.has(Guard::AskFirst) {
            view.status = dayfly_ports::JobStatus::Queued;
        }
        Some(view)
    }

    /// Re-runs a run's jobs.
    pub fn rerun_by_us(self: &Rc<Self>, run: RunId, only: Option<JobId>) -> RerunAnswer {
        let (ended, still_runs) = match self.hub.borrow().runs.get(&run) {
            Some(of) => (of.ended, self.seems_to_run(run, of)),
            None => (None, false),
        };
        if still_runs {
            return RerunAnswer::StillRunning;
        }
        let jobs = self.hub.borrow_mut().rerun(run, only, self.now());
        let Some(jobs) = jobs else {
            return RerunAnswer::StillRunning;
        };
        self.note("re-run", &run.to_string(), || format!("{} jobs, by us", jobs.len()));
        if let Some(run) = self.hub.borrow_mut().runs.get_mut(&run) {
            run.our_reruns += 1;
            run.in_a_row += 1;
        }
        self.rerun_was_due(run, ended);
        self.jobs_queued(&jobs);
        RerunAnswer::Accepted
    }

    /// Creates a check run.
    pub fn make_check(self: &Rc<Self>, scope: &Scope, check: &CheckRunBody) -> CheckRunId {
        let made = Check {
            job: check_run::job_of_external_id(&check.external_id),
            repository: scope.repository.clone(),
            body: check.clone(),
            made_at: self.now(),
            changed_at: self.now(),
        };
        // An emptied table does not know what was published.
        let forgot = self.promises.borrow().emptied_at.is_some();
        if let Some(why) = self.hub.borrow().needless(&made).filter(|_| !forgot) {
            self.broken(CREATED_ONCE, why);
        }
        self.writes_content();
        let id = self.hub.borrow_mut().checks.make(made);
        self.note("check made", &check.external_id, || check.title.clone());
        id
    }

    /// Updates a check run, as far as GitHub allows. Returns whether it exists.
    pub fn change_check(self: &Rc<Self>, id: CheckRunId, check: &CheckRunBody) -> bool {
        self.writes_content();
        if !self.hub.borrow_mut().checks.change(id, check, self.now()) {
            return false;
        }
        // It may no longer report the jobs it did.
        self.promises.borrow_mut().reported.clear();
        self.note("check changed", &check.external_id, || check.title.clone());
        true
    }

    /// Creates a comment on a pull request.
    pub fn make_comment(self: &Rc<Self>, scope: &Scope, pull: u64, text: &str) -> CommentId {
        let made = Comment {
            repository: scope.repository.clone(),
            pull,
            text: text.to_owned(),
        };
        let place = format!("{}#{pull}", made.repository);
        let same = |one: &Comment| one.repository == made.repository && one.pull == pull;
        if self.hub.borrow().comments.values().any(same) {
            self.broken(ONE_COMMENT, format!("`{place}` has one already"));
        }
        self.writes_content();
        let id = self.hub.borrow_mut().make_comment(made);
        self.note("comment made", &place, || {
            text.lines().nth(1).unwrap_or_default().to_owned()
        });
        id
    }

    /// Updates a comment. Returns whether it exists.
    pub fn change_comment(self: &Rc<Self>, id: CommentId, text: &str) -> bool {
        self.writes_content();
        let mut hub = self.hub.borrow_mut();
        let Some(known) = hub.comments.get_mut(&id) else {
            return false;
        };
        text.clone_into(&mut known.text);
        let place = format!("{}#{}", known.repository, known.pull);
        self.note("comment changed", &place, || {
            text.lines().nth(1).unwrap_or_default().to_owned()
        });
        true
    }

    /// Cancels a run.
    pub fn cancelled_by_us(self: &Rc<Self>, run: RunId) {
        if let Some(run) = self.hub.borrow_mut().runs.get_mut(&run) {
            run.our_cancels += 1;
        }
        self.cancelled(run);
    }

    /// Whether GitHub refuses a re-run although it has reported the run's end: its parts learn of that
    /// one after the other.
    fn seems_to_run(&self, id: RunId, run: &Run) -> bool {
        let mut dice = self.dice("still running", &format!("{id}/{}", run.attempt));
        let lags = dice.happens(0.3);
        let learns_after = dice.seconds(5, 240);
        lags && run.ended_at.is_some_and(|at| self.now().since(at) < learns_after)
    }

    /// Returns the failed delivery tries.
    pub fn failed_deliveries(&self, after: u64, limit: usize) -> Vec<FailedDelivery> {
        if !self.has(Guard::Redelivery) {
            return Vec::new();
        }
        let hub = self.hub.borrow();
        let oldest = Duration::from_secs(3 * 24 * 3600);
        let failed = hub.failed.iter().rev();
        failed
            .take_while(|one| one.number > after && self.now().since(one.at) < oldest)
            .take(limit)
            .map(|one| FailedDelivery {
                number: one.number,
                delivery: DeliveryId::new(hub.deliveries[one.delivery].id.clone()),
                at: one.at,
            })
            .collect()
    }

    /// Redelivers a webhook.
    pub fn redeliver(self: &Rc<Self>, number: u64) {
        let delivery = {
            let hub = self.hub.borrow();
            hub.failed
                .iter()
                .find(|one| one.number == number)
                .map(|one| one.delivery)
        };
        if let Some(delivery) = delivery {
            self.engine.plan(Duration::from_secs(1), Happening::Deliver(delivery));
        }
    }
}
