//! A runner's requirements of its machine.

use serde::{Deserialize, Serialize};

use super::bound::Measure;
use super::{Arch, Bound, GpuModel, MachineType, UnknownGpu};
use crate::spelling;

/// A runner's requirements of its machine.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Requirements {
    /// The models of GPU to choose from.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub gpu: Option<Vec<GpuModel>>,
    /// The number of GPUs: 1 if it is not set and there is another requirement of the GPU.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub gpus: Option<Bound>,
    /// The memory of each GPU, in MiB.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub vram: Option<Bound>,
    /// The compute capability of each GPU: the major number times 100, plus the minor one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cc: Option<Bound>,
    /// vCPUs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cpu: Option<Bound>,
    /// Memory, in MiB.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mem: Option<Bound>,
    /// The instance store, in MiB.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub nvme: Option<Bound>,
    /// The processor architecture: x86-64 if it is not set and there is such a machine.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub arch: Option<Arch>,
}

/// Why a requirement cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RequirementError {
    #[error("there is no key `{key}`{}", meant(*nearest))]
    UnknownKey {
        key: String,
        /// What was most likely meant.
        nearest: Option<&'static str>,
    },
    #[error("{unknown}{} The GPUs are {}", meant_or_stop(unknown.nearest), models())]
    UnknownGpu {
        #[from]
        unknown: UnknownGpu,
    },
    #[error("`{found}` is not a value of `{key}`: expected {allowed}")]
    Unreadable {
        key: &'static str,
        found: String,
        allowed: &'static str,
    },
}

fn meant(nearest: Option<&str>) -> String {
    nearest.map_or_else(String::new, |nearest| format!(", did you mean `{nearest}`?"))
}

fn meant_or_stop(nearest: Option<&str>) -> String {
    nearest.map_or_else(|| ".".to_owned(), |_| meant(nearest))
}

fn models() -> String {
    GpuModel::names().collect::<Vec<_>>().join(", ")
}

impl RequirementError {
    /// Returns what is allowed, in words.
    #[must_use]
    pub fn allowed(&self) -> String {
        match self {
            Self::UnknownKey { .. } => format!("one of {}", Requirements::KEYS.join(", ")),
            Self::UnknownGpu { .. } => format!("one of {}", models()),
            Self::Unreadable { allowed, .. } => (*allowed).to_owned(),
        }
    }

    /// Returns the nearest right spelling, if there is one.
    #[must_use]
    pub fn nearest(&self) -> Option<&'static str> {
        match self {
            Self::UnknownKey { nearest, .. } => *nearest,
            Self::UnknownGpu { unknown } => unknown.nearest,
            Self::Unreadable { .. } => None,
        }
    }
}

/// The label's name for `gpus`.
const COUNT: &str = "count";

/// A key of a requirement.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Key {
    Gpu,
    Gpus,
    Vram,
    Cc,
    Cpu,
    Mem,
    Nvme,
    Arch,
}

impl Key {
    pub(super) const ALL: [Self; 8] = [
        Self::Gpu,
        Self::Gpus,
        Self::Vram,
        Self::Cc,
        Self::Cpu,
        Self::Mem,
        Self::Nvme,
        Self::Arch,
    ];

    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::Gpu => "gpu",
            Self::Gpus => "gpus",
            Self::Vram => "vram",
            Self::Cc => "cc",
            Self::Cpu => "cpu",
            Self::Mem => "mem",
            Self::Nvme => "nvme",
            Self::Arch => "arch",
        }
    }

    fn named(text: &str) -> Option<Self> {
        let text = text.to_ascii_lowercase();
        let text = if text == COUNT { "gpus" } else { &text };
        Self::ALL.into_iter().find(|key| key.as_str() == text)
    }

    /// Returns how the key's bound is written, if it has one.
    pub(super) fn measure(self) -> Option<Measure> {
        match self {
            Self::Gpu | Self::Arch => None,
            Self::Gpus => Some(Measure::Exact),
            Self::Cpu => Some(Measure::Count),
            Self::Cc => Some(Measure::Capability),
            Self::Vram | Self::Mem | Self::Nvme => Some(Measure::Memory),
        }
    }

    fn allowed(self) -> &'static str {
        match self {
            Self::Gpu => "a GPU's name like `t4`, or several like `a10g+l4`",
            Self::Gpus => "a number of GPUs, `4`, or a bound: `>=2`, `<=4`, `2-4`",
            Self::Cpu => "the minimum number of vCPUs, `8`, or a bound: `<=16`, `8-16`, `=8`",
            Self::Cc => "the minimum compute capability, `8.0`, or a bound: `<=9.0`, `8.0-9.0`, `=8.9`",
            Self::Vram | Self::Mem | Self::Nvme => "the minimum, `24GiB`, or a bound: `<=48GiB`, `24-48GiB`, `=24GiB`",
            Self::Arch => "`x86_64` or `arm64`",
        }
    }
}

