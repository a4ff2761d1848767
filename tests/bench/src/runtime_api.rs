//! The Lambda Runtime API, as one execution environment sees it.
//!
//! Source: AWS, "Using the Lambda runtime API for custom runtimes" (version 2018-06-01). One
//! emulator serves one process, so that a late request of a process that was ended can never take
//! an event meant for the next one.

use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use axum::Router;
use axum::extract::{DefaultBodyLimit, Path, State};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use bytes::Bytes;
use http::StatusCode;
use serde::Deserialize;
use serde_json::Value;
use tokio::sync::{Mutex, mpsc};
use uuid::Uuid;

use crate::server::Server;

/// How long an invocation may take before the emulator gives it up. The functions' own timeout in
/// the template is shorter.
pub const INVOCATION_LIMIT: Duration = Duration::from_secs(30);

/// What a process said to the Runtime API, and when it had said all of it.
#[derive(Debug)]
pub enum Signal {
    /// It asked for an event.
    Next {
        /// When the request came in.
        at: Instant,
    },
    /// The event with this request id was handed out.
    HandedOut {
        /// The invocation's request id.
        request: Uuid,
        /// When the answer with the event was given to the server.
        at: Instant,
    },
    /// The invocation ended, well or not.
    Answered {
        /// The invocation's request id, as the process named it.
        request: String,
        /// When the whole answer had been read.
        at: Instant,
        /// What the function returned.
        outcome: Outcome,
    },
    /// The process could not initialise.
    InitFailed(FunctionError),
}

/// What a function returned.
pub type Outcome = Result<Value, FunctionError>;

/// An error as a runtime reports it.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq)]
#[serde(rename_all = "camelCase", default)]
pub struct FunctionError {
    /// The kind of error, free text.
    pub error_type: String,
    /// What went wrong, free text.
    pub error_message: String,
}

impl std::fmt::Display for FunctionError {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "{}: {}", self.error_type, self.error_message)
    }
}

impl std::error::Error for FunctionError {}

/// An event on its way to the function.
#[derive(Debug)]
struct Invocation {
    request: Uuid,
    event: Bytes,
}

struct Shared {
    function: String,
    // Behind an async lock because a waiting `next` holds it; a runtime asks for one at a time.
    events: Mutex<mpsc::UnboundedReceiver<Invocation>>,
    signals: mpsc::UnboundedSender<Signal>,
}

impl Shared {
    fn tell(&self, signal: Signal) {
        // Nobody listens any more only when the measurement is over.
        let _ = self.signals.send(signal);
    }
}

/// The emulator's end that feeds events and listens.
pub struct RuntimeApi {
    server: Server,
    events: mpsc::UnboundedSender<Invocation>,
    signals: mpsc::UnboundedReceiver<Signal>,
}

impl RuntimeApi {
    /// Starts an emulator for one process of `function`.
    ///
    /// # Errors
    /// When no loopback port can be bound.
    pub async fn start(function: &str) -> anyhow::Result<Self> {
        let (events, waiting) = mpsc::unbounded_channel();
        let (tell, signals) = mpsc::unbounded_channel();
        let shared = Arc::new(Shared {
            function: function.to_owned(),
            events: Mutex::new(waiting),
            signals: tell,
        });
        let router = Router::new()
            .route("/2018-06-01/runtime/invocation/next", get(next))
            .route("/2018-06-01/runtime/invocation/{request}/response", post(response))
            .route("/2018-06-01/runtime/invocation/{request}/error", post(error))
            .route("/2018-06-01/runtime/init/error", post(init_error))
            .layer(DefaultBodyLimit::disable())
            .with_state(shared);
        Ok(Self {
            server: Server::start(router).await?,
            events,
            signals,
        })
    }

    /// The value of `AWS_LAMBDA_RUNTIME_API`.
    #[must_use]
    pub fn authority(&self) -> String {
        self.server.authority()
    }

    /// Puts an event in line and returns its request id.
    #[must_use]
    pub fn push(&self, event: &Value) -> Uuid {
        let request = Uuid::new_v4();
        let invocation = Invocation {
            request,
            event: Bytes::from(event.to_string()),
        };
        // The receiver lives as long as the server, which lives as long as this.
        let _ = self.events.send(invocation);
        request
    }

    /// The next thing that the process says. Never ends by itself: wait for the process too.
    pub async fn signal(&mut self) -> Option<Signal> {
        self.signals.recv().await
    }
}

async fn next(State(shared): State<Arc<Shared>>) -> Response {
    shared.tell(Signal::Next { at: Instant::now() });
    let Some(invocation) = shared.events.lock().await.recv().await else {
        return StatusCode::GONE.into_response();
    };
    let headers = [
        ("content-type", "application/json".to_owned()),
        ("lambda-runtime-aws-request-id", invocation.request.to_string()),
        ("lambda-runtime-deadline-ms", deadline().to_string()),
        (
            "lambda-runtime-invoked-function-arn",
            format!("arn:aws:lambda:us-east-1:123456789012:function:{}", shared.function),
        ),
        (
            "lambda-runtime-trace-id",
            "Root=1-5bef4de7-ad49b0e87f6ef6c87fc2e700;Parent=9a9197af755a6419;Sampled=0".to_owned(),
        ),
    ];
    shared.tell(Signal::HandedOut {
        request: invocation.request,
        at: Instant::now(),
    });
    (headers, invocation.event).into_response()
}

async fn response(State(shared): State<Arc<Shared>>, Path(request): Path<String>, body: Bytes) -> StatusCode {
    let at = Instant::now();
    let outcome = serde_json::from_slice(&body).map_err(|error| FunctionError {
        error_type: "Bench.AnswerNotJson".to_owned(),
        error_message: error.to_string(),
    });
    shared.tell(Signal::Answered { request, at, outcome });
    StatusCode::ACCEPTED
}

async fn error(State(shared): State<Arc<Shared>>, Path(request): Path<String>, body: Bytes) -> StatusCode {
    let at = Instant::now();
    shared.tell(Signal::Answered {
        request,
        at,
        outcome: Err(function_error(&body)),
    });
    StatusCode::ACCEPTED
}

async fn init_error(State(shared): State<Arc<Shared>>, body: Bytes) -> StatusCode {
    shared.tell(Signal::InitFailed(function_error(&body)));
    StatusCode::ACCEPTED
}

fn function_error(body: &[u8]) -> FunctionError {
    serde_json::from_slice(body).unwrap_or_else(|_| FunctionError {
        error_type: "Bench.ErrorNotJson".to_owned(),
        error_message: String::from_utf8_lossy(body).into_owned(),
    })
}

/// When the invocation handed out now must be over, in milliseconds since the epoch.
fn deadline() -> u128 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |now| (now + INVOCATION_LIMIT).as_millis())
}
