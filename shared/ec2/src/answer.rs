//! Reads `CreateFleet` answers, pool by pool.

use aws_sdk_ec2::operation::create_fleet::CreateFleetOutput;
use aws_sdk_ec2::types::{
    CreateFleetError, CreateFleetInstance, FleetLaunchTemplateOverrides, InstanceLifecycle as SdkLifecycle,
    InstanceType as SdkInstanceType, LaunchTemplateAndOverridesResponse,
};
use dayfly_ports::{FleetAnswer, FleetError, FleetErrorKind, FleetInstance, FleetRequest};
use dayfly_types::capacity::{InstanceLifecycle, Pool};
use dayfly_types::ids::{InstanceId, InstanceType, Zone};

use crate::fleet_error;
use crate::kind::kind_of;

/// Returns the instances and the errors of all pools, each error of a pool once.
pub(crate) fn read(output: &CreateFleetOutput, request: &FleetRequest) -> FleetAnswer {
    let mut errors: Vec<FleetError> = Vec::new();
    for error in output.errors().iter().map(|error| refusal(error, request)) {
        if !errors.contains(&error) {
            errors.push(error);
        }
    }
    let instances: Vec<FleetInstance> = output
        .instances()
        .iter()
        .flat_map(|pool| launched(pool, request))
        .collect();
    if instances.is_empty() && errors.is_empty() {
        errors.push(no_instance(request));
    }
    FleetAnswer { instances, errors }
}

/// An empty answer is no success. EC2 stops launching where the next instance would exceed the total price,
/// and does not document that it reports this.
fn no_instance(request: &FleetRequest) -> FleetError {
    let nothing = "EC2 launched nothing and gave no reason";
    let message = match (request.lifecycle, request.max_price) {
        (InstanceLifecycle::OnDemand, Some(limit)) => {
            format!("{nothing}; the limit of {limit} an hour may be below the on-demand price of an instance")
        }
        _ => nothing.to_owned(),
    };
    fleet_error(FleetErrorKind::Unknown, "NoInstance", message)
}

fn refusal(error: &CreateFleetError, request: &FleetRequest) -> FleetError {
    let code = error.error_code().unwrap_or_default();
    let overrides = overrides_of(error.launch_template_and_overrides());
    FleetError {
        kind: kind_of(code),
        code: code.to_owned(),
        message: error.error_message().unwrap_or_default().to_owned(),
        pool: overrides.and_then(|overrides| {
            Some(Pool {
                instance_type: InstanceType::new(overrides.instance_type()?.as_str()),
                zone: zone_of(overrides, request)?,
            })
        }),
    }
}

fn launched(pool: &CreateFleetInstance, request: &FleetRequest) -> impl Iterator<Item = FleetInstance> {
    let overrides = overrides_of(pool.launch_template_and_overrides());
    let zone = pool
        .availability_zone()
        .map(Zone::new)
        .or_else(|| zone_of(overrides?, request));
    let instance_type = pool
        .instance_type()
        .or_else(|| overrides?.instance_type())
        .map_or("", SdkInstanceType::as_str);
    let lifecycle = match pool.lifecycle() {
        Some(SdkLifecycle::Spot) => InstanceLifecycle::Spot,
        Some(SdkLifecycle::OnDemand) => InstanceLifecycle::OnDemand,
        _ => request.lifecycle,
    };
    pool.instance_ids().iter().map(move |id| FleetInstance {
        instance: InstanceId::new(id),
        instance_type: InstanceType::new(instance_type),
        zone: zone.clone(),
        lifecycle,
    })
}

fn overrides_of(from: Option<&LaunchTemplateAndOverridesResponse>) -> Option<&FleetLaunchTemplateOverrides> {
    from.and_then(LaunchTemplateAndOverridesResponse::overrides)
}

/// EC2 repeats the overrides as they were requested: with the subnet, whose zone we know.
fn zone_of(overrides: &FleetLaunchTemplateOverrides, request: &FleetRequest) -> Option<Zone> {
    overrides.availability_zone().map(Zone::new).or_else(|| {
        let subnet = overrides.subnet_id()?;
        let placement = request.placements.iter().find(|one| one.subnet.as_str() == subnet)?;
        Some(placement.pool.zone.clone())
    })
}
