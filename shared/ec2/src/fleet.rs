//! Builds `CreateFleet` calls of type `instant`: EC2 picks among all pools at once and answers with the
//! instances.
//!
//! <https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_CreateFleet.html>
//!
//! No minimum capacity is requested: fewer instances than wanted are better than none.

use std::collections::{BTreeMap, HashSet};

use aws_sdk_ec2::Client;
use aws_sdk_ec2::operation::create_fleet::builders::CreateFleetFluentBuilder;
use aws_sdk_ec2::types::{
    DefaultTargetCapacityType, FleetBlockDeviceMappingRequest, FleetEbsBlockDeviceRequest,
    FleetLaunchTemplateConfigRequest, FleetLaunchTemplateOverridesRequest, FleetLaunchTemplateSpecificationRequest,
    FleetOnDemandAllocationStrategy, FleetType, InstanceType as SdkInstanceType, OnDemandOptionsRequest, ResourceType,
    SpotAllocationStrategy, SpotInstanceInterruptionBehavior, SpotOptionsRequest, Tag, TagSpecification,
    TargetCapacitySpecificationRequest, VolumeType,
};
use dayfly_config::AllocationStrategy;
use dayfly_ports::FleetRequest;
use dayfly_settings::Ec2Settings;
use dayfly_types::capacity::{InstanceLifecycle, Placement};
use dayfly_types::money::MicroDollars;

use crate::variants::Template;
use crate::{TAG_FLEET, TAG_INSTALLATION, TAG_MANAGED, TAG_NAME, TAG_REPOSITORY, TAG_STACK};

/// The most pools that EC2 accepts in one call.
const MAX_OVERRIDES: usize = 300;

/// Builds the call from the request and the settings alone: a repeated call must be identical to count as
/// the same.
pub(crate) fn call(
    client: &Client,
    settings: &Ec2Settings,
    template: Template,
    request: &FleetRequest,
) -> CreateFleetFluentBuilder {
    let template = FleetLaunchTemplateSpecificationRequest::builder()
        .launch_template_id(template.id)
        .version(template.version)
        .build();
    let config = FleetLaunchTemplateConfigRequest::builder()
        .launch_template_specification(template)
        .set_overrides(Some(overrides(request)))
        .build();
    let tagged = |resource: ResourceType| {
        let tags = tags(settings, request, resource != ResourceType::Fleet);
        TagSpecification::builder()
            .resource_type(resource)
            .set_tags(Some(tags))
            .build()
    };
    let call = client
        .create_fleet()
        .client_token(request.fleet.as_str())
        .r#type(FleetType::Instant)
        .target_capacity_specification(capacity(request))
        .launch_template_configs(config)
        .tag_specifications(tagged(ResourceType::Fleet))
        .tag_specifications(tagged(ResourceType::Instance))
        .tag_specifications(tagged(ResourceType::Volume));
    match request.lifecycle {
        InstanceLifecycle::Spot => call.spot_options(spot_options(request.strategy)),
        InstanceLifecycle::OnDemand => call.on_demand_options(on_demand_options(request)),
    }
}

fn capacity(request: &FleetRequest) -> TargetCapacitySpecificationRequest {
    TargetCapacitySpecificationRequest::builder()
        .total_target_capacity(i32::try_from(request.count).unwrap_or(i32::MAX))
        .default_target_capacity_type(match request.lifecycle {
            InstanceLifecycle::Spot => DefaultTargetCapacityType::Spot,
            InstanceLifecycle::OnDemand => DefaultTargetCapacityType::OnDemand,
        })
        .build()
}

/// Without a price limit, which each pool has in its [`overrides`]: `MaxTotalPrice` would bound only the
/// sum, and the sum is bounded if each pool is.
///
/// <https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_SpotOptionsRequest.html>
fn spot_options(strategy: AllocationStrategy) -> SpotOptionsRequest {
    SpotOptionsRequest::builder()
        .allocation_strategy(match strategy {
            AllocationStrategy::PriceCapacityOptimized => SpotAllocationStrategy::PriceCapacityOptimized,
            AllocationStrategy::CapacityOptimized => SpotAllocationStrategy::CapacityOptimized,
            AllocationStrategy::LowestPrice => SpotAllocationStrategy::LowestPrice,
        })
        .instance_interruption_behavior(SpotInstanceInterruptionBehavior::Terminate)
        .build()
}

