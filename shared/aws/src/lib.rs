//! The functions' configuration for all AWS clients, made without I/O, and the small adapters.
//!
//! `aws-config` is not used: Lambda sets credentials and region in the environment, so its chain of profiles,
//! SSO, IMDS and STS would only add code and start-up time.
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used))]

#[cfg(feature = "alerts")]
pub mod alerts;
#[cfg(feature = "bus")]
pub mod bus;
mod endpoints;
mod error;
mod http;
#[cfg(feature = "parameters")]
pub mod parameters;
#[cfg(feature = "quotas")]
pub mod quotas;
mod roots;
#[cfg(feature = "schedule")]
pub mod schedule;

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use aws_credential_types::Credentials;
use aws_credential_types::provider::error::CredentialsError;
use aws_credential_types::provider::{ProvideCredentials, future};
use aws_smithy_runtime_api::client::behavior_version::BehaviorVersion;
use aws_smithy_runtime_api::client::http::SharedHttpClient;
use aws_smithy_types::retry::{RetryConfig, RetrySpec};
use aws_smithy_types::timeout::TimeoutConfig;
use aws_types::origin::Origin;
use aws_types::region::Region;
use aws_types::sdk_config::{SharedCredentialsProvider, StalledStreamProtectionConfig};

pub use aws_types::SdkConfig;
pub use error::{Failure, failure};

use endpoints::EndpointsFromEnvironment;
use http::{CliClient, LazyClient};
use roots::Roots;

/// A connection to an endpoint in the same region takes milliseconds, or fails.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(1);

/// After this time a connection counts as dead, and a second try is faster.
const ATTEMPT_TIMEOUT: Duration = Duration::from_secs(3);

/// The limit of a call with all its tries: below GitHub's limit for a webhook (10 s) and any function's
/// timeout.
const OPERATION_TIMEOUT: Duration = Duration::from_secs(8);

/// The first try and two retries.
const ATTEMPTS: u32 = 3;

#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    #[error("neither `AWS_REGION` nor `AWS_DEFAULT_REGION` is set: set one to the stack's region")]
    NoRegion,
    #[error("`AWS_CA_BUNDLE` names `{path}`: {error}. Name a file of PEM certificates, or unset the variable")]
    CaBundle { path: PathBuf, error: String },
}

/// Returns the configuration of this process. No connection is made: the first call sets up TLS.
///
/// Reads `AWS_REGION` or `AWS_DEFAULT_REGION`, `AWS_ENDPOINT_URL`, `AWS_ENDPOINT_URL_<SERVICE>`,
/// `AWS_CA_BUNDLE`, and with each call `AWS_ACCESS_KEY_ID`, `AWS_SECRET_ACCESS_KEY` and `AWS_SESSION_TOKEN`.
///
/// # Errors
/// If no region is set, or the file of `AWS_CA_BUNDLE` cannot be used.
pub fn config() -> Result<SdkConfig, ConfigError> {
    config_from(|name| std::env::var(name).ok())
}

/// Like [`config`], with an environment given by `lookup`, for tests.
///
/// # Errors
/// As [`config`].
pub fn config_from(lookup: impl Fn(&str) -> Option<String> + Send + Sync + 'static) -> Result<SdkConfig, ConfigError> {
    from_environment(&Environment(Arc::new(lookup)))
}

/// Returns only the HTTP client, for the CLI, which finds its credentials otherwise. Honours `AWS_CA_BUNDLE`
/// and the usual proxy variables.
///
/// # Errors
/// If the file of `AWS_CA_BUNDLE` cannot be used.
pub fn cli_http_client() -> Result<SharedHttpClient, ConfigError> {
    let env = Environment(Arc::new(|name: &str| std::env::var(name).ok()));
    Ok(SharedHttpClient::new(CliClient::new(roots(&env)?)))
}

/// Returns the time limits of each call. The client of a slower service extends them.
#[must_use]
pub fn timeouts() -> TimeoutConfig {
    TimeoutConfig::builder()
        .connect_timeout(CONNECT_TIMEOUT)
        .operation_attempt_timeout(ATTEMPT_TIMEOUT)
        .operation_timeout(OPERATION_TIMEOUT)
        .build()
}

type Lookup = dyn Fn(&str) -> Option<String> + Send + Sync;

#[derive(Clone)]
struct Environment(Arc<Lookup>);

impl Environment {
    fn get(&self, name: &str) -> Option<String> {
        (self.0)(name).filter(|value| !value.is_empty())
    }
}

impl fmt::Debug for Environment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Environment")
    }
}

