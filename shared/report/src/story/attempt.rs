//! One runner of a job's story, and what its instance cost.

use dayfly_engine::costing::{self, Answered};
use dayfly_records::costs::Amounts;
use dayfly_records::prices::PriceSource;
use dayfly_records::{Cost, Job, Purpose, Runner, RunnerState};
use dayfly_types::capacity::{InstanceLifecycle, Pool, Tried};
use dayfly_types::ids::{InstanceId, JobKey, RunnerName};
use dayfly_types::money::MicroDollars;
use dayfly_types::time::Timestamp;
use serde::Serialize;

/// A runner that was launched for a job, or ran it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Attempt {
    /// Its name.
    pub runner: RunnerName,
    /// The job that it is, or was, meant for. Another may have taken it.
    pub wanted_by: JobKey,
    /// The job that it runs or ran.
    pub ran: Option<JobKey>,
    /// Whether it was to tell the job why it is given up.
    pub messenger: bool,
    /// Where it stands.
    pub state: RunnerState,
    /// When it was asked for.
    pub requested_at: Timestamp,
    /// Its instance, once there is one.
    pub instance: Option<InstanceId>,
    /// Where that came from.
    pub pool: Option<Pool>,
    /// How that was bought; how it is to be, before.
    pub lifecycle: InstanceLifecycle,
    /// What an hour of it costs, if that is known.
    pub price_per_hour: Option<MicroDollars>,
    /// What an hour of its type costs on demand, if that is known.
    pub on_demand_per_hour: Option<MicroDollars>,
    /// When EC2 launched it.
    pub launched_at: Option<Timestamp>,
    /// When EC2 said that it will take it back.
    pub interrupted_at: Option<Timestamp>,
    /// Whether the job that it ran lost its instance, and with it what it had done.
    pub interrupted: bool,
    /// What AWS said to the launches that failed.
    pub tried: Vec<Tried>,
    /// Why it ended, or ends, in words.
    pub ending: Option<String>,
    /// When it was gone.
    pub ended_at: Option<Timestamp>,
    /// What its instance cost, or has cost so far; nothing if it had none, or if nobody knows.
    pub bill: Option<Bill>,
}

/// What an instance cost.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Bill {
    /// Whether that is the end of it.
    pub is_final: bool,
    /// What for.
    pub purpose: Purpose,
    /// By what it is for, of all months.
    pub amounts: Amounts,
    /// All of it.
    pub total: MicroDollars,
    /// What was saved against on-demand capacity, if that price is known. An instance on which nothing was
    /// done that is of use has saved nothing.
    pub saved: Option<MicroDollars>,
    /// What was paid for work that an interruption has lost.
    pub wasted: MicroDollars,
    /// Whether EC2 took it in its first hour, which is not billed.
    pub free: bool,
    /// Whose word its price is.
    pub source: PriceSource,
}

impl Attempt {
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
            ending: runner.ending.as_ref().map(|_| runner.why_it_ended()),
            ended_at: runner.ended_at,
            bill,
        }
    }

    /// Whether what it cost is the job's: it ran it, or was meant for it and ran none.
    #[must_use]
    pub fn is_of(&self, job: JobKey) -> bool {
        self.ran.unwrap_or(self.wanted_by) == job
    }

    /// Whether it had an instance of which nobody knows what it cost.
    #[must_use]
    pub fn is_unknown(&self) -> bool {
        self.instance.is_some() && self.bill.is_none()
    }
}

/// What was settled, or else what it comes to at `now`.
fn bill(runner: &Runner, job: &Job, costs: &[Cost], now: Timestamp) -> Option<Bill> {
    let settled = costs.iter().find(|cost| cost.runner.as_ref() == Some(&runner.name));
    if let Some(cost) = settled {
        return Some(Bill::of(cost, true));
    }
    let so_far = costing::cost(runner, Some(job), &Answered::default(), now)?;
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
