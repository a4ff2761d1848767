//! The stack's metrics. A metric is published as a `tracing` event with its own target; `dayfly-runtime`
//! writes it in CloudWatch's format.
//!
//! Nearly all of them follow from writes to the table: [`Metered`] compares each record before and after a
//! write, and publishes the difference once the write succeeded. A metric is lost if its function dies in
//! between, but an event that is delivered twice counts once, because the write is conditional.
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used))]

mod changes;
mod document;
mod metered;
mod metric;
mod publish;
mod runners;

pub use changes::{Measurement, Transition, measure};
pub use document::document;
pub use metered::Metered;
pub use metric::{ErrorClass, JobOutcome, Metric, Purchase, RunnerPhase, Unit, WaitStage};
pub use publish::{TARGET, cap_refused, cap_used, cost_settled, github_calls_left, launch_errors};
pub use runners::Runners;
