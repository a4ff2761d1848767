//! Answers of Function URLs.

use aws_lambda_events::http::{HeaderMap, HeaderValue, header::CONTENT_TYPE};
use aws_lambda_events::lambda_function_urls::LambdaFunctionUrlResponse;
use serde::Serialize;

#[must_use]
pub fn json<T: Serialize>(status: u16, body: &T) -> LambdaFunctionUrlResponse {
    let mut answer = LambdaFunctionUrlResponse::default();
    match serde_json::to_string(body) {
        Ok(text) => {
            answer.status_code = status.into();
            answer.body = Some(text);
        }
        Err(error) => {
            answer.status_code = 500;
            answer.body = Some(format!(
                "{{\"message\":\"the answer could not be serialized: {}\"}}",
                error.line()
            ));
        }
    }
    answer.headers = HeaderMap::from_iter([(CONTENT_TYPE, HeaderValue::from_static("application/json"))]);
    answer
}

/// Returns an answer whose body is `{"message": ...}`.
#[must_use]
pub fn message(status: u16, message: &str) -> LambdaFunctionUrlResponse {
    json(status, &serde_json::json!({ "message": message }))
}
