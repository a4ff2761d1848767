//! The only place that reads the system clock; everything behind a handler takes the time as a value.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use dayfly_ports::Clock;
use dayfly_types::time::Timestamp;

#[must_use]
pub fn now() -> Timestamp {
    // A clock set before 1970 is wrong; the epoch makes everything look overdue, which is safe.
    let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Timestamp::from_millis(i64::try_from(since_epoch.as_millis()).unwrap_or(i64::MAX))
}

/// The system clock as a port.
#[derive(Clone, Copy, Debug)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> Timestamp {
        now()
    }

    async fn sleep(&self, span: Duration) {
        tokio::time::sleep(span).await;
    }
}
