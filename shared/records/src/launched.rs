//! The instance of a runner, and the reservation for it.

use dayfly_types::budget::Budget;
use dayfly_types::capacity::{InstanceLifecycle, Pool};
use dayfly_types::ids::{InstanceId, InstanceType, Zone};
use dayfly_types::money::MicroDollars;
use dayfly_types::time::Timestamp;
use serde::{Deserialize, Serialize};

use crate::costs::{ByMonth, Tariff};
use crate::prices::Price;

/// A launched instance.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Launched {
    pub instance: InstanceId,
    pub instance_type: InstanceType,
    pub zone: Zone,
    pub lifecycle: InstanceLifecycle,
    /// The price of the instance, if known.
    pub price_per_hour: Option<MicroDollars>,
    /// The on-demand price of its type, if known.
    pub on_demand: Option<Price>,
    /// When EC2 launched it, which may be before its answer reached us.
    pub at: Timestamp,
    /// Whether `at` is EC2's time. If not, it is our time of EC2's answer.
    pub at_by_ec2: bool,
}

impl Launched {
    #[must_use]
    pub fn pool(&self) -> Pool {
        Pool {
            instance_type: self.instance_type.clone(),
            zone: self.zone.clone(),
        }
    }
}

/// The most that a runner's instance can cost, reserved in the ledger of each budget that pays for it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reservation {
    /// The highest tariff of the instance.
    pub tariff: Tariff,
    pub budgets: Vec<Budget>,
    /// The amount in each month.
    pub shares: ByMonth<MicroDollars>,
}

impl Reservation {
    #[must_use]
    pub fn total(&self) -> MicroDollars {
        self.shares.iter().map(|(_, share)| *share).sum()
    }
}
