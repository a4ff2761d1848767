//! Capacity pools, and the errors with which EC2 refuses a launch.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::ids::{InstanceType, SubnetId, Zone};
use crate::time::Timestamp;

/// How an instance is bought.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum InstanceLifecycle {
    /// Spare capacity, which EC2 may take back.
    Spot,
    /// Capacity at its full price.
    OnDemand,
}

impl InstanceLifecycle {
    /// As AWS writes it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Spot => "spot",
            Self::OnDemand => "on-demand",
        }
    }
}

impl fmt::Display for InstanceLifecycle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A capacity pool: the instances of one type in one zone.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Pool {
    pub instance_type: InstanceType,
    pub zone: Zone,
}

impl fmt::Display for Pool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} in {}", self.instance_type, self.zone)
    }
}

/// A pool with the subnet that reaches it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Placement {
    pub pool: Pool,
    /// A subnet in the pool's zone.
    pub subnet: SubnetId,
}

/// The kinds of EC2 failure that callers tell apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FleetErrorKind {
    /// The pools are empty: try another pool, or later.
    Capacity,
    /// The account's quota is used up.
    Quota,
    /// The account's quota is too small for even one instance, so waiting is useless.
    QuotaTooSmall,
    /// The price limit is below the current price.
    Price,
    /// The price limit is below the price that AWS lists, which will not change: EC2 is not called.
    PriceLimitTooLow,
    /// The request can never succeed as it is.
    BadRequest,
    /// The token was used before with another request. That request's record is lost; its instances are
    /// found by their tag.
    TokenUsed,
    /// Too many requests: slow down.
    Throttled,
    /// Anything else, including network errors and time-outs: retried, never dropped. The call may have
    /// succeeded all the same.
    Unknown,
}

/// An error of EC2.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{code}: {message}")]
pub struct FleetError {
    pub kind: FleetErrorKind,
    /// EC2's error code.
    pub code: String,
    /// EC2's message.
    pub message: String,
    /// The pool that the error names, if any.
    pub pool: Option<Pool>,
}

/// Launch tries that failed in one pool for one reason.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LaunchFailure {
    pub lifecycle: InstanceLifecycle,
    /// The pool, if EC2 named one.
    pub pool: Option<Pool>,
    pub kind: FleetErrorKind,
    /// EC2's error code.
    pub code: String,
    /// EC2's message.
    pub message: String,
    /// The number of launch tries.
    pub times: u32,
    pub first: Timestamp,
    pub last: Timestamp,
}

/// The most rows kept for one runner: a reader learns nothing from more.
const MAX_FAILURES: usize = 60;

/// Adds a failed launch try. A pool that failed for the same reason before is counted up. A request that was
/// never sent to EC2 is only told apart by its message.
pub fn record_failure(
    failures: &mut Vec<LaunchFailure>,
    lifecycle: InstanceLifecycle,
    error: &FleetError,
    now: Timestamp,
) {
    let same = |one: &&mut LaunchFailure| {
        let same_message = error.kind != FleetErrorKind::PriceLimitTooLow || one.message == error.message;
        same_message && one.lifecycle == lifecycle && one.pool == error.pool && one.code == error.code
    };
    if let Some(known) = failures.iter_mut().find(same) {
        known.times += 1;
        known.last = now;
        known.message.clone_from(&error.message);
    } else if failures.len() < MAX_FAILURES {
        failures.push(LaunchFailure {
            lifecycle,
            pool: error.pool.clone(),
            kind: error.kind,
            code: error.code.clone(),
            message: error.message.clone(),
            times: 1,
            first: now,
            last: now,
        });
    }
}
