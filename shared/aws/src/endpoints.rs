//! Custom endpoints, for a lab or a private network.

use aws_types::service_config::{LoadServiceConfig, ServiceConfigKey};

use crate::Environment;

/// Reads `AWS_ENDPOINT_URL_<SERVICE ID>` for each service, as the SDKs do, with `_` for spaces in the id.
/// `AWS_ENDPOINT_URL` itself is part of the configuration.
///
/// <https://docs.aws.amazon.com/sdkref/latest/guide/feature-ss-endpoints.html>
#[derive(Debug)]
pub(crate) struct EndpointsFromEnvironment(pub(crate) Environment);

impl LoadServiceConfig for EndpointsFromEnvironment {
    fn load_config(&self, key: ServiceConfigKey<'_>) -> Option<String> {
        let service = key.service_id().to_uppercase().replace([' ', '-'], "_");
        self.0.get(&format!("{}_{service}", key.env()))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    #[test]
    fn a_service_may_have_its_own_endpoint() {
        let endpoints = EndpointsFromEnvironment(Environment(Arc::new(|name| {
            (name == "AWS_ENDPOINT_URL_SOME_SERVICE").then(|| "http://localhost:1".to_owned())
        })));
        let endpoint_of = |service| {
            let key = ServiceConfigKey::builder()
                .service_id(service)
                .env("AWS_ENDPOINT_URL")
                .profile("endpoint_url")
                .build()
                .unwrap();
            endpoints.load_config(key)
        };
        assert_eq!(endpoint_of("Some Service").as_deref(), Some("http://localhost:1"));
        assert_eq!(endpoint_of("EC2"), None);
    }
}
