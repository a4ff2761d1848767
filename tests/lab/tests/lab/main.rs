//! The lab's tests.
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

mod foundation;
mod iam_refusals;
mod stand_in;