impl Requirements {
    /// The keys that [`Requirements::set`] knows.
    pub const KEYS: [&'static str; 8] = [
        Key::Gpu.as_str(),
        Key::Gpus.as_str(),
        Key::Vram.as_str(),
        Key::Cc.as_str(),
        Key::Cpu.as_str(),
        Key::Mem.as_str(),
        Key::Nvme.as_str(),
        Key::Arch.as_str(),
    ];

    /// Sets a requirement as it is written in YAML or in a label. `count` is another name for `gpus`.
    ///
    /// # Errors
    /// If there is no such key, or its value is not what it takes.
    pub fn set(&mut self, key: &str, value: &str) -> Result<(), RequirementError> {
        let Some(found) = Key::named(key) else {
            return Err(RequirementError::UnknownKey {
                key: key.to_owned(),
                nearest: spelling::nearest(key, Self::KEYS),
            });
        };
        let unreadable = || RequirementError::Unreadable {
            key: if key.eq_ignore_ascii_case(COUNT) {
                COUNT
            } else {
                found.as_str()
            },
            found: value.to_owned(),
            allowed: found.allowed(),
        };
        let bound = || {
            let bound = found.measure().and_then(|measure| Bound::read(value, measure));
            bound.map(Some).ok_or_else(unreadable)
        };
        match found {
            Key::Gpu => self.gpu = Some(models_of(value)?.ok_or_else(unreadable)?),
            Key::Gpus => self.gpus = bound()?,
            Key::Vram => self.vram = bound()?,
            Key::Cc => self.cc = bound()?,
            Key::Cpu => self.cpu = bound()?,
            Key::Mem => self.mem = bound()?,
            Key::Nvme => self.nvme = bound()?,
            Key::Arch => self.arch = Some(value.trim().parse().map_err(|()| unreadable())?),
        }
        Ok(())
    }

    /// Returns what a key takes, in words, or `None` if there is no such key.
    #[must_use]
    pub fn allowed(key: &str) -> Option<&'static str> {
        Key::named(key).map(Key::allowed)
    }

    /// Returns the keys and values that [`Requirements::set`] takes, in a fixed order.
    #[must_use]
    pub fn written(&self) -> Vec<(&'static str, String)> {
        let each = Key::ALL.into_iter().filter_map(|key| {
            let value = match (key, self.bound(key).zip(key.measure())) {
                (_, Some((bound, measure))) => bound.written(measure),
                (Key::Gpu, _) => listed(self.gpu.as_ref()?, "+"),
                (Key::Arch, _) => self.arch?.to_string(),
                _ => return None,
            };
            Some((key.as_str(), value))
        });
        each.collect()
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    #[must_use]
    pub fn needs_gpu(&self) -> bool {
        let about_it = self.gpu.is_some() || self.vram.is_some() || self.cc.is_some();
        self.gpus.map_or(about_it, |gpus| !gpus.holds(0) || about_it)
    }

    /// Returns the number of GPUs. The default is one or none and never any number, because GPUs cost money.
    pub(super) fn gpus_or_default(&self) -> Bound {
        self.gpus.unwrap_or(Bound::exactly(u32::from(self.needs_gpu())))
    }

    pub(super) fn bound(&self, key: Key) -> Option<Bound> {
        match key {
            Key::Gpu | Key::Arch => None,
            Key::Gpus => self.gpus,
            Key::Vram => self.vram,
            Key::Cc => self.cc,
            Key::Cpu => self.cpu,
            Key::Mem => self.mem,
            Key::Nvme => self.nvme,
        }
    }

    /// Returns whether a machine meets the requirement of one key.
    pub(super) fn is_met(&self, key: Key, machine: &MachineType) -> bool {
        let gpu = machine.gpu.as_ref();
        let holds = |bound: Option<Bound>, met: &dyn Fn(Bound) -> bool| bound.is_none_or(met);
        match key {
            Key::Gpu => self
                .gpu
                .as_ref()
                .is_none_or(|models| gpu.is_some_and(|gpu| models.contains(&gpu.model))),
            Key::Gpus => self.gpus_or_default().holds(gpu.map_or(0, |gpu| gpu.count)),
            Key::Vram => holds(self.vram, &|bound| gpu.is_some_and(|gpu| bound.holds_as_sold(gpu.vram))),
            Key::Cc => holds(self.cc, &|bound| {
                gpu.is_some_and(|gpu| bound.holds(gpu.compute_capability.number()))
            }),
            Key::Cpu => holds(self.cpu, &|bound| bound.holds(machine.vcpus)),
            Key::Mem => holds(self.mem, &|bound| bound.holds(machine.memory.0)),
            Key::Nvme => holds(self.nvme, &|bound| bound.holds_as_sold(machine.nvme)),
            Key::Arch => self.arch.is_none_or(|arch| arch == machine.arch),
        }
    }

    /// Returns whether a machine meets all requirements.
    #[must_use]
    pub fn fits(&self, machine: &MachineType) -> bool {
        self.allows_fraction(machine) && Key::ALL.into_iter().all(|key| self.is_met(key, machine))
    }

    /// Returns `false` for a fractional GPU that is not named: it needs other drivers.
    pub(super) fn allows_fraction(&self, machine: &MachineType) -> bool {
        machine.gpu.as_ref().is_none_or(|gpu| {
            !gpu.model.is_fraction() || self.gpu.as_ref().is_some_and(|models| models.contains(&gpu.model))
        })
    }
}

