//! The HTTP request from a Function URL.

use std::borrow::Cow;

use aws_lambda_events::lambda_function_urls::LambdaFunctionUrlRequest;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use dayfly_types::ids::DeliveryId;

use crate::Reply;

/// GitHub's own limit.
///
/// <https://docs.github.com/en/webhooks/webhook-events-and-payloads#payload-cap>
const MAX_BODY_BYTES: usize = 25 * 1024 * 1024;

/// GitHub's ids are shorter; the id becomes a key of the table.
const MAX_ID_CHARS: usize = 100;

/// The headers of a webhook.
pub struct Webhook {
    /// `X-GitHub-Event`.
    pub event: String,
    /// `X-GitHub-Delivery`.
    pub delivery: DeliveryId,
}

impl Webhook {
    pub fn read(request: &LambdaFunctionUrlRequest) -> Result<Self, Reply> {
        let missing = |name: &str| {
            (
                400,
                format!("there is no usable `{name}` header: this is not a webhook of GitHub's"),
            )
        };
        let event = header(request, "x-github-event").ok_or_else(|| missing("X-GitHub-Event"))?;
        let delivery = header(request, "x-github-delivery")
            .filter(|id| !id.is_empty() && id.len() <= MAX_ID_CHARS && id.bytes().all(|b| b.is_ascii_graphic()))
            .ok_or_else(|| missing("X-GitHub-Delivery"))?;
        Ok(Self {
            event: event.to_owned(),
            delivery: DeliveryId::new(delivery),
        })
    }
}

pub fn header<'a>(request: &'a LambdaFunctionUrlRequest, name: &str) -> Option<&'a str> {
    request.headers.get(name).and_then(|value| value.to_str().ok())
}

/// Returns the signed bytes.
pub fn body(request: &LambdaFunctionUrlRequest) -> Result<Cow<'_, [u8]>, Reply> {
    let text = request.body.as_deref().unwrap_or_default();
    let body = if request.is_base64_encoded {
        Cow::Owned(
            STANDARD
                .decode(text)
                .map_err(|error| (400, format!("the body is not base64: {error}")))?,
        )
    } else {
        Cow::Borrowed(text.as_bytes())
    };
    if body.len() > MAX_BODY_BYTES {
        return Err((
            413,
            format!(
                "the body has {} bytes; at most {MAX_BODY_BYTES} are accepted",
                body.len()
            ),
        ));
    }
    Ok(body)
}
