//! HTTP requests, one for each connection. The agent sends a few a minute, so a pool would only hold connections
//! that the server has closed.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{Request, StatusCode, Uri, header};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::ServerName;
use tokio_rustls::rustls::{self, ClientConfig, RootCertStore};

/// Larger than any answer that the agent expects.
const LARGEST_ANSWER: usize = 1024 * 1024;

/// An answer, whatever its status.
#[derive(Debug)]
pub struct Reply {
    pub status: StatusCode,
    pub body: Bytes,
}

/// No answer came.
#[derive(Debug, thiserror::Error)]
pub enum HttpError {
    /// The URL has no host, or a scheme other than `http` and `https`.
    #[error("`{0}` is no http or https URL")]
    BadUrl(Uri),
    #[error("connection: {0}")]
    Io(#[from] std::io::Error),
    #[error("TLS: {0}")]
    Tls(#[from] rustls::Error),
    #[error("HTTP: {0}")]
    Http(#[from] hyper::Error),
    /// The body broke off or is too large.
    #[error("body: {0}")]
    Body(Box<dyn std::error::Error + Send + Sync>),
    #[error("no answer within {0:?}")]
    Timeout(Duration),
}

/// Sends `request`, whose URI is absolute, and reads the whole answer within `timeout`.
///
/// # Errors
/// No complete answer came. A failure status is an answer.
pub async fn send(request: Request<Bytes>, timeout: Duration) -> Result<Reply, HttpError> {
    match tokio::time::timeout(timeout, exchange(request)).await {
        Ok(result) => result,
        Err(_) => Err(HttpError::Timeout(timeout)),
    }
}

async fn exchange(request: Request<Bytes>) -> Result<Reply, HttpError> {
    let uri = request.uri().clone();
    let bad_url = || HttpError::BadUrl(uri.clone());
    let host = uri.host().ok_or_else(bad_url)?;
    let host = host.trim_start_matches('[').trim_end_matches(']');
    let port = uri.port_u16();
    match uri.scheme_str() {
        Some("http") => {
            let stream = TcpStream::connect((host, port.unwrap_or(80))).await?;
            speak(stream, request).await
        }
        Some("https") => {
            let name = ServerName::try_from(host.to_owned()).map_err(|_| bad_url())?;
            let stream = TcpStream::connect((host, port.unwrap_or(443))).await?;
            let tls = TlsConnector::from(Arc::new(tls_config()?))
                .connect(name, stream)
                .await?;
            speak(tls, request).await
        }
        _ => Err(bad_url()),
    }
}

fn tls_config() -> Result<ClientConfig, rustls::Error> {
    let roots = RootCertStore {
        roots: webpki_roots::TLS_SERVER_ROOTS.to_vec(),
    };
    Ok(ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots)
        .with_no_client_auth())
}

async fn speak<S>(stream: S, request: Request<Bytes>) -> Result<Reply, HttpError>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    let request = origin_form(request);
    let answer = async {
        let answer = sender.send_request(request).await?;
        let status = answer.status();
        let body = Limited::new(answer.into_body(), LARGEST_ANSWER).collect().await;
        let body = body.map_err(HttpError::Body)?.to_bytes();
        Ok(Reply { status, body })
    };
    // The connection moves the bytes, and ends once the answer is read.
    tokio::pin!(answer, connection);
    tokio::select! {
        reply = &mut answer => reply,
        ended = &mut connection => {
            ended?;
            answer.await
        }
    }
}

/// Turns the absolute URI into a path and a `Host` header, as HTTP/1 sends it.
fn origin_form(request: Request<Bytes>) -> Request<Full<Bytes>> {
    let (mut parts, body) = request.into_parts();
    if let Some(host) = parts.uri.authority().and_then(|it| it.as_str().parse().ok()) {
        parts.headers.entry(header::HOST).or_insert(host);
    }
    let path = parts.uri.path_and_query().map_or("/", |path| path.as_str());
    parts.uri = path.parse().unwrap_or_default();
    Request::from_parts(parts, Full::new(body))
}
