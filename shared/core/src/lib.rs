//! What dayfly knows and decides, without a clock, a network or an SDK.
//!
//! Every decision is a function of the state that was loaded, the event that came and the time it
//! came at. The functions' shells load, call one of these, act, and record.
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::format_push_string))]

pub mod board;
pub mod capacity;
pub mod checkin;
pub mod config;
pub mod costs;
pub mod deadlines;
pub mod decide;
pub mod event;
pub mod ids;
pub mod images;
pub mod labels;
pub mod lifecycle;
pub mod machines;
pub mod money;
pub mod month;
pub mod notice;
pub mod policy;
pub mod prices;
pub mod quota;
pub mod record;
pub mod spelling;
pub mod story;
pub mod sums;
pub mod time;
