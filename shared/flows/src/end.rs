//! The end of a runner, and what it means for its job.

mod reap;
mod reschedule;

pub use reap::{reap, release_ended_runner};
pub use reschedule::{attempt_before, reschedule_job};
