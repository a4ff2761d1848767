//! A loopback HTTP server on a free port that passes every request to one handler.

use std::net::SocketAddr;
use std::sync::Arc;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::{Request, State};
use axum::response::Response;
use bytes::Bytes;
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use crate::function_url::Outgoing;

/// A request with its whole body.
#[derive(Clone, Debug)]
pub struct Received {
    /// Upper case.
    pub method: String,
    /// As sent.
    pub path: String,
    /// As sent, without the question mark; empty if there is none.
    pub query: String,
    /// As sent, names in lower case.
    pub headers: Vec<(String, String)>,
    pub body: Bytes,
}

impl Received {
    /// Returns path and query as sent.
    #[must_use]
    pub fn target(&self) -> String {
        if self.query.is_empty() {
            self.path.clone()
        } else {
            format!("{}?{}", self.path, self.query)
        }
    }
}

/// Answers every request.
pub trait Handler: Send + Sync + 'static {
    fn handle(&self, request: Received) -> impl Future<Output = Reply> + Send;
}

#[derive(Debug)]
pub enum Reply {
    Whole(Outgoing),
    /// The head of an answer, before the connection breaks: the client does not learn the result.
    Lost,
}

/// A listening server. It ends when it is stopped or dropped.
#[derive(Debug)]
pub struct Server {
    address: SocketAddr,
    stop: Option<oneshot::Sender<()>>,
    task: JoinHandle<()>,
}

impl Server {
    /// Listens on a free loopback port; bodies over `limit` bytes are answered with 413.
    ///
    /// # Errors
    /// If no port is available.
    pub async fn start<H: Handler>(handler: Arc<H>, limit: usize) -> std::io::Result<Self> {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
        let address = listener.local_addr()?;
        let (stop, stopped) = oneshot::channel::<()>();
        let router = Router::new().fallback(serve::<H>).with_state((handler, limit));
        let task = tokio::spawn(async move {
            let served = axum::serve(listener, router)
                .with_graceful_shutdown(async {
                    // Both the signal and a dropped sender mean the end.
                    let _ = stopped.await;
                })
                .await;
            if let Err(error) = served {
                tracing::error!("the server on {address} ended: {error}");
            }
        });
        Ok(Self {
            address,
            stop: Some(stop),
            task,
        })
    }

    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// `http://127.0.0.1:<port>`.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Stops accepting requests and drops open ones.
    pub async fn stop(mut self) {
        if let Some(stop) = self.stop.take() {
            // The task may have ended already.
            let _ = stop.send(());
        }
        // Kept-alive connections would delay a graceful end as long as their clients like.
        self.task.abort();
        let _ = (&mut self.task).await;
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn serve<H: Handler>(State((handler, limit)): State<(Arc<H>, usize)>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let Ok(body) = to_bytes(body, limit).await else {
        return respond(Reply::Whole(Outgoing::json(413, r#"{"Message":"Request Too Long"}"#)));
    };
    let headers = parts
        .headers
        .iter()
        .map(|(name, value)| {
            let value = String::from_utf8_lossy(value.as_bytes()).into_owned();
            (name.as_str().to_owned(), value)
        })
        .collect();
    let received = Received {
        method: parts.method.as_str().to_owned(),
        path: parts.uri.path().to_owned(),
        query: parts.uri.query().unwrap_or_default().to_owned(),
        headers,
        body,
    };
    respond(handler.handle(received).await)
}

fn respond(reply: Reply) -> Response {
    let outgoing = match reply {
        Reply::Whole(outgoing) => outgoing,
        Reply::Lost => return Response::new(Body::new(Broken)),
    };
    let mut response = Response::builder().status(outgoing.status);
    for (name, value) in &outgoing.headers {
        // The length and the framing are this server's own.
        if !matches!(&**name, "content-length" | "transfer-encoding" | "connection") {
            response = response.header(name, value);
        }
    }
    response.body(Body::from(outgoing.body)).unwrap_or_else(|error| {
        tracing::error!("an answer cannot be sent: {error}");
        let mut response = Response::new(Body::empty());
        *response.status_mut() = axum::http::StatusCode::BAD_GATEWAY;
        response
    })
}

/// A body that breaks before its first byte.
struct Broken;

impl axum::body::HttpBody for Broken {
    type Data = Bytes;
    type Error = std::io::Error;

    fn poll_frame(
        self: std::pin::Pin<&mut Self>,
        _: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Option<Result<hyper::body::Frame<Bytes>, Self::Error>>> {
        std::task::Poll::Ready(Some(Err(std::io::ErrorKind::ConnectionReset.into())))
    }
}