fn from_environment(env: &Environment) -> Result<SdkConfig, ConfigError> {
    let region = env
        .get("AWS_REGION")
        .or_else(|| env.get("AWS_DEFAULT_REGION"))
        .ok_or(ConfigError::NoRegion)?;
    let roots = roots(env)?;
    let mut builder = SdkConfig::builder()
        .behavior_version(BehaviorVersion::v2026_01_12())
        .region(Region::new(region))
        .credentials_provider(SharedCredentialsProvider::new(CredentialsFromEnvironment(env.clone())))
        .service_config(EndpointsFromEnvironment(env.clone()))
        .retry_config(
            RetryConfig::standard()
                .with_retry_spec(RetrySpec::v2_1())
                .with_max_attempts(ATTEMPTS),
        )
        .timeout_config(timeouts())
        // We read no streams: the time limit of a try covers the whole answer.
        .stalled_stream_protection(StalledStreamProtectionConfig::disabled())
        .http_client(LazyClient::new(roots));
    builder.set_endpoint_url(env.get("AWS_ENDPOINT_URL"));
    // Without this, each client replaces our number of tries with its service's own.
    builder.insert_origin("retry_config", Origin::shared_config());
    Ok(builder.build())
}

fn roots(env: &Environment) -> Result<Roots, ConfigError> {
    match env.get("AWS_CA_BUNDLE") {
        Some(path) => Roots::from_file(path.into()),
        None => Ok(Roots::of_aws()),
    }
}

/// Lambda's credentials. They are read on every load, because an environment that was frozen for long may have
/// received new ones.
#[derive(Debug)]
struct CredentialsFromEnvironment(Environment);

impl CredentialsFromEnvironment {
    fn read(&self) -> Result<Credentials, CredentialsError> {
        let required = |name: &str| {
            self.0.get(name).ok_or_else(|| {
                CredentialsError::not_loaded(format!(
                    "`{name}` is not set: run where AWS credentials are in the environment, as they are on Lambda"
                ))
            })
        };
        Ok(Credentials::new(
            required("AWS_ACCESS_KEY_ID")?,
            required("AWS_SECRET_ACCESS_KEY")?,
            self.0.get("AWS_SESSION_TOKEN"),
            None,
            "environment",
        ))
    }
}

impl ProvideCredentials for CredentialsFromEnvironment {
    fn provide_credentials<'a>(&'a self) -> future::ProvideCredentials<'a>
    where
        Self: 'a,
    {
        future::ProvideCredentials::ready(self.read())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn full(name: &str) -> Option<String> {
        let value = match name {
            "AWS_REGION" => "eu-west-1",
            "AWS_ACCESS_KEY_ID" => "AKIDEXAMPLE",
            "AWS_SECRET_ACCESS_KEY" => "secret",
            "AWS_SESSION_TOKEN" => "token",
            "AWS_ENDPOINT_URL" => "http://localhost:4566",
            _ => return None,
        };
        Some(value.to_owned())
    }

    fn credentials(lookup: fn(&str) -> Option<String>) -> CredentialsFromEnvironment {
        CredentialsFromEnvironment(Environment(Arc::new(lookup)))
    }

    #[test]
    fn everything_comes_from_the_environment() {
        let config = config_from(full).unwrap();
        assert_eq!(config.region().unwrap().as_ref(), "eu-west-1");
        assert_eq!(config.endpoint_url(), Some("http://localhost:4566"));
        let credentials = credentials(full).read().unwrap();
        assert_eq!(credentials.access_key_id(), "AKIDEXAMPLE");
        assert_eq!(credentials.session_token(), Some("token"));
    }

    #[test]
    fn every_call_has_time_limits_and_few_tries() {
        let config = config_from(full).unwrap();
        let timeouts = config.timeout_config().unwrap();
        assert!(timeouts.connect_timeout() < timeouts.operation_attempt_timeout());
        assert!(timeouts.operation_attempt_timeout() < timeouts.operation_timeout());
        assert_eq!(config.retry_config().unwrap().max_attempts(), ATTEMPTS);
        assert!(config.get_origin("retry_config").is_client_config());
    }

    #[test]
    fn a_missing_region_says_what_to_set() {
        let error = config_from(|_| None).unwrap_err().to_string();
        assert!(error.contains("AWS_REGION"), "{error}");
    }

    #[test]
    fn missing_credentials_say_what_to_set() {
        let error = credentials(|_| None).read().unwrap_err();
        let cause = std::error::Error::source(&error).unwrap().to_string();
        assert!(cause.contains("AWS_ACCESS_KEY_ID"), "{cause}");
    }

    #[test]
    fn credentials_are_not_shown_when_the_configuration_is() {
        let shown = format!("{:?}", credentials(full).read().unwrap());
        assert!(!shown.contains("secret\""), "{shown}");
    }
}
