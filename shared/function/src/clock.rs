//! The one place where a clock is read; everything behind a handler takes the time as a value.

use std::time::{SystemTime, UNIX_EPOCH};

use dayfly_core::time::Timestamp;

/// The present moment.
#[must_use]
pub fn now() -> Timestamp {
    // A clock before 1970 is no clock; the epoch then makes everything look overdue, which is safe.
    let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Timestamp::from_millis(i64::try_from(since_epoch.as_millis()).unwrap_or(i64::MAX))
}
