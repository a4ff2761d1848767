//! What a repository asks for. The files that say which runner a label stands for: `.dayfly.yml`, and `.cirun.yml` as it is.
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::format_push_string))]

mod actors;
mod choose;
pub mod cirun;
mod files;
mod finding;
pub mod images;
mod keys;
pub mod labels;
pub mod machines;
mod node;
pub mod quota;
mod read;
mod render;
#[cfg(any(test, feature = "schema"))]
pub mod schema;
mod spec;
pub mod spelling;
pub(crate) mod units;
mod volume;
mod words;
mod write;
mod yaml;

use std::collections::BTreeMap;

use dayfly_types::ids::{Region, Repository};
use dayfly_types::money::MicroDollars;
use serde::{Deserialize, Serialize};

use crate::labels::Label;

pub use actors::Actors;
pub use choose::{Choice, Format, PATHS, choose};
pub use files::{ExtendsError, Files, Place};
pub use finding::{ConfigError, Finding, Severity};
pub use render::{Look, all as rendered};
pub use spec::{
    AllocationStrategy, Breaker, Fallback, ImageName, MAX_RERUNS, MachineImage, NoImage, Rebalance, RerunOnDemand,
    RerunPolicy, RerunWhat, RunnerSpec, Volume, VolumeType,
};

use finding::Findings;

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

/// The machine that takes a job in order to fail it: the cheapest there is that runs GitHub's runner. One
/// that takes another by mistake has that run again, at no higher price than before.
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

/// A repository's configuration.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Config {
    /// Its runners, in the order in which they are tried.
    pub runners: Vec<RunnerSpec>,
    /// How a job is told that it is given up.
    pub giving_up: GivingUp,
    /// Where it is told what jobs went through and have cost.
    pub reporting: Reporting,
    /// The repository whose file this one extends.
    pub extends: Option<Repository>,
    /// Entries that cannot be launched, so that the next with their labels is tried.
    pub passed: Vec<Passed>,
    /// Whose jobs are taken; everybody's, if not given.
    pub actors: Option<Actors>,
    /// The entries of a `.cirun.yml` that runners come from, by the runners' names.
    resources: BTreeMap<String, String>,
    said: Said,
}

/// An entry that cannot be launched.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Passed {
    /// Its name in the file.
    pub name: String,
    /// Its labels.
    pub labels: Vec<Label>,
    /// Why not, in words that name it.
    pub why: String,
}

/// What a file says of how its people are told, as far as it says anything.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Said {
    messenger: Option<bool>,
    cancel_run: Option<bool>,
    report: Option<bool>,
    comment: Option<bool>,
    comment_above: Option<MicroDollars>,
}

impl Said {
    fn or(self, other: Self) -> Self {
        Self {
            messenger: self.messenger.or(other.messenger),
            cancel_run: self.cancel_run.or(other.cancel_run),
            report: self.report.or(other.report),
            comment: self.comment.or(other.comment),
            comment_above: self.comment_above.or(other.comment_above),
        }
    }

    fn giving_up(self) -> GivingUp {
        let default = GivingUp::default();
        GivingUp {
            messenger: self.messenger.unwrap_or(default.messenger),
            cancel_run: self.cancel_run.unwrap_or(default.cancel_run),
        }
    }

    fn reporting(self) -> Reporting {
        let default = Reporting::default();
        Reporting {
            check: self.report.unwrap_or(default.check),
            comment: self
                .comment
                .unwrap_or(default.comment.is_some())
                .then(|| self.comment_above.or(default.comment).unwrap_or_default()),
            all_caps: default.all_caps,
        }
    }
}

/// How a job is told that it is given up, besides the check run on its commit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct GivingUp {
    /// Whether a messenger takes the job in order to fail it with the reason in its log.
    pub messenger: bool,
    /// Whether its run is cancelled if not even a messenger can be launched.
    pub cancel_run: bool,
}

impl Default for GivingUp {
    fn default() -> Self {
        Self {
            messenger: true,
            cancel_run: false,
        }
    }
}

/// Where it is told what jobs went through and have cost, besides the command and the board.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reporting {
    /// Whether the commit gets a check run with it.
    pub check: bool,
    /// What the runs of a pull request must have cost more than for it to get its comment; none, if it
    /// gets no comment.
    pub comment: Option<MicroDollars>,
    /// Whether that tells what is left of the organisation's and the stack's caps too, as the stack policy says.
    #[serde(default)]
    pub all_caps: bool,
}

impl Default for Reporting {
    fn default() -> Self {
        Self {
            check: true,
            comment: Some(MicroDollars::default()),
            all_caps: false,
        }
    }
}

