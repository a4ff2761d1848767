//! `dayfly plan`: what a job would be launched on, and why on nothing else.

mod report;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use clap::Args;
use dayfly_config::labels::{self, Label};
use dayfly_config::machines::Table;
use dayfly_config::{Config, ConfigError, Context};
use dayfly_engine::entries::{self, Entries, NoEntry};
use dayfly_engine::fallback_chain::{self, ChainTerms};
use dayfly_policy::{LaunchRequest, Policy, PolicyErrors};
use dayfly_records::PoolMemory;
use dayfly_types::ids::{Region, Repository};
use dayfly_types::time::Timestamp;

use crate::output::Output;
use crate::validate::{counting, text_of};
use crate::{Ending, Error};
use report::Report;

/// Show what would be launched for a job: what its labels stand for, in the order in which it is tried,
/// what of it the stack policy allows, and at what price.
///
/// The configuration is the one that counts in the current folder, or the built-in one if there is none.
/// Prices are those on demand of the table that this command came with; spot costs less, and EC2 is asked
/// when something is launched. Where a run comes from (forks), and who started it, only the stack knows.
///
/// Nothing is asked of AWS or GitHub.
///
/// Exit status: 0, or 1 if nothing would be launched, or 2 if a file or a label cannot be read.
#[derive(Clone, Debug, Args)]
pub struct Arguments {
    /// The job's `runs-on`: labels, with commas between them or each for itself
    #[arg(long, required = true, value_delimiter = ',')]
    labels: Vec<String>,
    /// The configuration, if it is not the one that counts here
    #[arg(long)]
    file: Option<PathBuf>,
    /// The stack policy, as `dayfly policy show` prints it; without it, that of a stack that was given none
    #[arg(long)]
    policy: Option<PathBuf>,
    /// The job's repository, for the policy
    #[arg(long, default_value = "octo-org/octo-repo")]
    repo: Repository,
    /// The stack's region
    #[arg(long, default_value = "us-east-1")]
    region: String,
    /// As for a job that was interrupted and gets on-demand capacity
    #[arg(long)]
    on_demand: bool,
    /// JSON in place of a table
    #[arg(long)]
    json: bool,
}

/// Why nothing is launched.
#[derive(Debug, thiserror::Error)]
enum Nothing {
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

/// Carries the command out.
///
/// # Errors
/// If a file cannot be read.
pub(crate) fn run(arguments: &Arguments, output: &mut Output<'_>) -> Result<Ending, Error> {
    let file = file(arguments.file.as_deref(), output)?;
    let policy = arguments.policy.as_deref().map(text_of).transpose()?;
    let table = Table::embedded()?;
    let report = match planned(arguments, &file, policy.as_deref(), table) {
        Ok(report) => report,
        Err(nothing) => Report::nothing(nothing.to_string(), table),
    };
    if arguments.json {
        output.json(&report)?;
    } else {
        report.tell(output)?;
    }
    Ok(if report.is_empty() {
        Ending::SomethingStayed
    } else {
        Ending::Done
    })
}

/// The configuration's name and text; no text where the built-in one holds.
fn file(named: Option<&Path>, output: &mut Output<'_>) -> Result<(String, Option<String>), Error> {
    let path = match named {
        Some(path) => Some(path.to_path_buf()),
        None => counting(output)?,
    };
    let Some(path) = path else {
        return Ok(("the built-in configuration".to_owned(), None));
    };
    Ok((path.display().to_string(), Some(text_of(&path)?)))
}

fn planned(
    arguments: &Arguments,
    (name, text): &(String, Option<String>),
    policy: Option<&str>,
    table: &Table,
) -> Result<Report, Nothing> {
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
    // Nothing is remembered of any pool, so the moment makes no difference.
    let fallback_chain = fallback_chain::fallback_chain(&entries.specs, &terms, Timestamp::from_seconds(0));
    let Entries { passed, .. } = entries;
    Ok(Report::of(fallback_chain, passed, &policy, &labels, table))
}

fn no_runner(file: &str, labels: &[Label]) -> Nothing {
    Nothing::NoRunner {
        file: file.to_owned(),
        labels: labels::listed(labels),
        consequence: if labels::must_be_ours(labels) {
            "the job is refused"
        } else {
            "the job is left to somebody else's runners"
        },
    }
}

#[cfg(test)]
mod tests;
