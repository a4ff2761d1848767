//! Where subnets lie.

use dayfly_ports::{FleetError, FleetErrorKind};
use dayfly_types::ids::{SubnetId, Zone};

use crate::{Ec2Fleet, filter, refused};

impl Ec2Fleet {
    /// The zones of subnets, in their order. One that does not exist is left out and told in the
    /// log; where none exists, there is nowhere to launch.
    pub(crate) async fn zones_of(&self, subnets: &[SubnetId]) -> Result<Vec<(SubnetId, Zone)>, FleetError> {
        if subnets.is_empty() {
            return Ok(Vec::new());
        }
        let answer = self
            .client
            .describe_subnets()
            // As a filter: one id that is not known keeps none of the others then.
            .filters(filter("subnet-id", subnets.iter().map(SubnetId::as_str)))
            .send()
            .await
            .map_err(|error| refused(&error))?;
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
            tracing::warn!(subnets = ?missing, "subnets of this stack do not exist: nothing is launched into them");
        }
        Ok(zones)
    }
}

fn none_exists(subnets: &[&str]) -> FleetError {
    FleetError {
        kind: FleetErrorKind::BadRequest,
        code: "InvalidSubnetID.NotFound".to_owned(),
        message: format!(
            "of the stack's subnets none exists in this region ({}): update the stack with subnets of its VPC",
            subnets.join(", ")
        ),
        pool: None,
    }
}