impl Reporting {
    /// Whether it is told anywhere.
    #[must_use]
    pub fn is_any(self) -> bool {
        self.check || self.comment.is_some()
    }
}

/// What a file is read for.
#[derive(Clone, Copy, Debug, Default)]
pub struct Context<'a> {
    /// The stack's region: runners for another are passed over. If it is not known, none is.
    pub region: Option<&'a Region>,
}

/// What came of reading a file.
#[derive(Clone, Debug)]
pub struct Reading {
    /// What it means; nothing if it cannot be used.
    pub config: Option<Config>,
    /// All that was found, in the order of the file.
    pub findings: Vec<Finding>,
}

impl Reading {
    /// How many findings are as bad as that.
    #[must_use]
    pub fn count(&self, severity: Severity) -> usize {
        let alike = self.findings.iter().filter(|finding| finding.severity == severity);
        alike.count()
    }
}

impl Config {
    /// What holds in a repository that has no file.
    ///
    /// # Errors
    /// Never, which a test shows: the text is our own.
    pub fn built_in() -> Result<Self, ConfigError> {
        Self::parse(BUILT_IN)
    }

    /// What a messenger runs on.
    ///
    /// # Errors
    /// Never, which a test shows: the text is our own.
    pub fn messenger() -> Result<RunnerSpec, ConfigError> {
        let mut runners = Self::parse(MESSENGER)?.runners;
        runners.pop().ok_or_else(|| ConfigError::new(Vec::new(), MESSENGER))
    }

    /// Reads a `.dayfly.yml`, wherever the stack is.
    ///
    /// # Errors
    /// If it cannot be used; the text has all errors, each with its line.
    pub fn parse(text: &str) -> Result<Self, ConfigError> {
        Self::of_file(CONFIG_PATH, text, Context::default())
    }

    /// Reads a file of any format, which its path tells.
    ///
    /// # Errors
    /// If it cannot be used; the text has all errors, each with its line.
    pub fn of_file(path: &str, text: &str, context: Context<'_>) -> Result<Self, ConfigError> {
        let Reading { config, findings } = read(path, text, context);
        config.ok_or_else(|| ConfigError::new(findings, text))
    }

    /// The runners that a job with these labels asks for, in the order in which they are tried: that
    /// of the file.
    #[must_use]
    pub fn resolve(&self, labels: &[Label]) -> Vec<&RunnerSpec> {
        let matching = self
            .runners
            .iter()
            .filter(|runner| labels::matches(labels, &runner.labels));
        matching.collect()
    }

    /// The entries that a job with these labels asks for, but that cannot be launched.
    #[must_use]
    pub fn passed_over(&self, labels: &[Label]) -> Vec<&Passed> {
        let matching = self
            .passed
            .iter()
            .filter(|entry| labels::matches(labels, &entry.labels));
        matching.collect()
    }

    /// This file with what it takes over of the one that it extends: its own runners come first and
    /// replace those of the same name, and what it says holds.
    #[must_use]
    pub fn extended_by(mut self, base: Self) -> Self {
        let own: Vec<String> = self.names().map(str::to_owned).collect();
        let is_new = |name: &str| !own.iter().any(|one| one == name);
        self.runners
            .extend(base.runners.into_iter().filter(|runner| is_new(&runner.name)));
        self.passed
            .extend(base.passed.into_iter().filter(|entry| is_new(&entry.name)));
        self.actors = self.actors.or(base.actors);
        self.said = self.said.or(base.said);
        self.settle();
        self
    }

    /// What is said, and what holds where nothing is.
    fn settle(&mut self) {
        self.giving_up = self.said.giving_up();
        self.reporting = self.said.reporting();
    }

    fn names(&self) -> impl Iterator<Item = &str> {
        let runners = self.runners.iter().map(|runner| runner.name.as_str());
        runners.chain(self.passed.iter().map(|entry| entry.name.as_str()))
    }
}

/// Reads a file of any format, which its path tells, and finds all that is wrong with it.
#[must_use]
pub fn read(path: &str, text: &str, context: Context<'_>) -> Reading {
    let mut findings = Findings::new(path);
    let config = match yaml::tree(text) {
        Ok(root) => match Format::of(path) {
            Format::Dayfly => read::config(&root, context, &mut findings),
            Format::Cirun => cirun::config(&root, context, &mut findings),
            Format::Access => {
                cirun::access::look_at(&root, &mut findings);
                None
            }
        },
        Err(errors) => {
            findings.unreadable(errors);
            None
        }
    };
    Reading {
        config,
        findings: findings.finish(),
    }
}

#[cfg(test)]
mod tests;
