//! What dayfly decides, without a clock, a network or an SDK.
//!
//! Every decision is a function of the state that was loaded, the event that came and the time it
//! came at. The functions' shells load, call one of these, act, and record.
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::format_push_string))]

// The fixtures below are those of `dayfly-report` too, which names this crate from outside.
#[cfg(test)]
extern crate self as dayfly_engine;

pub mod admission;
pub mod caps;
pub mod check_run;
pub mod checkin;
pub mod combined;
pub mod comment;
pub mod costing;
pub mod ending;
pub mod entries;
pub mod fallback_chain;
pub mod fleet;
pub mod gate;
pub mod giving_up;
pub mod interruption;
pub mod job_events;
pub mod launch;
pub mod news;
pub mod outcome;
pub mod patrol;
pub mod pools;
pub mod price_limit;
pub mod registration;
pub mod rerun;
pub mod sweep;
pub mod thresholds;
pub mod turns;
pub mod usage;

#[cfg(test)]
mod fixtures;
