//! What AWS told of prices, kept so that it is not asked for each launch.

use std::collections::BTreeMap;

use dayfly_config::VolumeType;
use dayfly_types::ids::{InstanceType, Zone};
use dayfly_types::time::Timestamp;
use serde::{Deserialize, Serialize};

use crate::prices::{DatedPrice, DatedRate};

/// The prices of an instance type in the stack's region.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Prices {
    /// The type.
    pub instance_type: InstanceType,
    /// On demand.
    pub on_demand: Option<DatedPrice>,
    /// Spot, in each zone that was asked for.
    pub spot: BTreeMap<Zone, DatedPrice>,
}

impl Prices {
    /// Those of a type of which nothing is known.
    #[must_use]
    pub fn unknown(instance_type: InstanceType) -> Self {
        Self {
            instance_type,
            on_demand: None,
            spot: BTreeMap::new(),
        }
    }

    /// When any of them was last told.
    #[must_use]
    pub fn last_known_at(&self) -> Option<Timestamp> {
        self.on_demand
            .iter()
            .chain(self.spot.values())
            .map(|told| told.at)
            .max()
    }
}

/// What volumes cost in the stack's region.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct VolumePrices {
    /// Of each type that was asked for.
    pub rates: BTreeMap<VolumeType, DatedRate>,
}

impl VolumePrices {
    /// When any of them was last told.
    #[must_use]
    pub fn last_known_at(&self) -> Option<Timestamp> {
        self.rates.values().map(|told| told.at).max()
    }
}
