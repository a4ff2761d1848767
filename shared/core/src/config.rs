//! `.dayfly.yml`: which runner a label stands for.

mod read;
pub(crate) mod units;

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::ids::{ImageId, InstanceType};
use crate::labels::{self, Label};
use crate::money::MicroDollars;

/// Where a repository's configuration lies, on its default branch.
pub const CONFIG_PATH: &str = ".dayfly.yml";

/// What a repository without a file of its own gets for `runs-on: dayfly-gpu`: one NVIDIA GPU of
/// 16 or 24 GB, whichever pool has the capacity, with AWS's own driver and CUDA image.
const BUILT_IN: &str = "
runners:
  - name: gpu
    labels: [dayfly-gpu]
    instance_type: [g4dn.xlarge, g5.xlarge, g6.xlarge]
    machine_image: ssm:/aws/service/deeplearning/ami/x86_64/base-oss-nvidia-driver-gpu-ubuntu-22.04/latest/ami-id
    disk_size: 100GiB
";

/// The machine that takes a job in order to fail it: the cheapest there is that runs GitHub's runner. One
/// that takes another by mistake has that run again, at no higher price than before.
const MESSENGER: &str = "
runners:
  - name: messenger
    labels: [dayfly-messenger]
    instance_type: t4g.nano
    machine_image: ssm:/aws/service/canonical/ubuntu/server/24.04/stable/current/arm64/hvm/ebs-gp3/ami-id
    spot: false
    idle_timeout: 3m
    max_lifetime: 15m
    rerun_on_demand: never
";

/// The largest file that is read.
const MAX_BYTES: usize = 64 * 1024;

/// Where the image of a runner comes from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MachineImage {
    /// An AMI by its id.
    Ami(ImageId),
    /// An SSM parameter that holds an AMI id.
    Parameter(String),
}

/// A runner as the configuration describes it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunnerSpec {
    /// Its name in the file.
    pub name: String,
    /// The labels that stand for it.
    pub labels: Vec<Label>,
    /// The instance types that will do.
    pub instance_types: Vec<InstanceType>,
    /// The image to start.
    pub image: MachineImage,
    /// Spot capacity, or else on-demand.
    pub spot: bool,
    /// What is tried once no spot capacity is left.
    pub fallback: Fallback,
    /// What an hour of an instance may cost at most; whatever EC2 asks, if not given.
    pub max_price: Option<MicroDollars>,
    /// How EC2 picks among the pools of spot capacity.
    pub allocation_strategy: AllocationStrategy,
    /// When interruptions make it leave spot for a while; never, if not given.
    pub breaker: Option<Breaker>,
    /// What the instance runs, in bash, when EC2 takes it back while a job runs.
    pub on_interruption: Option<String>,
    /// What a rebalance recommendation does.
    pub rebalance: Rebalance,
    /// When and how interrupted jobs are run again.
    pub rerun: RerunPolicy,
    /// The root volume's size in GiB; the image's own if not given.
    pub disk_gib: Option<u32>,
    /// How long it waits for a job; the stack's deadline if not given.
    pub idle_timeout: Option<Duration>,
    /// How long it may live in all; the stack's deadline if not given, and never longer than that.
    pub max_lifetime: Option<Duration>,
}

/// What is tried once no spot capacity is left.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Fallback {
    /// Nothing: the next entry with the label, or spot again later.
    #[default]
    None,
    /// The same instance types on demand.
    OnDemand,
}

/// How EC2 picks among the pools of spot capacity.
///
/// <https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/ec2-fleet-allocation-strategy.html>
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum AllocationStrategy {
    /// The cheapest of the pools that are least likely to be interrupted.
    #[default]
    PriceCapacityOptimized,
    /// The pool that is least likely to be interrupted.
    CapacityOptimized,
    /// The cheapest pool.
    LowestPrice,
}

/// Leaves spot for a while after so many interruptions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Breaker {
    /// So many interruptions
    pub interruptions: u32,
    /// in this time
    pub within: Duration,
    /// send the next jobs to on-demand for so long.
    pub on_demand_for: Duration,
}

/// What a rebalance recommendation does: EC2's word that an instance is more likely to be
/// interrupted than others.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Rebalance {
    /// It is noted.
    #[default]
    Mark,
    /// A runner that has no job yet is ended, and another launched.
    DrainIfIdle,
}

/// When and how interrupted jobs are run again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RerunPolicy {
    /// Which jobs.
    pub what: RerunWhat,
    /// How often a run is run again at most.
    pub max: u32,
    /// Which re-runs get on-demand capacity.
    pub on_demand: RerunOnDemand,
}

/// Which jobs are run again after an interruption.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RerunWhat {
    /// The interrupted ones; those that failed by themselves only where GitHub cannot tell them apart.
    #[default]
    Interrupted,
    /// All failed jobs of the run.
    Failed,
    /// None.
    Never,
}

/// Which re-runs get on-demand capacity.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RerunOnDemand {
    /// The last that is allowed.
    #[default]
    Last,
    /// Every one.
    Always,
    /// None.
    Never,
}

impl Default for RerunPolicy {
    fn default() -> Self {
        Self {
            what: RerunWhat::default(),
            max: MAX_RERUNS,
            on_demand: RerunOnDemand::default(),
        }
    }
}

/// How often an interrupted run is run again, unless the file says otherwise.
pub const MAX_RERUNS: u32 = 2;

/// A repository's configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// Its runners, in the order of the file.
    pub runners: Vec<RunnerSpec>,
    /// How a job is told that it is given up.
    pub giving_up: GivingUp,
}

/// How a job is told that it is given up, besides the check run on its commit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct GivingUp {
    /// Whether a messenger takes the job in order to fail it with the reason in its log.
    pub messenger: bool,
    /// Whether its run is cancelled if not even a messenger can be launched.
    pub cancel_run: bool,
}

impl Default for GivingUp {
    fn default() -> Self {
        Self {
            messenger: true,
            cancel_run: false,
        }
    }
}

/// A configuration that cannot be used, in words for the author of the file.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{CONFIG_PATH}`: {0}")]
pub struct ConfigError(String);

impl Config {
    /// What holds in a repository that has no file.
    ///
    /// # Errors
    /// Never, which a test shows: the text is our own.
    pub fn built_in() -> Result<Self, ConfigError> {
        Self::parse(BUILT_IN)
    }

    /// What a messenger runs on.
    ///
    /// # Errors
    /// Never, which a test shows: the text is our own.
    pub fn messenger() -> Result<RunnerSpec, ConfigError> {
        let mut runners = Self::parse(MESSENGER)?.runners;
        runners.pop().ok_or_else(|| ConfigError("no messenger".to_owned()))
    }

    /// Reads a file.
    ///
    /// # Errors
    /// If it is too large, no YAML, or not what the keys allow; the text names line and column.
    pub fn parse(text: &str) -> Result<Self, ConfigError> {
        if text.len() > MAX_BYTES {
            return Err(ConfigError(format!(
                "the file has {} bytes; at most {MAX_BYTES} are read. Take out what no runner needs.",
                text.len()
            )));
        }
        read::config(text)
    }

    /// The runners that a job with these labels asks for, in the order in which they are tried: that
    /// of the file.
    #[must_use]
    pub fn resolve(&self, labels: &[Label]) -> Vec<&RunnerSpec> {
        let matching = self
            .runners
            .iter()
            .filter(|runner| labels::matches(labels, &runner.labels));
        matching.collect()
    }
}

#[cfg(test)]
mod tests;
