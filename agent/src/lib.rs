//! The agent on a dayfly instance.
//!
//! It asks the control plane what to run, runs the GitHub runner for one job, keeps in touch,
//! and ends the instance. Every way out of it ends in a power-off:
//!
//! - `supervisor` is the process that the user data starts. It starts the worker, waits, and
//!   powers off, whatever became of the worker.
//! - `worker` is the shell around `machine`, which decides and touches nothing.
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
