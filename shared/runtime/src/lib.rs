//! What the functions' processes share: the clock, the events and answers of Lambda, and logs.
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used))]

pub mod answer;
pub mod bus_event;
pub mod clock;
pub mod span;
pub mod telemetry;
