//! What people read: check runs, the comment of a pull request, the board, the story of a job and what it
//! cost.
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::format_push_string))]

pub mod board;
pub mod check_run;
pub mod quota;
pub mod story;
pub mod story_due;
pub mod sums;

#[cfg(test)]
#[path = "../../engine/src/fixtures.rs"]
mod fixtures;
#[cfg(test)]
mod kept_records_tests;
