//! Shared by the functions' processes: the clock, Lambda's events and answers, and logs.
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used))]

pub mod answer;
pub mod bus_event;
pub mod clock;
pub mod span;
pub mod telemetry;
