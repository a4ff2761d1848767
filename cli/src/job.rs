//! `dayfly job`: a job's timeline, runners and cost.

mod text;

use std::io::IsTerminal as _;

use clap::Args;
use dayfly_flows::load_story;

use crate::clock::now;
use crate::error::Error;
use crate::job_selector::JobSelector;
use crate::output::{CommandStatus, Output};
use crate::screen;
use crate::stack::{Stack, StackTarget};
use crate::stop::StopRequest;
use crate::table::Table;
use crate::watch::{self, Next};

/// Show a job's timeline, its instances, and what it cost.
///
/// Records are kept for 90 days after the job's end. Unknown values are left out. Times are in UTC; the agent's
/// are those of the instance's clock. Amounts include the instance's disk and address.
///
/// Required permissions: `cloudformation:DescribeStacks`, and on the table `dynamodb:Query` and
/// `dynamodb:GetItem`.
///
/// Exit status: 0, or 2 if the job could not be read.
#[derive(Clone, Debug, Args)]
pub struct Arguments {
    #[command(flatten)]
    target: StackTarget,
    /// The job: its URL on GitHub or its id, followed by `/` and the run attempt if that is not the last one
    #[arg(value_name = "JOB")]
    job: JobSelector,
    /// Refresh every five seconds, until the job is settled or Ctrl-C
    #[arg(long)]
    watch: bool,
    /// Print JSON, with `--watch` a line for each refresh
    #[arg(long)]
    json: bool,
}

/// # Errors
/// There is no such stack or job, or the table cannot be read.
pub(crate) async fn run(arguments: &Arguments, output: &mut Output<'_>) -> Result<CommandStatus, Error> {
    let (aws, stack) = Stack::connect(&arguments.target, output).await?;
    let table = Table::new(&aws, stack.output("TableName")?);
    let is_screen = arguments.watch && !arguments.json && std::io::stdout().is_terminal();
    let web_url = stack.web_url();
    let links = text::LinkTargets {
        web_url: &web_url,
        region: &stack.region,
    };
    let report = async || {
        let job = table.job(arguments.job, &stack.name).await?;
        let story = load_story(&table.records, &job, now()).await;
        let story = story.map_err(|error| table.error(error))?;
        let text = match (arguments.json, arguments.watch) {
            (true, false) => serde_json::to_string_pretty(&story).map_err(std::io::Error::from)?,
            (true, true) => serde_json::to_string(&story).map_err(std::io::Error::from)?,
            (false, _) => text::render(&story, links, screen::width(), now()),
        };
        let clear = if is_screen { screen::CLEAR } else { "" };
        let is_complete = !arguments.watch || story.money.is_final;
        Ok((
            format!("{clear}{text}"),
            if is_complete { Next::Stop } else { Next::Repeat },
        ))
    };
    watch::repeat(report, &mut StopRequest::on_ctrl_c(), output).await
}
