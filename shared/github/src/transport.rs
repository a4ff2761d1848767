//! One call, and the only place where a call is tried again.
//!
//! Octocrab gives the requests, their errors and the base URL. Its own retries, sign-in and TLS set-up
//! are left out on purpose: it waits for a rate limit to be reset, which a Lambda is billed for; it
//! signs JWTs that are alike within a second; and it reads the system's certificates.

use std::sync::OnceLock;
use std::time::Duration;

use bytes::Bytes;
use http::header::{ACCEPT, ETAG, IF_NONE_MATCH, LOCATION, USER_AGENT};
use http::{HeaderMap, Method, StatusCode, Uri};
use http_body_util::{BodyExt, Limited};
use hyper_rustls::HttpsConnectorBuilder;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;

use octocrab::service::middleware::base_uri::BaseUriLayer;
use octocrab::{AuthState, OctoBody, Octocrab, OctocrabBuilder};
use rustls::crypto::aws_lc_rs;
use secrecy::SecretString;
use serde::de::DeserializeOwned;
use tokio::time::{sleep, timeout};

use crate::failure::{Failure, chain};

/// GitHub asks every client to name itself.
const AGENT: &str = concat!("dayfly/", env!("CARGO_PKG_VERSION"));

/// GitHub is a continent away at worst.
const CONNECT_LIMIT: Duration = Duration::from_secs(3);

/// For one try. GitHub itself gives a request ten seconds.
const TRY_LIMIT: Duration = Duration::from_secs(10);

/// What is waited before the second and the third try.
const PAUSES: [Duration; 2] = [Duration::from_millis(100), Duration::from_millis(400)];

/// A renamed repository is a redirect or two away.
const MAX_REDIRECTS: usize = 3;

/// More than any answer that is asked for has.
const MAX_BODY: usize = 4 * 1024 * 1024;

/// A call to GitHub.
#[derive(Clone, Debug)]
pub(crate) struct Call {
    /// The call, in words.
    pub(crate) what: &'static str,
    method: Method,
    path: String,
    accept: &'static str,
    etag: Option<String>,
    body: Option<serde_json::Value>,
    /// Whether doing it twice is the same as doing it once.
    repeatable: bool,
}

impl Call {
    fn new(what: &'static str, method: Method, path: String) -> Self {
        Self {
            what,
            repeatable: method != Method::POST,
            method,
            path,
            accept: "application/vnd.github+json",
            etag: None,
            body: None,
        }
    }

    pub(crate) fn get(what: &'static str, path: String) -> Self {
        Self::new(what, Method::GET, path)
    }

    pub(crate) fn delete(what: &'static str, path: String) -> Self {
        Self::new(what, Method::DELETE, path)
    }

    /// A call that is not tried again: it may have been done although it failed.
    pub(crate) fn post(what: &'static str, path: String, body: Option<serde_json::Value>) -> Self {
        Self {
            body,
            ..Self::new(what, Method::POST, path)
        }
    }

    pub(crate) fn repeatable(self) -> Self {
        Self {
            repeatable: true,
            ..self
        }
    }

    pub(crate) fn accept(self, accept: &'static str) -> Self {
        Self { accept, ..self }
    }

    pub(crate) fn if_none_match(self, etag: Option<&str>) -> Self {
        Self {
            etag: etag.map(str::to_owned),
            ..self
        }
    }
}

/// An answer that is none of a refusal.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    headers: HeaderMap,
    pub(crate) body: Bytes,
}

impl Answer {
    pub(crate) fn etag(&self) -> Option<String> {
        self.headers.get(ETAG)?.to_str().ok().map(str::to_owned)
    }

    pub(crate) fn json<T: DeserializeOwned>(&self, what: &'static str) -> Result<T, Failure> {
        // The answer itself stays out of the message: it may hold a credential.
        serde_json::from_slice(&self.body)
            .map_err(|error| Failure::unanswered(what, format!("the answer is not of its shape: {error}")))
    }
}

/// The way to GitHub, made by the first call.
#[derive(Debug)]
pub(crate) struct Transport {
    api_url: String,
    pub(crate) try_limit: Duration,
    octocrab: OnceLock<Octocrab>,
}

impl Transport {
    pub(crate) fn new(api_url: String) -> Self {
        Self {
            api_url,
            try_limit: TRY_LIMIT,
            octocrab: OnceLock::new(),
        }
    }

