#![allow(clippy::unwrap_used, clippy::expect_used)]
//! The twin, driven from outside as dayfly, GitHub's users and runners do.

mod auth;
mod cancelling;
mod checks;
mod concurrency;
mod contents;
mod main_path;
mod matching;
mod merge_queue;
mod patrol;
mod pulls;
mod reruns;
mod runners;
mod secrets;
mod support;
mod validation;
mod vanishing;
mod webhooks;
mod workflows;
