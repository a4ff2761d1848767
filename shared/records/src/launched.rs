//! What came of a runner's launch, and what was set aside for it.

use dayfly_types::budget::Budget;
use dayfly_types::capacity::{InstanceLifecycle, Pool};
use dayfly_types::ids::{InstanceId, InstanceType, Zone};
use dayfly_types::money::MicroDollars;
use dayfly_types::time::Timestamp;
use serde::{Deserialize, Serialize};

use crate::costs::{ByMonth, Tariff};
use crate::prices::Price;

/// The instance that came of a launch.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Launched {
    /// The instance.
    pub instance: InstanceId,
    /// Its type.
    pub instance_type: InstanceType,
    /// Its zone.
    pub zone: Zone,
    /// How it was bought.
    pub lifecycle: InstanceLifecycle,
    /// What an hour of it costs, if that could be learnt.
    pub price_per_hour: Option<MicroDollars>,
    /// What an hour of its type costs on demand, if anybody knows.
    #[serde(default)]
    pub on_demand: Option<Price>,
    /// When EC2 launched it, which may be earlier than we learnt of it.
    pub at: Timestamp,
    /// Whether that is EC2's word. If not, it is when its answer came, by our clock.
    #[serde(default)]
    pub at_by_ec2: bool,
}

impl Launched {
    /// The pool that it came from.
    #[must_use]
    pub fn pool(&self) -> Pool {
        Pool {
            instance_type: self.instance_type.clone(),
            zone: self.zone.clone(),
        }
    }
}

/// What a runner's instance can cost at most, set aside in the ledgers of all who pay for it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reservation {
    /// What it costs while it runs, at most.
    pub tariff: Tariff,
    /// Who pays.
    pub budgets: Vec<Budget>,
    /// How much of each month's money.
    pub shares: ByMonth<MicroDollars>,
}

impl Reservation {
    /// All of it.
    #[must_use]
    pub fn total(&self) -> MicroDollars {
        self.shares.iter().map(|(_, share)| *share).sum()
    }
}
