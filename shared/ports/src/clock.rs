//! The clock of a function that waits within one call.

use std::time::Duration;

use dayfly_types::time::Timestamp;

/// Decisions get the time as a value; only a shell that waits asks for it again.
pub trait Clock {
    fn now(&self) -> Timestamp;

    async fn sleep(&self, span: Duration);
}
