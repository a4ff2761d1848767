//! Why no machine is what is wanted, and what comes nearest.

use std::collections::BTreeSet;
use std::fmt;

use dayfly_types::ids::InstanceType;

use super::wants::Key;
use super::{MachineType, Wants};

/// No machine type is what is wanted.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub struct NoMatch {
    /// What was wanted, as keys and values.
    pub wanted: Vec<(&'static str, String)>,
    /// What comes nearest.
    pub near: Near,
}

/// What comes nearest to what is wanted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Near {
    /// Machines that have all of it but for one regard: the keys, and what there is of each.
    ButForOne(Vec<(&'static str, Vec<String>)>),
    /// A machine that lacks the fewest.
    ButFor {
        /// The machine.
        nearest: InstanceType,
        /// In what it is not as wanted.
        lacks: Vec<&'static str>,
    },
    /// The table is empty.
    Nothing,
}

/// More values of a kind than this are not told.
const MOST_VALUES: usize = 12;

impl NoMatch {
    /// What comes nearest of the machines that are offered, none of which is what is wanted.
    pub(super) fn of<'a>(wants: &Wants, offered: impl Iterator<Item = &'a MachineType>) -> Self {
        let lacking = |machine: &MachineType| -> Vec<Key> {
            let keys = Key::ALL.into_iter();
            keys.filter(|key| !wants.is_met(*key, machine)).collect()
        };
        // A part of a GPU is nobody's next best.
        let offered = offered.filter(|machine| wants.may_mean(machine));
        let offered: Vec<_> = offered.map(|machine| (machine, lacking(machine))).collect();
        let but_for = |key: Key| {
            let others = offered.iter().filter(|(_, lacks)| *lacks == [key]);
            let values: BTreeSet<(u64, String)> = others.filter_map(|(machine, _)| value(key, machine)).collect();
            (!values.is_empty()).then(|| (key.as_str(), values.into_iter().map(|(_, value)| value).collect()))
        };
        // Who names a GPU wants it most: another one is told last.
        let (gpu, others) = Key::ALL.into_iter().partition::<Vec<_>, _>(|key| *key == Key::Gpu);
        let near: Vec<_> = others.into_iter().chain(gpu).filter_map(but_for).collect();
        let near = if near.is_empty() {
            offered
                .iter()
                .min_by_key(|(_, lacks)| lacks.len())
                .map_or(Near::Nothing, |(machine, lacks)| Near::ButFor {
                    nearest: machine.name.clone(),
                    lacks: lacks.iter().map(|key| key.as_str()).collect(),
                })
        } else {
            Near::ButForOne(near)
        };
        Self {
            wanted: wanted(wants),
            near,
        }
    }
}

/// What is wanted, with the number of GPUs that goes without saying.
fn wanted(wants: &Wants) -> Vec<(&'static str, String)> {
    let mut said = Wants {
        gpus: Some(wants.gpus_or_default()),
        ..wants.clone()
    };
    if wants.gpus.is_none() && !wants.a_gpu() {
        said.gpus = None;
    }
    said.written()
}

/// What a machine has in one regard, and its place among others. Nothing if that says nothing.
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
        let wanted: Vec<_> = self
            .wanted
            .iter()
            .map(|(key, value)| format!("{key}={value}"))
            .collect();
        write!(f, "EC2 has no machine type with {}", wanted.join(", "))?;
        match &self.near {
            Near::ButForOne(near) => {
                for (index, (key, values)) in near.iter().enumerate() {
                    let start = if index == 0 {
                        ": where all else is as wanted,"
                    } else {
                        "; or"
                    };
                    write!(f, "{start} `{key}` is {}", told(values))?;
                }
                Ok(())
            }
            Near::ButFor { nearest, lacks } => {
                write!(
                    f,
                    ": {nearest} comes nearest, and is not as wanted in {}",
                    lacks.join(", ")
                )
            }
            Near::Nothing => f.write_str(": the table of machine types is empty"),
        }
    }
}

/// `1, 4 or 8`; of many the ends.
fn told(values: &[String]) -> String {
    match values {
        [one] => one.clone(),
        [first, .., last] if values.len() > MOST_VALUES => format!("one of {} from {first} to {last}", values.len()),
        [start @ .., last] => format!("{} or {last}", start.join(", ")),
        [] => String::new(),
    }
}
