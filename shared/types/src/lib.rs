//! What every part of dayfly speaks of: ids, time, money, deadlines, and the protocol between an instance
//! and the control plane.
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
