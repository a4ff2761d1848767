//! Machine images: by id, by SSM parameter, by short name, or the newest by its name.

use std::fmt;
use std::str::FromStr;

use dayfly_types::ids::{ImageId, InstanceType};
use serde::{Deserialize, Serialize};

use crate::machines::{Arch, GpuModel, Table};
use crate::spelling;

/// The image of a runner.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MachineImage {
    Ami(ImageId),
    /// An SSM parameter that holds an AMI id.
    Parameter(String),
    /// An image by its short name. The machine's architecture decides which parameter that is.
    Alias(ImageAlias),
    /// The newest image with a name, for machines of an architecture.
    Newest {
        name: ImageName,
        /// `None` until the machine is known.
        arch: Option<Arch>,
    },
    /// No image is named: the one with a driver for the machine's GPU, if it has one.
    Default,
}

/// What an image is looked up by.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct ImageName {
    /// A pattern: `*` stands for any number of characters, `?` for one.
    pub name: String,
    /// An account's number, or `amazon`, `aws-marketplace` or `self`.
    pub owner: String,
}

impl fmt::Display for ImageName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} of {}", self.name, self.owner)
    }
}

impl MachineImage {
    /// Returns the image for machines of an architecture.
    #[must_use]
    pub fn for_arch(self, arch: Arch) -> Self {
        match self {
            Self::Alias(alias) => alias.image(arch),
            Self::Newest { name, .. } => Self::Newest { name, arch: Some(arch) },
            Self::Ami(_) | Self::Parameter(_) | Self::Default => self,
        }
    }

    /// Returns the image for machines of these types, which all have one architecture. The name of a type
    /// that is not in the table tells its architecture, but not whether it has a GPU.
    ///
    /// # Errors
    /// If no image is named, and none with a driver is known.
    pub fn for_types(self, types: &[InstanceType], table: &Table) -> Result<Self, NoImage> {
        let arch = types.first().map_or(Arch::X86_64, |first| table.arch(first));
        if self != Self::Default {
            return Ok(self.for_arch(arch));
        }
        if let Some(unknown) = types.iter().find(|name| table.get(name).is_none()) {
            return Err(NoImage::UnknownType(unknown.clone()));
        }
        ImageAlias::for_types(types, table)
            .map(|alias| alias.image(arch))
            .map_err(NoImage::NoDriver)
    }

    /// Returns the image as it is written in a file.
    #[must_use]
    pub fn written(&self) -> String {
        match self {
            Self::Ami(id) => id.to_string(),
            Self::Parameter(path) => format!("ssm:{path}"),
            Self::Alias(alias) => alias.to_string(),
            Self::Newest { name, .. } => name.to_string(),
            Self::Default => "the one that fits the machine".to_owned(),
        }
    }
}

/// Why no image can be chosen for a machine.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoImage {
    #[error("it is not known whether `{0}` has a GPU: name a `machine_image`")]
    UnknownType(InstanceType),
    /// No image with a short name will do.
    #[error(
        "no image that dayfly knows by name has a driver for {0}: make one that has, and name it as `machine_image`"
    )]
    NoDriver(GpuModel),
}

/// The short name of an image that AWS or Canonical keeps current.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum ImageAlias {
    /// AWS's deep learning image with driver, CUDA and Docker.
    #[serde(rename = "dlami-base")]
    DlamiBase,
    /// The same with `PyTorch`.
    #[serde(rename = "dlami-pytorch")]
    DlamiPytorch,
    /// Canonical's Ubuntu 24.04, without a driver.
    #[serde(rename = "ubuntu-24.04")]
    Ubuntu2404,
    /// Canonical's Ubuntu 22.04, without a driver.
    #[serde(rename = "ubuntu-22.04")]
    Ubuntu2204,
}

/// A short name that no image has.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("there is no image `{found}`")]
pub struct UnknownImage {
    pub found: String,
    /// What was most likely meant.
    pub nearest: Option<&'static str>,
}

