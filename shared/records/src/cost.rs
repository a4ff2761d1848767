//! What an instance has cost, kept for reports.

use dayfly_types::capacity::{InstanceLifecycle, Pool};
use dayfly_types::ids::{InstanceId, JobKey, Repository, RunId, RunnerName};
use dayfly_types::money::MicroDollars;
use dayfly_types::month::Month;
use dayfly_types::time::Timestamp;
use serde::{Deserialize, Serialize};

use crate::costs::{Amounts, ByMonth};
use crate::prices::PriceSource;

/// The id of an instance's cost. The costs of a month are in the order of the launches.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CostId {
    pub launched_at: Timestamp,
    pub instance: InstanceId,
}

impl CostId {
    /// The month whose report includes the cost.
    #[must_use]
    pub fn month(&self) -> Month {
        Month::of(self.launched_at)
    }
}

/// What an instance was used for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Purpose {
    /// It ran a job to its end.
    Job,
    /// Its job was interrupted, and the work is lost.
    Interrupted,
    /// It ran no job.
    Idle,
    /// It was a messenger.
    Message,
    /// No runner's record named it.
    Orphan,
}

/// What a job's cost is attributed to, besides its repository.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attribution {
    /// The workflow's name.
    pub workflow: Option<String>,
    /// The requester: the user who started the run.
    pub actor: Option<String>,
    /// The pull request's number, if known.
    pub pull: Option<u64>,
}

/// What an instance has cost. Written once, when nothing of the instance is left.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cost {
    pub instance: InstanceId,
    pub runner: Option<RunnerName>,
    /// The job that it ran, or was launched for.
    pub job: Option<JobKey>,
    pub run: Option<RunId>,
    /// The job's name in the workflow.
    pub job_name: Option<String>,
    pub repository: Option<Repository>,
    pub attribution: Attribution,
    pub pool: Pool,
    pub lifecycle: InstanceLifecycle,
    pub purpose: Purpose,
    pub launched_at: Timestamp,
    /// The start of the billed time.
    pub from: Timestamp,
    /// The end of the billed time.
    pub to: Timestamp,
    pub amounts: ByMonth<Amounts>,
    /// What the same time would have cost on demand, if known.
    pub on_demand: Option<MicroDollars>,
    /// Whether EC2 took the instance in its first hour, which is not billed.
    pub free: bool,
    pub source: PriceSource,
}

impl Cost {
    #[must_use]
    pub fn id(&self) -> CostId {
        CostId {
            launched_at: self.launched_at,
            instance: self.instance.clone(),
        }
    }

    #[must_use]
    pub fn total(&self) -> MicroDollars {
        self.amounts.iter().map(|(_, amounts)| amounts.total()).sum()
    }

    /// What was saved against on-demand capacity. Zero if that price is unknown, or if no job ran to its end on
    /// the instance: on demand it would not have existed.
    #[must_use]
    pub fn saved(&self) -> MicroDollars {
        let compute = self.amounts.iter().map(|(_, amounts)| amounts.compute).sum();
        self.on_demand
            .filter(|_| self.purpose == Purpose::Job)
            .map_or(MicroDollars::default(), |price| price.saturating_sub(compute))
    }

    /// What was paid for work that an interruption lost.
    #[must_use]
    pub fn wasted(&self) -> MicroDollars {
        match self.purpose {
            Purpose::Interrupted => self.total(),
            Purpose::Job | Purpose::Idle | Purpose::Message | Purpose::Orphan => MicroDollars::default(),
        }
    }
}
