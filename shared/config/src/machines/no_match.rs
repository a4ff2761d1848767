//! Why no machine meets the requirements, and which come nearest.

use std::collections::BTreeSet;
use std::fmt;

use dayfly_types::ids::InstanceType;

use super::requirements::Key;
use super::{MachineType, Requirements};

/// No machine type meets the requirements.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub struct NoMatch {
    /// The requirements, as keys and values.
    pub required: Vec<(&'static str, String)>,
    pub nearest: Nearest,
}

/// The machines that come nearest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Nearest {
    /// Machines that meet all requirements but one: each such key, with the values that these machines have.
    AllButOne(Vec<(&'static str, Vec<String>)>),
    /// The machine that fails the fewest requirements.
    Machine {
        name: InstanceType,
        unmet: Vec<&'static str>,
    },
    /// The table is empty.
    Nothing,
}

/// The most values of a key that are listed.
const MAX_VALUES: usize = 12;

impl NoMatch {
    /// Finds the nearest of the machines in the table, none of which meets the requirements.
    pub(super) fn find<'a>(requirements: &Requirements, offered: impl Iterator<Item = &'a MachineType>) -> Self {
        let unmet = |machine: &MachineType| -> Vec<Key> {
            let keys = Key::ALL.into_iter();
            keys.filter(|key| !requirements.is_met(*key, machine)).collect()
        };
        // A fractional GPU is no alternative.
        let offered = offered.filter(|machine| requirements.allows_fraction(machine));
        let offered: Vec<_> = offered.map(|machine| (machine, unmet(machine))).collect();
        let all_but = |key: Key| {
            let others = offered.iter().filter(|(_, unmet)| *unmet == [key]);
            let values: BTreeSet<(u64, String)> = others.filter_map(|(machine, _)| value(key, machine)).collect();
            (!values.is_empty()).then(|| (key.as_str(), values.into_iter().map(|(_, value)| value).collect()))
        };
        // A named GPU matters most: others are listed last.
        let (gpu, others) = Key::ALL.into_iter().partition::<Vec<_>, _>(|key| *key == Key::Gpu);
        let all_but_one: Vec<_> = others.into_iter().chain(gpu).filter_map(all_but).collect();
        let nearest = if all_but_one.is_empty() {
            offered
                .iter()
                .min_by_key(|(_, unmet)| unmet.len())
                .map_or(Nearest::Nothing, |(machine, unmet)| Nearest::Machine {
                    name: machine.name.clone(),
                    unmet: unmet.iter().map(|key| key.as_str()).collect(),
                })
        } else {
            Nearest::AllButOne(all_but_one)
        };
        Self {
            required: written(requirements),
            nearest,
        }
    }
}

/// Returns the requirements with the default number of GPUs.
fn written(requirements: &Requirements) -> Vec<(&'static str, String)> {
    let is_set = requirements.gpus.is_some() || requirements.needs_gpu();
    let with_default = Requirements {
        gpus: is_set.then(|| requirements.gpus_or_default()),
        ..requirements.clone()
    };
    with_default.written()
}

/// Returns a machine's value for a key, with a number to sort it by.
fn value(key: Key, machine: &MachineType) -> Option<(u64, String)> {
    let gpu = machine.gpu.as_ref();
    let number = |number: u32| (u64::from(number), number.to_string());
    Some(match key {
        Key::Gpu => {
            let gpu = gpu?;
            (
                u64::from(gpu.compute_capability.number()) << 32 | u64::from(gpu.vram.0),
                gpu.model.to_string(),
            )
        }
        Key::Gpus => number(gpu.map_or(0, |gpu| gpu.count)),
        Key::Vram => (u64::from(gpu?.vram.0), gpu?.vram.as_sold()),
        Key::Cc => (
            u64::from(gpu?.compute_capability.number()),
            gpu?.compute_capability.to_string(),
        ),
        Key::Cpu => number(machine.vcpus),
        Key::Mem => (u64::from(machine.memory.0), machine.memory.to_string()),
        Key::Nvme => (u64::from(machine.nvme.0), machine.nvme.as_sold()),
        Key::Arch => (0, machine.arch.to_string()),
    })
}

impl fmt::Display for NoMatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let required: Vec<_> = self
            .required
            .iter()
            .map(|(key, value)| format!("{key}={value}"))
            .collect();
        write!(f, "EC2 has no machine type with {}", required.join(", "))?;
        match &self.nearest {
            Nearest::AllButOne(keys) => {
                for (index, (key, values)) in keys.iter().enumerate() {
                    let start = if index == 0 {
                        ": with all else as required,"
                    } else {
                        "; or"
                    };
                    write!(f, "{start} `{key}` is {}", listed(values))?;
                }
                Ok(())
            }
            Nearest::Machine { name, unmet } => {
                write!(f, ": {name} comes nearest, but not in {}", unmet.join(", "))
            }
            Nearest::Nothing => f.write_str(": the table of machine types is empty"),
        }
    }
}

/// Writes `1, 4 or 8`, or the ends of a long list.
fn listed(values: &[String]) -> String {
    match values {
        [one] => one.clone(),
        [first, .., last] if values.len() > MAX_VALUES => format!("one of {} from {first} to {last}", values.len()),
        [start @ .., last] => format!("{} or {last}", start.join(", ")),
        [] => String::new(),
    }
}
