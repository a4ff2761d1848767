//! `dayfly cost`: a month's costs and caps.

mod csv;
mod table;

use clap::{Args, ValueEnum};
use dayfly_ports::Store as _;
use dayfly_records::{Cost, Ledger};
use dayfly_report::sums::{self, By, CapLeft, Row, Sums};
use dayfly_types::money::MicroDollars;
use dayfly_types::month::Month;
use serde::Serialize;

use crate::clock::now;
use crate::error::Error;
use crate::output::{CommandStatus, Output};
use crate::stack::{Stack, StackTarget};
use crate::table::Table;
use crate::{policy, screen};

/// Sum up the cost of a month's instances, and show what is left of the month's caps.
///
/// An instance counts for the month (in UTC) in which it was launched, once its cost is settled, a few minutes
/// after its end. Amounts include the machine, its disk and its address, but not the control plane. `saved` is
/// compared with on-demand capacity, for jobs that ran to their end; `wasted` is the cost of work lost to
/// interruptions.
///
/// Required permissions: `cloudformation:DescribeStacks`, `ssm:GetParameter` on the stack policy, and on the
/// table `dynamodb:Query`.
///
/// Exit status: 0, or 2 if the costs could not be read.
#[derive(Clone, Debug, Args)]
pub struct Arguments {
    #[command(flatten)]
    target: StackTarget,
    /// How to group the costs
    #[arg(long, value_enum, default_value_t)]
    by: GroupBy,
    /// The month, such as 2026-11; the current one by default
    #[arg(long)]
    month: Option<Month>,
    /// Print JSON, with amounts in micro-dollars
    #[arg(long)]
    json: bool,
    /// Print comma-separated values, with amounts in dollars and without the caps
    #[arg(long, conflicts_with = "json")]
    csv: bool,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
enum GroupBy {
    /// The repository; `repo` for short
    #[default]
    #[value(alias = "repo")]
    Repository,
    /// The workflow
    Workflow,
    /// The instance type
    Type,
    /// The person who started the run
    Actor,
    /// The day in UTC
    Day,
}

impl From<GroupBy> for By {
    fn from(by: GroupBy) -> Self {
        match by {
            GroupBy::Repository => Self::Repository,
            GroupBy::Workflow => Self::Workflow,
            GroupBy::Type => Self::Type,
            GroupBy::Actor => Self::Actor,
            GroupBy::Day => Self::Day,
        }
    }
}

#[derive(Debug, Serialize)]
struct Report {
    month: Month,
    by: By,
    rows: Vec<Row>,
    total: Sums,
    /// GitHub's charge for the jobs at most, if it charges anything. The total does not include it.
    github_charge: Option<MicroDollars>,
    caps: Vec<CapLeft>,
}

impl Report {
    fn of(month: Month, by: By, costs: &[Cost], ledgers: &[Ledger], github_per_minute: MicroDollars) -> Self {
        let total = Sums::of(costs);
        let charge = github_per_minute.times(total.job_minutes);
        Self {
            month,
            by,
            rows: sums::rows(costs, by),
            total,
            github_charge: (charge > MicroDollars::default()).then_some(charge),
            caps: sums::caps_left(ledgers),
        }
    }
}

/// # Errors
/// There is no such stack, or its table cannot be read.
pub(crate) async fn run(arguments: &Arguments, output: &mut Output<'_>) -> Result<CommandStatus, Error> {
    let (aws, stack) = Stack::connect(&arguments.target, output).await?;
    let table = Table::new(&aws, stack.output("TableName")?);
    let month = arguments.month.unwrap_or_else(|| Month::of(now()));
    output.note(format_args!("reading the costs of {month} …"))?;
    let costs = table.records.costs(month).await.map_err(|error| table.error(error))?;
    let ledgers = table.records.ledgers(month).await.map_err(|error| table.error(error))?;
    let ledgers: Vec<Ledger> = ledgers.into_iter().map(|stored| stored.record).collect();
    let rate = policy::in_force(&aws, &stack, output).await?.github_per_minute;
    let report = Report::of(month, arguments.by.into(), &costs, &ledgers, rate);
    match (arguments.json, arguments.csv) {
        (true, _) => output.json(&report)?,
        (false, true) => output.result(csv::render(&report).trim_end())?,
        (false, false) => output.result(table::render(&report, screen::width()))?,
    }
    Ok(CommandStatus::Done)
}

#[cfg(test)]
mod tests;
