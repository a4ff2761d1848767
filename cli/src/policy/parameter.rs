//! The SSM parameter that holds the stack policy.

use aws_config::SdkConfig;
use aws_sdk_ssm::Client;
use aws_sdk_ssm::operation::get_parameter::GetParameterError;
use aws_sdk_ssm::types::{ParameterTier, ParameterType};

use crate::error::Error;

/// The parameter.
pub(super) struct Parameter {
    client: Client,
    name: String,
}

/// What lies in it.
pub(super) struct Kept {
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

    /// What lies in it; nothing if there is no such parameter.
    pub(super) async fn read(&self) -> Result<Option<Kept>, Error> {
        let asked = format!("reading the SSM parameter `{}`", self.name);
        let answer = match self.client.get_parameter().name(&self.name).send().await {
            Ok(answer) => answer,
            Err(error) if matches!(error.as_service_error(), Some(GetParameterError::ParameterNotFound(_))) => {
                return Ok(None);
            }
            Err(error) => return Err(Error::aws(asked, dayfly_aws::failure(&error))),
        };
        let kept = answer.parameter.and_then(|parameter| {
            Some(Kept {
                version: parameter.version,
                text: parameter.value?,
            })
        });
        kept.map(Some)
            .ok_or_else(|| Error::unsound(&asked, "the answer has no value"))
    }

    /// Puts a policy in; which version it is.
    pub(super) async fn write(&self, text: &str) -> Result<i64, Error> {
        let written = self
            .client
            .put_parameter()
            .name(&self.name)
            .value(text)
            .r#type(ParameterType::String)
            // The one that costs nothing.
            .tier(ParameterTier::Standard)
            .overwrite(true)
            .send()
            .await;
        let asked = format!("writing the SSM parameter `{}`", self.name);
        let written = written.map_err(|error| Error::aws(asked, dayfly_aws::failure(&error)))?;
        Ok(written.version)
    }
}
