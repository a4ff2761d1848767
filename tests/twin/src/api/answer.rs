//! Answers in GitHub's form.

use axum::Json;
use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};

pub(super) type Answer = Result<Response, Refusal>;

#[derive(Debug)]
pub(super) struct Refusal {
    status: StatusCode,
    message: String,
    errors: Option<Value>,
}

impl Refusal {
    pub(super) fn new(status: StatusCode, message: impl Into<String>) -> Self {
        Self {
            status,
            message: message.into(),
            errors: None,
        }
    }

    pub(super) fn not_found() -> Self {
        Self::new(StatusCode::NOT_FOUND, "Not Found")
    }

    pub(super) fn bad_credentials() -> Self {
        Self::new(StatusCode::UNAUTHORIZED, "Bad credentials")
    }

    pub(super) fn forbidden(message: impl Into<String>) -> Self {
        Self::new(StatusCode::FORBIDDEN, message)
    }

    pub(super) fn conflict(message: impl Into<String>) -> Self {
        Self::new(StatusCode::CONFLICT, message)
    }

    pub(super) fn unprocessable(message: impl Into<String>) -> Self {
        Self::new(StatusCode::UNPROCESSABLE_ENTITY, message)
    }

    /// The body does not fit; why.
    pub(super) fn invalid(why: impl Into<String>) -> Self {
        Self {
            errors: Some(json!([why.into()])),
            ..Self::unprocessable("Validation Failed")
        }
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let mut body = json!({
            "message": self.message,
            "documentation_url": "https://docs.github.com/rest",
            "status": self.status.as_u16().to_string(),
        });
        if let Some(errors) = self.errors {
            body["errors"] = errors;
        }
        (self.status, Json(body)).into_response()
    }
}

/// 200 with JSON.
#[expect(clippy::unnecessary_wraps, reason = "every handler ends in an `Answer`")]
pub(super) fn ok(body: Value) -> Answer {
    Ok(Json(body).into_response())
}

/// Another status with JSON.
#[expect(clippy::unnecessary_wraps, reason = "every handler ends in an `Answer`")]
pub(super) fn with_status(status: StatusCode, body: Value) -> Answer {
    Ok((status, Json(body)).into_response())
}

/// Adds a header, if its value can be one.
pub(super) fn add_header(response: &mut Response, name: &'static str, value: &str) {
    if let Ok(value) = HeaderValue::from_str(value) {
        response.headers_mut().insert(HeaderName::from_static(name), value);
    }
}

/// The part of a list selected by `per_page` and `page`.
#[derive(Debug, Clone, Copy)]
pub(super) struct Page {
    per_page: usize,
    page: usize,
}

impl Page {
    /// From a request's query. GitHub's pages have 30 entries, 100 at most.
    pub(super) fn of(query: &[(String, String)]) -> Self {
        let number = |name: &str| {
            query
                .iter()
                .find(|(key, _)| key == name)
                .and_then(|(_, value)| value.parse::<usize>().ok())
        };
        Self {
            per_page: number("per_page").unwrap_or(30).clamp(1, 100),
            page: number("page").unwrap_or(1).max(1),
        }
    }

    /// Returns the page as `{total_count, <name>: […]}`, or as a bare list without a name, with a
    /// `Link` header to the next page.
    #[expect(clippy::unnecessary_wraps, reason = "every handler ends in an `Answer`")]
    pub(super) fn answer(self, name: Option<&str>, entries: &[Value], url: &str) -> Answer {
        let from = (self.page - 1).saturating_mul(self.per_page);
        let part: Vec<&Value> = entries.iter().skip(from).take(self.per_page).collect();
        let more = from.saturating_add(part.len()) < entries.len();
        let body = match name {
            Some(name) => json!({"total_count": entries.len(), name: part}),
            None => json!(part),
        };
        let mut response = Json(body).into_response();
        if more {
            let next = format!(
                "<{url}?per_page={}&page={}>; rel=\"next\"",
                self.per_page,
                self.page + 1
            );
            add_header(&mut response, "link", &next);
        }
        Ok(response)
    }
}

/// Text that is to be taken as a media type of GitHub's.
pub(super) fn raw(contents: Vec<u8>, media_type: &'static str) -> Response {
    ([(header::CONTENT_TYPE, media_type)], contents).into_response()
}
