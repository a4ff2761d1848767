//! The HTTP client of all AWS clients: one pool of connections, one TLS set-up, made by the first
//! call.

use std::sync::OnceLock;

use aws_smithy_http_client::Connector;
use aws_smithy_http_client::tls::{Provider, TlsContext, TrustStore, rustls_provider::CryptoMode};
use aws_smithy_runtime_api::client::http::{HttpClient, HttpConnectorSettings, SharedHttpConnector};
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;

use crate::roots::Roots;

/// The SDK's own client reads the certificates again for every service's client that is made, before
/// anything is sent. This one does it once, at the first call.
#[derive(Debug)]
pub(crate) struct LazyClient {
    roots: Roots,
    connector: OnceLock<SharedHttpConnector>,
}

impl LazyClient {
    pub(crate) fn new(roots: Roots) -> Self {
        Self {
            roots,
            connector: OnceLock::new(),
        }
    }

    fn connector(&self, settings: &HttpConnectorSettings) -> SharedHttpConnector {
        let trust = TrustStore::empty().with_pem_certificate(self.roots.pem());
        let builder = Connector::builder()
            .connector_settings(settings.clone())
            .tls_provider(Provider::Rustls(CryptoMode::AwsLc));
        let builder = match TlsContext::builder().with_trust_store(trust).build() {
            Ok(context) => builder.tls_context(context),
            // A context of nothing but a trust store has nothing to fail on; if it does one day,
            // the system's own certificates do as well.
            Err(_) => builder,
        };
        SharedHttpConnector::new(builder.build())
    }
}

impl HttpClient for LazyClient {
    /// The connector for all clients: the settings that matter to it, the time limit of connecting,
    /// are the same in all, for they come from the one configuration.
    fn http_connector(&self, settings: &HttpConnectorSettings, _: &RuntimeComponents) -> SharedHttpConnector {
        self.connector.get_or_init(|| self.connector(settings)).clone()
    }
}
