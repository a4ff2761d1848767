//! An App with its key, and a GitHub that knows it.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, LazyLock, Mutex};

use aws_lc_rs::encoding::AsDer;
use aws_lc_rs::rsa::{KeyPair, KeySize};
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use dayfly_ports::{ParameterError, Parameters, Scope};
use dayfly_types::ids::InstallationId;
use secrecy::SecretString;
use serde_json::json;
use wiremock::matchers::{method, path};
use wiremock::{Mock, MockServer, ResponseTemplate};

use crate::{GitHubApp, GitHubSettings};

/// The App's key pair, shared by all tests because generating one is slow.
pub static KEY: LazyLock<KeyPair> = LazyLock::new(|| KeyPair::generate(KeySize::Rsa2048).unwrap());

/// The key in PKCS #1, as GitHub issues it: PKCS #8 without its 26-byte header.
pub fn pem() -> String {
    let pkcs8 = AsDer::<aws_lc_rs::encoding::Pkcs8V1Der<'_>>::as_der(&*KEY).unwrap();
    let body = BASE64_STANDARD.encode(&pkcs8.as_ref()[26..]);
    format!("-----BEGIN RSA PRIVATE KEY-----\n{body}\n-----END RSA PRIVATE KEY-----\n")
}

/// A parameter store with at most one value.
#[derive(Clone, Debug, Default)]
pub struct OneParameter {
    pub value: Arc<Mutex<Option<String>>>,
    pub reads: Arc<AtomicUsize>,
}

impl OneParameter {
    pub fn set(&self, value: &str) {
        *self.value.lock().unwrap() = Some(value.to_owned());
    }

    pub fn reads(&self) -> usize {
        self.reads.load(Ordering::SeqCst)
    }
}

impl Parameters for OneParameter {
    async fn read(&self, name: &str) -> Result<SecretString, ParameterError> {
        self.reads.fetch_add(1, Ordering::SeqCst);
        let value = self.value.lock().unwrap().clone();
        value
            .map(SecretString::from)
            .ok_or_else(|| ParameterError::Missing(name.to_owned()))
    }
}

pub struct World {
    pub server: MockServer,
    pub parameters: OneParameter,
    pub app: GitHubApp<OneParameter>,
}

impl World {
    /// A GitHub on which the App cannot sign in yet.
    pub async fn bare() -> Self {
        let server = MockServer::start().await;
        let parameters = OneParameter::default();
        parameters.set(&pem());
        let settings = GitHubSettings {
            api_url: server.uri(),
            app_id: 12,
            key_parameter: "/dayfly/key".to_owned(),
        };
        let app = GitHubApp::new(settings, parameters.clone());
        Self {
            server,
            parameters,
            app,
        }
    }

    /// A GitHub on which the App signs in as installation 7 for an hour.
    pub async fn start() -> Self {
        let world = Self::bare().await;
        world.gives_token(7, "token-7", 3600).await;
        world
    }

    pub async fn gives_token(&self, installation: u64, token: &str, seconds: i64) {
        let expires_at = jiff::Timestamp::now() + jiff::SignedDuration::from_secs(seconds);
        Mock::given(method("POST"))
            .and(path(format!("/app/installations/{installation}/access_tokens")))
            .respond_with(ResponseTemplate::new(201).set_body_json(json!({
                "token": token,
                "expires_at": expires_at.to_string(),
                "permissions": {},
            })))
            .mount(&self.server)
            .await;
    }

    pub async fn answers(&self, with: &str, at: &str, answer: ResponseTemplate) {
        Mock::given(method(with))
            .and(path(at))
            .respond_with(answer)
            .mount(&self.server)
            .await;
    }

    /// Counts the requests for a path.
    pub async fn asked(&self, at: &str) -> usize {
        let requests = self.server.received_requests().await.unwrap();
        requests.iter().filter(|request| request.url.path() == at).count()
    }
}

pub fn scope() -> Scope {
    Scope {
        installation: InstallationId(7),
        repository: "octo/gpu".parse().unwrap(),
    }
}

pub fn refusal(status: u16, message: &str) -> ResponseTemplate {
    ResponseTemplate::new(status).set_body_json(json!({
        "message": message,
        "documentation_url": "https://docs.github.com/rest",
    }))
}
