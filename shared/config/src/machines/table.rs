//! The table of machine types, and those of them that are what is wanted.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use dayfly_types::ids::InstanceType;
use dayfly_types::money::MicroDollars;
use serde::Deserialize;

use super::{ComputeCapability, Gpus, MachineType, MiB, NoMatch, Wants};
use crate::machines::Arch;

/// What `tools/machines` makes of AWS's words.
const EMBEDDED: &str = include_str!("../../data/machines.json");

/// EC2's machine types, as they were at a date.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Table {
    /// The region that the prices are of.
    pub region: String,
    /// When EC2 had these types: `2026-10-27`.
    pub types_at: String,
    /// When they had these prices.
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
    /// The table that this program came with.
    ///
    /// # Errors
    /// Never, which a test shows: the text is our own.
    pub fn embedded() -> Result<&'static Self, TableError> {
        static TABLE: LazyLock<Result<Table, TableError>> = LazyLock::new(|| Table::read(EMBEDDED));
        TABLE.as_ref().map_err(Clone::clone)
    }

    /// Reads a table that `tools/machines` has made.
    ///
    /// # Errors
    /// If it is none.
    pub fn read(text: &str) -> Result<Self, TableError> {
        let raw: RawTable = serde_json::from_str(text).map_err(|error| TableError(error.to_string()))?;
        let checked = raw.types.into_iter().map(|one| {
            let name = one.name.clone();
            one.checked(&raw.compute_capabilities)
                .ok_or_else(|| TableError(format!("the type {name} has a GPU, a disk or a price that is none")))
        });
        Ok(Self {
            region: raw.region,
            types_at: raw.types_at,
            prices_at: raw.prices_at,
            types: checked.collect::<Result<_, _>>()?,
        })
    }

    /// All types, in the order of family and size.
    #[must_use]
    pub fn types(&self) -> &[MachineType] {
        &self.types
    }

    /// What is known of a type.
    #[must_use]
    pub fn get(&self, name: &InstanceType) -> Option<&MachineType> {
        self.types.iter().find(|machine| machine.name == *name)
    }

    /// The architecture of a type, from the table or else from its name.
    #[must_use]
    pub fn arch(&self, name: &InstanceType) -> Arch {
        self.get(name).map_or_else(|| Arch::of(name), |machine| machine.arch)
    }

    /// The types that are what is wanted, the cheapest first, those of one price in the table's order.
    ///
    /// `price` is what an hour of a type costs now; where it knows nothing, the table's price counts,
    /// and types that have neither come last, the smaller first. All are of one architecture, as they
    /// start from one image: the one that is wanted, or else x86-64 if there is any. Without a word
    /// about GPUs there are none. Types that borrow processor time (`t3`, `t4g`) are left out: a job
    /// that computes for long gets slow on them, or dearer than on others; they can be named.
    ///
    /// # Errors
    /// If there is none, with what comes nearest.
    pub fn matching(
        &self,
        wants: &Wants,
        price: &dyn Fn(&InstanceType) -> Option<MicroDollars>,
    ) -> Result<Vec<&MachineType>, NoMatch> {
        let offered = || self.types.iter().filter(|machine| !borrows_time(machine));
        let mut matching: Vec<_> = offered().filter(|machine| wants.fits(machine)).collect();
        let arch = match matching.iter().find(|machine| machine.arch == Arch::X86_64) {
            Some(machine) => machine.arch,
            None => Arch::Arm64,
        };
        matching.retain(|machine| machine.arch == arch);
        if matching.is_empty() {
            return Err(NoMatch::of(wants, offered()));
        }
        matching.sort_by_key(|machine| match price(&machine.name).or(machine.price) {
            Some(price) => (0, price.0),
            None => (1, u64::from(machine.vcpus)),
        });
        Ok(matching)
    }

    /// Of the types that are what is wanted, those that a job may be launched on: EC2 chooses among
    /// them by capacity too, so none is here that costs more than twice the cheapest, or that has more
    /// than twice its processors where prices are not known.
    ///
    /// # Errors
    /// As [`Table::matching`].
    pub fn to_launch(
        &self,
        wants: &Wants,
        price: &dyn Fn(&InstanceType) -> Option<MicroDollars>,
    ) -> Result<Vec<&MachineType>, NoMatch> {
        let mut matching = self.matching(wants, price)?;
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

/// Whether a machine has its processors in full only as long as its credits last.
///
/// <https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/burstable-performance-instances.html>
fn borrows_time(machine: &MachineType) -> bool {
    let rest = machine.name.as_str().strip_prefix('t');
    rest.is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_digit()))
}

impl MiB {
    /// Memory that is told in billions of bytes, as disks are.
    fn from_gb(gb: u32) -> Option<Self> {
        u32::try_from((u64::from(gb) * 1_000_000_000) >> 20).ok().map(Self)
    }
}

impl ComputeCapability {
    /// As one number that grows with it.
    pub(super) fn number(self) -> u32 {
        u32::from(self.0) * 100 + u32::from(self.1)
    }
}

#[cfg(test)]
#[path = "table_tests.rs"]
mod tests;
