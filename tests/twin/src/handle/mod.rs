//! The twin as tests and demos hold it.

mod acts;
mod waiting;

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use serde_json::json;
use tokio::net::TcpListener;
use tokio::sync::{broadcast, watch};
use tokio::task::JoinHandle;

pub use self::acts::RepoOptions;
pub use self::waiting::TimedOut;
use crate::api;
use crate::app::{AppInfo, AppKey, KeyError};
use crate::clock::Clock;
use crate::config::TwinConfig;
use crate::event::TwinEvent;
use crate::hub::Hub;
use crate::model::{Account, AccountId, AccountKind, AppId, JobId};
use crate::schema::{Checker, SchemaError};
use crate::secrets::{Secret, SecretKind};
use crate::state::{CancelRefusal, RerunRefusal, State};
use crate::webhook::{Courier, Delivery};
use crate::workflow::WorkflowError;

/// How long open connections have to end when the twin does.
const CLOSING: Duration = Duration::from_secs(5);

/// A running twin. Dropping it ends everything it started.
#[derive(Debug)]
pub struct Twin {
    hub: Arc<Hub>,
    url: String,
    closing: watch::Sender<bool>,
    tasks: Vec<JoinHandle<()>>,
}

/// Why a twin does not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// No port to listen on.
    #[error("cannot listen on a loopback port: {0}")]
    Listen(#[from] std::io::Error),
    /// The App's key cannot be used.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// GitHub's descriptions cannot be used.
    #[error(transparent)]
    Schemas(#[from] SchemaError),
}

/// The error of a user's or GitHub's action on the twin.
#[derive(Debug, thiserror::Error)]
pub enum TwinError {
    /// A workflow file of the repository cannot be used.
    #[error(transparent)]
    Workflow(#[from] WorkflowError),
    /// The App's key did not sign.
    #[error(transparent)]
    Key(#[from] KeyError),
    #[error("the run cannot be cancelled: {0:?}")]
    Cancel(CancelRefusal),
    #[error("the run cannot be re-run: {0:?}")]
    Rerun(RerunRefusal),
    /// The job is not in the state that it would have to be in.
    #[error("job {0} is not in the state for that")]
    JobState(JobId),
    /// There is no such pull request.
    #[error("there is no pull request {0}")]
    NoPull(u64),
}

impl Twin {
    /// Starts a twin on a free loopback port.
    ///
    /// # Errors
    /// If there is no port, the given key is invalid, or the descriptions to check against are missing.
    pub async fn start(config: TwinConfig) -> Result<Self, StartError> {
        let listener = TcpListener::bind(SocketAddr::from((Ipv4Addr::LOCALHOST, 0))).await?;
        let url = format!("http://{}", listener.local_addr()?);
        let key = match &config.app_private_key_pem {
            Some(pem) => AppKey::from_pem(pem)?,
            None => AppKey::generate()?,
        };
        let checker = match config.schemas.clone() {
            Some(dir) => Some(Checker::load(&dir)?),
            None => None,
        };
        let clock = Clock::default();
        let secret = config
            .webhook_secret
            .clone()
            .unwrap_or_else(|| uuid::Uuid::new_v4().simple().to_string());
        let courier = Courier::new(
            secret,
            config.webhook_url.clone(),
            config.timings.webhook_timeout,
            config.webhooks_at_once,
        );
        let app = app_info(&config, clock.now());
        let state = State::new(config, app, url.clone());
        let closing = watch::channel(false).0;
        let hub = Arc::new(Hub::new(state, clock, key, courier, checker, closing.subscribe()));
        let router = api::router(Arc::clone(&hub));
        let mut closed = closing.subscribe();
        let server = tokio::spawn(async move {
            let graceful = async move {
                let _ = closed.wait_for(|closing| *closing).await;
            };
            // Serving ends only on shutdown; connections handle their own errors.
            let _ = axum::serve(listener, router).with_graceful_shutdown(graceful).await;
        });
        let keeper = tokio::spawn(Arc::clone(&hub).keep_time());
        Ok(Self {
            hub,
            url,
            closing,
            tasks: vec![server, keeper],
        })
    }

    /// The base URL of the REST API.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    /// The App's id.
    #[must_use]
    pub fn app_id(&self) -> AppId {
        self.hub.app_id()
    }

    /// The App's private key in PEM, as GitHub lets one download it.
    #[must_use]
    pub fn app_private_key_pem(&self) -> &str {
        self.hub.key.pem()
    }

    /// A JWT of the App, valid for nine minutes.
    ///
    /// # Errors
    /// When the key does not sign.
    pub fn app_jwt(&self) -> Result<String, TwinError> {
        let now = self.hub.now().as_second();
        Ok(self.hub.key.sign(&json!({
            "iss": self.app_id(),
            "iat": now - 30,
            "exp": now + 540,
            "jti": uuid::Uuid::new_v4().to_string(),
        }))?)
    }

    /// The secret that webhooks are signed with.
    #[must_use]
    pub fn webhook_secret(&self) -> &str {
        self.hub.courier.secret()
    }

    /// Where webhooks go from now on.
    pub fn set_webhook_url(&self, url: &str) {
        self.hub.courier.set_url(url);
    }

    /// Everything that happens from now on.
    #[must_use]
    pub fn events(&self) -> broadcast::Receiver<TwinEvent> {
        self.hub.events()
    }

    /// Looks at the state.
    pub fn inspect<R>(&self, inspect: impl FnOnce(&State) -> R) -> R {
        inspect(&self.hub.state())
    }

    /// The twin's present.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        self.hub.now()
    }

    /// Moves the twin's clock forward; everything due by then happens now.
    pub fn advance(&self, by: Duration) {
        self.hub.clock.advance(by);
        self.hub.act(State::expire);
    }

    /// Every secret that was given out so far: the App's key and the webhooks' secret, which never
    /// change, and every token, JWT, JIT config and signature.
    #[must_use]
    pub fn secrets(&self) -> Vec<Secret> {
        let lasting = [
            (SecretKind::AppKey, self.app_private_key_pem()),
            (SecretKind::WebhookSecret, self.webhook_secret()),
        ];
        let lasting = lasting.map(|(kind, value)| Secret {
            kind,
            value: value.to_owned(),
        });
        let state = self.hub.state();
        let signatures = state.deliveries().filter_map(Delivery::signature).map(|value| Secret {
            kind: SecretKind::WebhookSignature,
            value: value.to_owned(),
        });
        lasting
            .into_iter()
            .chain(state.secrets.iter().cloned())
            .chain(signatures)
            .collect()
    }

    /// Returns the violations of GitHub's descriptions so far, and requests for missing operations.
    #[must_use]
    pub fn violations(&self) -> Vec<String> {
        self.hub.state().violations.clone()
    }

    /// Ends the twin and waits until its connections are closed.
    pub async fn stop(mut self) {
        self.end();
        let mut tasks = std::mem::take(&mut self.tasks);
        if let Some(keeper) = tasks.pop() {
            keeper.abort();
        }
        for mut task in tasks {
            // A client that keeps a request open does not keep the twin running.
            if tokio::time::timeout(CLOSING, &mut task).await.is_err() {
                task.abort();
            }
        }
    }

    fn end(&self) {
        let _ = self.closing.send(true);
        self.hub.courier.stop();
    }
}

impl Drop for Twin {
    fn drop(&mut self) {
        self.end();
        for task in self.tasks.drain(..).skip(1) {
            task.abort();
        }
    }
}

fn app_info(config: &TwinConfig, now: Timestamp) -> AppInfo {
    AppInfo {
        id: AppId(1_204_377),
        client_id: "Iv23liTwinTwinTwinTw".to_owned(),
        slug: "dayfly".to_owned(),
        name: "dayfly".to_owned(),
        owner: Account {
            id: AccountId(90_114_020),
            login: "octo-org".to_owned(),
            kind: AccountKind::Organization,
        },
        hook_id: 480_112_904,
        permissions: config.app_permissions.clone(),
        events: vec!["workflow_job".to_owned(), "workflow_run".to_owned()],
        created_at: now,
    }
}
