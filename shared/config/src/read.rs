//! Reads a file of any format.

use crate::config::{Config, Context, Reading};
use crate::paths::{CONFIG_PATH, Format};
use crate::spec::RunnerSpec;
use crate::yaml::{self, ConfigError, Findings};
use crate::{cirun, dayfly};

/// What a repository without a file gets for `runs-on: dayfly-gpu`: one NVIDIA GPU of 16 or 24 GB, from any
/// pool with capacity, with AWS's own driver and CUDA image.
const BUILT_IN: &str = "
runners:
  - name: gpu
    labels: [dayfly-gpu]
    instance_type: [g4dn.xlarge, g5.xlarge, g6.xlarge]
    machine_image: ssm:/aws/service/deeplearning/ami/x86_64/base-oss-nvidia-driver-gpu-ubuntu-22.04/latest/ami-id
    disk_size: 100GiB
";

/// The machine that takes a job in order to fail it: the cheapest that runs GitHub's runner. If it takes
/// another job by mistake, that job runs again, at no higher price than before.
const MESSENGER: &str = "
runners:
  - name: messenger
    labels: [dayfly-messenger]
    instance_type: t4g.nano
    machine_image: ssm:/aws/service/canonical/ubuntu/server/24.04/stable/current/arm64/hvm/ebs-gp3/ami-id
    spot: false
    idle_timeout: 3m
    max_lifetime: 15m
    rerun_on_demand: never
";

/// Reads a file, whose path tells its format, and reports everything wrong with it.
#[must_use]
pub fn read(path: &str, text: &str, context: Context<'_>) -> Reading {
    let mut findings = Findings::new(path);
    let config = match yaml::parse(text) {
        Ok(root) => match Format::of(path) {
            Format::Dayfly => dayfly::config(&root, context, &mut findings),
            Format::Cirun => cirun::config(&root, context, &mut findings),
            Format::Access => {
                cirun::access::check(&root, &mut findings);
                None
            }
        },
        Err(errors) => {
            findings.syntax_errors(errors);
            None
        }
    };
    Reading {
        config,
        findings: findings.finish(),
    }
}

impl Config {
    /// Returns the configuration of a repository without a file.
    ///
    /// # Errors
    /// Never: a test reads the text.
    pub fn built_in() -> Result<Self, ConfigError> {
        Self::parse(BUILT_IN)
    }

    /// Returns the runner of a messenger.
    ///
    /// # Errors
    /// Never: a test reads the text.
    pub fn messenger() -> Result<RunnerSpec, ConfigError> {
        let mut runners = Self::parse(MESSENGER)?.runners;
        runners.pop().ok_or_else(|| ConfigError::new(Vec::new(), MESSENGER))
    }

    /// Reads a `.dayfly.yml` for any region.
    ///
    /// # Errors
    /// All errors, each with its line.
    pub fn parse(text: &str) -> Result<Self, ConfigError> {
        Self::of_file(CONFIG_PATH, text, Context::default())
    }

    /// Reads a file, whose path tells its format.
    ///
    /// # Errors
    /// All errors, each with its line.
    pub fn of_file(path: &str, text: &str, context: Context<'_>) -> Result<Self, ConfigError> {
        let Reading { config, findings } = read(path, text, context);
        config.ok_or_else(|| ConfigError::new(findings, text))
    }
}
