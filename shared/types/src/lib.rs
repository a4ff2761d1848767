//! The vocabulary of all crates: ids, time, money, deadlines, and the check-in protocol.
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::format_push_string))]

pub mod budget;
pub mod capacity;
pub mod checkin;
pub mod deadlines;
pub mod ids;
pub mod money;
pub mod month;
pub mod time;
pub mod web;
