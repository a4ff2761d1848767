//! The machine types that EC2 has, and what a runner may want of one.

mod bound;
mod gpu;
mod nearest;
mod table;
mod wants;

use std::fmt;
use std::str::FromStr;

use dayfly_types::ids::InstanceType;
use dayfly_types::money::MicroDollars;
use serde::{Deserialize, Serialize};

pub use bound::Bound;
pub use gpu::{GpuModel, UnknownGpu};
pub use nearest::{Near, NoMatch};
pub use table::{Table, TableError};
pub use wants::{Wants, WantsError};

/// An amount of memory in MiB.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct MiB(pub u32);

impl MiB {
    /// The amount as it is sold, in GB: 24GB of what EC2 tells as 22888 MiB.
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

impl fmt::Display for MiB {
    /// `16GiB`, `500MiB`: in the largest unit that leaves nothing over.
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

/// What a processor understands.
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
    /// As EC2 writes it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::X86_64 => "x86_64",
            Self::Arm64 => "arm64",
        }
    }

    /// The architecture of the machines of a type, by its name: a `g` behind the generation stands for
    /// AWS Graviton.
    ///
    /// <https://docs.aws.amazon.com/ec2/latest/instancetypes/instance-type-names.html>
    #[must_use]
    pub fn of(instance_type: &InstanceType) -> Self {
        let family = instance_type.as_str().split('.').next().unwrap_or_default();
        let options = family
            .trim_start_matches(|c: char| !c.is_ascii_digit())
            .trim_start_matches(|c: char| c.is_ascii_digit());
        // The first Graviton had no letter yet; on `p6e-gb200` the processor is the GPU's.
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
        // GitHub's own label for it is `x64`; compilers say `amd64` and `aarch64`.
        match text.to_ascii_lowercase().as_str() {
            "x86_64" | "x86-64" | "x64" | "amd64" => Ok(Self::X86_64),
            "arm64" | "aarch64" | "arm" => Ok(Self::Arm64),
            _ => Err(()),
        }
    }
}

/// What a GPU can be asked to compute, as NVIDIA numbers it: `8.9`.
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

/// The GPUs of a machine: all alike.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Gpus {
    /// Which.
    pub model: GpuModel,
    /// How many.
    pub count: u32,
    /// The memory of each.
    pub vram: MiB,
    /// What each can compute.
    pub compute_capability: ComputeCapability,
}

/// A type of machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MachineType {
    /// Its name.
    pub name: InstanceType,
    /// Its virtual processors.
    pub vcpus: u32,
    /// Its memory.
    pub memory: MiB,
    /// Its processors' architecture.
    pub arch: Arch,
    /// Its GPUs, if it has any.
    pub gpu: Option<Gpus>,
    /// Its own disks in all, which are gone with the instance; 0 if it has none.
    pub nvme: MiB,
    /// What an hour costs on demand in the table's region; nothing if it is not known.
    pub price: Option<MicroDollars>,
}

#[cfg(test)]
mod tests;