/// Returns the models that a value names, or `None` if it names none.
fn models_of(value: &str) -> Result<Option<Vec<GpuModel>>, UnknownGpu> {
    let words = value.split(['+', ',']).map(str::trim).filter(|word| !word.is_empty());
    let mut models: Vec<GpuModel> = Vec::new();
    for word in words {
        let model = word.parse()?;
        if !models.contains(&model) {
            models.push(model);
        }
    }
    Ok((!models.is_empty()).then_some(models))
}

pub(super) fn listed(models: &[GpuModel], between: &str) -> String {
    models.iter().map(GpuModel::as_str).collect::<Vec<_>>().join(between)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn set(pairs: &[(&str, &str)]) -> Result<Requirements, RequirementError> {
        let mut requirements = Requirements::default();
        for (key, value) in pairs {
            requirements.set(key, value)?;
        }
        Ok(requirements)
    }

    #[test]
    fn requirements_are_written_as_they_are_read() {
        let pairs = [
            ("gpu", "a10g+l4"),
            ("gpus", ">=2"),
            ("vram", "24GiB"),
            ("cc", "8.0-9.0"),
            ("cpu", "8-16"),
            ("mem", "=64GiB"),
            ("nvme", "<=1TiB"),
            ("arch", "arm64"),
        ];
        let requirements = set(&pairs).unwrap();
        let written = requirements.written();
        assert_eq!(written.iter().map(|(k, v)| (*k, v.as_str())).collect::<Vec<_>>(), pairs);
        assert_eq!(pairs.map(|(key, _)| key), Requirements::KEYS);
        let json = serde_json::to_string(&requirements).unwrap();
        assert_eq!(serde_json::from_str::<Requirements>(&json).unwrap(), requirements);
    }

    #[test]
    fn unset_requirements_are_not_stored() {
        assert_eq!(serde_json::to_string(&Requirements::default()).unwrap(), "{}");
        assert_eq!(
            serde_json::from_str::<Requirements>("{}").unwrap(),
            Requirements::default()
        );
        assert_eq!(Requirements::default().written(), []);
        assert!(Requirements::default().is_empty());
    }

    #[test]
    fn keys_and_values_are_read_in_any_case() {
        let expected = set(&[("gpu", "l4"), ("gpus", "4"), ("vram", "24GiB"), ("arch", "x86_64")]).unwrap();
        let found = set(&[("GPU", "L4"), ("Count", "4"), ("VRAM", "24gib"), ("arch", "X64")]).unwrap();
        assert_eq!(found, expected);
        assert_eq!(
            set(&[("gpu", "L4, nvidia-l4")]).unwrap().gpu,
            set(&[("gpu", "l4")]).unwrap().gpu
        );
    }

    #[test]
    fn errors_say_what_is_allowed() {
        for (key, value, words) in [
            ("vrma", "24GiB", "there is no key `vrma`, did you mean `vram`?"),
            ("colour", "red", "there is no key `colour`"),
            (
                "gpu",
                "a10q",
                "EC2 has no GPU `a10q`, did you mean `a10g`? The GPUs are t4, t4g, ",
            ),
            (
                "gpu",
                "+",
                "`+` is not a value of `gpu`: expected a GPU's name like `t4`, or several like `a10g+l4`",
            ),
            (
                "vram",
                "lots",
                "`lots` is not a value of `vram`: expected the minimum, `24GiB`, or a bound",
            ),
            (
                "arch",
                "riscv",
                "`riscv` is not a value of `arch`: expected `x86_64` or `arm64`",
            ),
            (
                "gpus",
                "two",
                "`two` is not a value of `gpus`: expected a number of GPUs",
            ),
        ] {
            let said = set(&[(key, value)]).unwrap_err();
            assert!(said.to_string().starts_with(words), "{said}");
            assert!(!said.allowed().is_empty());
        }
    }

    #[test]
    fn requirement_of_a_gpu_needs_a_gpu() {
        for (pairs, needed) in [
            (&[("gpu", "t4")][..], true),
            (&[("vram", "16")], true),
            (&[("cc", "8.0")], true),
            (&[("gpus", "1")], true),
            (&[("gpus", "0")], false),
            (&[("gpus", "<=1")], false),
            (&[("cpu", "8")], false),
            (&[], false),
        ] {
            assert_eq!(set(pairs).unwrap().needs_gpu(), needed, "{pairs:?}");
        }
    }

    proptest! {
        #[test]
        fn any_text_is_refused_or_written_as_it_is_read(key in "[a-z]{2,5}|gpu|vram|cc|cpu|arch", value in ".{0,24}|[0-9]{1,4}(GiB|MiB)?") {
            if let Ok(requirements) = set(&[(&key, &value)]) {
                let mut again = Requirements::default();
                for (key, value) in requirements.written() {
                    again.set(key, &value).unwrap();
                }
                prop_assert_eq!(again, requirements);
            }
        }
    }
}
