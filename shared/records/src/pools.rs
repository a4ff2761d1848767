//! What of late befell the pools.

use dayfly_types::capacity::{InstanceLifecycle, Pool};
use dayfly_types::ids::{InstanceId, Repository};
use dayfly_types::time::Timestamp;
use serde::{Deserialize, Serialize};

/// A launch that a pool could not serve.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PoolFailure {
    /// The pool.
    pub pool: Pool,
    /// How the instance was to be bought.
    pub lifecycle: InstanceLifecycle,
    /// When.
    pub at: Timestamp,
}

/// An interruption of a spot instance.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PoolInterruption {
    /// The instance, so that each is counted once.
    pub instance: InstanceId,
    /// The pool.
    pub pool: Pool,
    /// The repository whose job it served.
    pub repository: Repository,
    /// The entry of that repository's configuration.
    pub entry: String,
    /// When.
    pub at: Timestamp,
}

/// The failures and interruptions of the last hours.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PoolMemory {
    /// Launches that failed.
    pub failures: Vec<PoolFailure>,
    /// Instances that were taken back.
    pub interruptions: Vec<PoolInterruption>,
}
