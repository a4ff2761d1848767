//! Calls and their answers.

use bytes::Bytes;
use http::header::ETAG;
use http::{HeaderMap, HeaderName, Method, StatusCode};
use serde::de::DeserializeOwned;

use crate::failure::Failure;

#[derive(Clone, Debug)]
pub(crate) struct Call {
    /// The call in words, for errors.
    pub(crate) what: &'static str,
    pub(crate) method: Method,
    pub(crate) path: String,
    pub(crate) accept: &'static str,
    pub(crate) etag: Option<String>,
    /// Whether a cached answer may be used, if GitHub says that it is unchanged.
    pub(crate) reusable: bool,
    pub(crate) body: Option<serde_json::Value>,
    /// Whether it is idempotent.
    pub(crate) repeatable: bool,
}

impl Call {
    fn new(what: &'static str, method: Method, path: String) -> Self {
        Self {
            what,
            repeatable: method != Method::POST,
            method,
            path,
            accept: "application/vnd.github+json",
            etag: None,
            reusable: false,
            body: None,
        }
    }

    pub(crate) fn get(what: &'static str, path: String) -> Self {
        Self::new(what, Method::GET, path)
    }

    pub(crate) fn delete(what: &'static str, path: String) -> Self {
        Self::new(what, Method::DELETE, path)
    }

    /// A call that is not retried: it may have taken effect although it failed.
    pub(crate) fn post(what: &'static str, path: String, body: Option<serde_json::Value>) -> Self {
        Self {
            body,
            ..Self::new(what, Method::POST, path)
        }
    }

    pub(crate) fn patch(what: &'static str, path: String, body: serde_json::Value) -> Self {
        Self {
            body: Some(body),
            ..Self::new(what, Method::PATCH, path)
        }
    }

    pub(crate) fn repeatable(self) -> Self {
        Self {
            repeatable: true,
            ..self
        }
    }

    pub(crate) fn reusable(self) -> Self {
        Self { reusable: true, ..self }
    }

    pub(crate) fn accept(self, accept: &'static str) -> Self {
        Self { accept, ..self }
    }

    pub(crate) fn if_none_match(self, etag: Option<&str>) -> Self {
        Self {
            etag: etag.map(str::to_owned),
            ..self
        }
    }
}

/// A successful answer.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

impl Answer {
    pub(crate) fn etag(&self) -> Option<String> {
        self.header(ETAG).map(str::to_owned)
    }

    pub(crate) fn header(&self, name: HeaderName) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    pub(crate) fn json<T: DeserializeOwned>(&self, what: &'static str) -> Result<T, Failure> {
        // The message leaves out the answer itself, which may hold a credential.
        serde_json::from_slice(&self.body)
            .map_err(|error| Failure::unanswered(what, format!("the answer does not have the expected shape: {error}")))
    }
}
