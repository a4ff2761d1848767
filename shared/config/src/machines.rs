//! EC2's machine types, and the requirements that a runner may have of one.

mod bound;
mod gpu;
mod no_match;
mod requirements;
mod table;

use std::fmt;
use std::str::FromStr;

use dayfly_types::ids::InstanceType;
use dayfly_types::money::MicroDollars;
use serde::{Deserialize, Serialize};

use crate::yaml::units::number_and_unit;

pub use bound::Bound;
pub use gpu::{GpuModel, UnknownGpu};
pub use no_match::{Nearest, NoMatch};
pub use requirements::{RequirementError, Requirements};
pub use table::{Table, TableError};

/// An amount of memory in MiB.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct MiB(pub u32);

impl MiB {
    /// Returns the amount as it is sold, in GB: 24GB for the 22888 MiB that EC2 reports.
    #[must_use]
    pub fn as_sold(self) -> String {
        if self.0.is_multiple_of(1024) {
            format!("{}GB", self.0 / 1024)
        } else {
            let bytes = u64::from(self.0) << 20;
            format!("{}GB", (bytes + 500_000_000) / 1_000_000_000)
        }
    }
}

impl MiB {
    /// More than any machine has, of memory or of disk.
    const MAX: u64 = 1024 * 1024 * 1024;

    /// Parses `24GiB`, `512MiB`, `1TiB` in any case, or a number of GiB.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let (number, unit) = number_and_unit(text)?;
        let mib = match unit.to_ascii_lowercase().as_str() {
            "mib" | "mb" | "m" => 1,
            "" | "gib" | "gb" | "g" => 1024,
            "tib" | "tb" | "t" => 1024 * 1024,
            _ => return None,
        };
        let mib = number.checked_mul(mib).filter(|mib| *mib <= Self::MAX)?;
        u32::try_from(mib).ok().map(Self)
    }
}

impl fmt::Display for MiB {
    /// Writes `16GiB`, `500MiB`: the largest unit without a remainder.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const GIB: u32 = 1024;
        const TIB: u32 = 1024 * GIB;
        match self.0 {
            mib if mib >= TIB && mib.is_multiple_of(TIB) => write!(f, "{}TiB", mib / TIB),
            mib if mib.is_multiple_of(GIB) => write!(f, "{}GiB", mib / GIB),
            mib => write!(f, "{mib}MiB"),
        }
    }
}

/// A processor architecture.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Arch {
    /// Intel's and AMD's.
    #[serde(rename = "x86_64")]
    X86_64,
    /// ARM's: AWS Graviton.
    #[serde(rename = "arm64")]
    Arm64,
}

impl Arch {
    /// Returns EC2's name for it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::X86_64 => "x86_64",
            Self::Arm64 => "arm64",
        }
    }

    /// Returns the architecture of a type, by its name: a `g` after the generation stands for AWS Graviton.
    ///
    /// <https://docs.aws.amazon.com/ec2/latest/instancetypes/instance-type-names.html>
    #[must_use]
    pub fn of(instance_type: &InstanceType) -> Self {
        let family = instance_type.as_str().split('.').next().unwrap_or_default();
        let options = family
            .trim_start_matches(|c: char| !c.is_ascii_digit())
            .trim_start_matches(|c: char| c.is_ascii_digit());
        // The first Graviton had no letter; on `p6e-gb200` the processor is part of the GPU's module.
        if family == "a1" || options.starts_with('g') || options.starts_with("e-gb") {
            Self::Arm64
        } else {
            Self::X86_64
        }
    }
}

impl fmt::Display for Arch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Arch {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        // GitHub's own label is `x64`; compilers have `amd64` and `aarch64`.
        match text.to_ascii_lowercase().as_str() {
            "x86_64" | "x86-64" | "x64" | "amd64" => Ok(Self::X86_64),
            "arm64" | "aarch64" | "arm" => Ok(Self::Arm64),
            _ => Err(()),
        }
    }
}

/// NVIDIA's number for what a GPU can compute: `8.9`.
///
/// <https://developer.nvidia.com/cuda-gpus>
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct ComputeCapability(pub u8, pub u8);

impl fmt::Display for ComputeCapability {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.0, self.1)
    }
}

impl FromStr for ComputeCapability {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (major, minor) = text.split_once('.').unwrap_or((text, "0"));
        let number = |part: &str| {
            let plain = (1..=2).contains(&part.len()) && part.bytes().all(|b| b.is_ascii_digit());
            plain.then(|| part.parse().ok()).flatten()
        };
        Ok(Self(number(major).ok_or(())?, number(minor).ok_or(())?))
    }
}

/// The GPUs of a machine, all of one model.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Gpus {
    pub model: GpuModel,
    pub count: u32,
    /// The memory of each.
    pub vram: MiB,
    pub compute_capability: ComputeCapability,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MachineType {
    pub name: InstanceType,
    pub vcpus: u32,
    pub memory: MiB,
    pub arch: Arch,
    pub gpu: Option<Gpus>,
    /// The total size of its instance store.
    pub nvme: MiB,
    /// The on-demand price per hour in the table's region, if it is known.
    pub price: Option<MicroDollars>,
}

#[cfg(test)]
mod tests;