impl ImageAlias {
    pub const ALL: [Self; 4] = [Self::DlamiBase, Self::DlamiPytorch, Self::Ubuntu2404, Self::Ubuntu2204];

    /// Returns the image of a runner that names none: one with a driver if it has a GPU.
    #[must_use]
    pub fn default_for(gpu: Option<&GpuModel>) -> Self {
        if gpu.is_some() {
            Self::DlamiBase
        } else {
            Self::Ubuntu2404
        }
    }

    /// Returns the default image for machines of these types.
    ///
    /// # Errors
    /// The first GPU that the image has no driver for.
    pub(crate) fn for_types(types: &[InstanceType], table: &Table) -> Result<Self, GpuModel> {
        let gpus = types.iter().filter_map(|name| table.get(name)?.gpu.as_ref());
        let gpus: Vec<&GpuModel> = gpus.map(|gpu| &gpu.model).collect();
        let image = Self::default_for(gpus.first().copied());
        match gpus.into_iter().find(|gpu| !image.drives(gpu)) {
            Some(gpu) => Err(gpu.clone()),
            None => Ok(image),
        }
    }

    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::DlamiBase => "dlami-base",
            Self::DlamiPytorch => "dlami-pytorch",
            Self::Ubuntu2404 => "ubuntu-24.04",
            Self::Ubuntu2204 => "ubuntu-22.04",
        }
    }

    /// Returns the public SSM parameter that holds the image's id in every region.
    ///
    /// <https://docs.aws.amazon.com/dlami/latest/devguide/find-dlami-id.html>,
    /// <https://documentation.ubuntu.com/aws/aws-how-to/instances/find-ubuntu-images/>
    #[must_use]
    pub fn parameter(self, arch: Arch) -> String {
        let deep_learning = |image: &str| format!("/aws/service/deeplearning/ami/{arch}/{image}/latest/ami-id");
        let ubuntu = |version: &str, volume: &str| {
            let arch = match arch {
                Arch::X86_64 => "amd64",
                Arch::Arm64 => "arm64",
            };
            format!("/aws/service/canonical/ubuntu/server/{version}/stable/current/{arch}/hvm/{volume}/ami-id")
        };
        match self {
            Self::DlamiBase => deep_learning("base-oss-nvidia-driver-gpu-ubuntu-22.04"),
            Self::DlamiPytorch => deep_learning("oss-nvidia-driver-gpu-pytorch-2.12-ubuntu-24.04"),
            Self::Ubuntu2404 => ubuntu("24.04", "ebs-gp3"),
            Self::Ubuntu2204 => ubuntu("22.04", "ebs-gp2"),
        }
    }

    #[must_use]
    pub fn image(self, arch: Arch) -> MachineImage {
        MachineImage::Parameter(self.parameter(arch))
    }

    /// Returns whether the image has a driver for a GPU. NVIDIA's open driver does not support the V100, which
    /// is too old, and fractional GPUs need the driver for virtual GPUs.
    #[must_use]
    pub fn drives(self, gpu: &GpuModel) -> bool {
        match self {
            Self::DlamiBase | Self::DlamiPytorch => !gpu.is_fraction() && gpu.as_str() != "v100",
            Self::Ubuntu2404 | Self::Ubuntu2204 => false,
        }
    }
}

