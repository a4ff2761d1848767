//! The one call that launches.

use aws_sdk_ec2::operation::create_fleet::builders::CreateFleetFluentBuilder;
use aws_sdk_ec2::types::{
    DefaultTargetCapacityType, FleetBlockDeviceMappingRequest, FleetEbsBlockDeviceRequest,
    FleetLaunchTemplateConfigRequest, FleetLaunchTemplateOverridesRequest, FleetLaunchTemplateSpecificationRequest,
    FleetOnDemandAllocationStrategy, FleetType, OnDemandOptionsRequest, ResourceType, SpotAllocationStrategy,
    SpotInstanceInterruptionBehavior, SpotOptionsRequest, Tag, TagSpecification, TargetCapacitySpecificationRequest,
    VolumeType,
};
use dayfly_ports::FleetRequest;
use dayfly_settings::Ec2Settings;

use crate::{MANAGED_TAG, RUNNER_TAG, STACK_TAG};

/// Fills in a `CreateFleet` of type `instant`: the one call that tries many types and zones and
/// answers at once.
///
/// <https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/instant-fleet.html>
pub fn create_fleet(
    call: CreateFleetFluentBuilder,
    request: &FleetRequest,
    settings: &Ec2Settings,
) -> CreateFleetFluentBuilder {
    let template = FleetLaunchTemplateSpecificationRequest::builder()
        .launch_template_id(&settings.launch_template)
        // CloudFormation adds versions and never moves `$Default`.
        .version("$Latest")
        .build();
    let config = FleetLaunchTemplateConfigRequest::builder()
        .launch_template_specification(template)
        .set_overrides(Some(overrides(request)))
        .build();
    call.r#type(FleetType::Instant)
        .client_token(&request.client_token)
        .launch_template_configs(config)
        .target_capacity_specification(capacity(request.spot))
        .spot_options(
            SpotOptionsRequest::builder()
                .allocation_strategy(SpotAllocationStrategy::PriceCapacityOptimized)
                .instance_interruption_behavior(SpotInstanceInterruptionBehavior::Terminate)
                .build(),
        )
        .on_demand_options(
            OnDemandOptionsRequest::builder()
                .allocation_strategy(FleetOnDemandAllocationStrategy::LowestPrice)
                .build(),
        )
        .set_tag_specifications(Some(
            [ResourceType::Fleet, ResourceType::Instance, ResourceType::Volume]
                .into_iter()
                .map(|resource| tags(resource, request, settings))
                .collect(),
        ))
}

fn capacity(spot: bool) -> TargetCapacitySpecificationRequest {
    let kind = if spot {
        DefaultTargetCapacityType::Spot
    } else {
        DefaultTargetCapacityType::OnDemand
    };
    TargetCapacitySpecificationRequest::builder()
        .total_target_capacity(1)
        .default_target_capacity_type(kind)
        .build()
}

/// The device that the launch template maps.
const TEMPLATE_DEVICE: &str = "/dev/sda1";

/// Every type in every subnet.
fn overrides(request: &FleetRequest) -> Vec<FleetLaunchTemplateOverridesRequest> {
    let disks = disks(request);
    let pools = request
        .instance_types
        .iter()
        .flat_map(|one| request.subnets.iter().map(move |subnet| (one, subnet)));
    pools
        .map(|(instance_type, subnet)| {
            FleetLaunchTemplateOverridesRequest::builder()
                .instance_type(instance_type.as_str().into())
                .subnet_id(subnet.as_str())
                .image_id(request.image.as_str())
                .set_block_device_mappings(disks.clone())
                .build()
        })
        .collect()
}

/// The root disk, if the launch template's own will not do. An image whose root is another device
/// than the template maps would else get two disks.
fn disks(request: &FleetRequest) -> Option<Vec<FleetBlockDeviceMappingRequest>> {
    let fits = request.root_device == TEMPLATE_DEVICE;
    if fits && request.disk_gib.is_none() {
        return None;
    }
    let disk = FleetEbsBlockDeviceRequest::builder()
        .set_volume_size(request.disk_gib.map(|gib| i32::try_from(gib).unwrap_or(i32::MAX)))
        .volume_type(VolumeType::Gp3)
        .encrypted(true)
        .delete_on_termination(true)
        .build();
    let mapping = FleetBlockDeviceMappingRequest::builder();
    let mut disks = vec![mapping.device_name(&request.root_device).ebs(disk).build()];
    if !fits {
        let mapping = FleetBlockDeviceMappingRequest::builder();
        disks.push(mapping.device_name(TEMPLATE_DEVICE).no_device("").build());
    }
    Some(disks)
}

fn tags(resource: ResourceType, request: &FleetRequest, settings: &Ec2Settings) -> TagSpecification {
    let own = [
        ("Name", request.runner.as_str()),
        (STACK_TAG, settings.stack.as_str()),
        (RUNNER_TAG, request.runner.as_str()),
        (MANAGED_TAG, "true"),
    ];
    let further = request.tags.iter().map(|(key, value)| (key.as_str(), value.as_str()));
    let tags = own
        .into_iter()
        .chain(further)
        .map(|(key, value)| Tag::builder().key(key).value(value).build());
    TagSpecification::builder()
        .resource_type(resource)
        .set_tags(Some(tags.collect()))
        .build()
}
