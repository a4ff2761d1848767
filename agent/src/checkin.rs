//! The client of the check-in protocol: it signs requests, retries them, and tells a refusal from a failure.

use std::time::{Duration, Instant, SystemTime};

use aws_credential_types::Credentials;
use aws_sigv4::http_request::{SignableBody, SignableRequest, SigningSettings, sign};
use aws_sigv4::sign::v4;
use bytes::Bytes;
use dayfly_types::checkin::ErrorBody;
use http::{Request, StatusCode, header};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::credentials::CachedCredentials;
use crate::imds::{Imds, ImdsError};
use crate::log;
use crate::transport::{self, HttpError, Reply};

const TIMEOUT: Duration = Duration::from_secs(10);
/// As long as the function may take. A claim is answered once, and refused the next time.
const CLAIM_TIMEOUT: Duration = Duration::from_secs(35);
const FIRST_PAUSE: Duration = Duration::from_millis(500);
const LONGEST_PAUSE: Duration = Duration::from_secs(8);
/// A longer wait in an answer is a mistake.
const LONGEST_WAIT: Duration = Duration::from_secs(60 * 60);

/// A check-in that did not succeed.
#[derive(Debug, thiserror::Error)]
pub enum CheckinError {
    /// The control plane refuses, and will refuse again.
    #[error("refused: {0}")]
    Refused(String),
    /// A retry may succeed, after this wait if the control plane gave one.
    #[error("{0}")]
    Later(String, Option<Duration>),
}

impl From<HttpError> for CheckinError {
    fn from(error: HttpError) -> Self {
        Self::Later(error.to_string(), None)
    }
}

impl From<ImdsError> for CheckinError {
    fn from(error: ImdsError) -> Self {
        Self::Later(error.to_string(), None)
    }
}

/// A client of the check-in function.
#[derive(Debug)]
pub struct Checkin {
    url: String,
    region: String,
    imds: Imds,
    credentials: CachedCredentials,
}

impl Checkin {
    /// A client of the function at `url` in `region` that signs with the role from `imds`.
    #[must_use]
    pub fn new(url: String, region: String, imds: Imds) -> Self {
        Self {
            url,
            region,
            imds,
            credentials: CachedCredentials::default(),
        }
    }

    #[must_use]
    pub fn imds(&self) -> &Imds {
        &self.imds
    }

    /// Posts `body` to `verb`, at least once, and retries for `patience`.
    ///
    /// # Errors
    /// It was refused, or did not succeed in time.
    pub async fn post<A: DeserializeOwned>(
        &self,
        verb: &str,
        body: &impl Serialize,
        patience: Duration,
    ) -> Result<A, CheckinError> {
        self.retry(verb, body, patience, |_| ()).await
    }

    /// Posts without a time limit, and calls `postponed` each time that the control plane asks for a wait.
    ///
    /// # Errors
    /// It was refused.
    pub async fn wait_for<A: DeserializeOwned>(
        &self,
        verb: &str,
        body: &impl Serialize,
        postponed: impl Fn(Duration),
    ) -> Result<A, CheckinError> {
        self.retry(verb, body, Duration::MAX, postponed).await
    }

