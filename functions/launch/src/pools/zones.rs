//! The zone of each subnet, looked up once.

use std::cell::RefCell;
use std::collections::BTreeMap;

use dayfly_ports::{Fleet, FleetError, FleetErrorKind};
use dayfly_types::capacity::{Placement, Pool};
use dayfly_types::ids::{InstanceType, SubnetId, Zone};

/// The zones of subnets.
#[derive(Debug, Default)]
pub struct ZoneCache {
    known: RefCell<BTreeMap<SubnetId, Zone>>,
}

impl ZoneCache {
    /// Places every type in every subnet's zone. A subnet that does not exist is left out; if none does,
    /// all are kept for EC2 to name in its error.
    pub(crate) async fn placements<F: Fleet>(
        &self,
        fleet: &F,
        subnets: &[SubnetId],
        types: &[InstanceType],
    ) -> Result<Vec<Placement>, FleetError> {
        let mut zones = self.existing(fleet, subnets).await?;
        if zones.is_empty() {
            zones = subnets.iter().map(|subnet| (subnet.clone(), Zone::unknown())).collect();
        }
        let mut placements: Vec<Placement> = Vec::new();
        for instance_type in types {
            for (subnet, zone) in &zones {
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

    /// The subnets that do not exist.
    pub(crate) async fn missing<F: Fleet>(&self, fleet: &F, subnets: &[SubnetId]) -> Result<Vec<SubnetId>, FleetError> {
        let found = self.existing(fleet, subnets).await?;
        let is_missing = |subnet: &&SubnetId| found.iter().all(|(one, _)| one != *subnet);
        Ok(subnets.iter().filter(is_missing).cloned().collect())
    }

    /// The subnets that exist with their zones, in the order asked for.
    async fn existing<F: Fleet>(&self, fleet: &F, subnets: &[SubnetId]) -> Result<Vec<(SubnetId, Zone)>, FleetError> {
        let unknown: Vec<SubnetId> = {
            let known = self.known.borrow();
            let is_unknown = |subnet: &&SubnetId| !known.contains_key(*subnet);
            subnets.iter().filter(is_unknown).cloned().collect()
        };
        if !unknown.is_empty() {
            match fleet.zones(&unknown).await {
                Ok(zones) => self.known.borrow_mut().extend(zones),
                // None of these exists.
                Err(error) if error.kind == FleetErrorKind::BadRequest && error.code.starts_with("InvalidSubnet") => {
                    tracing::warn!(%error, "subnets do not exist");
                }
                Err(error) => return Err(error),
            }
        }
        let known = self.known.borrow();
        let zone_of = |subnet: &SubnetId| Some((subnet.clone(), known.get(subnet)?.clone()));
        Ok(subnets.iter().filter_map(zone_of).collect())
    }
}
