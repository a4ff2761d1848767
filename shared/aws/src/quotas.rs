//! Service Quotas: what the account may have of EC2.

use aws_sdk_servicequotas::Client;
use aws_sdk_servicequotas::types::ServiceQuota;
use dayfly_ports::{QuotaError, Quotas};

use crate::{Failure, SdkConfig, failure};

/// What Service Quotas calls EC2.
const EC2: &str = "ec2";

/// The quotas of the account and region.
#[derive(Clone, Debug)]
pub struct ServiceQuotas {
    client: Client,
}

impl ServiceQuotas {
    /// Nothing is sent yet.
    #[must_use]
    pub fn new(config: &SdkConfig) -> Self {
        Self {
            client: Client::new(config),
        }
    }

    /// The account's own value.
    async fn applied(&self, code: &str) -> Result<Option<ServiceQuota>, Failure> {
        let asked = self.client.get_service_quota().service_code(EC2).quota_code(code);
        let answer = asked.send().await.map_err(|error| failure(&error))?;
        Ok(answer.quota)
    }

    /// AWS's value for whoever never had another.
    async fn default(&self, code: &str) -> Result<Option<ServiceQuota>, Failure> {
        let asked = self.client.get_aws_default_service_quota();
        let answer = asked.service_code(EC2).quota_code(code).send().await;
        Ok(answer.map_err(|error| failure(&error))?.quota)
    }
}

impl Quotas for ServiceQuotas {
    async fn value(&self, code: &str) -> Result<Option<u32>, QuotaError> {
        let mut asked = self.applied(code).await;
        // Service Quotas holds no value of the account's own until it has had one.
        if matches!(&asked, Err(failure) if is(failure, "NoSuchResource")) {
            asked = self.default(code).await;
        }
        match asked {
            Ok(quota) => Ok(quota.and_then(|quota| quota.value).and_then(vcpus)),
            Err(failure) if is(&failure, "NoSuchResource") => Ok(None),
            Err(failure) if is(&failure, "AccessDenied") => {
                tracing::warn!(quota = code, %failure, "the quota is not told: its value is missing in what is said");
                Ok(None)
            }
            Err(failure) => Err(QuotaError {
                code: code.to_owned(),
                error: failure.to_string(),
            }),
        }
    }
}

/// The service's codes end in `Exception`, IAM's own do not always.
fn is(failure: &Failure, code: &str) -> bool {
    let said = failure.code.as_deref().unwrap_or_default();
    said.strip_suffix("Exception").unwrap_or(said) == code
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "what does not fit was sent away before, and there are no parts of a vCPU"
)]
fn vcpus(value: f64) -> Option<u32> {
    (0.0..=f64::from(u32::MAX)).contains(&value).then_some(value as u32)
}

#[cfg(test)]
mod tests;