impl fmt::Display for ImageAlias {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for ImageAlias {
    type Err = UnknownImage;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let text = text.trim();
        let found = Self::ALL
            .into_iter()
            .find(|alias| alias.as_str().eq_ignore_ascii_case(text));
        found.ok_or_else(|| UnknownImage {
            found: text.to_owned(),
            nearest: spelling::nearest(text, Self::ALL.map(Self::as_str)),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;

    #[test]
    fn aliases_have_a_parameter_for_each_architecture() {
        for (name, arch, parameter) in [
            (
                "dlami-base",
                Arch::X86_64,
                "/aws/service/deeplearning/ami/x86_64/base-oss-nvidia-driver-gpu-ubuntu-22.04/latest/ami-id",
            ),
            (
                "dlami-base",
                Arch::Arm64,
                "/aws/service/deeplearning/ami/arm64/base-oss-nvidia-driver-gpu-ubuntu-22.04/latest/ami-id",
            ),
            (
                "DLAMI-PyTorch",
                Arch::Arm64,
                "/aws/service/deeplearning/ami/arm64/oss-nvidia-driver-gpu-pytorch-2.12-ubuntu-24.04/latest/ami-id",
            ),
            (
                "ubuntu-24.04",
                Arch::Arm64,
                "/aws/service/canonical/ubuntu/server/24.04/stable/current/arm64/hvm/ebs-gp3/ami-id",
            ),
            (
                "ubuntu-22.04",
                Arch::X86_64,
                "/aws/service/canonical/ubuntu/server/22.04/stable/current/amd64/hvm/ebs-gp2/ami-id",
            ),
        ] {
            assert_eq!(name.parse::<ImageAlias>().unwrap().parameter(arch), parameter, "{name}");
        }
    }

    #[test]
    fn unknown_alias_suggests_the_nearest() {
        for (name, nearest) in [
            ("dlami-pytroch", Some("dlami-pytorch")),
            ("ubuntu-2404", Some("ubuntu-24.04")),
            ("windows", None),
        ] {
            assert_eq!(name.parse::<ImageAlias>().unwrap_err().nearest, nearest, "{name}");
        }
    }

    #[test]
    fn built_in_runner_and_messenger_use_aliased_images() {
        let built_in = Config::built_in().unwrap().runners.remove(0);
        assert_eq!(built_in.image, ImageAlias::DlamiBase.image(Arch::X86_64));
        assert_eq!(
            Config::messenger().unwrap().image,
            ImageAlias::Ubuntu2404.image(Arch::Arm64)
        );
    }

    #[test]
    fn default_image_has_a_driver_for_the_machine() {
        let table = Table::embedded().unwrap();
        let default_image = |types: &[&str]| {
            let types: Vec<InstanceType> = types.iter().map(|name| InstanceType::new(*name)).collect();
            MachineImage::Default.for_types(&types, table)
        };
        for (types, image) in [
            (
                &["g5.xlarge", "g6.xlarge"][..],
                ImageAlias::DlamiBase.image(Arch::X86_64),
            ),
            (&["g5g.xlarge"], ImageAlias::DlamiBase.image(Arch::Arm64)),
            (&["c7g.large"], ImageAlias::Ubuntu2404.image(Arch::Arm64)),
            (&["c7i.large", "g5.xlarge"], ImageAlias::DlamiBase.image(Arch::X86_64)),
        ] {
            assert_eq!(default_image(types), Ok(image), "{types:?}");
        }
        assert!(matches!(default_image(&["p3dn.24xlarge"]), Err(NoImage::NoDriver(_))));
        assert!(matches!(
            default_image(&["g5.xlarge", "x99.large"]),
            Err(NoImage::UnknownType(_))
        ));
        let name = ImageName {
            name: "my-*".to_owned(),
            owner: "self".to_owned(),
        };
        let newest = |arch| MachineImage::Newest {
            name: name.clone(),
            arch,
        };
        let types = [InstanceType::new("x99g.large")];
        assert_eq!(newest(None).for_types(&types, table), Ok(newest(Some(Arch::Arm64))));
    }

    #[test]
    fn images_drive_the_gpus_that_their_driver_supports() {
        for (gpu, driven) in [("t4", true), ("b300", true), ("v100", false), ("l4-half", false)] {
            let gpu = gpu.parse().unwrap();
            assert_eq!(ImageAlias::default_for(Some(&gpu)).drives(&gpu), driven, "{gpu}");
            assert!(!ImageAlias::default_for(None).drives(&gpu));
        }
    }
}
