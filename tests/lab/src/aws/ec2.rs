//! The lab's view of EC2, as the account's owner.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::{Aws, AwsError};

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ec2Instance {
    /// `i-…`.
    pub id: String,
    /// `running`, `terminated` …
    pub state: String,
    /// Such as `g4dn.xlarge`.
    pub instance_type: String,
    /// Such as `eu-west-1b`.
    pub zone: String,
    /// `subnet-…`.
    pub subnet: String,
    /// Whether it is on spot capacity.
    pub spot: bool,
    pub tags: BTreeMap<String, String>,
}

impl Ec2Instance {
    /// Whether it is ended or ending.
    #[must_use]
    pub fn is_ended(&self) -> bool {
        matches!(&*self.state, "shutting-down" | "terminated")
    }
}

impl Aws {
    /// Returns every instance that EC2 still lists. Ended ones disappear after a minute or so.
    ///
    /// # Errors
    /// [`AwsError`].
    pub async fn instances(&self) -> Result<Vec<Ec2Instance>, AwsError> {
        let answer = self.query("ec2", "DescribeInstances", &[]).await?;
        Ok(answer.each("instancesSet", |item| {
            Some(Ec2Instance {
                id: item.text("instanceId")?,
                state: item.text("name")?,
                instance_type: item.text("instanceType")?,
                zone: item.text("availabilityZone")?,
                subnet: item.text("subnetId")?,
                spot: item.text("instanceLifecycle").as_deref() == Some("spot"),
                tags: item.pairs("tagSet").into_iter().collect(),
            })
        }))
    }

    /// Returns each subnet's zone.
    ///
    /// # Errors
    /// [`AwsError`].
    pub async fn subnet_zones(&self) -> Result<BTreeMap<String, String>, AwsError> {
        let answer = self.query("ec2", "DescribeSubnets", &[]).await?;
        Ok(answer
            .each("subnetSet", |item| {
                Some((item.text("subnetId")?, item.text("availabilityZone")?))
            })
            .into_iter()
            .collect())
    }

    /// Returns the user data of a launch template's latest version.
    ///
    /// # Errors
    /// [`AwsError`].
    pub async fn template_user_data(&self, launch_template: &str) -> Result<String, AwsError> {
        let action = "ec2:DescribeLaunchTemplateVersions";
        let parameters = [
            ("LaunchTemplateId", launch_template),
            ("LaunchTemplateVersion.1", "$Latest"),
        ];
        let answer = self.query("ec2", "DescribeLaunchTemplateVersions", &parameters).await?;
        let encoded = super::calls::need(action, &answer, "userData")?;
        let bytes = STANDARD.decode(encoded.trim()).map_err(|_| AwsError::Shape {
            action: action.to_owned(),
            missing: "base64".to_owned(),
            answer: encoded.clone(),
        })?;
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    }

    /// Terminates an instance.
    ///
    /// # Errors
    /// [`AwsError`].
    pub async fn terminate(&self, instance: &str) -> Result<(), AwsError> {
        self.query("ec2", "TerminateInstances", &[("InstanceId.1", instance)])
            .await
            .map(drop)
    }

    /// Reports to EC2 that an instance has ended, with the reason to show.
    ///
    /// # Errors
    /// [`AwsError`].
    pub async fn ended(&self, instance: &str, reason: &str) -> Result<(), AwsError> {
        let parameters = [("InstanceId.1", instance), ("StateReason", reason)];
        self.query("ec2", "TerminateInstances", &parameters).await.map(drop)
    }
}
