//! The agent on a dayfly instance.
//!
//! It asks the control plane for a runner, runs GitHub's runner for one job, reports, and ends the instance. Every
//! path ends in a power-off:
//!
//! - `supervisor` is the process that the user data starts. It starts the worker, waits for its end, and powers
//!   off, however the worker ended.
//! - `worker` is the shell around `machine`, which makes the decisions.
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used))]

pub mod account;
pub mod checkin;
pub mod credentials;
pub mod hooks;
pub mod imds;
pub mod interruption;
pub mod log;
pub mod machine;
pub mod messenger;
pub mod notice;
pub mod poweroff;
pub mod processes;
pub mod runner;
mod script;
pub mod settings;
pub mod startup;
pub mod supervisor;
pub mod transport;
pub mod worker;
