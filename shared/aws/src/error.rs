//! What a failed call comes to, in the words of whoever refused it.

use std::error::Error;
use std::fmt;

use aws_smithy_runtime_api::client::result::SdkError;
use aws_smithy_types::error::metadata::ProvideErrorMetadata;

/// A failed call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// The service's error code; nothing if no answer of the service's came.
    pub code: Option<String>,
    /// The service's message, or what kept the answer from coming.
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

/// The words of an SDK error. Its own `Display` is two words, `service error` or `dispatch failure`,
/// with the reason hidden behind.
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

/// An error and all that caused it, `: ` between; a cause that says the same again is left out.
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
