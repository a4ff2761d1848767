//! The time, for what waits within one call of a function.

use std::time::Duration;

use dayfly_types::time::Timestamp;

/// A clock. Decisions get the time as a value; only a shell that waits asks for it again.
pub trait Clock {
    /// The time now.
    fn now(&self) -> Timestamp;

    /// Waits.
    async fn sleep(&self, span: Duration);
}
