//! Errors of failed calls.

use std::error::Error;
use std::fmt;

use aws_smithy_runtime_api::client::result::SdkError;
use aws_smithy_types::error::metadata::ProvideErrorMetadata;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// The service's error code, if the service answered.
    pub code: Option<String>,
    /// The service's message, or the reason for the missing answer.
    pub message: String,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.code {
            Some(code) => write!(f, "{code}: {}", self.message),
            None => f.write_str(&self.message),
        }
    }
}

/// Extracts code and message from an SDK error, whose own `Display` says only `service error` or `dispatch
/// failure`.
#[must_use]
pub fn failure<E, R>(error: &SdkError<E, R>) -> Failure
where
    E: Error + ProvideErrorMetadata + 'static,
    R: fmt::Debug,
{
    match error {
        SdkError::ServiceError(answer) => Failure {
            code: answer.err().code().map(str::to_owned),
            message: answer
                .err()
                .message()
                .map_or_else(|| chain(answer.err()), str::to_owned),
        },
        other => Failure {
            code: None,
            message: chain(other),
        },
    }
}

/// Joins an error and its causes with `: `, without repetitions.
fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        let words = cause.to_string();
        if !text.ends_with(&words) {
            text = format!("{text}: {words}");
        }
        next = cause.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use aws_smithy_runtime_api::client::result::{ConnectorError, ServiceError};
    use aws_smithy_types::error::ErrorMetadata;

    fn shown(error: &SdkError<ErrorMetadata, ()>) -> String {
        failure(error).to_string()
    }

    #[test]
    fn a_refusal_has_the_services_code_and_message() {
        let refusal = ErrorMetadata::builder()
            .code("AccessDeniedException")
            .message("not authorized to perform: ssm:GetParameter")
            .build();
        let error = SdkError::ServiceError(ServiceError::builder().source(refusal).raw(()).build());
        assert_eq!(
            shown(&error),
            "AccessDeniedException: not authorized to perform: ssm:GetParameter"
        );
        assert_eq!(failure(&error).code.as_deref(), Some("AccessDeniedException"));
    }

    #[test]
    fn a_call_that_never_got_through_names_the_cause() {
        let refused = std::io::Error::from(std::io::ErrorKind::ConnectionRefused);
        let error = SdkError::dispatch_failure(ConnectorError::io(refused.into()));
        assert_eq!(shown(&error), "dispatch failure: io error: connection refused");
        assert_eq!(failure(&error).code, None);
    }
}
