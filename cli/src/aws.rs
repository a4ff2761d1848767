//! How the commands reach AWS: as the person who runs them.

use std::time::Duration;

use aws_config::timeout::TimeoutConfig;
use aws_config::{BehaviorVersion, Region, SdkConfig};

use crate::error::Error;

/// Across an ocean and a hotel's network.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// For one try; longer than any call of ours waits for its answer on purpose.
const ATTEMPT_TIMEOUT: Duration = Duration::from_secs(30);

/// The configuration of all clients: credentials and region from where the AWS CLI has them too.
///
/// # Errors
/// If no region is given or found, or the TLS set-up fails.
pub(crate) async fn config(region: Option<&str>) -> Result<SdkConfig, Error> {
    let mut loader = aws_config::defaults(BehaviorVersion::v2026_01_12())
        .http_client(dayfly_aws::http_client_for_people()?)
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
