//! One `CreateFleet` call of type `instant`: EC2 picks the pool among all types and subnets at once,
//! and answers with the instance.
//!
//! <https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_CreateFleet.html>

use aws_sdk_ec2::Client;
use aws_sdk_ec2::operation::create_fleet::CreateFleetOutput;
use aws_sdk_ec2::operation::create_fleet::builders::CreateFleetFluentBuilder;
use aws_sdk_ec2::types::{
    CreateFleetInstance, DefaultTargetCapacityType, FleetBlockDeviceMappingRequest, FleetEbsBlockDeviceRequest,
    FleetLaunchTemplateConfigRequest, FleetLaunchTemplateOverridesRequest, FleetLaunchTemplateSpecificationRequest,
    FleetOnDemandAllocationStrategy, FleetType, InstanceLifecycle, InstanceType as SdkInstanceType,
    OnDemandOptionsRequest, ResourceType, SpotAllocationStrategy, SpotInstanceInterruptionBehavior, SpotOptionsRequest,
    Tag, TagSpecification, TargetCapacitySpecificationRequest, VolumeType,
};
use dayfly_core::ids::{InstanceId, InstanceType, Zone};
use dayfly_ports::{FleetAnswer, FleetError, FleetErrorKind, FleetInstance, FleetRequest};
use dayfly_settings::Ec2Settings;

use crate::kind::kind_of;
use crate::{TAG_INSTALLATION, TAG_MANAGED, TAG_NAME, TAG_REPOSITORY, TAG_RUNNER, TAG_STACK};

/// EC2 takes no more pools in one call.
const MAX_OVERRIDES: usize = 300;

/// The call that a request makes. Nothing in it but the request and the settings: a repeated call has
/// to say the same to be the same.
pub(crate) fn call(client: &Client, settings: &Ec2Settings, request: &FleetRequest) -> CreateFleetFluentBuilder {
    let template = FleetLaunchTemplateSpecificationRequest::builder()
        .launch_template_id(&settings.launch_template)
        // The stack's updates make new versions and leave the default one as it was.
        .version("$Latest")
        .build();
    let config = FleetLaunchTemplateConfigRequest::builder()
        .launch_template_specification(template)
        .set_overrides(Some(overrides(request)))
        .build();
    let tags = tags(settings, request);
    let tagged = |resource: ResourceType| {
        TagSpecification::builder()
            .resource_type(resource)
            .set_tags(Some(tags.clone()))
            .build()
    };
    let call = client
        .create_fleet()
        .client_token(&request.client_token)
        .r#type(FleetType::Instant)
        .target_capacity_specification(one(request.spot))
        .launch_template_configs(config)
        .tag_specifications(tagged(ResourceType::Fleet))
        .tag_specifications(tagged(ResourceType::Instance))
        .tag_specifications(tagged(ResourceType::Volume));
    if request.spot {
        let options = SpotOptionsRequest::builder()
            .allocation_strategy(SpotAllocationStrategy::PriceCapacityOptimized)
            .instance_interruption_behavior(SpotInstanceInterruptionBehavior::Terminate)
            .build();
        call.spot_options(options)
    } else {
        let options = OnDemandOptionsRequest::builder()
            .allocation_strategy(FleetOnDemandAllocationStrategy::LowestPrice)
            .build();
        call.on_demand_options(options)
    }
}

/// Exactly one instance.
fn one(spot: bool) -> TargetCapacitySpecificationRequest {
    TargetCapacitySpecificationRequest::builder()
        .total_target_capacity(1)
        .default_target_capacity_type(if spot {
            DefaultTargetCapacityType::Spot
        } else {
            DefaultTargetCapacityType::OnDemand
        })
        .build()
}

/// The pools: every type in every subnet, each once.
fn overrides(request: &FleetRequest) -> Vec<FleetLaunchTemplateOverridesRequest> {
    let mut pools: Vec<(&InstanceType, &str)> = Vec::new();
    for instance_type in &request.instance_types {
        for subnet in &request.subnets {
            let pool = (instance_type, subnet.as_str());
            // EC2 refuses a request that names a pool twice.
            if !pools.contains(&pool) {
                pools.push(pool);
            }
        }
    }
    if pools.len() > MAX_OVERRIDES {
        tracing::warn!(
            pools = pools.len(),
            MAX_OVERRIDES,
            "more types and subnets than one call may name: the last are left out"
        );
    }
    pools
        .into_iter()
        .take(MAX_OVERRIDES)
        .map(|(instance_type, subnet)| {
            FleetLaunchTemplateOverridesRequest::builder()
                .instance_type(SdkInstanceType::from(instance_type.as_str()))
                .subnet_id(subnet)
                .image_id(request.image.as_str())
                .set_block_device_mappings(Some(volumes(request)))
                .build()
        })
        .collect()
}

/// The device that the launch template maps.
const TEMPLATE_DEVICE: &str = "/dev/sda1";

/// The root volume, always named: only so is it encrypted whatever the image says. Without a size it
/// is as large as the image. Where the image's root is another device than the one that the launch
/// template maps, that one is taken out: there would be two volumes else.
fn volumes(request: &FleetRequest) -> Vec<FleetBlockDeviceMappingRequest> {
    let volume = FleetEbsBlockDeviceRequest::builder()
        .volume_type(VolumeType::Gp3)
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

/// What is known of an instance by its tags alone.
fn tags(settings: &Ec2Settings, request: &FleetRequest) -> Vec<Tag> {
    let tags = [
        (TAG_NAME, request.runner.to_string()),
        (TAG_STACK, settings.stack.clone()),
        (TAG_RUNNER, request.runner.to_string()),
        (TAG_REPOSITORY, request.scope.repository.to_string()),
        (TAG_INSTALLATION, request.scope.installation.to_string()),
        (TAG_MANAGED, "true".to_owned()),
    ];
    tags.into_iter()
        .map(|(key, value)| Tag::builder().key(key).value(value).build())
        .collect()
}

/// What the call came to. An error that every pool repeats is told once.
pub(crate) fn answer(output: &CreateFleetOutput) -> FleetAnswer {
    let mut errors: Vec<FleetError> = Vec::new();
    for error in output.errors() {
        let code = error.error_code().unwrap_or_default();
        let error = FleetError {
            kind: kind_of(code),
            code: code.to_owned(),
            message: error.error_message().unwrap_or_default().to_owned(),
            pool: None,
        };
        if !errors.contains(&error) {
            errors.push(error);
        }
    }
    let instances: Vec<FleetInstance> = output.instances().iter().flat_map(launched).collect();
    if instances.is_empty() && errors.is_empty() {
        errors.push(FleetError {
            kind: FleetErrorKind::Unknown,
            code: "NoInstance".to_owned(),
            message: "EC2 launched nothing and gave no reason".to_owned(),
            pool: None,
        });
    }
    FleetAnswer { instances, errors }
}

/// The instances of one pool.
fn launched(pool: &CreateFleetInstance) -> impl Iterator<Item = FleetInstance> {
    let overrides = pool
        .launch_template_and_overrides()
        .and_then(|template| template.overrides());
    let zone = pool
        .availability_zone()
        .or_else(|| overrides?.availability_zone())
        .map(Zone::new);
    let instance_type = pool
        .instance_type()
        .or_else(|| overrides?.instance_type())
        .map_or("", SdkInstanceType::as_str);
    let spot = pool.lifecycle() == Some(&InstanceLifecycle::Spot);
    pool.instance_ids().iter().map(move |id| FleetInstance {
        instance: InstanceId::new(id),
        instance_type: InstanceType::new(instance_type),
        zone: zone.clone(),
        spot,
    })
}
