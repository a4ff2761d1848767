//! The table of machine types, and which of them meet requirements.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use dayfly_types::ids::InstanceType;
use dayfly_types::money::MicroDollars;
use serde::Deserialize;

use super::{Arch, ComputeCapability, Gpus, MachineType, MiB, NoMatch, Requirements};

/// Made by `tools/machines` from AWS's data.
const EMBEDDED: &str = include_str!("../../data/machines.json");

/// EC2's machine types at a date.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Table {
    /// The region of the prices.
    pub region: String,
    /// The date of the types: `2026-10-27`.
    pub types_at: String,
    /// The date of the prices.
    pub prices_at: String,
    types: Vec<MachineType>,
}

/// A table that cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the table of machine types cannot be read: {0}")]
pub struct TableError(String);

#[derive(Deserialize)]
struct RawTable {
    region: String,
    types_at: String,
    prices_at: String,
    compute_capabilities: BTreeMap<String, String>,
    types: Vec<RawType>,
}

#[derive(Deserialize)]
struct RawType {
    #[serde(rename = "type")]
    name: String,
    vcpus: u32,
    memory_mib: u32,
    arch: Arch,
    gpu: Option<String>,
    #[serde(default)]
    gpus: u32,
    #[serde(default)]
    vram_mib: u32,
    #[serde(default)]
    nvme_gb: u32,
    price: Option<String>,
}

impl RawType {
    fn checked(self, capabilities: &BTreeMap<String, String>) -> Option<MachineType> {
        let gpu = match self.gpu {
            None => None,
            Some(model) => Some(Gpus {
                compute_capability: capabilities.get(&model)?.parse().ok()?,
                model: model.parse().ok()?,
                count: self.gpus,
                vram: MiB(self.vram_mib),
            }),
        };
        let price = match self.price {
            None => None,
            Some(price) => Some(MicroDollars::from_decimal(&price).ok()?),
        };
        Some(MachineType {
            name: InstanceType::new(self.name),
            vcpus: self.vcpus,
            memory: MiB(self.memory_mib),
            arch: self.arch,
            gpu,
            nvme: MiB::from_gb(self.nvme_gb)?,
            price,
        })
    }
}

impl Table {
    /// Returns the table built into this program.
    ///
    /// # Errors
    /// Never: a test reads the text.
    pub fn embedded() -> Result<&'static Self, TableError> {
        static TABLE: LazyLock<Result<Table, TableError>> = LazyLock::new(|| Table::read(EMBEDDED));
        TABLE.as_ref().map_err(Clone::clone)
    }

    /// Reads a table made by `tools/machines`.
    ///
    /// # Errors
    /// If it cannot be read.
    pub fn read(text: &str) -> Result<Self, TableError> {
        let raw: RawTable = serde_json::from_str(text).map_err(|error| TableError(error.to_string()))?;
        let checked = raw.types.into_iter().map(|one| {
            let name = one.name.clone();
            one.checked(&raw.compute_capabilities)
                .ok_or_else(|| TableError(format!("the type {name} has an invalid GPU, disk or price")))
        });
        Ok(Self {
            region: raw.region,
            types_at: raw.types_at,
            prices_at: raw.prices_at,
            types: checked.collect::<Result<_, _>>()?,
        })
    }

    /// Returns all types, ordered by family and size.
    #[must_use]
    pub fn types(&self) -> &[MachineType] {
        &self.types
    }

    #[must_use]
    pub fn get(&self, name: &InstanceType) -> Option<&MachineType> {
        self.types.iter().find(|machine| machine.name == *name)
    }

    /// Returns the architecture of a type, from the table or else from its name.
    #[must_use]
    pub fn arch(&self, name: &InstanceType) -> Arch {
        self.get(name).map_or_else(|| Arch::of(name), |machine| machine.arch)
    }

    /// Returns the types that meet the requirements, the cheapest first, and by the table's order at one price.
    ///
    /// `price` returns the current price of a type per hour. Without one the table's price is used; types with
    /// neither come last, the smaller first. All types have one architecture, because they start from one image:
    /// the required one, or else x86-64 if there is any. Without a requirement of GPUs there are none. Burstable
    /// types (`t3`, `t4g`) are left out: a long computation gets slow on them, or more expensive than on others.
    /// They can be named.
    ///
    /// # Errors
    /// If no type meets the requirements, with the nearest ones.
    pub fn matching(
        &self,
        requirements: &Requirements,
        price: &dyn Fn(&InstanceType) -> Option<MicroDollars>,
    ) -> Result<Vec<&MachineType>, NoMatch> {
        let offered = || self.types.iter().filter(|machine| !is_burstable(machine));
        let mut matching: Vec<_> = offered().filter(|machine| requirements.fits(machine)).collect();
        let arch = match matching.iter().find(|machine| machine.arch == Arch::X86_64) {
            Some(machine) => machine.arch,
            None => Arch::Arm64,
        };
        matching.retain(|machine| machine.arch == arch);
        if matching.is_empty() {
            return Err(NoMatch::find(requirements, offered()));
        }
        matching.sort_by_key(|machine| match price(&machine.name).or(machine.price) {
            Some(price) => (0, price.0),
            None => (1, u64::from(machine.vcpus)),
        });
        Ok(matching)
    }

    /// Returns the matching types that a job may be launched on. EC2 chooses among them by capacity too, so none
    /// costs more than twice the cheapest, or has more than twice its vCPUs where prices are unknown.
    ///
    /// # Errors
    /// As [`Table::matching`].
    pub fn launch_candidates(
        &self,
        requirements: &Requirements,
        price: &dyn Fn(&InstanceType) -> Option<MicroDollars>,
    ) -> Result<Vec<&MachineType>, NoMatch> {
        let mut matching = self.matching(requirements, price)?;
        let price = |machine: &MachineType| price(&machine.name).or(machine.price);
        if let Some(&cheapest) = matching.first() {
            matching.retain(|machine| match (price(cheapest), price(machine)) {
                (Some(least), Some(price)) => price.0 <= least.0.saturating_mul(2),
                (Some(_), None) => false,
                (None, _) => machine.vcpus <= cheapest.vcpus.saturating_mul(2),
            });
        }
        Ok(matching)
    }
}

/// Returns whether a machine has its full processors only while its CPU credits last.
///
/// <https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/burstable-performance-instances.html>
fn is_burstable(machine: &MachineType) -> bool {
    let rest = machine.name.as_str().strip_prefix('t');
    rest.is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_digit()))
}

impl MiB {
    /// Converts billions of bytes, the unit of disks.
    fn from_gb(gb: u32) -> Option<Self> {
        u32::try_from((u64::from(gb) * 1_000_000_000) >> 20).ok().map(Self)
    }
}

impl ComputeCapability {
    /// Returns one number that grows with the capability.
    pub(super) fn number(self) -> u32 {
        u32::from(self.0) * 100 + u32::from(self.1)
    }
}

#[cfg(test)]
#[path = "table_tests.rs"]
mod tests;
