//! The table's keys.

use std::fmt;

use dayfly_types::budget::Budget;
use dayfly_types::ids::{
    DeliveryId, FleetId, InstanceId, InstanceType, JobId, JobKey, QueueId, Repository, RunAttempt, RunId, RunKey,
    RunnerName,
};
use dayfly_types::month::Month;

use crate::{BucketId, CheckRunKey, CheckSubject, CostId, LedgerId};

/// The key of a record in the table.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum RecordId {
    Delivery(DeliveryId),
    Job(JobKey),
    CheckRun(RunId, CheckRunKey),
    /// The comment of a pull request.
    Pull(Repository, u64),
    Runner(RunnerName),
    FleetCall(FleetId),
    /// A launch queue.
    Queue(QueueId),
    /// A runner in a launch queue.
    QueuedRunner(QueueId, RunnerName),
    Pools,
    /// A token bucket.
    Bucket(BucketId),
    Instance(InstanceId),
    Run(RunKey),
    /// A repository's configuration, or another file of it by name.
    Config(Repository, Option<String>),
    /// The switch of the minute schedule.
    Wake,
    Watched,
    Patrol,
    Gate,
    Ledger(LedgerId),
    Cost(CostId),
    /// The prices of an instance type.
    Prices(InstanceType),
    /// The prices of volumes.
    Volumes,
}

impl RecordId {
    /// The partition key.
    #[must_use]
    pub fn pk(&self) -> String {
        match self {
            Self::Delivery(id) => format!("DELIVERY#{id}"),
            Self::Job(key) => Self::jobs_of(key.job),
            Self::CheckRun(run, _) => Self::check_runs_of(*run),
            Self::Pull(repository, pull) => format!("PULL#{repository}#{pull}"),
            Self::Runner(name) => format!("RUNNER#{name}"),
            Self::FleetCall(id) => format!("FLEET#{id}"),
            Self::Queue(id) => format!("QUEUE#{id}"),
            Self::QueuedRunner(queue, _) => Self::waiting_in(queue),
            Self::Pools => "POOLS".to_owned(),
            Self::Bucket(id) => format!("BUCKET#{id}"),
            Self::Instance(id) => format!("INSTANCE#{id}"),
            Self::Run(key) => format!("RUN#{}", key.run),
            Self::Config(repository, _) => format!("CONFIG#{repository}"),
            Self::Wake => "WAKE".to_owned(),
            Self::Watched => "WATCHED".to_owned(),
            Self::Patrol => "PATROL".to_owned(),
            Self::Gate => "GATE".to_owned(),
            Self::Ledger(id) => Self::ledgers_of(id.month),
            Self::Cost(id) => Self::costs_of(id.month()),
            Self::Prices(instance_type) => format!("PRICES#{instance_type}"),
            Self::Volumes => "VOLUMES".to_owned(),
        }
    }

    /// The partition of a month's ledgers.
    #[must_use]
    pub fn ledgers_of(month: Month) -> String {
        format!("LEDGER#{month}")
    }

    /// The partition of a month's costs.
    #[must_use]
    pub fn costs_of(month: Month) -> String {
        format!("COST#{month}")
    }

    /// The partition of a job in all attempts of its run.
    #[must_use]
    pub fn jobs_of(job: JobId) -> String {
        format!("JOB#{job}")
    }

    /// The partition of a run's check runs.
    #[must_use]
    pub fn check_runs_of(run: RunId) -> String {
        format!("CHECK_RUN#{run}")
    }

    /// The prefix of the sort keys of the check runs of the jobs of an attempt.
    #[must_use]
    pub fn check_runs_in(attempt: RunAttempt) -> String {
        format!("ATTEMPT#{attempt}#JOB#")
    }

    /// The partition of the runners in a launch queue.
    #[must_use]
    pub fn waiting_in(queue: &QueueId) -> String {
        format!("WAITING#{queue}")
    }

    /// The sort key.
    #[must_use]
    pub fn sk(&self) -> String {
        match self {
            Self::Delivery(_) => "DELIVERY".to_owned(),
            Self::Job(key) => format!("ATTEMPT#{}", key.attempt),
            Self::CheckRun(_, key) => match key.of {
                CheckSubject::Jobs => format!("{}0", Self::check_runs_in(key.attempt)),
                CheckSubject::Job(job) => format!("{}{job}", Self::check_runs_in(key.attempt)),
                CheckSubject::Story => format!("ATTEMPT#{}#STORY", key.attempt),
            },
            Self::Pull(..) => "PULL".to_owned(),
            Self::Runner(_) => "RUNNER".to_owned(),
            Self::FleetCall(_) => "FLEET".to_owned(),
            Self::Queue(_) => "QUEUE".to_owned(),
            Self::QueuedRunner(_, runner) => format!("RUNNER#{runner}"),
            Self::Pools => "POOLS".to_owned(),
            Self::Bucket(_) => "BUCKET".to_owned(),
            Self::Instance(_) => "INSTANCE".to_owned(),
            Self::Run(key) => format!("ATTEMPT#{}", key.attempt),
            Self::Config(_, None) => "CONFIG".to_owned(),
            Self::Config(_, Some(file)) => format!("FILE#{file}"),
            Self::Wake => "WAKE".to_owned(),
            Self::Watched => "WATCHED".to_owned(),
            Self::Patrol => "PATROL".to_owned(),
            Self::Gate => "GATE".to_owned(),
            Self::Ledger(id) => budget(&id.budget),
            // As many digits as the end of the year 9999 has, so that the order of the keys is that of time.
            Self::Cost(id) => format!("{:015}#{}", id.launched_at.millis(), id.instance),
            Self::Prices(_) => "PRICES".to_owned(),
            Self::Volumes => "VOLUMES".to_owned(),
        }
    }
}

fn budget(budget: &Budget) -> String {
    match budget {
        Budget::Stack => "STACK".to_owned(),
        Budget::Organization { name } => format!("ORGANIZATION#{name}"),
        Budget::Repository { repository } => format!("REPOSITORY#{repository}"),
        Budget::PullRequest { repository, number } => format!("PULL#{repository}#{number}"),
        Budget::Actor { login } => format!("ACTOR#{login}"),
    }
}

impl fmt::Display for RecordId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.pk(), self.sk())
    }
}
