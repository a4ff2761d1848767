//! Promises on purchases: on-demand capacity only where it is allowed and before a job is given up, and
//! a messenger's instance for its message alone.

use dayfly_config::{Config, Fallback, RerunOnDemand};
use dayfly_ports::{FleetErrorKind, FleetRequest};
use dayfly_records::{Job, JobState, Record, RecordId};
use dayfly_types::capacity::InstanceLifecycle;
use dayfly_types::ids::{InstanceId, InstanceType, Repository};
use dayfly_types::money::MicroDollars;

use crate::money::{self, WORST};
use crate::promises::{LADDER, MESSAGE, PERMITTED};
use crate::sim::Sim;

/// Returns the instance types of messengers.
pub(crate) fn messenger_types() -> Vec<InstanceType> {
    Config::messenger().map(|spec| spec.instance_types).unwrap_or_default()
}

impl Sim {
    /// EC2 is asked for instances: on demand only if the repository allows that.
    pub(crate) fn may_be_bought(&self, request: &FleetRequest) {
        let repository = &request.scope.repository;
        let types = messenger_types();
        let for_messages = request
            .placements
            .iter()
            .all(|one| types.contains(&one.pool.instance_type));
        let on_demand = request.lifecycle == InstanceLifecycle::OnDemand;
        if on_demand && !for_messages && !self.may_be_on_demand(repository) {
            let why = format!("{} is on demand, which {repository} never allowed", request.fleet);
            self.broken(PERMITTED, why);
        }
        self.worst_is_set_aside(request);
    }

    /// For each runner of a call, the most that its instance can cost on demand in its lifetime is
    /// reserved.
    fn worst_is_set_aside(&self, request: &FleetRequest) {
        let always_capped = self.plan.caps.any() && self.caps_stay();
        if !always_capped || self.promises.borrow().emptied_at.is_some() {
            return;
        }
        let table = self.table.borrow();
        let Some(Record::FleetCall(call)) = table.peek(&RecordId::FleetCall(request.fleet.clone())) else {
            return;
        };
        let types = request.placements.iter().map(|one| &one.pool.instance_type);
        let runners = call
            .runners
            .iter()
            .filter_map(|name| table.peek(&RecordId::Runner(name.clone())));
        let mut live = runners.filter_map(|record| match record {
            Record::Runner(runner) if runner.is_live() => Some(runner),
            _ => None,
        });
        let most = money::most_of_an_hour(types);
        let short = live.find_map(|runner| {
            let needed = most.per_hour_over(runner.max_lifetime(&self.deadlines));
            let shares = runner.reserved.iter().flat_map(|reserved| &reserved.shares);
            let held: MicroDollars = shares.map(|(_, share)| *share).sum();
            (held < needed).then(|| format!("{held} is set aside for {}, which may cost {needed}", runner.name))
        });
        drop(table);
        if let Some(why) = short {
            self.broken(WORST, why);
        }
    }

    fn may_be_on_demand(&self, repository: &Repository) -> bool {
        let config = self.plan.config(repository);
        let reruns = config.rerun.max > 0 && config.rerun.on_demand != RerunOnDemand::Never;
        config.fallback == Fallback::OnDemand || config.breaker.is_some() || reruns
    }

    /// A job is given up: not for lack of spot capacity if it may run on demand.
    pub(crate) fn given_up_after_all(&self, job: &Job) {
        if !matches!(job.state, JobState::Unlaunchable { .. }) {
            return;
        }
        let Some(name) = job.runner.clone() else { return };
        let tried = match self.table.borrow().peek(&RecordId::Runner(name)) {
            Some(Record::Runner(runner)) if runner.launched.is_none() => runner.tried.clone(),
            _ => return,
        };
        let allowed = self.plan.config(&job.repository).fallback == Fallback::OnDemand;
        let dry = tried.iter().any(|one| one.kind == FleetErrorKind::Capacity);
        let on_demand = tried.iter().any(|one| one.lifecycle == InstanceLifecycle::OnDemand);
        if allowed && dry && !on_demand {
            self.broken(LADDER, format!("job {} was never tried on demand", job.key));
        }
    }

    /// A runner takes a job: on a messenger's instance only to fail it.
    pub(crate) fn runs_nothing_for_a_message(&self, instance: &InstanceId, is_messenger: bool) {
        let cloud = self.cloud.borrow();
        let of_type = cloud.instances.get(instance).map(|one| one.view.instance_type.clone());
        drop(cloud);
        if !is_messenger && of_type.is_some_and(|one| messenger_types().contains(&one)) {
            self.broken(MESSAGE, format!("{instance} was launched to fail a job, and runs one"));
        }
    }
}
