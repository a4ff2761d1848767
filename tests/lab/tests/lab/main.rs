//! The lab's tests.
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

mod foundation;
mod stand_in;
