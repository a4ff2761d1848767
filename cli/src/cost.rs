//! `dayfly cost`: what the instances of a month have cost, and what is left of its caps.

mod csv;
mod words;

use clap::{Args, ValueEnum};
use dayfly_ports::Store as _;
use dayfly_records::{Cost, Ledger};
use dayfly_report::sums::{self, By, CapLeft, Row, Sums};
use dayfly_types::money::MicroDollars;
use dayfly_types::month::Month;
use serde::Serialize;

use crate::error::Error;
use crate::output::Output;
use crate::stack::Stack;
use crate::table::Table;
use crate::words::now;
use crate::{Ending, Place, aws, policy, screen};

/// Sum up what a month's instances have cost, and show what is left of its caps.
///
/// An instance counts for the month in UTC in which it was launched, as soon as it is settled: a minute or a
/// few after its end. Amounts are of the machine, its disk and its address; what AWS bills for the control plane
/// is not among them. `saved` is against on-demand capacity, for the jobs that ran to their end; `wasted` was
/// paid for what interruptions have lost.
///
/// It needs the rights `cloudformation:DescribeStacks`, `ssm:GetParameter` on the stack policy, and on the
/// table `dynamodb:Query`.
///
/// Exit status: 0, or 2 if it could not be read.
#[derive(Clone, Debug, Args)]
pub struct Arguments {
    #[command(flatten)]
    place: Place,
    /// By what to sum up
    #[arg(long, value_enum, default_value_t)]
    by: Asked,
    /// The month, as in 2026-11; this one, if none is named
    #[arg(long)]
    month: Option<Month>,
    /// JSON in place of a table, with amounts in micro-dollars
    #[arg(long)]
    json: bool,
    /// Comma-separated values in place of a table, with amounts in dollars; without the caps
    #[arg(long, conflicts_with = "json")]
    csv: bool,
}

/// By what to sum up.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
enum Asked {
    /// The repository; `repo` for short
    #[default]
    #[value(alias = "repo")]
    Repository,
    /// The workflow
    Workflow,
    /// The instance type
    Type,
    /// Who had the run started
    Actor,
    /// The day in UTC
    Day,
}

impl From<Asked> for By {
    fn from(asked: Asked) -> Self {
        match asked {
            Asked::Repository => Self::Repository,
            Asked::Workflow => Self::Workflow,
            Asked::Type => Self::Type,
            Asked::Actor => Self::Actor,
            Asked::Day => Self::Day,
        }
    }
}

/// What is told.
#[derive(Debug, Serialize)]
struct Report {
    month: Month,
    by: By,
    rows: Vec<Row>,
    total: Sums,
    /// What GitHub charges for the jobs at most, if it charges anything: it is no part of the total.
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

/// Carries the command out.
///
/// # Errors
/// If there is no such stack, or its table cannot be read.
pub(crate) async fn run(arguments: &Arguments, output: &mut Output<'_>) -> Result<Ending, Error> {
    let aws = aws::config(arguments.place.region.as_deref()).await?;
    output.note(format_args!("looking for the stack `{}` …", arguments.place.stack))?;
    let stack = Stack::find(&aws, &arguments.place).await?;
    let table = Table::new(&aws, stack.output("TableName")?);
    let month = arguments.month.unwrap_or_else(|| Month::of(now()));
    output.note(format_args!("reading what was spent in {month} …"))?;
    let costs = table.records.costs(month).await.map_err(|error| table.error(error))?;
    let ledgers = table.records.ledgers(month).await.map_err(|error| table.error(error))?;
    let ledgers: Vec<Ledger> = ledgers.into_iter().map(|stored| stored.record).collect();
    let rate = policy::in_force(&aws, &stack, output).await?.github_per_minute;
    let report = Report::of(month, arguments.by.into(), &costs, &ledgers, rate);
    match (arguments.json, arguments.csv) {
        (true, _) => output.json(&report)?,
        (false, true) => output.result(csv::of(&report).trim_end())?,
        (false, false) => output.result(words::of(&report, screen::width()))?,
    }
    Ok(Ending::Done)
}

#[cfg(test)]
mod tests;
