//! `dayfly logs`: what the functions logged about a job, a runner or an instance.

mod cloudwatch;
mod line;
mod search;

use clap::Args;
use dayfly_ports::Store as _;
use dayfly_records::{Job, Runner};
use dayfly_report::story::runners_of;
use dayfly_types::time::Timestamp;

use crate::aws;
use crate::clock::now;
use crate::error::Error;
use crate::output::{CommandStatus, Output};
use crate::stack::{Stack, StackTarget};
use crate::table::Table;
use cloudwatch::Logs;
use search::{LogSearch, LogSubject};

/// Show what dayfly's functions logged about a job, a runner or an instance, in chronological order.
///
/// The table has the time range; for an unknown id the last 24 hours are searched. Logs are kept for the number of
/// days in the stack's parameter `LogRetentionDays`, 14 by default, which is shorter than `dayfly job` keeps a job.
/// Times are in UTC. For an instance, the command that shows the end of its console is printed; EC2 keeps that for
/// about an hour after the instance has ended.
///
/// Required permissions: `cloudformation:DescribeStacks`, `logs:FilterLogEvents` on the functions' log groups,
/// and on the table `dynamodb:Query` and `dynamodb:GetItem`.
///
/// Exit status: 0, or 2 if the logs could not be read.
#[derive(Clone, Debug, Args)]
pub struct Arguments {
    #[command(flatten)]
    target: StackTarget,
    /// The job, by its URL or its id as in `dayfly job`, the runner by its name, or the instance by its id
    #[arg(value_name = "ID")]
    id: LogSubject,
    /// Print the lines as logged, each as JSON with its function
    #[arg(long)]
    json: bool,
}

/// # Errors
/// There is no such stack or job, or the table or the logs cannot be read.
pub(crate) async fn run(arguments: &Arguments, output: &mut Output<'_>) -> Result<CommandStatus, Error> {
    let (aws, stack) = Stack::connect(&arguments.target, output).await?;
    let table = Table::new(&aws, stack.output("TableName")?);
    let search = search(&arguments.id, &table, &stack).await?;
    let lines = Logs::new(&aws, &stack.name).find(&search, output).await?;
    for line in &lines {
        output.result(line.render(arguments.json))?;
    }
    if lines.is_empty() {
        output.note(format_args!("no function logged anything about {}", arguments.id))?;
    }
    if let Some(remark) = retention_remark(search.from, stack.log_retention_days(), now()) {
        output.note(remark)?;
    }
    for instance in search.instances() {
        output.note(format_args!(
            "its console: {}",
            aws::console_command(instance, &stack.region)
        ))?;
    }
    Ok(CommandStatus::Done)
}

/// Returns a remark if the logs, which are kept for `days`, do not reach back to `from`.
fn retention_remark(from: Timestamp, days: Option<u64>, now: Timestamp) -> Option<String> {
    const DAY: u64 = 24 * 60 * 60;
    let days = days?;
    let ago = now.since(from).as_secs();
    (ago > days * DAY).then(|| {
        format!(
            "this began {} days ago, and the stack keeps its logs for {days}: older lines are gone (see its parameter \
             LogRetentionDays)",
            ago / DAY
        )
    })
}

/// Returns the search for `id`, from its records.
async fn search(id: &LogSubject, table: &Table, stack: &Stack) -> Result<LogSearch, Error> {
    let now = now();
    let search = match id {
        LogSubject::Job(selector) => {
            let job = table.job(*selector, &stack.name).await?;
            let runners = runners(table, &job).await?;
            LogSearch::job(&job, &runners, now)
        }
        LogSubject::Runner(name) => {
            let stored = table.records.runner(name).await.map_err(|error| table.error(error))?;
            stored.map_or_else(
                || LogSearch::unknown(name.as_str(), now),
                |stored| LogSearch::runner(&stored.record, now),
            )
        }
        LogSubject::Instance(instance) => {
            let stored = table.records.runner_on(instance).await;
            let stored = stored.map_err(|error| table.error(error))?;
            let known = stored.map(|stored| LogSearch::runner(&stored.record, now));
            known.unwrap_or_else(|| LogSearch::unknown_instance(instance, now))
        }
    };
    Ok(search)
}

async fn runners(table: &Table, job: &Job) -> Result<Vec<Runner>, Error> {
    let mut runners = Vec::new();
    for name in runners_of(job) {
        let stored = table.records.runner(&name).await.map_err(|error| table.error(error))?;
        runners.extend(stored.map(|stored| stored.record));
    }
    Ok(runners)
}

/// Formats the time of a line.
fn line_time(at: Timestamp) -> String {
    format!("{} {}.{:03}", at.utc_day(), at.utc_time(), at.millis().rem_euclid(1000))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn remark_is_made_about_older_lines() {
        let from = Timestamp::from_seconds(1_000_000);
        for (days, kept, expected) in [
            (20, Some(14), true),
            (13, Some(14), false),
            (20, Some(30), false),
            (20, None, false),
        ] {
            let now = from.after(Duration::from_hours(24 * days + 1));
            let remark = retention_remark(from, kept, now);
            assert_eq!(remark.is_some(), expected, "{days}, {kept:?}");
            assert!(remark.is_none_or(|remark| {
                remark.starts_with("this began 20 days ago, and the stack keeps its logs for 14:")
            }));
        }
    }
}
