//! One call, and the only place where a call is tried again.
//!
//! Octocrab gives the requests, their errors and the base URL. Its own retries, sign-in and TLS set-up
//! are left out on purpose: it waits for a rate limit to be reset, which a Lambda is billed for; it
//! signs JWTs that are alike within a second; and it reads the system's certificates.

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
use crate::etags::{Etags, Kept};
use crate::failure::{Failure, chain};
use crate::limits::{self, Identity, LastTold, Waits};
use crate::since_1970;

/// GitHub asks every client to name itself.
const AGENT: &str = concat!("dayfly/", env!("CARGO_PKG_VERSION"));

/// GitHub is a continent away at worst.
const CONNECT_LIMIT: Duration = Duration::from_secs(3);

/// For one try. GitHub itself gives a request ten seconds.
const TRY_LIMIT: Duration = Duration::from_secs(10);

/// What is waited before the second and the third try, more or less.
const PAUSES: [Duration; 2] = [Duration::from_millis(100), Duration::from_millis(400)];

/// A renamed repository is a redirect or two away.
const MAX_REDIRECTS: usize = 3;

/// More than any answer that is asked for has.
const MAX_BODY: usize = 4 * 1024 * 1024;

/// The way to GitHub, made by the first call.
#[derive(Debug)]
pub(crate) struct Transport {
    api_url: String,
    pub(crate) try_limit: Duration,
    octocrab: OnceLock<Octocrab>,
    etags: Etags,
    waits: Waits,
    last_known_at: LastTold,
}

impl Transport {
    pub(crate) fn new(api_url: String) -> Self {
        Self {
            api_url,
            try_limit: TRY_LIMIT,
            octocrab: OnceLock::new(),
            etags: Etags::default(),
            waits: Waits::default(),
            last_known_at: LastTold::default(),
        }
    }

    /// Whether GitHub wants to hear of `identity` now.
    pub(crate) fn may_ask(&self, identity: Identity, what: &'static str) -> Result<(), Failure> {
        match self.waits.left(identity, Instant::now()) {
            Some(left) => Err(Failure::still_limited(what, identity, left)),
            None => Ok(()),
        }
    }

    /// Makes a call as `identity`, whose token this is. If the answer of last time will do and is still
    /// the same, it is that.
    pub(crate) async fn send(&self, identity: Identity, call: &Call, token: &SecretString) -> Result<Answer, Failure> {
        if !call.reusable {
            return self.try_again(identity, call, token).await;
        }
        let last = self.etags.get(identity, &call.path);
        let etag = last.as_ref().map(|last| last.etag.as_str());
        let answer = self
            .try_again(identity, &call.clone().if_none_match(etag), token)
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
            self.etags.keep(identity, &call.path, Kept { etag, body });
        }
        Ok(answer)
    }

    /// Makes a call, and again if it failed and may be repeated. A rate limit is never waited for, but
    /// kept.
    async fn try_again(&self, identity: Identity, call: &Call, token: &SecretString) -> Result<Answer, Failure> {
        let mut pauses = PAUSES.into_iter();
        loop {
            self.may_ask(identity, call.what)?;
            let tried = timeout(self.try_limit, self.once(call, token))
                .await
                .unwrap_or_else(|_| Err(Failure::timed_out(call.what, self.try_limit)));
            self.note_limits(identity, &tried);
            let failed = match tried {
                Err(failed) if call.repeatable && failed.may_pass() => failed,
                other => return other,
            };
            let Some(pause) = pauses.next() else {
                return Err(failed);
            };
            tracing::debug!(error = %failed.error, "trying again");
            sleep(jittered(pause, fastrand::f64())).await;
        }
    }

    fn note_limits(&self, identity: Identity, tried: &Result<Answer, Failure>) {
        let shut = match tried {
            Ok(answer) => limits::read(answer.status, &answer.headers, "", since_1970()).shut,
            Err(failed) => failed.shut,
        };
        if let Some(wait) = shut.filter(|wait| !wait.is_zero()) {
            tracing::warn!(%identity, seconds = wait.as_secs(), "GitHub limits our calls");
            self.waits.keep(identity, wait, Instant::now());
        }
        if let (Identity::Installation(_), Ok(answer)) = (identity, tried)
            && let Some(left) = limits::running_out(&answer.headers)
            && self.last_known_at.is_due(Instant::now())
        {
            dayfly_metrics::github_calls_left(left);
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

/// A pause between half and one and a half of this one, so that those who failed together do not come
/// back together. `random` is between 0 and 1.
fn jittered(pause: Duration, random: f64) -> Duration {
    pause.mul_f64(random + 0.5)
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_and_differ_and_leave_the_time_to_the_tries() {
        let [first, second] = PAUSES;
        assert_eq!(jittered(first, 0.0), Duration::from_millis(50));
        assert_eq!(jittered(first, 0.5), first);
        assert!(jittered(first, 1.0) < jittered(second, 0.0));
        assert!(jittered(first, 1.0) + jittered(second, 1.0) < Duration::from_secs(1));
    }
}
