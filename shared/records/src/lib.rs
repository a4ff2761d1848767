//! What the table holds: one type per kind of item, and how each is found again. Beside it what goes over the
//! bus, the tables of steps, prices and costs.
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
pub mod lifecycle;
mod patrol;
mod pools;
mod price_record;
pub mod prices;
mod pull;
mod runner;

pub use bucket::{Bucket, BucketId, TokenTerms};
pub use check_run::{AfterInterruption, CheckConclusion, CheckContent, CheckRun, CombinedPart, MessengerNews};
pub use cost::{Attribution, Cost, CostId, Purpose};
pub use ending::Ending;
pub use fleet::{FleetCall, LaunchOption, LaunchPlan, LaunchQueue, Waiting};
pub use gate::{Gate, Line, Turn, Waiter};
pub use id::RecordId;
pub use job::{Job, JobState, MessengerState};
pub use launched::{Launched, Reservation};
pub use ledger::{Ledger, LedgerId, Threshold};
pub use patrol::{Patrol, Watched, WatchedRepository};
pub use pools::{PoolFailure, PoolInterruption, PoolMemory};
pub use price_record::{Prices, VolumePrices};
pub use pull::{Costs, OlderRuns, PACE, PullReport, RunSum, TOLD_APART, Wish};
pub use runner::{Message, Runner, RunnerState};

/// A webhook that came in, so that the same one does nothing when it comes again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Delivery {
    /// GitHub's id of it.
    pub delivery: DeliveryId,
    /// When it was taken in.
    pub at: Timestamp,
    /// Whether its event has reached the bus. Until then, whoever took it in may have died.
    pub published: bool,
}

/// Which runner an instance is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Instance {
    /// The instance.
    pub instance: InstanceId,
    /// Its runner.
    pub runner: RunnerName,
    /// When it was launched.
    pub at: Timestamp,
}

/// One attempt of a run of which an interrupted job may have to be run again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Run {
    /// Which.
    pub key: RunKey,
    /// Its repository.
    pub repository: Repository,
    /// The App's installation that sees the repository.
    pub installation: InstallationId,
    /// The jobs that lost their instance in it.
    pub interrupted: Vec<JobKey>,
    /// The names of those jobs in the workflow, by which the next attempt's jobs are known as theirs.
    pub names: Vec<String>,
    /// What the configuration of their runners says of re-runs. Where it says different things, `what`
    /// is the most willing of them (all failed jobs before the interrupted ones before none), `max` the
    /// smallest, and `on_demand` the most that any of them asks for (every re-run before the last before
    /// none): the run is one, and is run again with one call.
    pub policy: RerunPolicy,
    /// How often we had run it again when this attempt began, one attempt after the other: a person's own
    /// re-run does not count, and begins the count anew.
    pub our_reruns: u32,
    /// Whether what GitHub is or was asked for runs jobs again that failed by themselves.
    pub with_failed: bool,
    /// Whether GitHub has said that the attempt is over, and how it ended.
    pub completed: Option<RunEnd>,
    /// Where the re-run stands.
    pub rerun: Rerun,
    /// When somebody has to look at it.
    pub due_at: Option<Timestamp>,
    /// When it was first heard of.
    pub at: Timestamp,
}

/// The end of an attempt of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunEnd {
    /// When we heard of it.
    pub at: Timestamp,
    /// How it ended.
    pub conclusion: Conclusion,
}

/// Where the re-run of an interrupted run stands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "is", rename_all = "snake_case")]
pub enum Rerun {
    /// Nothing was interrupted, or the run is not over yet.
    NotYet,
    /// It is to be asked for, or was and the answer is not known.
    Intended,
    /// GitHub has taken it.
    Accepted,
    /// It will not be.
    Declined {
        /// Why.
        reason: String,
    },
}

