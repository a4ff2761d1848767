//! Launch templates for instances with security groups or an instance profile of their own, which a call
//! cannot override as it can type, subnet and image.
//!
//! They are versions of a second template, each copied from the current version of the stack's own. They
//! cannot be versions of the stack's own, whose latest version all other instances are launched from.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use aws_sdk_ec2::types::{
    LaunchTemplateBlockDeviceMapping, LaunchTemplateBlockDeviceMappingRequest, LaunchTemplateEbsBlockDeviceRequest,
    LaunchTemplateIamInstanceProfileSpecificationRequest, LaunchTemplateInstanceMetadataOptionsRequest,
    LaunchTemplateTagSpecificationRequest, LaunchTemplateVersion, LaunchTemplatesMonitoringRequest,
    RequestLaunchTemplateData, ResponseLaunchTemplateData,
};
use dayfly_ports::{FleetError, FleetErrorKind, InstanceOverrides};
use dayfly_types::ids::SecurityGroupId;
use sha2::{Digest as _, Sha256};

use crate::{Ec2Fleet, call_error, fleet_error, unexpected};

/// How long a version is used before checking for an update of the stack.
const FRESH: Duration = Duration::from_mins(5);

/// The launch template version that instances are launched from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Template {
    pub(crate) id: String,
    pub(crate) version: String,
}

/// The versions found so far, with the time each was found.
#[derive(Clone, Debug, Default)]
pub(crate) struct TemplateCache(Arc<Mutex<BTreeMap<InstanceOverrides, (Template, Instant)>>>);

impl TemplateCache {
    fn get(&self, overrides: &InstanceOverrides) -> Option<Template> {
        let cached = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (template, at) = cached.get(overrides)?;
        (at.elapsed() < FRESH).then(|| template.clone())
    }

    fn insert(&self, overrides: &InstanceOverrides, template: &Template) {
        let mut cached = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        cached.insert(overrides.clone(), (template.clone(), Instant::now()));
    }
}

impl Ec2Fleet {
    /// Returns the version to launch from for these overrides, and creates it if needed. Two concurrent
    /// calls may each create one; both are valid.
    pub(crate) async fn template(&self, overrides: &InstanceOverrides) -> Result<Template, FleetError> {
        if overrides.is_empty() {
            return Ok(Template {
                id: self.settings.launch_template.clone(),
                // Updates of the stack add versions and leave the default one unchanged.
                version: "$Latest".to_owned(),
            });
        }
        if let Some(template) = self.templates.get(overrides) {
            return Ok(template);
        }
        let Some(id) = self.settings.launch_template_variants.clone() else {
            return Err(no_variants());
        };
        let own = self.own_template().await?;
        let name = variant_name(&own, overrides)?;
        let number = match self.variant(&id, &name).await? {
            Some(number) => number,
            None => self.create_variant(&id, &name, &own, overrides).await?,
        };
        let template = Template {
            id,
            version: number.to_string(),
        };
        self.templates.insert(overrides, &template);
        Ok(template)
    }

    /// Returns the latest version of the stack's own template.
    async fn own_template(&self) -> Result<LaunchTemplateVersion, FleetError> {
        let answer = self
            .client
            .describe_launch_template_versions()
            .launch_template_id(&self.settings.launch_template)
            .versions("$Latest")
            .send()
            .await
            .map_err(|error| call_error(&error))?;
        let mut versions = answer.launch_template_versions.unwrap_or_default();
        versions
            .pop()
            .ok_or_else(|| unexpected("EC2 names no latest version of the stack's launch template"))
    }

    /// Returns the first version of this name, so that all callers find the same one.
    async fn variant(&self, template: &str, name: &str) -> Result<Option<i64>, FleetError> {
        let mut pages = self
            .client
            .describe_launch_template_versions()
            .launch_template_id(template)
            .into_paginator()
            .send();
        let mut first = None;
        while let Some(page) = pages.next().await {
            let page = page.map_err(|error| call_error(&error))?;
            let named = page
                .launch_template_versions()
                .iter()
                .filter(|version| version.version_description() == Some(name));
            first = named
                .filter_map(LaunchTemplateVersion::version_number)
                .chain(first)
                .min();
        }
        Ok(first)
    }

    async fn create_variant(
        &self,
        template: &str,
        name: &str,
        own: &LaunchTemplateVersion,
        overrides: &InstanceOverrides,
    ) -> Result<i64, FleetError> {
        let data = own
            .launch_template_data()
            .ok_or_else(|| unexpected("EC2 does not say what is in the stack's launch template"))?;
        let answer = self
            .client
            .create_launch_template_version()
            .launch_template_id(template)
            .client_token(name.replace(' ', "-"))
            .version_description(name)
            .launch_template_data(with_overrides(data, overrides))
            .send()
            .await
            .map_err(|error| call_error(&error))?;
        let created = answer
            .launch_template_version()
            .and_then(LaunchTemplateVersion::version_number);
        let number = created.ok_or_else(|| unexpected("EC2 does not number a version of a launch template"))?;
        tracing::info!(
            template,
            number,
            name,
            ?overrides,
            "created a version of the launch template"
        );
        Ok(number)
    }
}

