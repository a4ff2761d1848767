//! The account's EC2 quotas, from Service Quotas.

use aws_sdk_servicequotas::Client;
use aws_sdk_servicequotas::types::ServiceQuota;
use dayfly_ports::{QuotaError, Quotas};

use crate::{Failure, SdkConfig, failure};

/// EC2's name in Service Quotas.
const EC2: &str = "ec2";

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

    /// Returns the account's own value.
    async fn applied(&self, code: &str) -> Result<Option<ServiceQuota>, Failure> {
        let request = self.client.get_service_quota().service_code(EC2).quota_code(code);
        let answer = request.send().await.map_err(|error| failure(&error))?;
        Ok(answer.quota)
    }

    /// Returns AWS's value for accounts without their own.
    async fn default(&self, code: &str) -> Result<Option<ServiceQuota>, Failure> {
        let request = self.client.get_aws_default_service_quota();
        let answer = request.service_code(EC2).quota_code(code).send().await;
        Ok(answer.map_err(|error| failure(&error))?.quota)
    }
}

impl Quotas for ServiceQuotas {
    async fn value(&self, code: &str) -> Result<Option<u32>, QuotaError> {
        let mut answer = self.applied(code).await;
        // Service Quotas has no applied value until the quota was changed.
        if matches!(&answer, Err(failure) if is(failure, "NoSuchResource")) {
            answer = self.default(code).await;
        }
        match answer {
            Ok(quota) => Ok(quota.and_then(|quota| quota.value).and_then(vcpus)),
            Err(failure) if is(&failure, "NoSuchResource") => Ok(None),
            Err(failure) if is(&failure, "AccessDenied") => {
                tracing::warn!(quota = code, %failure, "reading the quota is denied: reports will lack its value");
                Ok(None)
            }
            Err(failure) => Err(QuotaError {
                code: code.to_owned(),
                error: failure.to_string(),
            }),
        }
    }
}

/// Compares codes without `Exception`: the service's codes end in it, IAM's own not always.
fn is(failure: &Failure, code: &str) -> bool {
    let actual = failure.code.as_deref().unwrap_or_default();
    actual.strip_suffix("Exception").unwrap_or(actual) == code
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "the range is checked, and quotas are whole vCPUs"
)]
fn vcpus(value: f64) -> Option<u32> {
    (0.0..=f64::from(u32::MAX)).contains(&value).then_some(value as u32)
}

#[cfg(test)]
mod tests;
