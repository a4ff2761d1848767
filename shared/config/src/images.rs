//! Images that go by a short name, whatever the region and the architecture.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::MachineImage;
use crate::machines::{Arch, GpuModel};
use crate::spelling;

/// The short name of an image that AWS or Canonical keeps current.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum ImageAlias {
    /// AWS's deep learning image with driver, CUDA and Docker.
    #[serde(rename = "dlami-base")]
    DlamiBase,
    /// The same with `PyTorch`.
    #[serde(rename = "dlami-pytorch")]
    DlamiPytorch,
    /// Ubuntu 24.04 as Canonical makes it, without a driver.
    #[serde(rename = "ubuntu-24.04")]
    Ubuntu2404,
    /// Ubuntu 22.04 as Canonical makes it, without a driver.
    #[serde(rename = "ubuntu-22.04")]
    Ubuntu2204,
}

/// A name that no image goes by.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no image goes by the name `{found}`")]
pub struct UnknownImage {
    /// The name.
    pub found: String,
    /// What was most likely meant.
    pub nearest: Option<&'static str>,
}

impl ImageAlias {
    /// All that there are.
    pub const ALL: [Self; 4] = [Self::DlamiBase, Self::DlamiPytorch, Self::Ubuntu2404, Self::Ubuntu2204];

    /// What a runner starts from that names no image: one with a driver if it has a GPU.
    #[must_use]
    pub fn default_for(gpu: Option<&GpuModel>) -> Self {
        if gpu.is_some() {
            Self::DlamiBase
        } else {
            Self::Ubuntu2404
        }
    }

    /// The name.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::DlamiBase => "dlami-base",
            Self::DlamiPytorch => "dlami-pytorch",
            Self::Ubuntu2404 => "ubuntu-24.04",
            Self::Ubuntu2204 => "ubuntu-22.04",
        }
    }

    /// The public SSM parameter that holds the image's id in every region.
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

    /// The image as a runner names it.
    #[must_use]
    pub fn image(self, arch: Arch) -> MachineImage {
        MachineImage::Parameter(self.parameter(arch))
    }

    /// Whether its driver knows a GPU. NVIDIA's open one does not know the V100, which is too old for
    /// it, and parts of a GPU want the one for virtual GPUs.
    #[must_use]
    pub fn drives(self, gpu: &GpuModel) -> bool {
        match self {
            Self::DlamiBase | Self::DlamiPytorch => !gpu.is_a_part() && gpu.as_str() != "v100",
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
    use crate::machines::Table;
    use crate::{Config, ImageName, NoImage};
    use dayfly_types::ids::InstanceType;

    #[test]
    fn a_name_leads_to_the_parameter_of_its_architecture() {
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
    fn a_name_that_is_none_is_refused_with_the_nearest() {
        for (name, nearest) in [
            ("dlami-pytroch", Some("dlami-pytorch")),
            ("ubuntu-2404", Some("ubuntu-24.04")),
            ("windows", None),
        ] {
            assert_eq!(name.parse::<ImageAlias>().unwrap_err().nearest, nearest, "{name}");
        }
    }

    #[test]
    fn the_built_in_runner_and_the_messenger_start_from_images_that_have_names() {
        let built_in = Config::built_in().unwrap().runners.remove(0);
        assert_eq!(built_in.image, ImageAlias::DlamiBase.image(Arch::X86_64));
        assert_eq!(
            Config::messenger().unwrap().image,
            ImageAlias::Ubuntu2404.image(Arch::Arm64)
        );
    }

    #[test]
    fn an_image_that_is_not_named_is_one_with_a_driver_for_the_machine() {
        let table = Table::embedded().unwrap();
        let fitting = |types: &[&str]| {
            let types: Vec<InstanceType> = types.iter().map(|name| InstanceType::new(*name)).collect();
            MachineImage::Fitting.on_types(&types, table)
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
            assert_eq!(fitting(types), Ok(image), "{types:?}");
        }
        assert!(matches!(fitting(&["p3dn.24xlarge"]), Err(NoImage::NoDriver(_))));
        assert!(matches!(
            fitting(&["g5.xlarge", "x99.large"]),
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
        assert_eq!(newest(None).on_types(&types, table), Ok(newest(Some(Arch::Arm64))));
    }

    #[test]
    fn a_driver_is_where_there_is_a_gpu_that_it_knows() {
        for (gpu, driven) in [("t4", true), ("b300", true), ("v100", false), ("l4-half", false)] {
            let gpu = gpu.parse().unwrap();
            assert_eq!(ImageAlias::default_for(Some(&gpu)).drives(&gpu), driven, "{gpu}");
            assert!(!ImageAlias::default_for(None).drives(&gpu));
        }
    }
}
