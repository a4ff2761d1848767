//! An instance's metadata service: version 2 only, with the paths that an instance of a stack needs.
//!
//! <https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/instancedata-data-categories.html>

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use axum::Router;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, Method, StatusCode};
use axum::routing::any;
use jiff::Timestamp;
use serde_json::json;
use tokio::net::TcpListener;
use tokio::task::JoinSet;

use crate::cloud::{Cloud, CloudInstance, RoleSession};

/// A session is replaced when it has less than this left, as on EC2.
const REFRESH_BEFORE: Duration = Duration::from_mins(10);
const TOKEN_HEADER: &str = "x-aws-ec2-metadata-token";
const TTL_HEADER: &str = "x-aws-ec2-metadata-token-ttl-seconds";

/// A metadata service on its own loopback port.
#[derive(Debug)]
pub struct Imds {
    endpoint: String,
    notices: Arc<Mutex<Notices>>,
    /// Dropping it ends the service.
    _server: JoinSet<()>,
}

/// EC2's notices to the instance, as the service returns them.
#[derive(Debug, Default)]
struct Notices {
    instance_action: Option<String>,
    rebalance: Option<String>,
}

/// The values that the service returns.
pub struct Metadata {
    pub instance: CloudInstance,
    pub region: String,
    pub role: String,
    pub user_data: String,
}

struct Service<C> {
    cloud: Arc<C>,
    metadata: Metadata,
    token: String,
    session: tokio::sync::Mutex<Option<RoleSession>>,
    notices: Arc<Mutex<Notices>>,
}

impl Imds {
    pub async fn start<C: Cloud>(cloud: Arc<C>, metadata: Metadata) -> std::io::Result<Self> {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
        let endpoint = format!("http://{}", listener.local_addr()?);
        let notices = Arc::new(Mutex::new(Notices::default()));
        let service = Arc::new(Service {
            cloud,
            metadata,
            token: uuid::Uuid::new_v4().to_string(),
            session: tokio::sync::Mutex::new(None),
            notices: Arc::clone(&notices),
        });
        let app = Router::new()
            .route("/latest/{*path}", any(answer::<C>))
            .with_state(service);
        let mut server = JoinSet::new();
        server.spawn(async move { drop(axum::serve(listener, app).await) });
        Ok(Self {
            endpoint,
            notices,
            _server: server,
        })
    }

    pub fn endpoint(&self) -> &str {
        &self.endpoint
    }

    /// Makes the service return a notice of `action` at `when`.
    pub fn set_instance_action(&self, action: &str, when: SystemTime) {
        let notice = json!({"action": action, "time": to_the_second(when)});
        self.notices().instance_action = Some(notice.to_string());
    }

    /// Makes the service return a rebalance recommendation of `when`.
    pub fn set_rebalance(&self, when: SystemTime) {
        self.notices().rebalance = Some(json!({"noticeTime": to_the_second(when)}).to_string());
    }

    fn notices(&self) -> std::sync::MutexGuard<'_, Notices> {
        self.notices.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

type Answer = (StatusCode, String);

async fn answer<C: Cloud>(
    State(service): State<Arc<Service<C>>>,
    method: Method,
    Path(path): Path<String>,
    headers: HeaderMap,
) -> Answer {
    let nothing = |status| (status, String::new());
    if path == "api/token" {
        return match (method, headers.contains_key(TTL_HEADER)) {
            (Method::PUT, true) => (StatusCode::OK, service.token.clone()),
            (Method::PUT, false) => nothing(StatusCode::BAD_REQUEST),
            _ => nothing(StatusCode::METHOD_NOT_ALLOWED),
        };
    }
    if method != Method::GET {
        return nothing(StatusCode::METHOD_NOT_ALLOWED);
    }
    if headers
        .get(TOKEN_HEADER)
        .is_none_or(|token| token != service.token.as_str())
    {
        return nothing(StatusCode::UNAUTHORIZED);
    }
    service.get(&path).await
}

impl<C: Cloud> Service<C> {
    async fn get(&self, path: &str) -> Answer {
        let Metadata {
            instance,
            region,
            role,
            user_data,
        } = &self.metadata;
        let found = |text: &str| (StatusCode::OK, text.to_owned());
        let found_or_404 = |text: Option<String>| match text {
            Some(text) => (StatusCode::OK, text),
            None => (StatusCode::NOT_FOUND, String::new()),
        };
        if path == "user-data" {
            return found(user_data);
        }
        let notices = || self.notices.lock().unwrap_or_else(PoisonError::into_inner);
        match path.strip_prefix("meta-data/").unwrap_or_default() {
            "instance-id" => found(&instance.id),
            "instance-type" => found(&instance.instance_type),
            "placement/region" => found(region),
            "placement/availability-zone" => found(&instance.zone),
            "iam/info" => found(&json!({"Code": "Success"}).to_string()),
            "iam/security-credentials" | "iam/security-credentials/" => found(role),
            "spot/instance-action" => found_or_404(notices().instance_action.clone()),
            "events/recommendations/rebalance" => found_or_404(notices().rebalance.clone()),
            other if other.strip_prefix("iam/security-credentials/") == Some(role) => self.credentials().await,
            _ => found_or_404(None),
        }
    }

    async fn credentials(&self) -> Answer {
        let mut kept = self.session.lock().await;
        let fresh = kept
            .as_ref()
            .is_some_and(|it| it.expires > SystemTime::now() + REFRESH_BEFORE);
        if !fresh {
            match self.cloud.role_session(&self.metadata.instance.id).await {
                Ok(session) => *kept = Some(session),
                Err(error) => return (StatusCode::SERVICE_UNAVAILABLE, error.to_string()),
            }
        }
        let Some(session) = kept.as_ref() else {
            return (StatusCode::NOT_FOUND, String::new());
        };
        let document = json!({
            "Code": "Success",
            "Type": "AWS-HMAC",
            "LastUpdated": to_the_second(SystemTime::now()),
            "AccessKeyId": session.access_key,
            "SecretAccessKey": session.secret_key,
            "Token": session.token,
            "Expiration": to_the_second(session.expires),
        });
        (StatusCode::OK, document.to_string())
    }
}

/// RFC 3339 in UTC without fractions, as EC2 writes it.
fn to_the_second(when: SystemTime) -> String {
    Timestamp::try_from(when)
        .and_then(|it| it.round(jiff::Unit::Second))
        .unwrap_or(Timestamp::UNIX_EPOCH)
        .to_string()
}