/// A repository's configuration, or another file of it, as GitHub last gave it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CachedConfig {
    /// Whose.
    pub repository: Repository,
    /// Which file is meant, where it is not the first of those that may be a repository's configuration.
    #[serde(default)]
    pub file: Option<String>,
    /// Where the file lies.
    pub path: Option<String>,
    /// GitHub's name for this state of the file.
    pub etag: Option<String>,
    /// The file, or nothing if there is none.
    pub text: Option<String>,
    /// When GitHub was last asked.
    pub checked_at: Timestamp,
}

/// The switch of the minute schedule.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Wake {
    /// Whether the schedule is on.
    pub on: bool,
    /// When a launch last said that it has to be. Writing this is what tells whoever is about to
    /// switch it off that a launch came between.
    pub at: Timestamp,
}

/// Anything in the table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Record {
    /// A webhook.
    Delivery(Delivery),
    /// A job.
    Job(Box<Job>),
    /// What a job's check run is to say.
    CheckRun(Box<CheckRun>),
    /// What a pull request's comment is to say.
    Pull(Box<PullReport>),
    /// A runner.
    Runner(Box<Runner>),
    /// A call to EC2.
    FleetCall(Box<FleetCall>),
    /// Who launches what waits in a queue.
    Queue(LaunchQueue),
    /// A runner that waits in a queue.
    Waiting(Waiting),
    /// What befell the pools.
    Pools(PoolMemory),
    /// How many calls may be made.
    Bucket(Bucket),
    /// An instance.
    Instance(Instance),
    /// A run.
    Run(Run),
    /// A configuration.
    Config(CachedConfig),
    /// The schedule's switch.
    Wake(Wake),
    /// The repositories that had jobs.
    Watched(Watched),
    /// How far patrol has come.
    Patrol(Patrol),
    /// Who has a place, and who waits for one.
    Gate(Gate),
    /// What was spent and is reserved in a month.
    Ledger(Ledger),
    /// What an instance has cost.
    Cost(Box<Cost>),
    /// What a type costs.
    Prices(Prices),
    /// What volumes cost.
    Volumes(VolumePrices),
}

impl Record {
    /// Where it lies.
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
            Self::Waiting(waiting) => RecordId::Waiting(waiting.queue.clone(), waiting.runner.clone()),
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

    /// The earliest moment at which somebody must look at it; nothing once it needs nobody.
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
            | Self::Waiting(_)
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

    /// When the table may forget it.
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
            Self::Waiting(waiting) => Some(waiting.since.after(KEEP_QUEUE)),
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
record_kind!(Waiting, Waiting, |value| value, |inner| inner);
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

/// An item that is not of the kind that its key says.
#[derive(Debug, thiserror::Error)]
#[error("expected a {wanted} record at {found}")]
pub struct WrongKind {
    wanted: &'static str,
    found: RecordId,
}

/// How often an item has been written: a write names the version that it was decided on, so that
/// two who decide on the same state cannot both act.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Version(pub u64);

impl Version {
    /// The version of a record that was written once.
    pub const FIRST: Self = Self(1);

    /// The version after the next write.
    #[must_use]
    pub fn next(self) -> Self {
        Self(self.0 + 1)
    }
}

/// A record with the version it was read at, or written as.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stored<R> {
    /// The record.
    pub record: R,
    /// Its version.
    pub version: Version,
}

impl<R> Stored<R> {
    /// What was written over a version: the store counts up by one.
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
    /// What to write, or what to take away.
    pub record: Record,
    /// The version it was decided on; nothing if there was no such item.
    pub expected: Option<Version>,
    /// Take it away rather than write it.
    pub delete: bool,
}

impl Change {
    /// Writes a record that is not there yet.
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

    /// Writes a record over whatever was loaded: a version, or nothing.
    pub fn put<R>(loaded: Option<&Stored<R>>, record: impl Into<Record>) -> Self {
        Self {
            record: record.into(),
            expected: loaded.map(|stored| stored.version),
            delete: false,
        }
    }

    /// Takes away the version that was read.
    pub fn delete(version: Version, record: impl Into<Record>) -> Self {
        Self {
            record: record.into(),
            expected: Some(version),
            delete: true,
        }
    }
}
