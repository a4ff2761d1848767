//! The availability zones of subnets.

use dayfly_ports::{FleetError, FleetErrorKind};
use dayfly_types::ids::{SubnetId, Zone};

use crate::{Ec2Fleet, call_error, filter, fleet_error};

impl Ec2Fleet {
    /// Returns the zones of the subnets, in order. A missing subnet is logged and left out; if all are missing,
    /// there is nowhere to launch.
    pub(crate) async fn zones_of(&self, subnets: &[SubnetId]) -> Result<Vec<(SubnetId, Zone)>, FleetError> {
        if subnets.is_empty() {
            return Ok(Vec::new());
        }
        let answer = self
            .client
            .describe_subnets()
            // A filter, because an unknown id in the request proper would fail it for all.
            .filters(filter("subnet-id", subnets.iter().map(SubnetId::as_str)))
            .send()
            .await
            .map_err(|error| call_error(&error))?;
        let zone_of = |subnet: &SubnetId| {
            let found = answer
                .subnets()
                .iter()
                .find(|found| found.subnet_id() == Some(subnet.as_str()))?;
            Some(Zone::new(found.availability_zone()?))
        };
        let zones: Vec<(SubnetId, Zone)> = subnets
            .iter()
            .filter_map(|subnet| Some((subnet.clone(), zone_of(subnet)?)))
            .collect();
        let missing: Vec<&str> = subnets
            .iter()
            .filter(|subnet| zones.iter().all(|(found, _)| found != *subnet))
            .map(SubnetId::as_str)
            .collect();
        if zones.is_empty() {
            return Err(none_exists(&missing));
        }
        if !missing.is_empty() {
            tracing::warn!(subnets = ?missing, "subnets of this stack do not exist: launching nothing into them");
        }
        Ok(zones)
    }
}

fn none_exists(subnets: &[&str]) -> FleetError {
    fleet_error(
        FleetErrorKind::BadRequest,
        "InvalidSubnetID.NotFound",
        format!(
            "none of the stack's subnets exists in this region ({}): update the stack with subnets of its VPC",
            subnets.join(", ")
        ),
    )
}
