//! A runner as the configuration describes it.

use std::collections::BTreeMap;
use std::time::Duration;

use dayfly_types::ids::{InstanceType, Region, SecurityGroupId, SubnetId};
use dayfly_types::money::MicroDollars;
use serde::{Deserialize, Serialize};

use crate::images::MachineImage;
use crate::labels::Label;
use crate::machines::Requirements;

/// A runner as the configuration describes it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunnerSpec {
    /// The runner's name in the file.
    pub name: String,
    pub labels: Vec<Label>,
    /// Empty if `requirements` choose the machine.
    pub instance_types: Vec<InstanceType>,
    #[serde(default)]
    pub requirements: Option<Requirements>,
    pub image: MachineImage,
    /// Spot capacity, or else on-demand.
    pub spot: bool,
    pub fallback: Fallback,
    /// The highest price of an instance per hour; `None` for whatever EC2 asks.
    pub max_price: Option<MicroDollars>,
    pub allocation_strategy: AllocationStrategy,
    pub breaker: Option<Breaker>,
    /// The bash script that the instance runs when EC2 interrupts it during a job.
    pub on_interruption: Option<String>,
    pub rebalance: Rebalance,
    pub rerun: RerunPolicy,
    /// The root volume's size in GiB; `None` for the image's own.
    pub disk_gib: Option<u32>,
    #[serde(default)]
    pub volume: Volume,
    /// How long the runner waits for a job; `None` for the stack's deadline.
    pub idle_timeout: Option<Duration>,
    /// How long the runner may live; `None` for the stack's deadline, which is the upper bound.
    pub max_lifetime: Option<Duration>,
    /// The bash script that the instance runs before its runner starts.
    #[serde(default)]
    pub startup_script: Option<String>,
    /// Environment variables of the runner's jobs.
    #[serde(default)]
    pub env: BTreeMap<String, String>,
    /// Tags of the instance and its volume, besides dayfly's own.
    #[serde(default)]
    pub tags: BTreeMap<String, String>,
    /// The region that the runner is meant for; `None` for the stack's.
    #[serde(default)]
    pub region: Option<Region>,
    /// Empty for the stack's own.
    #[serde(default)]
    pub subnets: Vec<SubnetId>,
    /// Empty for the stack's own.
    #[serde(default)]
    pub security_groups: Vec<SecurityGroupId>,
    /// The instance profile's name or ARN; `None` for the stack's own.
    #[serde(default)]
    pub instance_profile: Option<String>,
}

impl RunnerSpec {
    /// Returns why the runner cannot be launched in this region, or `None` if it can.
    #[must_use]
    pub fn region_mismatch(&self, region: &Region) -> Option<String> {
        let meant = self.region.as_ref().filter(|meant| *meant != region)?;
        Some(format!(
            "the runner `{}` is meant for the region {meant}, and this stack launches in {region}",
            self.name
        ))
    }
}

/// What a root volume has that is not the image's own.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Volume {
    #[serde(rename = "type")]
    pub kind: Option<VolumeType>,
    /// Operations per second.
    pub iops: Option<u32>,
    /// MiB per second.
    pub throughput: Option<u32>,
}

/// A type of EBS volume that an instance can boot from.
///
/// <https://docs.aws.amazon.com/ebs/latest/userguide/ebs-volume-types.html>
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(any(test, feature = "schema"), derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum VolumeType {
    /// General purpose, with operations and throughput of its own.
    Gp3,
    /// General purpose, with operations that grow with its size.
    Gp2,
    /// Provisioned operations.
    Io1,
    /// Provisioned operations, more durable.
    Io2,
}

/// What is tried once no spot capacity is left.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(any(test, feature = "schema"), derive(schemars::JsonSchema))]
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
#[cfg_attr(any(test, feature = "schema"), derive(schemars::JsonSchema))]
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

/// When a runner leaves spot capacity for a while.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Breaker {
    /// How many interruptions open the breaker.
    pub interruptions: u32,
    /// The time that they are counted over.
    pub within: Duration,
    /// How long the next jobs get on-demand capacity.
    pub on_demand_for: Duration,
}

/// What happens on a rebalance recommendation: EC2's signal that an instance is at an elevated risk of
/// interruption.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(any(test, feature = "schema"), derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum Rebalance {
    /// It is recorded.
    #[default]
    Mark,
    /// A runner without a job is ended, and another one launched.
    DrainIfIdle,
}

/// When and how interrupted jobs are run again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RerunPolicy {
    pub what: RerunWhat,
    /// The most re-runs of a run.
    pub max: u32,
    pub on_demand: RerunOnDemand,
}

/// Which jobs are run again after an interruption.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(any(test, feature = "schema"), derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum RerunWhat {
    /// The interrupted ones. Jobs that failed by themselves run again only where GitHub does not tell them apart.
    #[default]
    Interrupted,
    /// All failed jobs of the run.
    Failed,
    /// None.
    Never,
}

/// Which re-runs get on-demand capacity.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(any(test, feature = "schema"), derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum RerunOnDemand {
    /// The last one allowed.
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

/// How often an interrupted run is run again by default.
pub const MAX_RERUNS: u32 = 2;
