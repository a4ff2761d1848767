//! A runner as the configuration describes it.

use std::collections::BTreeMap;
use std::time::Duration;

use dayfly_types::ids::{ImageId, InstanceType, Region, SecurityGroupId, SubnetId};
use dayfly_types::money::MicroDollars;
use serde::{Deserialize, Serialize};

use crate::images::ImageAlias;
use crate::labels::Label;
use crate::machines::{Arch, GpuModel, Table, Wants};

/// Where the image of a runner comes from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MachineImage {
    /// An AMI by its id.
    Ami(ImageId),
    /// An SSM parameter that holds an AMI id.
    Parameter(String),
    /// An image by its short name: which parameter that is depends on the machine's architecture.
    Alias(ImageAlias),
    /// The newest image that goes by a name, for machines of an architecture.
    Newest {
        /// The name, and whose it is.
        name: ImageName,
        /// The architecture, once the machine is known.
        arch: Option<Arch>,
    },
    /// None is named: the one with a driver for the machine's GPU, if it has any.
    Fitting,
}

/// What an image is looked up by.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct ImageName {
    /// Its name, in which `*` stands for any number of characters and `?` for one.
    pub name: String,
    /// Whose image it is: an account's number, or `amazon`, `aws-marketplace` or `self`.
    pub owner: String,
}

impl std::fmt::Display for ImageName {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} of {}", self.name, self.owner)
    }
}

impl MachineImage {
    /// The image for machines of an architecture.
    #[must_use]
    pub fn on(self, arch: Arch) -> Self {
        match self {
            Self::Alias(alias) => alias.image(arch),
            Self::Newest { name, .. } => Self::Newest { name, arch: Some(arch) },
            Self::Ami(_) | Self::Parameter(_) | Self::Fitting => self,
        }
    }

    /// The image for machines of these types, which are all of one architecture. Of a type that the table
    /// does not have, its name tells the architecture, and nobody whether it has a GPU.
    ///
    /// # Errors
    /// If none was named, and there is none that has a driver.
    pub fn on_types(self, types: &[InstanceType], table: &Table) -> Result<Self, NoImage> {
        let arch = types.first().map_or(Arch::X86_64, |first| table.arch(first));
        if self != Self::Fitting {
            return Ok(self.on(arch));
        }
        if let Some(unknown) = types.iter().find(|name| table.get(name).is_none()) {
            return Err(NoImage::UnknownType(unknown.clone()));
        }
        let gpus = types.iter().filter_map(|name| table.get(name)?.gpu.as_ref());
        let gpus: Vec<&GpuModel> = gpus.map(|gpu| &gpu.model).collect();
        let image = ImageAlias::default_for(gpus.first().copied());
        match gpus.into_iter().find(|gpu| !image.drives(gpu)) {
            Some(gpu) => Err(NoImage::NoDriver(gpu.clone())),
            None => Ok(image.image(arch)),
        }
    }
}

/// Why no image can be chosen for a machine.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoImage {
    /// Nobody knows what the machine needs.
    #[error("it is not known whether `{0}` has a GPU: name a `machine_image`")]
    UnknownType(InstanceType),
    /// None of those with a name will do.
    #[error(
        "no image that dayfly knows by name has a driver for {0}: make one that has, and name it as `machine_image`"
    )]
    NoDriver(GpuModel),
}

/// A runner as the configuration describes it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunnerSpec {
    /// Its name in the file.
    pub name: String,
    /// The labels that stand for it.
    pub labels: Vec<Label>,
    /// The instance types that will do; none if it says what it wants of its machine instead.
    pub instance_types: Vec<InstanceType>,
    /// What it wants of its machine, if it names no instance types.
    #[serde(default)]
    pub wants: Option<Wants>,
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
    /// What kind of volume it is.
    #[serde(default)]
    pub volume: Volume,
    /// How long it waits for a job; the stack's deadline if not given.
    pub idle_timeout: Option<Duration>,
    /// How long it may live in all; the stack's deadline if not given, and never longer than that.
    pub max_lifetime: Option<Duration>,
    /// What the instance runs, in bash, before its runner starts.
    #[serde(default)]
    pub startup_script: Option<String>,
    /// Environment variables of its jobs.
    #[serde(default)]
    pub env: BTreeMap<String, String>,
    /// Tags of the instance and its volume, besides our own.
    #[serde(default)]
    pub tags: BTreeMap<String, String>,
    /// The region that it is meant for; whichever the stack is in, if not given.
    #[serde(default)]
    pub region: Option<Region>,
    /// The subnets that it may be in; the stack's own, if none is given.
    #[serde(default)]
    pub subnets: Vec<SubnetId>,
    /// Its security groups; the stack's own, if none is given.
    #[serde(default)]
    pub security_groups: Vec<SecurityGroupId>,
    /// Its instance profile, by name or ARN; the stack's own, if not given.
    #[serde(default)]
    pub instance_profile: Option<String>,
}

impl RunnerSpec {
    /// Why it cannot be launched in this region, if it cannot.
    #[must_use]
    pub fn elsewhere(&self, region: &Region) -> Option<String> {
        let meant = self.region.as_ref().filter(|meant| *meant != region)?;
        Some(format!(
            "the runner `{}` is meant for the region {meant}, and this stack launches in {region}",
            self.name
        ))
    }
}

/// What kind of root volume a runner gets, as far as it is not the image's own.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Volume {
    /// Its type.
    #[serde(rename = "type")]
    pub kind: Option<VolumeType>,
    /// Its operations per second.
    pub iops: Option<u32>,
    /// Its throughput in MiB per second.
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
#[cfg_attr(any(test, feature = "schema"), derive(schemars::JsonSchema))]
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
#[cfg_attr(any(test, feature = "schema"), derive(schemars::JsonSchema))]
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
#[cfg_attr(any(test, feature = "schema"), derive(schemars::JsonSchema))]
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
