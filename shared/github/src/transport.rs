//! Sends calls. This is the only place that retries one.
//!
//! Octocrab builds requests, parses errors and knows the base URL. Its own retries, sign-in and TLS setup
//! are left out on purpose: it waits for a rate limit to reset, which a Lambda is billed for; it signs
//! identical JWTs within a second; and it reads the system's certificates.

use std::sync::OnceLock;
use std::time::{Duration, Instant};

use http::header::{ACCEPT, IF_NONE_MATCH, LOCATION, USER_AGENT};
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
use tokio::time::{sleep, timeout};

use crate::call::{Answer, Call};
use crate::etags::{CachedAnswer, Etags};
use crate::failure::{Failure, chain};
use crate::limits::{self, Identity, LastReported, Waits};
use crate::since_1970;

/// GitHub requires every client to name itself.
const AGENT: &str = concat!("dayfly/", env!("CARGO_PKG_VERSION"));

/// GitHub is at worst a continent away.
const CONNECT_LIMIT: Duration = Duration::from_secs(3);

/// The time limit of one try. GitHub itself gives up on a request after ten seconds.
const TRY_LIMIT: Duration = Duration::from_secs(10);

/// The waits before the second and the third try, before jitter.
const RETRY_WAITS: [Duration; 2] = [Duration::from_millis(100), Duration::from_millis(400)];

/// A renamed repository takes a redirect or two.
const MAX_REDIRECTS: usize = 3;

/// Larger than any answer we read.
const MAX_BODY: usize = 4 * 1024 * 1024;

/// The connection to GitHub, set up by the first call.
#[derive(Debug)]
pub(crate) struct Transport {
    api_url: String,
    pub(crate) try_limit: Duration,
    octocrab: OnceLock<Octocrab>,
    etags: Etags,
    waits: Waits,
    last_reported: LastReported,
}

impl Transport {
    pub(crate) fn new(api_url: String) -> Self {
        Self {
            api_url,
            try_limit: TRY_LIMIT,
            octocrab: OnceLock::new(),
            etags: Etags::default(),
            waits: Waits::default(),
            last_reported: LastReported::default(),
        }
    }

    /// Fails while GitHub limits `identity`.
    pub(crate) fn check_limit(&self, identity: Identity, what: &'static str) -> Result<(), Failure> {
        match self.waits.left(identity, Instant::now()) {
            Some(left) => Err(Failure::still_limited(what, identity, left)),
            None => Ok(()),
        }
    }

    /// Makes a call as `identity`, whose token this is. Returns the cached answer if the call allows it and
    /// GitHub says that it is unchanged.
    pub(crate) async fn send(&self, identity: Identity, call: &Call, token: &SecretString) -> Result<Answer, Failure> {
        if !call.reusable {
            return self.send_with_retries(identity, call, token).await;
        }
        let last = self.etags.get(identity, &call.path);
        let etag = last.as_ref().map(|last| last.etag.as_str());
        let answer = self
            .send_with_retries(identity, &call.clone().if_none_match(etag), token)
            .await?;
        if let Some(last) = last.filter(|_| answer.status == StatusCode::NOT_MODIFIED) {
            return Ok(Answer {
                status: StatusCode::OK,
                body: last.body,
                ..answer
            });
        }
        if let Some(etag) = answer.etag() {
            let body = answer.body.clone();
            self.etags.insert(identity, &call.path, CachedAnswer { etag, body });
        }
        Ok(answer)
    }

    /// Makes a call and retries it if it failed and is repeatable. Rate limits are recorded, never waited for.
    async fn send_with_retries(
        &self,
        identity: Identity,
        call: &Call,
        token: &SecretString,
    ) -> Result<Answer, Failure> {
        let mut waits = RETRY_WAITS.into_iter();
        loop {
            self.check_limit(identity, call.what)?;
            let tried = timeout(self.try_limit, self.send_once(call, token))
                .await
                .unwrap_or_else(|_| Err(Failure::timed_out(call.what, self.try_limit)));
            self.record_limits(identity, &tried);
            let failed = match tried {
                Err(failed) if call.repeatable && failed.is_transient() => failed,
                other => return other,
            };
            let Some(wait) = waits.next() else {
                return Err(failed);
            };
            tracing::debug!(error = %failed.error, "retrying");
            sleep(jittered(wait, fastrand::f64())).await;
        }
    }

    fn record_limits(&self, identity: Identity, tried: &Result<Answer, Failure>) {
        let limited = match tried {
            Ok(answer) => limits::read(answer.status, &answer.headers, "", since_1970()).limited,
            Err(failed) => failed.limited,
        };
        if let Some(wait) = limited.filter(|wait| !wait.is_zero()) {
            tracing::warn!(%identity, seconds = wait.as_secs(), "GitHub limits our calls");
            self.waits.record(identity, wait, Instant::now());
        }
        if let (Identity::Installation(_), Ok(answer)) = (identity, tried)
            && let Some(left) = limits::running_out(&answer.headers)
            && self.last_reported.claim(Instant::now())
        {
            dayfly_metrics::github_calls_left(left);
        }
    }

    async fn send_once(&self, call: &Call, token: &SecretString) -> Result<Answer, Failure> {
        let failed = |error: octocrab::Error| Failure::from_octocrab(call.what, &error);
        let octocrab = self
            .octocrab(call.what)?
            .user_access_token(token.clone())
            .map_err(failed)?;
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
            let request = octocrab.build_request(request, call.body.as_ref()).map_err(failed)?;
            let response = octocrab.execute(request).await.map_err(failed)?;
            let status = response.status();
            if let Some(moved) = self.moved_to(&call.method, status, response.headers()) {
                path = moved;
                continue;
            }
            let response = if status == StatusCode::NOT_MODIFIED {
                response
            } else {
                octocrab::map_github_error(response).await.map_err(failed)?
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

    /// Returns the path that a redirect names: GitHub moves a renamed repository to its id. Other hosts are
    /// ignored, because the token is sent along.
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

/// Scales a wait by 0.5 to 1.5, so that calls that failed together do not retry together. `random` is
/// between 0 and 1.
fn jittered(wait: Duration, random: f64) -> Duration {
    wait.mul_f64(random + 0.5)
}

/// Builds octocrab on a client of our own that trusts Mozilla's roots: a GitHub Enterprise Server may use
/// any of them. They are compiled in as data and cost nothing to read.
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn retry_waits_grow_vary_and_stay_under_a_second() {
        let [first, second] = RETRY_WAITS;
        assert_eq!(jittered(first, 0.0), Duration::from_millis(50));
        assert_eq!(jittered(first, 0.5), first);
        assert!(jittered(first, 1.0) < jittered(second, 0.0));
        assert!(jittered(first, 1.0) + jittered(second, 1.0) < Duration::from_secs(1));
    }
}
