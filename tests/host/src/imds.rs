//! One instance's metadata service: version 2 only, and only what an instance of ours may ask.
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

/// A session is replaced when it has less than this left, as EC2 does it.
const REFRESH_BEFORE: Duration = Duration::from_mins(10);
const TOKEN_HEADER: &str = "x-aws-ec2-metadata-token";
const TTL_HEADER: &str = "x-aws-ec2-metadata-token-ttl-seconds";

/// A metadata service on a loopback port of its own.
#[derive(Debug)]
pub struct Imds {
    endpoint: String,
    notices: Arc<Mutex<Notices>>,
    /// Ends with this value.
    _server: JoinSet<()>,
}

/// What EC2 may tell an instance in its life, as the service answers it.
#[derive(Debug, Default)]
struct Notices {
    instance_action: Option<String>,
    rebalance: Option<String>,
}

/// What the service is asked about.
pub struct Subject {
    pub instance: CloudInstance,
    pub region: String,
    pub role: String,
    pub user_data: String,
}

struct Service<C> {
    cloud: Arc<C>,
    subject: Subject,
    token: String,
    session: tokio::sync::Mutex<Option<RoleSession>>,
    notices: Arc<Mutex<Notices>>,
}

impl Imds {
    /// Starts the service.
    pub async fn start<C: Cloud>(cloud: Arc<C>, subject: Subject) -> std::io::Result<Self> {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
        let endpoint = format!("http://{}", listener.local_addr()?);
        let notices = Arc::new(Mutex::new(Notices::default()));
        let service = Arc::new(Service {
            cloud,
            subject,
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

    /// The service's base URL.
    pub fn endpoint(&self) -> &str {
        &self.endpoint
    }

    /// Has the service tell of an `action` at `when`.
    pub fn set_instance_action(&self, action: &str, when: SystemTime) {
        let notice = json!({"action": action, "time": to_the_second(when)});
        self.notices().instance_action = Some(notice.to_string());
    }

    /// Has the service recommend to leave, from `when` on.
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
        let Subject {
            instance,
            region,
            role,
            user_data,
        } = &self.subject;
        let found = |text: &str| (StatusCode::OK, text.to_owned());
        let maybe = |text: Option<String>| match text {
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
            "spot/instance-action" => maybe(notices().instance_action.clone()),
            "events/recommendations/rebalance" => maybe(notices().rebalance.clone()),
            other if other.strip_prefix("iam/security-credentials/") == Some(role) => self.credentials().await,
            _ => maybe(None),
        }
    }

    async fn credentials(&self) -> Answer {
        let mut kept = self.session.lock().await;
        let fresh = kept
            .as_ref()
            .is_some_and(|it| it.expires > SystemTime::now() + REFRESH_BEFORE);
        if !fresh {
            match self.cloud.role_session(&self.subject.instance.id).await {
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

/// RFC 3339 in UTC without fractions, EC2's way.
fn to_the_second(when: SystemTime) -> String {
    Timestamp::try_from(when)
        .and_then(|it| it.round(jiff::Unit::Second))
        .unwrap_or(Timestamp::UNIX_EPOCH)
        .to_string()
}
