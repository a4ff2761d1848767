//! A repository's configuration: what a file means, whatever its format.

use std::collections::BTreeMap;

use dayfly_types::ids::{Region, Repository};
use dayfly_types::money::MicroDollars;
use serde::{Deserialize, Serialize};

use crate::actors::Actors;
use crate::labels::{self, Label};
use crate::spec::RunnerSpec;
use crate::yaml::{Finding, Findings, Severity, Span};

/// A repository's configuration.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Config {
    /// The runners, in the order in which they are tried.
    pub runners: Vec<RunnerSpec>,
    pub giving_up: GivingUp,
    pub reporting: Reporting,
    /// The repository whose file this one extends.
    pub extends: Option<Repository>,
    /// Entries that cannot be launched: the next one with their labels is tried.
    pub skipped: Vec<SkippedEntry>,
    /// Whose jobs are taken; `None` for everybody's.
    pub actors: Option<Actors>,
    /// The entries of a `.cirun.yml` that runners come from, by the runners' names.
    pub(crate) resources: BTreeMap<String, String>,
    pub(crate) given: GivenKeys,
}

/// An entry that cannot be launched.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SkippedEntry {
    /// The entry's name in the file.
    pub name: String,
    pub labels: Vec<Label>,
    /// The reason, in a sentence that names the entry.
    pub reason: String,
}

/// The keys about giving up and reporting that a file sets.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct GivenKeys {
    pub(crate) messenger: Option<bool>,
    pub(crate) cancel_run: Option<bool>,
    pub(crate) report: Option<bool>,
    pub(crate) comment: Option<bool>,
    pub(crate) comment_above: Option<MicroDollars>,
}

impl GivenKeys {
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

/// What happens to a job that is given up, besides the check run on its commit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct GivingUp {
    /// Whether a messenger takes the job in order to fail it with the reason in its log.
    pub messenger: bool,
    /// Whether the run is cancelled if no messenger can be launched either.
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

/// Where a job's story and cost are reported, besides the command line and the board.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reporting {
    /// Whether the commit gets a check run.
    pub check: bool,
    /// The cost above which the runs of a pull request get a comment; `None` for no comment.
    pub comment: Option<MicroDollars>,
    /// Whether the comment shows what is left of the organisation's and the stack's caps: the stack policy
    /// decides.
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
    #[must_use]
    pub fn is_any(self) -> bool {
        self.check || self.comment.is_some()
    }
}

/// What a file is read for.
#[derive(Clone, Copy, Debug, Default)]
pub struct Context<'a> {
    /// The stack's region: runners for other regions are skipped. With `None`, no runner is.
    pub region: Option<&'a Region>,
}

/// The result of reading a file.
#[derive(Clone, Debug)]
pub struct Reading {
    /// `None` if the file cannot be used.
    pub config: Option<Config>,
    /// All findings, in the order of the file.
    pub findings: Vec<Finding>,
}

impl Reading {
    /// Returns the number of findings of a severity.
    #[must_use]
    pub fn count(&self, severity: Severity) -> usize {
        let alike = self.findings.iter().filter(|finding| finding.severity == severity);
        alike.count()
    }
}

impl Config {
    /// Returns the runners for a job with these labels, in the order of the file, in which they are tried.
    #[must_use]
    pub fn resolve(&self, labels: &[Label]) -> Vec<&RunnerSpec> {
        let runners = self.runners.iter();
        runners
            .filter(|runner| labels::matches(labels, &runner.labels))
            .collect()
    }

    /// Returns the skipped entries for a job with these labels.
    #[must_use]
    pub fn skipped_for(&self, labels: &[Label]) -> Vec<&SkippedEntry> {
        let skipped = self.skipped.iter();
        skipped.filter(|entry| labels::matches(labels, &entry.labels)).collect()
    }

    /// Adds the file that this one extends: this file's runners come first and replace those of the same
    /// name, and its keys take precedence.
    #[must_use]
    pub fn extended_by(mut self, base: Self) -> Self {
        let own: Vec<String> = self.names().map(str::to_owned).collect();
        let is_new = |name: &str| !own.iter().any(|one| one == name);
        self.runners
            .extend(base.runners.into_iter().filter(|runner| is_new(&runner.name)));
        self.skipped
            .extend(base.skipped.into_iter().filter(|entry| is_new(&entry.name)));
        self.actors = self.actors.or(base.actors);
        self.given = self.given.or(base.given);
        self.apply_defaults();
        self
    }

    /// Sets `giving_up` and `reporting` from the given keys and the defaults.
    pub(crate) fn apply_defaults(&mut self) {
        self.giving_up = self.given.giving_up();
        self.reporting = self.given.reporting();
    }

    pub(crate) fn names(&self) -> impl Iterator<Item = &str> {
        let runners = self.runners.iter().map(|runner| runner.name.as_str());
        runners.chain(self.skipped.iter().map(|entry| entry.name.as_str()))
    }

    /// Returns the name of the `.cirun.yml` entry that a runner comes from. Several can come from one.
    #[must_use]
    pub fn resource(&self, runner: &str) -> Option<&str> {
        self.resources.get(runner).map(String::as_str)
    }

    /// Adds a runner, or skips it if it is meant for another region.
    pub(crate) fn add_runner(
        &mut self,
        spec: RunnerSpec,
        span: Span,
        context: Context<'_>,
        findings: &mut Findings<'_>,
    ) {
        let Some(reason) = context.region.and_then(|region| spec.region_mismatch(region)) else {
            self.runners.push(spec);
            return;
        };
        let hint = "the next runner with its labels is tried".to_owned();
        findings.warning(span, reason.clone(), Some(hint));
        self.skipped.push(SkippedEntry {
            name: spec.name,
            labels: spec.labels,
            reason,
        });
    }
}
