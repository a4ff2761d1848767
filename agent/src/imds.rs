//! The instance metadata service, version 2.
//!
//! <https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/instancedata-data-retrieval.html>

use std::sync::Mutex;
use std::time::{Duration, Instant};

use bytes::Bytes;
use dayfly_types::checkin::InterruptionNotice;
use http::{Method, Request, StatusCode};
use serde::Deserialize;

use crate::transport::{self, HttpError};

const TIMEOUT: Duration = Duration::from_secs(5);
/// The longest lifetime that IMDS grants a session token.
const LONGEST_TOKEN_LIFE: Duration = Duration::from_hours(6);
/// A token is replaced after this time, well before it expires.
const TOKEN_LIFE: Duration = Duration::from_hours(5);

#[derive(Debug, thiserror::Error)]
pub enum ImdsError {
    /// No answer.
    #[error("instance metadata: {0}")]
    Http(#[from] HttpError),
    /// An unexpected status.
    #[error("instance metadata: `{path}` answered {status}")]
    Status { path: String, status: StatusCode },
    /// An unreadable answer.
    #[error("instance metadata: `{path}`: {why}")]
    Content { path: String, why: String },
    /// The endpoint is not a URL.
    #[error("instance metadata: {0}")]
    Request(#[from] http::Error),
}

/// The credentials of the instance's role, as IMDS returns them.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct RoleCredentials {
    pub access_key_id: String,
    pub secret_access_key: String,
    pub token: String,
    /// RFC 3339.
    pub expiration: String,
}

/// A client of IMDS that keeps its session token.
#[derive(Debug)]
pub struct Imds {
    endpoint: String,
    token: Mutex<Option<(String, Instant)>>,
}

impl Imds {
    /// A client of the service at `endpoint`, a base URL without a trailing slash.
    #[must_use]
    pub fn new(endpoint: String) -> Self {
        Self {
            endpoint,
            token: Mutex::new(None),
        }
    }

    /// # Errors
    /// IMDS does not answer as it should.
    pub async fn instance_id(&self) -> Result<String, ImdsError> {
        self.required("meta-data/instance-id").await
    }

    /// # Errors
    /// IMDS does not answer as it should.
    pub async fn region(&self) -> Result<String, ImdsError> {
        self.required("meta-data/placement/region").await
    }

    /// The credentials of the instance's role.
    ///
    /// # Errors
    /// An instance without a role has none.
    pub async fn credentials(&self) -> Result<RoleCredentials, ImdsError> {
        const FOLDER: &str = "meta-data/iam/security-credentials/";
        let roles = self.required(FOLDER).await?;
        let path = format!("{FOLDER}{}", roles.lines().next().unwrap_or_default().trim());
        let text = self.required(&path).await?;
        // Without the parser's message, which may quote the credentials.
        serde_json::from_str(&text).map_err(|_| ImdsError::Content {
            path,
            why: "expected credentials".to_owned(),
        })
    }

    /// The interruption notice, if EC2 has given one.
    ///
    /// # Errors
    /// IMDS does not answer as it should.
    pub async fn spot_notice(&self) -> Result<Option<InterruptionNotice>, ImdsError> {
        #[derive(Deserialize)]
        struct InstanceAction {
            action: String,
            time: String,
        }
        const PATH: &str = "meta-data/spot/instance-action";
        let Some(text) = self.get(PATH).await? else {
            return Ok(None);
        };
        let InstanceAction { action, time } = serde_json::from_str(&text).map_err(|error| ImdsError::Content {
            path: PATH.to_owned(),
            why: error.to_string(),
        })?;
        Ok(Some(InterruptionNotice { action, at: time }))
    }

    /// The rebalance recommendation in EC2's words, if there is one.
    ///
    /// # Errors
    /// IMDS does not answer as it should.
    pub async fn rebalance(&self) -> Result<Option<String>, ImdsError> {
        self.get("meta-data/events/recommendations/rebalance").await
    }

    async fn required(&self, path: &str) -> Result<String, ImdsError> {
        let missing = || ImdsError::Status {
            path: path.to_owned(),
            status: StatusCode::NOT_FOUND,
        };
        self.get(path).await?.ok_or_else(missing)
    }

    /// Returns the text at `/latest/<path>`, or `None` if there is none.
    async fn get(&self, path: &str) -> Result<Option<String>, ImdsError> {
        let token = self.token().await?;
        let request = Request::get(format!("{}/latest/{path}", self.endpoint))
            .header("x-aws-ec2-metadata-token", token)
            .body(Bytes::new())?;
        let reply = transport::send(request, TIMEOUT).await?;
        match reply.status {
            StatusCode::OK => Ok(Some(text(path, &reply.body)?)),
            StatusCode::NOT_FOUND => Ok(None),
            status => {
                // 401 means that the token is no longer valid.
                self.keep_token(None);
                Err(ImdsError::Status {
                    path: path.to_owned(),
                    status,
                })
            }
        }
    }

    async fn token(&self) -> Result<String, ImdsError> {
        const PATH: &str = "api/token";
        if let Some(token) = self.kept_token() {
            return Ok(token);
        }
        let request = Request::builder()
            .method(Method::PUT)
            .uri(format!("{}/latest/{PATH}", self.endpoint))
            .header("x-aws-ec2-metadata-token-ttl-seconds", LONGEST_TOKEN_LIFE.as_secs())
            .body(Bytes::new())?;
        let reply = transport::send(request, TIMEOUT).await?;
        if reply.status != StatusCode::OK {
            return Err(ImdsError::Status {
                path: PATH.to_owned(),
                status: reply.status,
            });
        }
        let token = text(PATH, &reply.body)?;
        self.keep_token(Some((token.clone(), Instant::now() + TOKEN_LIFE)));
        Ok(token)
    }

    fn kept_token(&self) -> Option<String> {
        let kept = self.token.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        kept.as_ref()
            .filter(|(_, until)| Instant::now() < *until)
            .map(|(token, _)| token.clone())
    }

    fn keep_token(&self, token: Option<(String, Instant)>) {
        *self.token.lock().unwrap_or_else(std::sync::PoisonError::into_inner) = token;
    }
}

fn text(path: &str, body: &Bytes) -> Result<String, ImdsError> {
    match std::str::from_utf8(body) {
        Ok(text) => Ok(text.trim().to_owned()),
        Err(_) => Err(ImdsError::Content {
            path: path.to_owned(),
            why: "not UTF-8".to_owned(),
        }),
    }
}