    async fn retry<A: DeserializeOwned>(
        &self,
        verb: &str,
        body: &impl Serialize,
        patience: Duration,
        postponed: impl Fn(Duration),
    ) -> Result<A, CheckinError> {
        let start = Instant::now();
        let mut pause = FIRST_PAUSE;
        loop {
            let error = match self.post_once(verb, body).await {
                Ok(answer) => return Ok(answer),
                Err(refused @ CheckinError::Refused(_)) => return Err(refused),
                Err(later) => later,
            };
            let rest = if let CheckinError::Later(_, Some(after)) = error {
                let after = after.min(LONGEST_WAIT);
                postponed(after);
                // The wait is this instance's own turn, so no other comes at that moment.
                after
            } else {
                // Between half and all of the pause, so that instances that failed together spread out.
                pause.mul_f64(fastrand::f64().mul_add(0.5, 0.5))
            };
            if start.elapsed() + rest >= patience {
                return Err(error);
            }
            log::warn("checkin_retried", &error.to_string(), &[("verb", verb)]);
            tokio::time::sleep(rest).await;
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }

    async fn post_once<A: DeserializeOwned>(&self, verb: &str, body: &impl Serialize) -> Result<A, CheckinError> {
        let broken = |error: &dyn std::fmt::Display| CheckinError::Later(error.to_string(), None);
        let body = serde_json::to_vec(body).map_err(|error| broken(&error))?;
        let now = SystemTime::now();
        let credentials = self.credentials.get(&self.imds, now).await?;
        let url = format!("{}/{verb}", self.url);
        let request = signed(&url, &self.region, &credentials, &body.into(), now).map_err(|error| broken(&*error))?;
        let timeout = if verb == "claim" { CLAIM_TIMEOUT } else { TIMEOUT };
        let reply = transport::send(request, timeout).await?;
        let answer = parse(&reply);
        if matches!(answer, Err(CheckinError::Later(..))) && reply.status == StatusCode::FORBIDDEN {
            self.credentials.forget();
        }
        answer
    }
}

fn parse<A: DeserializeOwned>(reply: &Reply) -> Result<A, CheckinError> {
    if reply.status == StatusCode::OK {
        // Without the parser's message: the answer to a claim is a credential.
        return serde_json::from_slice(&reply.body)
            .map_err(|_| CheckinError::Later("an answer of another shape".to_owned(), None));
    }
    let status = reply.status;
    let refusal: Option<ErrorBody> = serde_json::from_slice(&reply.body).ok();
    match (status, refusal) {
        // AWS itself answers 403 to an unknown signature or role, with other fields than the function's. A new role
        // takes seconds to be known everywhere.
        (StatusCode::FORBIDDEN | StatusCode::BAD_REQUEST, Some(refusal)) => Err(CheckinError::Refused(refusal.error)),
        (_, Some(refusal)) => {
            let error = format!("{status}: {}", refusal.error);
            Err(CheckinError::Later(error, refusal.retry_after()))
        }
        (_, None) => Err(CheckinError::Later(format!("answered {status}"), None)),
    }
}

fn signed(
    url: &str,
    region: &str,
    credentials: &Credentials,
    body: &Bytes,
    now: SystemTime,
) -> Result<Request<Bytes>, Box<dyn std::error::Error + Send + Sync>> {
    const JSON: &str = "application/json";
    let identity = credentials.clone().into();
    let parameters = v4::SigningParams::builder()
        .identity(&identity)
        .region(region)
        .name("lambda")
        .time(now)
        .settings(SigningSettings::default())
        .build()?
        .into();
    let headers = [(header::CONTENT_TYPE.as_str(), JSON)];
    let signable = SignableRequest::new("POST", url, headers.into_iter(), SignableBody::Bytes(body))?;
    let (instructions, _signature) = sign(signable, &parameters)?.into_parts();
    let mut request = Request::post(url)
        .header(header::CONTENT_TYPE, JSON)
        .body(body.clone())?;
    instructions.apply_to_request_http1x(&mut request);
    Ok(request)
}

#[cfg(test)]
mod tests {
    use dayfly_types::checkin::{Order, OrderAnswer};

    use super::*;

    fn parsed(status: u16, body: &'static str) -> Result<OrderAnswer, CheckinError> {
        let status = StatusCode::from_u16(status).unwrap();
        parse(&Reply {
            status,
            body: Bytes::from_static(body.as_bytes()),
        })
    }

    #[test]
    fn only_a_refusal_by_the_function_itself_is_final() {
        assert_eq!(parsed(200, r#"{"order":"drain"}"#).unwrap().order, Order::Drain);
        for (status, body) in [(403, r#"{"error":"not yours"}"#), (400, r#"{"error":"shape"}"#)] {
            assert!(
                matches!(parsed(status, body), Err(CheckinError::Refused(_))),
                "{status}"
            );
        }
        for (status, body) in [
            (403, r#"{"Message":"Forbidden"}"#),
            (403, ""),
            (409, r#"{"error":"no record yet"}"#),
            (429, ""),
            (500, "Internal Server Error"),
            (502, ""),
            (503, r#"{"error":"GitHub does not answer"}"#),
            (200, "<html>"),
        ] {
            assert!(
                matches!(parsed(status, body), Err(CheckinError::Later(..))),
                "{status} {body}"
            );
        }
    }

    #[test]
    fn wait_in_an_answer_is_kept() {
        for (body, after) in [
            (r#"{"error":"not yet","retry_after_seconds":90}"#, Some(90)),
            (r#"{"error":"not yet"}"#, None),
        ] {
            let Err(CheckinError::Later(_, wait)) = parsed(409, body) else {
                panic!("it is worth another try")
            };
            assert_eq!(wait, after.map(Duration::from_secs));
        }
    }

    #[test]
    fn unreadable_answer_is_not_quoted() {
        let error = parsed(200, r#"{"jit_config":"c2VjcmV0"}"#).unwrap_err();
        assert!(!error.to_string().contains("c2VjcmV0"));
    }

    #[test]
    fn a_request_is_signed_for_lambda_with_the_session_token() {
        let credentials = Credentials::new("AKID", "key", Some("session".into()), None, "test");
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_800_000_000);
        let url = "https://id.lambda-url.eu-west-1.on.aws/claim";
        let request = signed(url, "eu-west-1", &credentials, &Bytes::from_static(b"{}"), now).unwrap();
        let header = |name: &str| request.headers()[name].to_str().unwrap().to_owned();
        let authorization = header("authorization");
        assert!(authorization.contains("Credential=AKID/20270115/eu-west-1/lambda/aws4_request"));
        assert!(authorization.contains("SignedHeaders=content-type;host;x-amz-date;x-amz-security-token"));
        assert_eq!(header("x-amz-security-token"), "session");
    }
}