/// Takes the cheapest pools first, up to the price limit of all instances together.
///
/// `MaxTotalPrice` is what all on-demand instances of the fleet may cost per hour. EC2 stops launching
/// before it is exceeded, with fewer instances than wanted. It applies to fleets of every type: the fields
/// that are for `instant` alone are documented as such. A pool's own `MaxPrice` is for spot only. With
/// several instances the limit holds on average: a more expensive one may fit beside cheap ones. To bound
/// each, the caller leaves out pools whose list price exceeds the limit.
///
/// <https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_OnDemandOptionsRequest.html>
/// <https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/ec2-fleet-control-spending.html>
fn on_demand_options(request: &FleetRequest) -> OnDemandOptionsRequest {
    let total = request
        .max_price
        .map(|price| MicroDollars(price.0.saturating_mul(u64::from(request.count))));
    OnDemandOptionsRequest::builder()
        .allocation_strategy(FleetOnDemandAllocationStrategy::LowestPrice)
        .set_max_total_price(total.map(decimal))
        .build()
}

/// Formats dollars for EC2: `0.157800`.
fn decimal(price: MicroDollars) -> String {
    format!("{}.{:06}", price.0 / 1_000_000, price.0 % 1_000_000)
}

fn overrides(request: &FleetRequest) -> Vec<FleetLaunchTemplateOverridesRequest> {
    let mut named = HashSet::new();
    // EC2 refuses a request that names a pool twice, even through another subnet of the zone.
    let pools: Vec<&Placement> = request
        .placements
        .iter()
        .filter(|placement| named.insert(&placement.pool))
        .collect();
    if pools.len() > MAX_OVERRIDES {
        tracing::warn!(
            pools = pools.len(),
            MAX_OVERRIDES,
            "too many pools for one call: leaving out the last ones"
        );
    }
    let max_price = match request.lifecycle {
        InstanceLifecycle::Spot => request.max_price.map(decimal),
        InstanceLifecycle::OnDemand => None,
    };
    pools
        .into_iter()
        .take(MAX_OVERRIDES)
        .map(|placement| {
            FleetLaunchTemplateOverridesRequest::builder()
                .instance_type(SdkInstanceType::from(placement.pool.instance_type.as_str()))
                .subnet_id(placement.subnet.as_str())
                .set_max_price(max_price.clone())
                .image_id(request.image.as_str())
                .set_block_device_mappings(Some(volumes(request)))
                .build()
        })
        .collect()
}

/// The root device in the launch template.
const TEMPLATE_DEVICE: &str = "/dev/sda1";

/// Always maps the root volume, because only then is it encrypted whatever the image says. Without a size
/// it is as large as the image. If the image's root is another device than the launch template's, that one
/// is removed, or there would be two volumes.
fn volumes(request: &FleetRequest) -> Vec<FleetBlockDeviceMappingRequest> {
    let volume = FleetEbsBlockDeviceRequest::builder()
        .volume_type(volume_type(
            request.volume.kind.unwrap_or(dayfly_config::VolumeType::Gp3),
        ))
        .set_iops(request.volume.iops.and_then(|iops| i32::try_from(iops).ok()))
        .set_throughput(request.volume.throughput.and_then(|rate| i32::try_from(rate).ok()))
        .encrypted(true)
        .delete_on_termination(true)
        .set_volume_size(request.disk_gib.and_then(|gib| i32::try_from(gib).ok()))
        .build();
    let root = FleetBlockDeviceMappingRequest::builder()
        .device_name(&request.root_device)
        .ebs(volume)
        .build();
    let unused = (request.root_device != TEMPLATE_DEVICE).then(|| {
        FleetBlockDeviceMappingRequest::builder()
            .device_name(TEMPLATE_DEVICE)
            .no_device("")
            .build()
    });
    std::iter::once(root).chain(unused).collect()
}

fn volume_type(kind: dayfly_config::VolumeType) -> VolumeType {
    match kind {
        dayfly_config::VolumeType::Gp3 => VolumeType::Gp3,
        dayfly_config::VolumeType::Gp2 => VolumeType::Gp2,
        dayfly_config::VolumeType::Io1 => VolumeType::Io1,
        dayfly_config::VolumeType::Io2 => VolumeType::Io2,
    }
}

/// Returns our tags and, if `with_custom`, those of the runner's configuration, which may replace no tag of
/// ours but the name.
fn tags(settings: &Ec2Settings, request: &FleetRequest, with_custom: bool) -> Vec<Tag> {
    let ours = [
        (TAG_NAME, format!("dayfly {}", request.scope.repository)),
        (TAG_STACK, settings.stack.clone()),
        (TAG_FLEET, request.fleet.to_string()),
        (TAG_REPOSITORY, request.scope.repository.to_string()),
        (TAG_INSTALLATION, request.scope.installation.to_string()),
        (TAG_MANAGED, "true".to_owned()),
    ];
    let custom = request.tags.iter().filter(|_| with_custom);
    let mut tags: BTreeMap<&str, &str> = custom.map(|(key, value)| (key.as_str(), value.as_str())).collect();
    for (key, value) in &ours {
        if *key != TAG_NAME || !tags.contains_key(key) {
            tags.insert(key, value);
        }
    }
    tags.into_iter()
        .map(|(key, value)| Tag::builder().key(key).value(value).build())
        .collect()
}
