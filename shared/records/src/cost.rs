//! What an instance has cost, kept for reports.

use dayfly_types::capacity::{InstanceLifecycle, Pool};
use dayfly_types::ids::{InstanceId, JobKey, Repository, RunId, RunnerName};
use dayfly_types::money::MicroDollars;
use dayfly_types::month::Month;
use dayfly_types::time::Timestamp;
use serde::{Deserialize, Serialize};

use crate::costs::{Amounts, ByMonth};
use crate::prices::PriceSource;

/// Which instance's. Those of a month are in the order of their launch.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CostId {
    /// When it was launched.
    pub launched_at: Timestamp,
    /// The instance.
    pub instance: InstanceId,
}

impl CostId {
    /// The month that it is reported in.
    #[must_use]
    pub fn month(&self) -> Month {
        Month::of(self.launched_at)
    }
}

/// For what an instance was there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Purpose {
    /// It ran a job to its end.
    Job,
    /// Its job was interrupted, and what it did is lost.
    Interrupted,
    /// No job ran on it.
    Idle,
    /// It was a messenger.
    Message,
    /// No runner's record named it.
    Orphan,
}

/// Who a job is counted for, besides its repository.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attribution {
    /// The workflow's name.
    #[serde(default)]
    pub workflow: Option<String>,
    /// Who had its run started.
    #[serde(default)]
    pub actor: Option<String>,
    /// The pull request that it runs for, if that is known.
    #[serde(default)]
    pub pull: Option<u64>,
}

/// What an instance has cost. Written once, when nothing of it is left.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cost {
    /// The instance.
    pub instance: InstanceId,
    /// Its runner, if it had one.
    pub runner: Option<RunnerName>,
    /// The job that it ran, or was launched for.
    pub job: Option<JobKey>,
    /// The run of that job.
    pub run: Option<RunId>,
    /// The job's name in the workflow.
    pub job_name: Option<String>,
    /// The repository.
    pub repository: Option<Repository>,
    /// Who it is counted for.
    pub attribution: Attribution,
    /// Its pool.
    pub pool: Pool,
    /// How it was bought.
    pub lifecycle: InstanceLifecycle,
    /// What for.
    pub purpose: Purpose,
    /// When it was launched.
    pub launched_at: Timestamp,
    /// From when it was billed.
    pub from: Timestamp,
    /// Until when.
    pub to: Timestamp,
    /// What it cost, by the month that it belongs to.
    pub amounts: ByMonth<Amounts>,
    /// What the same time would have cost on demand, if that is known.
    pub on_demand: Option<MicroDollars>,
    /// Whether EC2 took it in its first hour, which is not billed.
    pub free: bool,
    /// Whose word its price is.
    pub source: PriceSource,
}

impl Cost {
    /// Which it is.
    #[must_use]
    pub fn id(&self) -> CostId {
        CostId {
            launched_at: self.launched_at,
            instance: self.instance.clone(),
        }
    }

    /// All that it cost.
    #[must_use]
    pub fn total(&self) -> MicroDollars {
        self.amounts.iter().map(|(_, amounts)| amounts.total()).sum()
    }

    /// What was saved against on-demand capacity: nothing if that price is not known, or if no job ran on it
    /// to its end, for on demand there would have been no such instance.
    #[must_use]
    pub fn saved(&self) -> MicroDollars {
        let compute = self.amounts.iter().map(|(_, amounts)| amounts.compute).sum();
        self.on_demand
            .filter(|_| self.purpose == Purpose::Job)
            .map_or(MicroDollars::default(), |price| price.less(compute))
    }

    /// What was paid for work that an interruption has lost.
    #[must_use]
    pub fn wasted(&self) -> MicroDollars {
        match self.purpose {
            Purpose::Interrupted => self.total(),
            Purpose::Job | Purpose::Idle | Purpose::Message | Purpose::Orphan => MicroDollars::default(),
        }
    }
}
