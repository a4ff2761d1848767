//! All functions in one world: what they promise together.
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

mod admission;
mod board;
mod capacity;
mod caps;
mod check_runs;
mod combined_check_runs;
mod comments;
mod costing;
mod deaths;
mod files;
mod gate;
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
mod stage;
mod stories;
mod thresholds;
mod usage;
