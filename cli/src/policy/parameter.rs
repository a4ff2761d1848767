//! The SSM parameter that holds the stack policy.

use aws_config::SdkConfig;
use aws_sdk_ssm::Client;
use aws_sdk_ssm::operation::get_parameter::GetParameterError;
use aws_sdk_ssm::types::{ParameterTier, ParameterType};

use crate::error::Error;

pub(super) struct Parameter {
    client: Client,
    name: String,
}

pub(super) struct StoredPolicy {
    pub(super) text: String,
    pub(super) version: i64,
}

impl Parameter {
    pub(super) fn new(aws: &SdkConfig, name: &str) -> Self {
        Self {
            client: Client::new(aws),
            name: name.to_owned(),
        }
    }

    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// Reads the policy, or returns `None` if the parameter does not exist.
    pub(super) async fn read(&self) -> Result<Option<StoredPolicy>, Error> {
        let request = format!("reading the SSM parameter `{}`", self.name);
        let answer = match self.client.get_parameter().name(&self.name).send().await {
            Ok(answer) => answer,
            Err(error) if matches!(error.as_service_error(), Some(GetParameterError::ParameterNotFound(_))) => {
                return Ok(None);
            }
            Err(error) => return Err(Error::aws(request, dayfly_aws::failure(&error))),
        };
        let stored = answer.parameter.and_then(|parameter| {
            Some(StoredPolicy {
                version: parameter.version,
                text: parameter.value?,
            })
        });
        stored
            .map(Some)
            .ok_or_else(|| Error::invalid(&request, "the answer has no value"))
    }

    /// Stores a policy and returns its version.
    pub(super) async fn write(&self, text: &str) -> Result<i64, Error> {
        let written = self
            .client
            .put_parameter()
            .name(&self.name)
            .value(text)
            .r#type(ParameterType::String)
            // The free tier.
            .tier(ParameterTier::Standard)
            .overwrite(true)
            .send()
            .await;
        let request = format!("writing the SSM parameter `{}`", self.name);
        let written = written.map_err(|error| Error::aws(request, dayfly_aws::failure(&error)))?;
        Ok(written.version)
    }
}
