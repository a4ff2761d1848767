//! Faults of the REST API.

use std::time::Duration;

use super::operations::{self, Operation};

/// A disturbance of some requests. Each request meets the first that fits it.
#[derive(Debug, Clone)]
pub struct ApiFault {
    operation: &'static Operation,
    left: u32,
    pub(crate) kind: ApiDisturbance,
}

/// The effect of a fault.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ApiDisturbance {
    /// It is refused with this status and message, and nothing is done.
    Refuse {
        status: u16,
        /// GitHub's `message`.
        message: String,
        /// Seconds for `retry-after`.
        retry_after_s: Option<u32>,
    },
    /// It is done, but the answer is this status: the caller cannot know.
    DoAndFail { status: u16 },
    /// It is done so much later.
    Delay(Duration),
}

/// There is no such operation.
#[derive(Debug, thiserror::Error)]
#[error("the twin has no operation `{0}`")]
pub struct UnknownOperation(String);

impl ApiFault {
    /// Disturbs the next `times` requests of an operation, named by GitHub's operation id
    /// (`actions/generate-runner-jitconfig-for-repo`).
    ///
    /// # Errors
    /// When the twin has no such operation.
    pub fn new(operation_id: &str, times: u32, kind: ApiDisturbance) -> Result<Self, UnknownOperation> {
        let operation = operations::by_id(operation_id).ok_or_else(|| UnknownOperation(operation_id.to_owned()))?;
        Ok(Self {
            operation,
            left: times,
            kind,
        })
    }
}

/// The disturbance of a request, used up by one.
pub(super) fn take(faults: &mut [ApiFault], operation: &'static Operation) -> Option<ApiDisturbance> {
    let fault = faults
        .iter_mut()
        .find(|fault| fault.left > 0 && fault.operation == operation)?;
    fault.left -= 1;
    Some(fault.kind.clone())
}
