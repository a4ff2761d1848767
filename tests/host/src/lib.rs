//! The lab's instance host: for each instance that EC2 reports it does on this machine what EC2
//! would do in its data centre.
//!
//! An instance here is a scratch folder in the place of `/`, a metadata service of its own, a
//! network link of its own that can be cut, and the processes that its real user data starts.
//! What the user data must not really do to this machine (firewall rules, users, the power
//! button) are commands of the same names that stand first on its `PATH`.
//!
//! [`Host::start`] runs the host over a [`Cloud`]; the returned handle shows the instances, tells
//! what happens, and lets a test make happen what EC2 might. After [`Host::shutdown`], and at the
//! latest when the handle is dropped, no process is left.
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
pub use event::{Ending, HostEvent, Reported};
pub use host::{Host, HostError, InstanceView, NoSuchInstance, Notices};
pub use image::{lay_out_runner, pack_runner};
