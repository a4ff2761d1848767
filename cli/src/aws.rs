//! Access to AWS with the credentials of the person who runs a command.

use std::time::Duration;

use aws_config::timeout::TimeoutConfig;
use aws_config::{BehaviorVersion, Region, SdkConfig};
use dayfly_types::ids::InstanceId;

use crate::error::Error;

/// Enough for a slow network and a distant region.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// For one try: longer than any long poll here.
const ATTEMPT_TIMEOUT: Duration = Duration::from_secs(30);

/// Loads credentials and region as the AWS CLI does.
///
/// # Errors
/// There is no region, or the TLS set-up fails.
pub(crate) async fn config(region: Option<&str>) -> Result<SdkConfig, Error> {
    let mut loader = aws_config::defaults(BehaviorVersion::v2026_01_12())
        .http_client(dayfly_aws::cli_http_client()?)
        .timeout_config(
            TimeoutConfig::builder()
                .connect_timeout(CONNECT_TIMEOUT)
                .operation_attempt_timeout(ATTEMPT_TIMEOUT)
                .build(),
        );
    if let Some(region) = region {
        loader = loader.region(Region::new(region.to_owned()));
    }
    let config = loader.load().await;
    if config.region().is_none() {
        return Err(Error::NoRegion);
    }
    Ok(config)
}

/// Returns the command that shows the end of an instance's console. This program links no EC2 client, which takes
/// minutes to build.
pub(crate) fn console_command(instance: &InstanceId, region: &str) -> String {
    format!("aws ec2 get-console-output --latest --output text --region {region} --instance-id {instance}")
}
