//! The records in the table, one type per kind of item, with their keys; the events on the bus; the tables of
//! steps; prices and costs.
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::format_push_string))]

use dayfly_config::RerunPolicy;
use dayfly_types::deadlines::{KEEP_COSTS, KEEP_DELIVERY, KEEP_ENDED, KEEP_QUEUE, KEEP_STORY};
use dayfly_types::ids::{DeliveryId, InstallationId, InstanceId, JobKey, Repository, RunKey, RunnerName};
use dayfly_types::time::Timestamp;
use serde::{Deserialize, Serialize};

use crate::event::Conclusion;

mod bucket;
mod check_run;
mod cost;
pub mod costs;
mod ending;
pub mod event;
mod fleet;
mod gate;
mod id;
mod job;
mod launched;
mod ledger;
pub mod origin;
mod patrol;
mod pools;
mod price_record;
pub mod prices;
mod pull;
mod runner;
pub mod steps;

pub use bucket::{Bucket, BucketId, TokenRequest};
pub use check_run::{
    AfterInterruption, CheckConclusion, CheckContent, CheckRun, CheckRunBody, CheckRunKey, CheckSubject, CombinedPart,
    MessengerReport,
};
pub use cost::{Attribution, Cost, CostId, Purpose};
pub use ending::Ending;
pub use fleet::{FleetCall, LaunchOption, LaunchPlan, LaunchQueue, QueuedRunner};
pub use gate::{Gate, GateState, RepositorySlots, SlotRequest};
pub use id::RecordId;
pub use job::{Job, JobState, MessengerState};
pub use launched::{Launched, Reservation};
pub use ledger::{Ledger, LedgerId, Threshold};
pub use patrol::{Orphan, Patrol, Watched, WatchedRepository};
pub use pools::{PoolFailure, PoolInterruption, PoolMemory};
pub use price_record::{Prices, VolumePrices};
pub use pull::{CommentSettings, Costs, MAX_LISTED_RUNS, OlderRuns, PullReport, RunSum};
pub use runner::{MessengerTask, Runner, RunnerState};

/// A webhook delivery, recorded so that a repeated one has no effect.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Delivery {
    pub delivery: DeliveryId,
    /// When it arrived.
    pub at: Timestamp,
    /// Whether its event has reached the bus. Until then, the function that received it may have died.
    pub published: bool,
}

/// The runner of an instance.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Instance {
    pub instance: InstanceId,
    pub runner: RunnerName,
    /// When it was launched.
    pub at: Timestamp,
}

/// A run attempt whose interrupted jobs may have to run again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Run {
    pub key: RunKey,
    pub repository: Repository,
    pub installation: InstallationId,
    /// The jobs that lost their instance.
    pub interrupted: Vec<JobKey>,
    /// Their names in the workflow, by which they are recognised in the next attempt.
    pub names: Vec<String>,
    /// The re-run policy of their runners' configuration. Where the runners differ, `what` is the most willing (all
    /// failed jobs before the interrupted ones before none), `max` the smallest, and `on_demand` the most (every
    /// re-run before the last before none): the whole run is re-run with one call.
    pub policy: RerunPolicy,
    /// The number of our own re-runs in a row before this attempt: a person's re-run resets it.
    pub our_reruns: u32,
    /// Whether the requested re-run includes jobs that failed by themselves.
    pub with_failed: bool,
    /// The end of the attempt, once GitHub has reported it.
    pub completed: Option<RunEnd>,
    pub rerun: Rerun,
    pub due_at: Option<Timestamp>,
    /// When the record was created.
    pub at: Timestamp,
}

/// The end of a run attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunEnd {
    /// When its report arrived.
    pub at: Timestamp,
    pub conclusion: Conclusion,
}

/// The state of the re-run of an interrupted run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "is", rename_all = "snake_case")]
pub enum Rerun {
    /// Nothing was interrupted, or the run is not over yet.
    NotYet,
    /// GitHub is being asked for it, or its answer is unknown.
    Intended,
    /// GitHub has accepted it.
    Accepted,
    /// There will be none.
    Declined { reason: String },
}

/// A repository's configuration, or another of its files, as last read from GitHub.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CachedConfig {
    pub repository: Repository,
    /// The name of the file; `None` for the configuration, which may be in one of several files.
    pub file: Option<String>,
    /// The path of the file that was found.
    pub path: Option<String>,
    /// GitHub's `ETag` of this version of the file.
    pub etag: Option<String>,
    /// The content, or `None` if there is no file.
    pub text: Option<String>,
    /// When GitHub was last asked.
    pub checked_at: Timestamp,
}

/// The switch of the minute schedule.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Wake {
    pub on: bool,
    /// When a launch last needed the schedule. Each launch writes this, so that a function that is about to switch
    /// the schedule off fails to if a launch came between.
    pub at: Timestamp,
    /// When the index of due records was first found empty. A launch, and a sweep that finds a live record, reset it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub empty_since: Option<Timestamp>,
}

