//! Capacity pools, and what EC2 says when one cannot serve.

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
    /// The type.
    pub instance_type: InstanceType,
    /// The zone.
    pub zone: Zone,
}

impl fmt::Display for Pool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} in {}", self.instance_type, self.zone)
    }
}

/// A pool with the subnet through which it is reached.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Placement {
    /// The pool.
    pub pool: Pool,
    /// A subnet in the pool's zone.
    pub subnet: SubnetId,
}

/// What kind of failure EC2 named: what a caller decides on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FleetErrorKind {
    /// The pools have nothing left: another pool, or later.
    Capacity,
    /// The account may not have more.
    Quota,
    /// The account may not have even one, however long anybody waits.
    QuotaTooSmall,
    /// The price limit is below the price.
    Price,
    /// The price limit is below what AWS lists, which stays so: EC2 was not asked at all.
    TooDear,
    /// The request can never succeed as it is.
    BadRequest,
    /// Another request came with the same token before. That one's record is lost, and what it
    /// launched is there by its tag.
    TokenUsed,
    /// Too many requests: slower.
    Throttled,
    /// Anything else, network and time-outs among it: again later, never dropped. It may have
    /// been done all the same.
    Unknown,
}

/// A failure in EC2's own words.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{code}: {message}")]
pub struct FleetError {
    /// What a caller decides on.
    pub kind: FleetErrorKind,
    /// EC2's error code.
    pub code: String,
    /// EC2's message.
    pub message: String,
    /// The pool that it is about, if it is about one.
    pub pool: Option<Pool>,
}

/// Launches of one kind that failed for one reason.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tried {
    /// How the instance was to be bought.
    pub lifecycle: InstanceLifecycle,
    /// The pool, if EC2 named one.
    pub pool: Option<Pool>,
    /// What kind of failure it was.
    pub kind: FleetErrorKind,
    /// EC2's error code.
    pub code: String,
    /// EC2's message.
    pub message: String,
    /// How often it was tried.
    pub times: u32,
    /// When first.
    pub first: Timestamp,
    /// When last.
    pub last: Timestamp,
}

/// More rows than these say nothing to anybody.
const MAX_TRIED: usize = 60;

/// Notes a failure: that of a pool for a reason which is known already counts up. What is not asked for is
/// named in the words alone.
pub fn note(tried: &mut Vec<Tried>, lifecycle: InstanceLifecycle, error: &FleetError, now: Timestamp) {
    let same = |one: &&mut Tried| {
        let of_same = error.kind != FleetErrorKind::TooDear || one.message == error.message;
        of_same && one.lifecycle == lifecycle && one.pool == error.pool && one.code == error.code
    };
    if let Some(known) = tried.iter_mut().find(same) {
        known.times += 1;
        known.last = now;
        known.message.clone_from(&error.message);
    } else if tried.len() < MAX_TRIED {
        tried.push(Tried {
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
