//! `dayfly plan`: shows what a job would be launched on, and why.

mod report;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use clap::Args;
use dayfly_config::labels::{self, Label};
use dayfly_config::machines::Table;
use dayfly_config::{Config, ConfigError, Context};
use dayfly_engine::launch::entries::{self, Entries, NoEntry};
use dayfly_engine::launch::fallback_chain::{self, ChainTerms};
use dayfly_policy::{LaunchRequest, Policy, PolicyErrors};
use dayfly_records::PoolMemory;
use dayfly_types::ids::{Region, Repository};
use dayfly_types::time::Timestamp;

use crate::config_file;
use crate::error::Error;
use crate::output::{CommandStatus, Output};
use report::Report;

/// Show what would be launched for a job: the launch options for its labels in the order in which they are tried,
/// those that the stack policy denies, and the prices.
///
/// The configuration is the one that applies in the current folder, or the built-in one if there is none. Prices
/// are on-demand prices of the table in this command; spot costs less, and EC2 is asked at each launch. Rules about
/// forks and about the person who started a run are not evaluated.
///
/// AWS and GitHub are not contacted.
///
/// Exit status: 0, or 1 if nothing would be launched, or 2 if a file or a label cannot be read.
#[derive(Clone, Debug, Args)]
pub struct Arguments {
    /// The job's `runs-on`: labels, separated by commas or given one by one
    #[arg(long, required = true, value_delimiter = ',')]
    labels: Vec<String>,
    /// The configuration, if it is not the one in the current folder
    #[arg(long)]
    file: Option<PathBuf>,
    /// The stack policy, as `dayfly policy show` prints it; the default policy if not given
    #[arg(long)]
    policy: Option<PathBuf>,
    /// The job's repository, for the policy
    #[arg(long, default_value = "octo-org/octo-repo")]
    repo: Repository,
    /// The stack's region
    #[arg(long, default_value = "us-east-1")]
    region: String,
    /// Plan for a job that was interrupted and gets on-demand capacity
    #[arg(long)]
    on_demand: bool,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// Why nothing is launched.
#[derive(Debug, thiserror::Error)]
enum NoLaunch {
    #[error(transparent)]
    Config(#[from] ConfigError),
    #[error(transparent)]
    Policy(#[from] PolicyErrors),
    #[error(transparent)]
    Entry(#[from] NoEntry),
    #[error("no runner of {file} has all of the labels {labels}: {consequence}")]
    NoRunner {
        file: String,
        labels: String,
        consequence: &'static str,
    },
}

/// # Errors
/// A file cannot be read.
pub(crate) fn run(arguments: &Arguments, output: &mut Output<'_>) -> Result<CommandStatus, Error> {
    let file = file(arguments.file.as_deref(), output)?;
    let policy = arguments.policy.as_deref().map(config_file::read).transpose()?;
    let table = Table::embedded()?;
    let report = match plan(arguments, &file, policy.as_deref(), table) {
        Ok(report) => report,
        Err(reason) => Report::nothing(reason.to_string(), table),
    };
    if arguments.json {
        output.json(&report)?;
    } else {
        report.print(output)?;
    }
    Ok(CommandStatus::done_if(!report.is_empty()))
}

/// Returns the configuration's name and text. The built-in one has no text.
fn file(named: Option<&Path>, output: &mut Output<'_>) -> Result<(String, Option<String>), Error> {
    let path = match named {
        Some(path) => Some(path.to_path_buf()),
        None => config_file::find(output)?,
    };
    let Some(path) = path else {
        return Ok(("the built-in configuration".to_owned(), None));
    };
    Ok((path.display().to_string(), Some(config_file::read(&path)?)))
}

fn plan(
    arguments: &Arguments,
    (name, text): &(String, Option<String>),
    policy: Option<&str>,
    table: &Table,
) -> Result<Report, NoLaunch> {
    let region = Region::new(arguments.region.clone());
    let policy = policy.map(Policy::parse).transpose()?.unwrap_or_default();
    let labels: Vec<Label> = arguments.labels.iter().map(|label| Label::new(label.trim())).collect();
    let context = Context { region: Some(&region) };
    let config = || match text {
        Some(text) => Config::of_file(name, text, context),
        None => Config::built_in(),
    };
    let entries = match entries::inline(&labels)? {
        Some((label, asked)) => entries::of_label(label, &asked, config().ok().as_ref(), &region)?,
        None => entries::of_config(&config()?, &labels, &BTreeMap::new())?,
    };
    if entries.specs.is_empty() {
        return Err(no_runner(name, &labels));
    }
    let terms = ChainTerms {
        policy: &policy,
        request: LaunchRequest {
            repository: &arguments.repo,
            region: region.as_str(),
        },
        on_demand: arguments.on_demand,
        memory: &PoolMemory::default(),
        machines: table,
    };
    // Without a memory of pools the time makes no difference.
    let fallback_chain = fallback_chain::fallback_chain(&entries.specs, &terms, Timestamp::from_seconds(0));
    let Entries { passed, .. } = entries;
    Ok(Report::of(fallback_chain, passed, &policy, &labels, table))
}

fn no_runner(file: &str, labels: &[Label]) -> NoLaunch {
    NoLaunch::NoRunner {
        file: file.to_owned(),
        labels: labels::listed(labels),
        consequence: if labels::must_be_ours(labels) {
            "the job is denied"
        } else {
            "the job is left to other runners"
        },
    }
}

#[cfg(test)]
mod tests;