impl Wake {
    /// The schedule is on, for a launch at this moment.
    #[must_use]
    pub fn on(now: Timestamp) -> Self {
        Self {
            on: true,
            at: now,
            empty_since: None,
        }
    }
}

/// A record in the table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Record {
    Delivery(Delivery),
    Job(Box<Job>),
    CheckRun(Box<CheckRun>),
    Pull(Box<PullReport>),
    Runner(Box<Runner>),
    FleetCall(Box<FleetCall>),
    Queue(LaunchQueue),
    QueuedRunner(QueuedRunner),
    Pools(PoolMemory),
    Bucket(Bucket),
    Instance(Instance),
    Run(Run),
    Config(CachedConfig),
    Wake(Wake),
    Watched(Watched),
    Patrol(Patrol),
    Gate(Gate),
    Ledger(Ledger),
    Cost(Box<Cost>),
    Prices(Prices),
    Volumes(VolumePrices),
}

impl Record {
    #[must_use]
    pub fn id(&self) -> RecordId {
        match self {
            Self::Delivery(delivery) => RecordId::Delivery(delivery.delivery.clone()),
            Self::Job(job) => RecordId::Job(job.key),
            Self::CheckRun(check_run) => RecordId::CheckRun(check_run.run, check_run.key),
            Self::Pull(report) => RecordId::Pull(report.repository.clone(), report.pull),
            Self::Runner(runner) => RecordId::Runner(runner.name.clone()),
            Self::FleetCall(call) => RecordId::FleetCall(call.id.clone()),
            Self::Queue(queue) => RecordId::Queue(queue.id.clone()),
            Self::QueuedRunner(queued) => RecordId::QueuedRunner(queued.queue.clone(), queued.runner.clone()),
            Self::Pools(_) => RecordId::Pools,
            Self::Bucket(bucket) => RecordId::Bucket(bucket.id),
            Self::Instance(instance) => RecordId::Instance(instance.instance.clone()),
            Self::Run(run) => RecordId::Run(run.key),
            Self::Config(config) => RecordId::Config(config.repository.clone(), config.file.clone()),
            Self::Wake(_) => RecordId::Wake,
            Self::Watched(_) => RecordId::Watched,
            Self::Patrol(_) => RecordId::Patrol,
            Self::Gate(_) => RecordId::Gate,
            Self::Ledger(ledger) => RecordId::Ledger(ledger.id()),
            Self::Cost(cost) => RecordId::Cost(cost.id()),
            Self::Prices(prices) => RecordId::Prices(prices.instance_type.clone()),
            Self::Volumes(_) => RecordId::Volumes,
        }
    }

    /// When the sweeper has to handle it, or `None` if it does not.
    #[must_use]
    pub fn due_at(&self) -> Option<Timestamp> {
        match self {
            Self::Job(job) => job.due_at,
            Self::CheckRun(check_run) => check_run.due_at,
            Self::Pull(report) => report.due_at,
            Self::Runner(runner) => runner.due_at,
            Self::Run(run) => run.due_at,
            Self::FleetCall(call) => call.due_at,
            Self::Gate(gate) => gate.due_at,
            Self::Ledger(ledger) => ledger.due_at,
            Self::Delivery(_)
            | Self::Queue(_)
            | Self::QueuedRunner(_)
            | Self::Pools(_)
            | Self::Bucket(_)
            | Self::Instance(_)
            | Self::Config(_)
            | Self::Wake(_)
            | Self::Watched(_)
            | Self::Patrol(_)
            | Self::Cost(_)
            | Self::Prices(_)
            | Self::Volumes(_) => None,
        }
    }

    /// When the table may delete it.
    #[must_use]
    pub fn expires_at(&self) -> Option<Timestamp> {
        match self {
            Self::Delivery(delivery) => Some(delivery.at.after(KEEP_DELIVERY)),
            Self::Job(job) => job.ended_at.map(|at| at.after(KEEP_STORY)),
            Self::CheckRun(check_run) => check_run.due_at.is_none().then(|| check_run.since.after(KEEP_STORY)),
            Self::Pull(report) => report.due_at.is_none().then(|| report.since.after(KEEP_STORY)),
            Self::Runner(runner) => runner
                .ended_at
                .filter(|_| runner.due_at.is_none())
                .map(|at| at.after(KEEP_STORY)),
            Self::FleetCall(call) => call.due_at.is_none().then(|| call.requested_at.after(KEEP_ENDED)),
            Self::Queue(queue) => Some(queue.held_until.after(KEEP_QUEUE)),
            Self::QueuedRunner(queued) => Some(queued.since.after(KEEP_QUEUE)),
            Self::Bucket(bucket) => Some(bucket.full_at.after(KEEP_QUEUE)),
            Self::Instance(instance) => Some(instance.at.after(2 * KEEP_ENDED)),
            Self::Run(run) => run.due_at.is_none().then(|| run.at.after(KEEP_ENDED + KEEP_ENDED)),
            Self::Ledger(ledger) => ledger.due_at.is_none().then(|| ledger.month.ends().after(KEEP_COSTS)),
            Self::Cost(cost) => Some(cost.to.after(KEEP_COSTS)),
            Self::Prices(prices) => prices.last_known_at().map(|at| at.after(KEEP_ENDED)),
            Self::Volumes(volumes) => volumes.last_known_at().map(|at| at.after(KEEP_ENDED)),
            Self::Config(_) | Self::Wake(_) | Self::Watched(_) | Self::Patrol(_) | Self::Pools(_) | Self::Gate(_) => {
                None
            }
        }
    }
}

