//! The HTTP clients behind the AWS clients: one connection pool and one TLS setup, made by the first call.

use std::collections::HashMap;
use std::sync::{Mutex, OnceLock, PoisonError};
use std::time::Duration;

use aws_smithy_http_client::Connector;
use aws_smithy_http_client::proxy::ProxyConfig;
use aws_smithy_http_client::tls::{Provider, TlsContext, TrustStore, rustls_provider::CryptoMode};
use aws_smithy_runtime_api::client::http::{HttpClient, HttpConnectorSettings, SharedHttpConnector};
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;

use crate::roots::Roots;

/// Reads the certificates once, at the first call. The SDK's own client reads them for every service client
/// that is created, before anything is sent.
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

/// The HTTP client of a command-line program. It has one connector per set of time limits, because a chain of
/// credential providers uses several, and honours the environment's proxy.
#[derive(Debug)]
pub(crate) struct CliClient {
    roots: Roots,
    connectors: Mutex<HashMap<TimeLimits, SharedHttpConnector>>,
}

/// The limits for connecting and for reading.
type TimeLimits = (Option<Duration>, Option<Duration>);

impl CliClient {
    pub(crate) fn new(roots: Roots) -> Self {
        Self {
            roots,
            connectors: Mutex::default(),
        }
    }
}

impl HttpClient for CliClient {
    fn http_connector(&self, settings: &HttpConnectorSettings, _: &RuntimeComponents) -> SharedHttpConnector {
        // A panic cannot leave the map inconsistent.
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
        // A context of only a trust store has no reason to fail; if it ever does, the system's certificates
        // will do.
        Err(_) => builder,
    }
    .build()
}

impl HttpClient for LazyClient {
    /// Returns one connector for all clients: its only relevant setting, the connect timeout, is the same in
    /// all of them.
    fn http_connector(&self, settings: &HttpConnectorSettings, _: &RuntimeComponents) -> SharedHttpConnector {
        self.connector.get_or_init(|| self.connector(settings)).clone()
    }
}
