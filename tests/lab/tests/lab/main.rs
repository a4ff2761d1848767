//! The lab's tests.
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

mod at_least_once;
mod board;
mod burst;
mod cancelled;
mod caps;
mod contract;
mod demos;
mod drill;
mod forks;
mod foundation;
mod iam_refusals;
mod logs_hold_no_secret;
mod lost_machines;
mod lost_webhooks;
mod main_job;
mod outages;
mod quotas;
mod redrive;
mod scenarios;
mod stand_in;
mod whole;