/// Names a variant by the version of the stack's own template it is copied from, and a digest of its
/// overrides.
fn variant_name(own: &LaunchTemplateVersion, overrides: &InstanceOverrides) -> Result<String, FleetError> {
    let number = own
        .version_number()
        .ok_or_else(|| unexpected("EC2 does not number the stack's launch template"))?;
    let groups = overrides.security_groups.iter().map(SecurityGroupId::as_str);
    let profile = overrides.instance_profile.as_deref().unwrap_or_default();
    let parts: Vec<&str> = groups.chain([profile]).collect();
    let digest = hex::encode(Sha256::digest(parts.join("\n")));
    Ok(format!("dayfly {number} {}", &digest[..16]))
}

/// Copies the stack's own template with other overrides. A test of the stack's template checks that every
/// field it sets is copied.
fn with_overrides(own: &ResponseLaunchTemplateData, overrides: &InstanceOverrides) -> RequestLaunchTemplateData {
    let profile = overrides.instance_profile.as_deref().map(|profile| {
        let builder = LaunchTemplateIamInstanceProfileSpecificationRequest::builder();
        if profile.starts_with("arn:") {
            builder.arn(profile).build()
        } else {
            builder.name(profile).build()
        }
    });
    let own_profile = own.iam_instance_profile().map(|profile| {
        LaunchTemplateIamInstanceProfileSpecificationRequest::builder()
            .set_arn(profile.arn().map(str::to_owned))
            .set_name(profile.name().map(str::to_owned))
            .build()
    });
    let groups = match overrides.security_groups.as_slice() {
        [] => own.security_group_ids().to_vec(),
        groups => groups.iter().map(ToString::to_string).collect(),
    };
    let tags = own.tag_specifications().iter().map(|tagged| {
        LaunchTemplateTagSpecificationRequest::builder()
            .set_resource_type(tagged.resource_type().cloned())
            .set_tags(Some(tagged.tags().to_vec()))
            .build()
    });
    let monitoring = own.monitoring().map(|monitoring| {
        LaunchTemplatesMonitoringRequest::builder()
            .set_enabled(monitoring.enabled())
            .build()
    });
    RequestLaunchTemplateData::builder()
        .set_image_id(own.image_id().map(str::to_owned))
        .set_instance_type(own.instance_type().cloned())
        .set_iam_instance_profile(profile.or(own_profile))
        .set_security_group_ids(Some(groups))
        .set_instance_initiated_shutdown_behavior(own.instance_initiated_shutdown_behavior().cloned())
        .set_metadata_options(metadata(own))
        .set_monitoring(monitoring)
        .set_block_device_mappings(Some(own.block_device_mappings().iter().map(volume).collect()))
        .set_tag_specifications(Some(tags.collect()))
        .set_user_data(own.user_data().map(str::to_owned))
        .build()
}

fn metadata(own: &ResponseLaunchTemplateData) -> Option<LaunchTemplateInstanceMetadataOptionsRequest> {
    let options = own.metadata_options()?;
    let copy = LaunchTemplateInstanceMetadataOptionsRequest::builder()
        .set_http_endpoint(options.http_endpoint().cloned())
        .set_http_tokens(options.http_tokens().cloned())
        .set_http_put_response_hop_limit(options.http_put_response_hop_limit())
        .set_http_protocol_ipv6(options.http_protocol_ipv6().cloned())
        .set_instance_metadata_tags(options.instance_metadata_tags().cloned());
    Some(copy.build())
}

fn volume(own: &LaunchTemplateBlockDeviceMapping) -> LaunchTemplateBlockDeviceMappingRequest {
    let ebs = own.ebs().map(|ebs| {
        LaunchTemplateEbsBlockDeviceRequest::builder()
            .set_volume_type(ebs.volume_type().cloned())
            .set_volume_size(ebs.volume_size())
            .set_encrypted(ebs.encrypted())
            .set_delete_on_termination(ebs.delete_on_termination())
            .build()
    });
    LaunchTemplateBlockDeviceMappingRequest::builder()
        .set_device_name(own.device_name().map(str::to_owned))
        .set_ebs(ebs)
        .build()
}

fn no_variants() -> FleetError {
    fleet_error(
        FleetErrorKind::BadRequest,
        "NoLaunchTemplateVariants",
        "this stack cannot launch with other `security_groups` or another `instance_profile`: deploy its template again",
    )
}
