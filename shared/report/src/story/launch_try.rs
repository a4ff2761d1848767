//! One runner of a job's story, and what its instance cost.

use dayfly_engine::cost::costing::{self, Ec2Answers};
use dayfly_records::costs::Amounts;
use dayfly_records::prices::PriceSource;
use dayfly_records::{Cost, Job, Purpose, Runner, RunnerState};
use dayfly_types::capacity::{InstanceLifecycle, LaunchFailure, Pool};
use dayfly_types::ids::{InstanceId, JobKey, RunnerName};
use dayfly_types::money::MicroDollars;
use dayfly_types::time::Timestamp;
use serde::Serialize;

/// A runner that was launched for a job, or that ran it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct LaunchTry {
    pub runner: RunnerName,
    /// The job that the runner was launched for. Another job may have taken it.
    pub wanted_by: JobKey,
    /// The job that the runner ran or is running.
    pub ran: Option<JobKey>,
    /// Whether the runner is a messenger for a job that was given up.
    pub messenger: bool,
    pub state: RunnerState,
    pub requested_at: Timestamp,
    pub instance: Option<InstanceId>,
    pub pool: Option<Pool>,
    /// The purchase option, planned until there is an instance.
    pub lifecycle: InstanceLifecycle,
    pub price_per_hour: Option<MicroDollars>,
    /// The on-demand price of the instance type.
    pub on_demand_per_hour: Option<MicroDollars>,
    pub launched_at: Option<Timestamp>,
    /// When EC2 announced the interruption.
    pub interrupted_at: Option<Timestamp>,
    /// Whether the job lost its instance, and its work with it.
    pub interrupted: bool,
    /// The failed launches, with EC2's answers.
    pub tried: Vec<LaunchFailure>,
    /// Why the runner ended or is ending.
    pub ending: Option<String>,
    pub ended_at: Option<Timestamp>,
    /// `None` without an instance, or if its cost is unknown.
    pub bill: Option<Bill>,
}

/// What an instance cost.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Bill {
    pub is_final: bool,
    pub purpose: Purpose,
    /// Summed over all months.
    pub amounts: Amounts,
    pub total: MicroDollars,
    /// The savings compared with on-demand capacity, if that price is known. An instance that did nothing useful
    /// saved nothing.
    pub saved: Option<MicroDollars>,
    /// The cost of work lost to an interruption.
    pub wasted: MicroDollars,
    /// Whether EC2 interrupted the instance in its first hour, which is not billed.
    pub free: bool,
    /// The source of the price.
    pub source: PriceSource,
}

impl LaunchTry {
    pub(super) fn of(runner: &Runner, job: &Job, costs: &[Cost], now: Timestamp) -> Self {
        let launched = runner.launched.as_ref();
        let bill = bill(runner, job, costs, now);
        let purpose = bill
            .as_ref()
            .map_or_else(|| costing::purpose(runner, Some(job)), |bill| bill.purpose);
        Self {
            runner: runner.name.clone(),
            wanted_by: runner.wanted_by,
            ran: runner.job,
            messenger: runner.message.is_some(),
            state: runner.state,
            requested_at: runner.requested_at,
            instance: runner.instance().cloned(),
            pool: launched.map(dayfly_records::Launched::pool),
            lifecycle: launched.map_or(runner.plan.option().lifecycle, |launched| launched.lifecycle),
            price_per_hour: launched.and_then(|launched| match launched.lifecycle {
                InstanceLifecycle::Spot => launched.price_per_hour,
                InstanceLifecycle::OnDemand => launched.on_demand.map(|price| price.per_hour),
            }),
            on_demand_per_hour: launched.and_then(|launched| Some(launched.on_demand?.per_hour)),
            launched_at: launched.map(|launched| launched.at),
            interrupted_at: runner.interrupted_at,
            interrupted: purpose == Purpose::Interrupted,
            tried: runner.tried.clone(),
            ending: runner.ending.as_ref().map(|_| runner.end_reason()),
            ended_at: runner.ended_at,
            bill,
        }
    }

    /// Whether the cost counts towards the job: the runner ran it, or was meant for it and ran none.
    #[must_use]
    pub fn is_of(&self, job: JobKey) -> bool {
        self.ran.unwrap_or(self.wanted_by) == job
    }

    /// Whether there was an instance whose cost is unknown.
    #[must_use]
    pub fn is_unknown(&self) -> bool {
        self.instance.is_some() && self.bill.is_none()
    }
}

/// Returns the recorded cost, or else the cost up to `now`.
fn bill(runner: &Runner, job: &Job, costs: &[Cost], now: Timestamp) -> Option<Bill> {
    let recorded = costs.iter().find(|cost| cost.runner.as_ref() == Some(&runner.name));
    if let Some(cost) = recorded {
        return Some(Bill::of(cost, true));
    }
    let so_far = costing::cost(runner, Some(job), &Ec2Answers::default(), now)?;
    Some(Bill::of(&so_far, false))
}

impl Bill {
    fn of(cost: &Cost, is_final: bool) -> Self {
        Self {
            is_final,
            purpose: cost.purpose,
            amounts: cost.amounts.iter().map(|(_, amounts)| *amounts).sum(),
            total: cost.total(),
            saved: cost.on_demand.map(|_| cost.saved()),
            wasted: cost.wasted(),
            free: cost.free,
            source: cost.source,
        }
    }
}
