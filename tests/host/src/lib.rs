//! The lab's instance host: it runs each instance that EC2 reports as processes on this machine.
//!
//! An instance has a scratch folder instead of `/`, its own metadata service, its own network link that can be cut,
//! and the processes that its real user data starts. Commands that would change this machine (firewall rules,
//! users, the power button) are replaced by shims that come first on its `PATH`.
//!
//! [`Host::start`] runs the host over a [`Cloud`]. The returned handle lists the instances, reports events, and lets
//! a test do what EC2 might do. No process is left after [`Host::shutdown`] or after the handle is dropped.
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used))]

mod cloud;
mod config;
mod event;
mod host;
mod image;
mod imds;
mod instance;
mod link;
mod processes;
mod shims;

pub use cloud::{Cloud, CloudError, CloudInstance, CloudState, RoleSession};
pub use config::{HostConfig, Image, RUNNER_PROXY_VARIABLE, Route};
pub use event::{HostEvent, InstanceEnd, InstanceEvent};
pub use host::{Host, HostError, InstanceView, NoSuchInstance, Notices};
pub use image::{lay_out_runner, pack_runner};
