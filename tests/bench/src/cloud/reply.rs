//! Requests to the loopback clouds, and their answers.

use axum::body::Body;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use http::{HeaderMap, Method, StatusCode, header};
use serde_json::{Value, json};

/// A request with its whole body.
#[derive(Clone, Debug)]
pub struct Request {
    pub method: Method,
    /// The path, without the query.
    pub path: String,
    /// The query, undecoded, without the question mark.
    pub query: String,
    pub headers: HeaderMap,
    pub body: Bytes,
}

impl Request {
    /// A header's value, if it is there and is text.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    /// Returns the body as JSON; `null` if it is not JSON.
    #[must_use]
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or(Value::Null)
    }
}

#[derive(Clone, Debug)]
pub struct Reply {
    pub status: StatusCode,
    /// Headers besides the content type and length.
    pub headers: Vec<(&'static str, String)>,
    content_type: &'static str,
    body: Bytes,
}

impl Reply {
    /// 200 with the JSON of AWS's JSON protocols. The SDKs ignore the exact media type.
    #[must_use]
    pub fn aws(body: &Value) -> Self {
        Self::text(StatusCode::OK, "application/x-amz-json-1.1", body.to_string())
    }

    /// 400 with an error of AWS's JSON protocols: `fields` besides its type and message.
    #[must_use]
    pub fn aws_error(kind: &str, message: &str, mut fields: Value) -> Self {
        fields["__type"] = json!(kind);
        fields["message"] = json!(message);
        let body = fields.to_string();
        Self::text(StatusCode::BAD_REQUEST, "application/x-amz-json-1.1", body)
    }

    /// 200 with XML, as EC2 answers.
    #[must_use]
    pub fn xml(body: String) -> Self {
        Self::text(StatusCode::OK, "text/xml;charset=UTF-8", body)
    }

    /// JSON with any status, as GitHub and Scheduler answer.
    #[must_use]
    pub fn json(status: StatusCode, body: &Value) -> Self {
        Self::text(status, "application/json; charset=utf-8", body.to_string())
    }

    /// Any text.
    #[must_use]
    pub fn text(status: StatusCode, content_type: &'static str, body: String) -> Self {
        Self {
            status,
            headers: Vec::new(),
            content_type,
            body: Bytes::from(body),
        }
    }

    /// A status and nothing else.
    #[must_use]
    pub fn empty(status: StatusCode) -> Self {
        Self {
            status,
            headers: Vec::new(),
            content_type: "",
            body: Bytes::new(),
        }
    }

    /// Adds a header.
    #[must_use]
    pub fn with(mut self, header: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((header, value.into()));
        self
    }

    /// Returns the body as JSON, for tests; `null` if it is not JSON.
    #[must_use]
    pub fn body_json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or(Value::Null)
    }

    /// Returns the body as text, for tests.
    #[must_use]
    pub fn body_text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }
}

impl IntoResponse for Reply {
    fn into_response(self) -> Response {
        let mut response = Response::builder().status(self.status);
        if !self.content_type.is_empty() {
            response = response.header(header::CONTENT_TYPE, self.content_type);
        }
        for (name, value) in self.headers {
            response = response.header(name, value);
        }
        response
            .body(Body::from(self.body))
            .unwrap_or_else(|_| StatusCode::INTERNAL_SERVER_ERROR.into_response())
    }
}
