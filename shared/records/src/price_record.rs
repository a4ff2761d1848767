//! Prices from AWS, kept so that not every launch asks for them.

use std::collections::BTreeMap;

use dayfly_config::VolumeType;
use dayfly_types::ids::{InstanceType, Zone};
use dayfly_types::time::Timestamp;
use serde::{Deserialize, Serialize};

use crate::prices::{DatedPrice, DatedRate};

/// The prices of an instance type in the stack's region.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Prices {
    pub instance_type: InstanceType,
    pub on_demand: Option<DatedPrice>,
    /// By zone, for each zone that was asked for.
    pub spot: BTreeMap<Zone, DatedPrice>,
}

impl Prices {
    #[must_use]
    pub fn unknown(instance_type: InstanceType) -> Self {
        Self {
            instance_type,
            on_demand: None,
            spot: BTreeMap::new(),
        }
    }

    /// The time of the newest price.
    #[must_use]
    pub fn last_known_at(&self) -> Option<Timestamp> {
        self.on_demand
            .iter()
            .chain(self.spot.values())
            .map(|known| known.at)
            .max()
    }
}

/// The prices of volumes in the stack's region.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct VolumePrices {
    /// By type, for each type that was asked for.
    pub rates: BTreeMap<VolumeType, DatedRate>,
}

impl VolumePrices {
    /// The time of the newest price.
    #[must_use]
    pub fn last_known_at(&self) -> Option<Timestamp> {
        self.rates.values().map(|known| known.at).max()
    }
}
