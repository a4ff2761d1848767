//! The HTTP clients of the AWS clients: one pool of connections, one TLS set-up, made by the first
//! call.

use std::collections::HashMap;
use std::sync::{Mutex, OnceLock, PoisonError};
use std::time::Duration;

use aws_smithy_http_client::Connector;
use aws_smithy_http_client::proxy::ProxyConfig;
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
        let proxy = ProxyConfig::disabled();
        SharedHttpConnector::new(connector(settings.clone(), &self.roots, proxy))
    }
}

/// The client of a program that a person runs: with one connector for each set of time limits, as a
/// chain of credential providers has several, and through the proxy that the environment names.
#[derive(Debug)]
pub(crate) struct ClientForPeople {
    roots: Roots,
    connectors: Mutex<HashMap<TimeLimits, SharedHttpConnector>>,
}

/// Of connecting and of reading.
type TimeLimits = (Option<Duration>, Option<Duration>);

impl ClientForPeople {
    pub(crate) fn new(roots: Roots) -> Self {
        Self {
            roots,
            connectors: Mutex::default(),
        }
    }
}

impl HttpClient for ClientForPeople {
    fn http_connector(&self, settings: &HttpConnectorSettings, _: &RuntimeComponents) -> SharedHttpConnector {
        // Whoever panicked in here left the map as it was or with one more.
        let mut connectors = self.connectors.lock().unwrap_or_else(PoisonError::into_inner);
        connectors
            .entry((settings.connect_timeout(), settings.read_timeout()))
            .or_insert_with(|| {
                let proxy = ProxyConfig::from_env();
                SharedHttpConnector::new(connector(settings.clone(), &self.roots, proxy))
            })
            .clone()
    }
}

fn connector(settings: HttpConnectorSettings, roots: &Roots, proxy: ProxyConfig) -> Connector {
    let trust = TrustStore::empty().with_pem_certificate(roots.pem());
    let builder = Connector::builder()
        .connector_settings(settings)
        .proxy_config(proxy)
        .tls_provider(Provider::Rustls(CryptoMode::AwsLc));
    match TlsContext::builder().with_trust_store(trust).build() {
        Ok(context) => builder.tls_context(context),
        // A context of nothing but a trust store has nothing to fail on; if it does one day, the
        // system's own certificates do as well.
        Err(_) => builder,
    }
    .build()
}

impl HttpClient for LazyClient {
    /// The connector for all clients: the settings that matter to it, the time limit of connecting,
    /// are the same in all, for they come from the one configuration.
    fn http_connector(&self, settings: &HttpConnectorSettings, _: &RuntimeComponents) -> SharedHttpConnector {
        self.connector.get_or_init(|| self.connector(settings)).clone()
    }
}
