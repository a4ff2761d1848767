//! The table's keys.

use std::fmt;

use crate::ids::{DeliveryId, InstanceId, JobKey, Repository, RunKey, RunnerName};

/// Where a record lies.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum RecordId {
    /// A webhook.
    Delivery(DeliveryId),
    /// A job.
    Job(JobKey),
    /// What a job's check run is to say.
    Notice(JobKey),
    /// A runner.
    Runner(RunnerName),
    /// An instance.
    Instance(InstanceId),
    /// A run.
    Run(RunKey),
    /// A configuration.
    Config(Repository),
    /// The schedule's switch.
    Wake,
    /// The repositories that had jobs.
    Watched,
    /// How far patrol has come.
    Patrol,
}

impl RecordId {
    /// The partition key.
    #[must_use]
    pub fn pk(&self) -> String {
        match self {
            Self::Delivery(id) => format!("DELIVERY#{id}"),
            Self::Job(key) => format!("JOB#{}", key.job),
            Self::Notice(key) => format!("NOTICE#{}", key.job),
            Self::Runner(name) => format!("RUNNER#{name}"),
            Self::Instance(id) => format!("INSTANCE#{id}"),
            Self::Run(key) => format!("RUN#{}", key.run),
            Self::Config(repository) => format!("CONFIG#{repository}"),
            Self::Wake => "WAKE".to_owned(),
            Self::Watched => "WATCHED".to_owned(),
            Self::Patrol => "PATROL".to_owned(),
        }
    }

    /// The sort key.
    #[must_use]
    pub fn sk(&self) -> String {
        match self {
            Self::Delivery(_) => "DELIVERY".to_owned(),
            Self::Job(key) | Self::Notice(key) => format!("ATTEMPT#{}", key.attempt),
            Self::Runner(_) => "RUNNER".to_owned(),
            Self::Instance(_) => "INSTANCE".to_owned(),
            Self::Run(key) => format!("ATTEMPT#{}", key.attempt),
            Self::Config(_) => "CONFIG".to_owned(),
            Self::Wake => "WAKE".to_owned(),
            Self::Watched => "WATCHED".to_owned(),
            Self::Patrol => "PATROL".to_owned(),
        }
    }
}

impl fmt::Display for RecordId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.pk(), self.sk())
    }
}
