//! Launch templates for instances with other security groups or another instance profile than the stack
//! gives its own: a call can override type, subnet and image of a template, but not these.
//!
//! They are versions of a template beside the stack's own, each made from the stack's own as that is now.
//! They cannot be versions of the stack's own: whatever is its latest is what all others are launched
//! from.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use aws_sdk_ec2::types::{
    LaunchTemplateBlockDeviceMapping, LaunchTemplateBlockDeviceMappingRequest, LaunchTemplateEbsBlockDeviceRequest,
    LaunchTemplateIamInstanceProfileSpecificationRequest, LaunchTemplateInstanceMetadataOptionsRequest,
    LaunchTemplateTagSpecificationRequest, LaunchTemplateVersion, LaunchTemplatesMonitoringRequest,
    RequestLaunchTemplateData, ResponseLaunchTemplateData,
};
use dayfly_ports::{FleetError, FleetErrorKind, Surroundings};
use dayfly_types::ids::SecurityGroupId;
use sha2::{Digest as _, Sha256};

use crate::{Ec2Fleet, refused, unexpected};

/// How long a version that was found is used without asking whether the stack was updated since.
const FRESH: Duration = Duration::from_mins(5);

/// What instances are launched from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Template {
    /// The launch template.
    pub(crate) id: String,
    /// Its version.
    pub(crate) version: String,
}

/// The versions that were found.
#[derive(Clone, Debug, Default)]
pub(crate) struct Known(Arc<Mutex<BTreeMap<Surroundings, (Template, Instant)>>>);

impl Known {
    fn of(&self, surroundings: &Surroundings) -> Option<Template> {
        let known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (template, at) = known.get(surroundings)?;
        (at.elapsed() < FRESH).then(|| template.clone())
    }

    fn keep(&self, surroundings: &Surroundings, template: &Template) {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        known.insert(surroundings.clone(), (template.clone(), Instant::now()));
    }
}

impl Ec2Fleet {
    /// What to launch from for these surroundings, made if nobody has yet. Of two that make it at once each
    /// may get its own, and both are good.
    pub(crate) async fn template(&self, surroundings: &Surroundings) -> Result<Template, FleetError> {
        if surroundings.are_the_stacks() {
            return Ok(Template {
                id: self.settings.launch_template.clone(),
                // The stack's updates make new versions and leave the default one as it was.
                version: "$Latest".to_owned(),
            });
        }
        if let Some(known) = self.known.of(surroundings) {
            return Ok(known);
        }
        let Some(id) = self.settings.launch_template_variants.clone() else {
            return Err(no_variants());
        };
        let own = self.own_template().await?;
        let name = name_of(&own, surroundings)?;
        let number = match self.variant(&id, &name).await? {
            Some(number) => number,
            None => self.make_variant(&id, &name, &own, surroundings).await?,
        };
        let template = Template {
            id,
            version: number.to_string(),
        };
        self.known.keep(surroundings, &template);
        Ok(template)
    }

    /// The stack's own template, as it is now.
    async fn own_template(&self) -> Result<LaunchTemplateVersion, FleetError> {
        let answer = self
            .client
            .describe_launch_template_versions()
            .launch_template_id(&self.settings.launch_template)
            .versions("$Latest")
            .send()
            .await
            .map_err(|error| refused(&error))?;
        let mut versions = answer.launch_template_versions.unwrap_or_default();
        versions
            .pop()
            .ok_or_else(|| unexpected("EC2 names no latest version of the stack's launch template"))
    }

    /// The first version that goes by a name, so that all find the same.
    async fn variant(&self, template: &str, name: &str) -> Result<Option<i64>, FleetError> {
        let mut pages = self
            .client
            .describe_launch_template_versions()
            .launch_template_id(template)
            .into_paginator()
            .send();
        let mut first = None;
        while let Some(page) = pages.next().await {
            let page = page.map_err(|error| refused(&error))?;
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

    async fn make_variant(
        &self,
        template: &str,
        name: &str,
        own: &LaunchTemplateVersion,
        surroundings: &Surroundings,
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
            .launch_template_data(with(data, surroundings))
            .send()
            .await
            .map_err(|error| refused(&error))?;
        let made = answer
            .launch_template_version()
            .and_then(aws_sdk_ec2::types::LaunchTemplateVersion::version_number);
        let number = made.ok_or_else(|| unexpected("EC2 does not number a version of a launch template"))?;
        tracing::info!(
            template,
            number,
            name,
            ?surroundings,
            "made a version of the launch template"
        );
        Ok(number)
    }
}

/// What a variant goes by: the version of the stack's own template that it is made from, and a digest of
/// what it has in its place.
fn name_of(own: &LaunchTemplateVersion, surroundings: &Surroundings) -> Result<String, FleetError> {
    let number = own
        .version_number()
        .ok_or_else(|| unexpected("EC2 does not number the stack's launch template"))?;
    let groups = surroundings.security_groups.iter().map(SecurityGroupId::as_str);
    let profile = surroundings.instance_profile.as_deref().unwrap_or_default();
    let said: Vec<&str> = groups.chain([profile]).collect();
    let digest = hex::encode(Sha256::digest(said.join("\n")));
    Ok(format!("dayfly {number} {}", &digest[..16]))
}

/// The stack's own template with other surroundings. What is copied is what the stack's template says; a
/// test of the template compares.
fn with(own: &ResponseLaunchTemplateData, surroundings: &Surroundings) -> RequestLaunchTemplateData {
    let profile = surroundings.instance_profile.as_deref().map(|profile| {
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
    let groups = match surroundings.security_groups.as_slice() {
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
    FleetError {
        kind: FleetErrorKind::BadRequest,
        code: "NoLaunchTemplateVariants".to_owned(),
        message: "this stack launches with no other `security_groups` or `instance_profile` than its own: deploy its template again"
            .to_owned(),
        pool: None,
    }
}
