//! `dayfly job`: the story of a job.

pub(crate) mod which;
mod words;

use std::io::IsTerminal as _;

use clap::Args;
use dayfly_flows::load_story;
use dayfly_records::Job;

use crate::error::Error;
use crate::output::Output;
use crate::stack::Stack;
use crate::stop::Stop;
use crate::table::Table;
use crate::watch::{self, Next};
use crate::words::now;
use crate::{Ending, Place, aws, screen};
pub(crate) use which::Which;

/// Tell the story of a job: when it reached which stage, on which instances, and what it cost.
///
/// It is kept for 90 days after the job's end. What is not known is left out. Times are in UTC, those of the
/// agent by the instance's clock; amounts are of the instance with its disk and address.
///
/// It needs the rights `cloudformation:DescribeStacks`, and on the table `dynamodb:Query` and
/// `dynamodb:GetItem`.
///
/// Exit status: 0, or 2 if it could not be read.
#[derive(Clone, Debug, Args)]
pub struct Arguments {
    #[command(flatten)]
    place: Place,
    /// The job: its URL on GitHub, or its id, with `/` and the attempt of its run behind it if it is not the
    /// last
    #[arg(value_name = "JOB")]
    job: Which,
    /// Look again every five seconds, until all is told or Ctrl-C
    #[arg(long)]
    watch: bool,
    /// JSON in place of text, a line for each look if it is watched
    #[arg(long)]
    json: bool,
}

/// Carries the command out.
///
/// # Errors
/// If there is no such stack or job, or the table cannot be read.
pub(crate) async fn run(arguments: &Arguments, output: &mut Output<'_>) -> Result<Ending, Error> {
    let aws = aws::config(arguments.place.region.as_deref()).await?;
    output.note(format_args!("looking for the stack `{}` …", arguments.place.stack))?;
    let stack = Stack::find(&aws, &arguments.place).await?;
    let table = Table::new(&aws, stack.output("TableName")?);
    let is_screen = arguments.watch && !arguments.json && std::io::stdout().is_terminal();
    let web = stack.web();
    let links = words::Links {
        web: &web,
        region: &stack.region,
    };
    let look = async || {
        let job = found(&table, arguments.job, &stack).await?;
        let story = load_story(&table.records, &job, now()).await;
        let story = story.map_err(|error| table.error(error))?;
        let told = match (arguments.json, arguments.watch) {
            (true, false) => serde_json::to_string_pretty(&story).map_err(std::io::Error::from)?,
            (true, true) => serde_json::to_string(&story).map_err(std::io::Error::from)?,
            (false, _) => words::of(&story, links, screen::width(), now()),
        };
        let clear = if is_screen { screen::CLEAR } else { "" };
        let is_told = !arguments.watch || story.money.is_final;
        Ok((format!("{clear}{told}"), if is_told { Next::End } else { Next::Look }))
    };
    watch::until_told(look, &mut Stop::on_ctrl_c(), output).await
}

/// The job that is meant.
///
/// # Errors
/// If there is none, or the table cannot be read.
pub(crate) async fn found(table: &Table, which: Which, stack: &Stack) -> Result<Job, Error> {
    let jobs = table.records.jobs(which.job).await;
    let jobs = jobs.map_err(|error| table.error(error))?;
    which.of(jobs).ok_or_else(|| Error::NoSuchJob {
        job: which.to_string(),
        stack: stack.name.clone(),
    })
}
