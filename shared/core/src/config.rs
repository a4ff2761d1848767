//! `.dayfly.yml`: which runner a label stands for.

mod units;

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::ids::{ImageId, InstanceType};
use crate::labels::{self, Label};

/// Where a repository's configuration lies, on its default branch.
pub const CONFIG_PATH: &str = ".dayfly.yml";

/// What a repository without a file of its own gets for `runs-on: dayfly-gpu`: one NVIDIA GPU of
/// 16 or 24 GB, whichever pool has the capacity, with AWS's own driver and CUDA image.
const BUILT_IN: &str = "
runners:
  - name: gpu
    labels: [dayfly-gpu]
    instance_type: [g4dn.xlarge, g5.xlarge, g6.xlarge]
    machine_image: ssm:/aws/service/deeplearning/ami/x86_64/base-oss-nvidia-driver-gpu-ubuntu-22.04/latest/ami-id
    disk_size: 100GiB
";

/// The largest file that is read.
const MAX_BYTES: usize = 64 * 1024;

/// Where the image of a runner comes from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MachineImage {
    /// An AMI by its id.
    Ami(ImageId),
    /// An SSM parameter that holds an AMI id.
    Parameter(String),
}

/// A runner as the configuration describes it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunnerSpec {
    /// Its name in the file.
    pub name: String,
    /// The labels that stand for it.
    pub labels: Vec<Label>,
    /// The instance types that will do.
    pub instance_types: Vec<InstanceType>,
    /// The image to start.
    pub image: MachineImage,
    /// Spot capacity, or else on-demand.
    pub spot: bool,
    /// The root volume's size in GiB; the image's own if not given.
    pub disk_gib: Option<u32>,
    /// How long it waits for a job; the stack's deadline if not given.
    pub idle_timeout: Option<Duration>,
    /// How long it may live in all; the stack's deadline if not given, and never longer than that.
    pub max_lifetime: Option<Duration>,
}

/// A repository's configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// Its runners, in the order of the file.
    pub runners: Vec<RunnerSpec>,
}

/// A configuration that cannot be used, in words for the author of the file.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{CONFIG_PATH}`: {0}")]
pub struct ConfigError(String);

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawConfig {
    runners: Vec<RawRunner>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawRunner {
    name: String,
    labels: Vec<String>,
    instance_type: OneOrMore,
    machine_image: String,
    #[serde(default = "yes")]
    spot: bool,
    #[serde(default)]
    disk_size: Option<units::Size>,
    #[serde(default)]
    idle_timeout: Option<units::Span>,
    #[serde(default)]
    max_lifetime: Option<units::Span>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum OneOrMore {
    One(String),
    More(Vec<String>),
}

fn yes() -> bool {
    true
}

impl Config {
    /// What holds in a repository that has no file.
    ///
    /// # Errors
    /// Never, which a test shows: the text is our own.
    pub fn built_in() -> Result<Self, ConfigError> {
        Self::parse(BUILT_IN)
    }

    /// Reads a file.
    ///
    /// # Errors
    /// If it is too large, no YAML, or not what the keys allow; the text names line and column.
    pub fn parse(text: &str) -> Result<Self, ConfigError> {
        if text.len() > MAX_BYTES {
            return Err(ConfigError(format!(
                "the file has {} bytes; at most {MAX_BYTES} are read. Take out what no runner needs.",
                text.len()
            )));
        }
        let raw: RawConfig = serde_saphyr::from_str(text).map_err(|error| ConfigError(error.to_string()))?;
        let runners = raw
            .runners
            .into_iter()
            .map(RawRunner::checked)
            .collect::<Result<Vec<_>, _>>()?;
        Ok(Self { runners })
    }

    /// The first runner, in the order of the file, that a job with these labels asks for.
    #[must_use]
    pub fn resolve(&self, labels: &[Label]) -> Option<&RunnerSpec> {
        self.runners
            .iter()
            .find(|runner| labels::matches(labels, &runner.labels))
    }
}

impl RawRunner {
    fn checked(self) -> Result<RunnerSpec, ConfigError> {
        let bad = |key: &str, what: &str| Err(ConfigError(format!("runner `{}`: `{key}` {what}", self.name)));
        let types = match self.instance_type {
            OneOrMore::One(one) => vec![one],
            OneOrMore::More(more) => more,
        };
        if self.labels.is_empty() {
            return bad(
                "labels",
                "is empty: name at least one label that a job's `runs-on` can ask for",
            );
        }
        if types.is_empty() {
            return bad(
                "instance_type",
                "is empty: name at least one EC2 instance type, `g5.xlarge` say",
            );
        }
        if let Some(odd) = types.iter().find(|one| !is_instance_type(one)) {
            return bad(
                "instance_type",
                &format!("has `{odd}`, which is no EC2 instance type: expected one like `g5.xlarge`"),
            );
        }
        let Some(image) = machine_image(&self.machine_image) else {
            return bad(
                "machine_image",
                &format!(
                    "is `{}`: expected an AMI id, `ami-…`, or an SSM parameter, `ssm:/path`",
                    self.machine_image
                ),
            );
        };
        Ok(RunnerSpec {
            labels: self.labels.into_iter().map(Label::new).collect(),
            instance_types: types.into_iter().map(InstanceType::new).collect(),
            image,
            spot: self.spot,
            disk_gib: self.disk_size.map(|size| size.0),
            idle_timeout: self.idle_timeout.map(|span| span.0),
            max_lifetime: self.max_lifetime.map(|span| span.0),
            name: self.name,
        })
    }
}

fn is_instance_type(text: &str) -> bool {
    let plain = |part: &str| {
        !part.is_empty()
            && part
                .bytes()
                .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
    };
    text.split_once('.')
        .is_some_and(|(family, size)| plain(family) && plain(size))
}

fn machine_image(text: &str) -> Option<MachineImage> {
    if let Some(path) = text.strip_prefix("ssm:") {
        let plain = path.starts_with('/') && path.bytes().all(|b| b.is_ascii_alphanumeric() || b"/-_.".contains(&b));
        return plain.then(|| MachineImage::Parameter(path.to_owned()));
    }
    let digits = text.strip_prefix("ami-")?;
    (matches!(digits.len(), 8 | 17) && digits.bytes().all(|b| b.is_ascii_hexdigit()))
        .then(|| MachineImage::Ami(ImageId::new(text)))
}

#[cfg(test)]
mod tests;
