//! What is counted and measured. A metric is told as a `tracing` event of a target of its own, so that no
//! handler does anything for it but say so; `dayfly-telemetry` writes it down as CloudWatch reads it.
//!
//! Nearly all of them follow from what is written into the table: [`Metered`] compares each record before and
//! after, and tells what became of it once the write was answered. So a metric may be lost, as its function may
//! die in between, but an event that comes twice is told once, like all that hangs on a conditional write.
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used))]

mod changes;
mod document;
mod metered;
mod metric;
mod runners;
mod tell;

pub use changes::{Moved, Told, of_changes};
pub use document::document;
pub use metered::Metered;
pub use metric::{Bought, ErrorClass, Metric, Outcome, Standing, Unit, Wait};
pub use runners::Runners;
pub use tell::{TARGET, cap_refused, cap_used, github_calls_left, launch_errors, settled};
