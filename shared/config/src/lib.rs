//! What a repository asks for: `.dayfly.yml`, `.cirun.yml`, inline labels, and the machines that match.
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::format_push_string))]

mod actors;
mod checks;
pub mod cirun;
mod config;
mod dayfly;
mod env_and_tags;
mod files;
pub mod images;
pub mod inline;
mod keys;
pub mod labels;
pub mod machines;
mod mapping;
pub mod migrate;
mod paths;
pub mod quota;
mod read;
#[cfg(any(test, feature = "schema"))]
pub mod schema;
#[cfg(any(test, feature = "schema"))]
mod schema_types;
mod spec;
pub mod spelling;
mod values;
mod volume;
mod write;
pub mod yaml;

pub use actors::Actors;
pub use config::{Config, Context, GivingUp, Reading, Reporting, SkippedEntry};
pub use files::{ExtendsError, FileLocation, Files};
pub use images::{ImageName, MachineImage, NoImage};
pub use paths::{CONFIG_PATH, ChosenFile, Format, PATHS, choose_file};
pub use read::read;
pub use spec::{
    AllocationStrategy, Breaker, Fallback, MAX_RERUNS, Rebalance, RerunOnDemand, RerunPolicy, RerunWhat, RunnerSpec,
    Volume, VolumeType,
};
pub use yaml::{ConfigError, Finding, RenderStyle, Severity, render_findings};

#[cfg(test)]
mod tests;
