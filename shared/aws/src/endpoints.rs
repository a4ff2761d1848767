//! Endpoints other than AWS's own, for a lab or a private one.

use aws_types::service_config::{LoadServiceConfig, ServiceConfigKey};

use crate::Environment;

/// What a client asks for its own service, answered as the SDKs do:
/// `AWS_ENDPOINT_URL_<SERVICE ID>`, with blanks of the id as `_`. `AWS_ENDPOINT_URL` itself stands in
/// the configuration.
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
    fn a_service_may_have_an_endpoint_of_its_own() {
        let endpoints = EndpointsFromEnvironment(Environment(Arc::new(|name| {
            (name == "AWS_ENDPOINT_URL_SOME_SERVICE").then(|| "http://localhost:1".to_owned())
        })));
        let asked = |service| {
            let key = ServiceConfigKey::builder()
                .service_id(service)
                .env("AWS_ENDPOINT_URL")
                .profile("endpoint_url")
                .build()
                .unwrap();
            endpoints.load_config(key)
        };
        assert_eq!(asked("Some Service").as_deref(), Some("http://localhost:1"));
        assert_eq!(asked("EC2"), None);
    }
}
