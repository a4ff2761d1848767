//! The Lambda Runtime API, as one execution environment sees it.
//!
//! Source: AWS, "Using the Lambda runtime API for custom runtimes" (version 2018-06-01). Each emulator
//! serves one process, so that a late request of an ended process can never take an event of the next
//! one.

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

/// The emulator's limit of an invocation. The functions' own timeout in the template is shorter.
pub const INVOCATION_LIMIT: Duration = Duration::from_secs(30);

/// A message of a process to the Runtime API, with its time.
#[derive(Debug)]
pub enum Signal {
    /// It requested an event.
    Next {
        /// When the request came in.
        at: Instant,
    },
    /// The event with this request id was delivered.
    HandedOut {
        request: Uuid,
        /// When the answer with the event was given to the server.
        at: Instant,
    },
    /// The invocation ended.
    Answered {
        /// The invocation's request id, as the process gave it.
        request: String,
        /// When the whole answer had been read.
        at: Instant,
        outcome: Outcome,
    },
    InitFailed(FunctionError),
}

/// The result of an invocation.
pub type Outcome = Result<Value, FunctionError>;

/// An error as a runtime reports it.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq)]
#[serde(rename_all = "camelCase", default)]
pub struct FunctionError {
    pub error_type: String,
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
    // Behind an async lock because a waiting `next` holds it; a runtime requests one at a time.
    events: Mutex<mpsc::UnboundedReceiver<Invocation>>,
    signals: mpsc::UnboundedSender<Signal>,
}

impl Shared {
    fn send(&self, signal: Signal) {
        // There is no listener only after the measurement.
        let _ = self.signals.send(signal);
    }
}

/// The emulator's handle for sending events and receiving signals.
pub struct RuntimeApi {
    server: Server,
    events: mpsc::UnboundedSender<Invocation>,
    signals: mpsc::UnboundedReceiver<Signal>,
}

impl RuntimeApi {
    /// Starts an emulator for one process of `function`.
    ///
    /// # Errors
    /// If no loopback port can be bound.
    pub async fn start(function: &str) -> anyhow::Result<Self> {
        let (events, waiting) = mpsc::unbounded_channel();
        let (send, signals) = mpsc::unbounded_channel();
        let shared = Arc::new(Shared {
            function: function.to_owned(),
            events: Mutex::new(waiting),
            signals: send,
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

    /// Queues an event and returns its request id.
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

    /// Waits for the next signal of the process. Never ends by itself: wait for the process too.
    pub async fn signal(&mut self) -> Option<Signal> {
        self.signals.recv().await
    }
}

async fn next(State(shared): State<Arc<Shared>>) -> Response {
    shared.send(Signal::Next { at: Instant::now() });
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
    shared.send(Signal::HandedOut {
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
    shared.send(Signal::Answered { request, at, outcome });
    StatusCode::ACCEPTED
}

async fn error(State(shared): State<Arc<Shared>>, Path(request): Path<String>, body: Bytes) -> StatusCode {
    let at = Instant::now();
    shared.send(Signal::Answered {
        request,
        at,
        outcome: Err(function_error(&body)),
    });
    StatusCode::ACCEPTED
}

async fn init_error(State(shared): State<Arc<Shared>>, body: Bytes) -> StatusCode {
    shared.send(Signal::InitFailed(function_error(&body)));
    StatusCode::ACCEPTED
}

fn function_error(body: &[u8]) -> FunctionError {
    serde_json::from_slice(body).unwrap_or_else(|_| FunctionError {
        error_type: "Bench.ErrorNotJson".to_owned(),
        error_message: String::from_utf8_lossy(body).into_owned(),
    })
}

/// Returns the deadline of the current invocation, in milliseconds since the epoch.
fn deadline() -> u128 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |now| (now + INVOCATION_LIMIT).as_millis())
}
