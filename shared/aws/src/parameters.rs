//! SSM parameters: the webhook's secret, the App's key, the ids of AWS's images.
//!
//! Nothing is cached here: callers cache values, and no failures.

use aws_sdk_ssm::Client;
use aws_sdk_ssm::error::ProvideErrorMetadata as _;
use aws_sdk_ssm::operation::get_parameter::GetParameterError;
use dayfly_ports::{ParameterError, Parameters};
use secrecy::SecretString;

use crate::{SdkConfig, failure};

#[derive(Clone, Debug)]
pub struct SsmParameters {
    client: Client,
}

impl SsmParameters {
    /// Nothing is sent yet.
    #[must_use]
    pub fn new(config: &SdkConfig) -> Self {
        Self {
            client: Client::new(config),
        }
    }
}

impl Parameters for SsmParameters {
    async fn read(&self, name: &str) -> Result<SecretString, ParameterError> {
        let unavailable = |error: String| ParameterError::Unavailable {
            name: name.to_owned(),
            error,
        };
        let forbidden = |error: String| ParameterError::Forbidden {
            name: name.to_owned(),
            error,
        };
        let answer = self
            .client
            .get_parameter()
            .name(name)
            .with_decryption(true)
            .send()
            .await
            .map_err(|error| match error.as_service_error() {
                Some(GetParameterError::ParameterNotFound(_)) => ParameterError::Missing(name.to_owned()),
                Some(other) if other.code() == Some("AccessDeniedException") => forbidden(failure(&error).to_string()),
                _ => unavailable(failure(&error).to_string()),
            })?;
        answer
            .parameter
            .and_then(|parameter| parameter.value)
            .map(SecretString::from)
            .ok_or_else(|| unavailable("the answer has no value".to_owned()))
    }
}

#[cfg(test)]
mod tests;
