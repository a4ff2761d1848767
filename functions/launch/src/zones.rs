//! Which zone each of the stack's subnets lies in, looked up once.

use std::cell::RefCell;

use dayfly_core::capacity::{Placement, Pool};
use dayfly_core::ids::{InstanceType, SubnetId, Zone};
use dayfly_ports::{Fleet, FleetError};

/// The zones of the stack's subnets.
#[derive(Debug, Default)]
pub struct ZoneCache {
    known: RefCell<Vec<(SubnetId, Zone)>>,
}

impl ZoneCache {
    /// Every type in every subnet's zone.
    pub(crate) async fn placements<F: Fleet>(
        &self,
        fleet: &F,
        subnets: &[SubnetId],
        types: &[InstanceType],
    ) -> Result<Vec<Placement>, FleetError> {
        if self.known.borrow().is_empty() {
            let zones = fleet.zones(subnets).await?;
            *self.known.borrow_mut() = zones;
        }
        let known = self.known.borrow();
        let mut placements: Vec<Placement> = Vec::new();
        for instance_type in types {
            for (subnet, zone) in known.iter() {
                let placement = Placement {
                    pool: Pool {
                        instance_type: instance_type.clone(),
                        zone: zone.clone(),
                    },
                    subnet: subnet.clone(),
                };
                if !placements.contains(&placement) {
                    placements.push(placement);
                }
            }
        }
        Ok(placements)
    }
}
