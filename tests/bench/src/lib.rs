//! Measures the functions' binaries: each runs as on Lambda, under an emulator of the Lambda
//! Runtime API, against AWS and GitHub on loopback.
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used))]

pub mod burst;
pub mod cloud;
pub mod events;
pub mod goals;
pub mod journey;
pub mod measure;
pub mod report;
pub mod runtime_api;
pub mod sandbox;
pub mod server;
pub mod size;
pub mod stack;
pub mod stats;