    /// Makes a call with this token, and again if it failed and may be repeated. A rate limit is never
    /// waited for.
    pub(crate) async fn send(&self, call: &Call, token: &SecretString) -> Result<Answer, Failure> {
        let mut pauses = PAUSES.into_iter();
        loop {
            let tried = timeout(self.try_limit, self.once(call, token))
                .await
                .unwrap_or_else(|_| Err(Failure::timed_out(call.what, self.try_limit)));
            let failed = match tried {
                Err(failed) if call.repeatable && failed.may_pass() => failed,
                other => return other,
            };
            let Some(pause) = pauses.next() else {
                return Err(failed);
            };
            tracing::debug!(error = %failed.error, "trying again");
            sleep(pause).await;
        }
    }

    async fn once(&self, call: &Call, token: &SecretString) -> Result<Answer, Failure> {
        let trouble = |error: octocrab::Error| Failure::from_octocrab(call.what, &error);
        let octocrab = self
            .octocrab(call.what)?
            .user_access_token(token.clone())
            .map_err(trouble)?;
        let mut path = call.path.clone();
        for _ in 0..=MAX_REDIRECTS {
            let mut request = http::Request::builder()
                .method(call.method.clone())
                .uri(&path)
                .header(USER_AGENT, AGENT)
                .header(ACCEPT, call.accept);
            if let Some(etag) = &call.etag {
                request = request.header(IF_NONE_MATCH, etag);
            }
            let request = octocrab.build_request(request, call.body.as_ref()).map_err(trouble)?;
            let response = octocrab.execute(request).await.map_err(trouble)?;
            let status = response.status();
            if let Some(moved) = self.moved_to(&call.method, status, response.headers()) {
                path = moved;
                continue;
            }
            let response = if status == StatusCode::NOT_MODIFIED {
                response
            } else {
                octocrab::map_github_error(response).await.map_err(trouble)?
            };
            let (parts, body) = response.into_parts();
            let body = Limited::new(body, MAX_BODY)
                .collect()
                .await
                .map_err(|error| Failure::unanswered(call.what, chain(&*error)))?;
            return Ok(Answer {
                status,
                headers: parts.headers,
                body: body.to_bytes(),
            });
        }
        Err(Failure::unanswered(
            call.what,
            format!("`{path}`: more than {MAX_REDIRECTS} redirects"),
        ))
    }

    /// Where to ask instead, if GitHub says so: a repository that was renamed is found under its
    /// number. Only at GitHub itself, for the token goes along.
    fn moved_to(&self, method: &Method, status: StatusCode, headers: &HeaderMap) -> Option<String> {
        let follow = match status.as_u16() {
            301 | 302 => *method == Method::GET,
            307 | 308 => true,
            _ => false,
        };
        let location = headers.get(LOCATION).filter(|_| follow)?.to_str().ok()?;
        let path = location.strip_prefix(&self.api_url).unwrap_or(location);
        path.starts_with('/').then(|| path.to_owned())
    }

    fn octocrab(&self, what: &'static str) -> Result<&Octocrab, Failure> {
        if let Some(made) = self.octocrab.get() {
            return Ok(made);
        }
        let made = build(&self.api_url).map_err(|error| Failure::unanswered(what, error))?;
        Ok(self.octocrab.get_or_init(|| made))
    }
}

/// Octocrab over a client of our own, which trusts Mozilla's roots: a GitHub Enterprise Server may have
/// a certificate of any of them. They are compiled in as data and cost nothing to read.
fn build(api_url: &str) -> Result<Octocrab, String> {
    let base: Uri = api_url.parse().map_err(|error| format!("`{api_url}`: {error}"))?;
    let mut tcp = HttpConnector::new();
    tcp.set_connect_timeout(Some(CONNECT_LIMIT));
    tcp.set_nodelay(true);
    tcp.enforce_http(false);
    let connector = HttpsConnectorBuilder::new()
        .with_provider_and_webpki_roots(aws_lc_rs::default_provider())
        .map_err(|error| error.to_string())?
        .https_or_http()
        .enable_http1()
        .wrap_connector(tcp);
    let client: Client<_, OctoBody> = Client::builder(TokioExecutor::new()).build(connector);
    let built = OctocrabBuilder::new_empty()
        .with_service(client)
        .with_layer(&BaseUriLayer::new(base))
        .with_auth(AuthState::None)
        .build();
    match built {
        Ok(octocrab) => Ok(octocrab),
        Err(never) => match never {},
    }
}