macro_rules! record_kind {
    ($name:ident, $variant:ident, |$value:ident| $wrap:expr, |$inner:ident| $unwrap:expr) => {
        impl From<$name> for Record {
            fn from($value: $name) -> Self {
                Self::$variant($wrap)
            }
        }

        impl TryFrom<Record> for $name {
            type Error = WrongKind;

            fn try_from(record: Record) -> Result<Self, WrongKind> {
                match record {
                    Record::$variant($inner) => Ok($unwrap),
                    other => Err(WrongKind {
                        wanted: stringify!($variant),
                        found: other.id(),
                    }),
                }
            }
        }
    };
}

record_kind!(Delivery, Delivery, |value| value, |inner| inner);
record_kind!(Job, Job, |value| Box::new(value), |inner| *inner);
record_kind!(CheckRun, CheckRun, |value| Box::new(value), |inner| *inner);
record_kind!(PullReport, Pull, |value| Box::new(value), |inner| *inner);
record_kind!(Runner, Runner, |value| Box::new(value), |inner| *inner);
record_kind!(FleetCall, FleetCall, |value| Box::new(value), |inner| *inner);
record_kind!(LaunchQueue, Queue, |value| value, |inner| inner);
record_kind!(QueuedRunner, QueuedRunner, |value| value, |inner| inner);
record_kind!(PoolMemory, Pools, |value| value, |inner| inner);
record_kind!(Bucket, Bucket, |value| value, |inner| inner);
record_kind!(Instance, Instance, |value| value, |inner| inner);
record_kind!(Run, Run, |value| value, |inner| inner);
record_kind!(CachedConfig, Config, |value| value, |inner| inner);
record_kind!(Wake, Wake, |value| value, |inner| inner);
record_kind!(Watched, Watched, |value| value, |inner| inner);
record_kind!(Patrol, Patrol, |value| value, |inner| inner);
record_kind!(Gate, Gate, |value| value, |inner| inner);
record_kind!(Ledger, Ledger, |value| value, |inner| inner);
record_kind!(Cost, Cost, |value| Box::new(value), |inner| *inner);
record_kind!(Prices, Prices, |value| value, |inner| inner);
record_kind!(VolumePrices, Volumes, |value| value, |inner| inner);

/// A record of another kind than its key says.
#[derive(Debug, thiserror::Error)]
#[error("expected a {wanted} record at {found}")]
pub struct WrongKind {
    wanted: &'static str,
    found: RecordId,
}

/// The number of writes of an item. A write names the version that it was decided on, so that of two decisions on
/// the same state only one takes effect.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Version(pub u64);

impl Version {
    pub const FIRST: Self = Self(1);

    /// The version after the next write.
    #[must_use]
    pub fn next(self) -> Self {
        Self(self.0 + 1)
    }
}

/// A record with the version at which it was read or written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stored<R> {
    pub record: R,
    pub version: Version,
}

impl<R> Stored<R> {
    /// The result of writing a record over `version`.
    pub fn over(version: Version, record: R) -> Self {
        Self {
            record,
            version: version.next(),
        }
    }
}

/// One write of a commit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    pub record: Record,
    /// The version that it was decided on, or `None` if there was no item.
    pub expected: Option<Version>,
    pub delete: bool,
}

impl Change {
    /// Writes a record that must not exist yet.
    pub fn create(record: impl Into<Record>) -> Self {
        Self {
            record: record.into(),
            expected: None,
            delete: false,
        }
    }

    /// Writes a record over the version that was read.
    pub fn update(version: Version, record: impl Into<Record>) -> Self {
        Self {
            record: record.into(),
            expected: Some(version),
            delete: false,
        }
    }

    /// Updates the loaded version, or creates the record if nothing was loaded.
    pub fn put<R>(loaded: Option<&Stored<R>>, record: impl Into<Record>) -> Self {
        Self {
            record: record.into(),
            expected: loaded.map(|stored| stored.version),
            delete: false,
        }
    }

    /// Deletes the version that was read.
    pub fn delete(version: Version, record: impl Into<Record>) -> Self {
        Self {
            record: record.into(),
            expected: Some(version),
            delete: true,
        }
    }
}
