//! Recent failures and interruptions of capacity pools.

use dayfly_types::capacity::{InstanceLifecycle, Pool};
use dayfly_types::ids::{InstanceId, Repository};
use dayfly_types::time::Timestamp;
use serde::{Deserialize, Serialize};

/// A launch that a pool could not serve.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PoolFailure {
    pub pool: Pool,
    pub lifecycle: InstanceLifecycle,
    pub at: Timestamp,
}

/// An interruption of a spot instance.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PoolInterruption {
    /// The instance, so that each is counted once.
    pub instance: InstanceId,
    pub pool: Pool,
    pub repository: Repository,
    /// The entry of that repository's configuration.
    pub entry: String,
    pub at: Timestamp,
}

/// The failures and interruptions of the last hours.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PoolMemory {
    pub failures: Vec<PoolFailure>,
    pub interruptions: Vec<PoolInterruption>,
}
