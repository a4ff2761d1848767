//! The functions, all of them, in a world of their own: what they promise together.
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

mod admission;
mod board;
mod capacity;
mod caps;
mod comments;
mod costing;
mod deaths;
mod files;
mod instances;
mod interruptions;
mod labels;
mod lifecycle;
mod limits;
mod logs;
mod lost;
mod messenger;
mod metrics;
mod price_limits;
mod rest;
mod said;
mod stage;
mod stories;
mod thresholds;
mod together;
mod turns;
