//! The decisions, without a clock, a network or an SDK.
//!
//! Each one is a pure function of the loaded state, the event and the time. A function's handler
//! loads, decides here, acts and records.
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::format_push_string))]

// `dayfly-report` includes the fixtures below as well and names this crate from outside.
#[cfg(test)]
extern crate self as dayfly_engine;

pub mod admission;
pub mod check_run;
pub mod cost;
pub mod gate;
pub mod give_up;
pub mod job_events;
pub mod launch;
pub mod patrol;
pub mod pull_comment;
pub mod quiet;
pub mod rerun;
pub mod runner;

#[cfg(test)]
mod fixtures;
