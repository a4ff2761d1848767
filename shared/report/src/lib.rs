//! What people read: check runs, the pull request's comment, the board, and the job stories and cost sums
//! behind them.
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::format_push_string))]

pub mod board;
pub mod check_run;
pub mod format;
mod markdown;
pub mod pull_comment;
pub mod quota;
pub mod story;
pub mod sums;
mod urls;

#[cfg(test)]
#[path = "../../engine/src/fixtures.rs"]
mod fixtures;
#[cfg(test)]
mod kept_records_tests;
