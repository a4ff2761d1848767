//! `dayfly logs`: what the functions said of a job, a runner or an instance.

mod about;
mod line;
mod read;

use clap::Args;
use dayfly_ports::Store as _;
use dayfly_records::{Job, Runner};
use dayfly_report::story::runners_of;
use dayfly_types::ids::InstanceId;
use dayfly_types::time::Timestamp;

use crate::error::Error;
use crate::job;
use crate::output::Output;
use crate::stack::Stack;
use crate::table::Table;
use crate::words::now;
use crate::{Ending, Place, aws};
use about::{About, Id};
use read::Logs;

/// Show what dayfly's functions logged of a job, a runner or an instance, in the order of time.
///
/// The table says when that was; of what it does not know, the last 24 hours are looked through. Logs are kept for
/// as many days as the stack's parameter `LogRetentionDays` says, 14 by default: less long than `dayfly job` knows a
/// job. Times are in UTC. Of an instance it names the command that shows the end of its console, which EC2 keeps for about an
/// hour after the instance has ended.
///
/// It needs the rights `cloudformation:DescribeStacks`, `logs:FilterLogEvents` on the functions' log groups,
/// and on the table `dynamodb:Query` and `dynamodb:GetItem`.
///
/// Exit status: 0, or 2 if it could not be read.
#[derive(Clone, Debug, Args)]
pub struct Arguments {
    #[command(flatten)]
    place: Place,
    /// The job, by its URL or its id as in `dayfly job`, the runner by its name, or the instance by its id
    #[arg(value_name = "ID")]
    id: Id,
    /// The lines as they were logged, each as JSON with its function, in place of text
    #[arg(long)]
    json: bool,
}

/// Carries the command out.
///
/// # Errors
/// If there is no such stack or job, or table or logs cannot be read.
pub(crate) async fn run(arguments: &Arguments, output: &mut Output<'_>) -> Result<Ending, Error> {
    let aws = aws::config(arguments.place.region.as_deref()).await?;
    output.note(format_args!("looking for the stack `{}` …", arguments.place.stack))?;
    let stack = Stack::find(&aws, &arguments.place).await?;
    let table = Table::new(&aws, stack.output("TableName")?);
    let about = about(&arguments.id, &table, &stack).await?;
    let lines = Logs::new(&aws, &stack.name).of(&about, output).await?;
    for line in &lines {
        output.result(line.told(arguments.json))?;
    }
    if lines.is_empty() {
        output.note(format_args!("no function logged anything of {}", arguments.id))?;
    }
    if let Some(remark) = forgotten(about.from, stack.log_days(), now()) {
        output.note(remark)?;
    }
    for instance in about.instances() {
        output.note(format_args!(
            "its console: {}",
            console_command(instance, &stack.region)
        ))?;
    }
    Ok(Ending::Done)
}

/// What is said where the logs do not reach as far back as what is looked for. `days` is for how long they are kept.
fn forgotten(from: Timestamp, days: Option<u64>, now: Timestamp) -> Option<String> {
    const DAY: u64 = 24 * 60 * 60;
    let days = days?;
    let ago = now.since(from).as_secs();
    (ago > days * DAY).then(|| {
        format!(
            "that began {} days ago, and the stack keeps its logs for {days}: older lines are gone (LogRetentionDays \
             of the stack says how long)",
            ago / DAY
        )
    })
}

/// What shows the end of an instance's console. The command links no client of EC2, which alone takes minutes
/// to build.
pub(crate) fn console_command(instance: &InstanceId, region: &str) -> String {
    format!("aws ec2 get-console-output --latest --output text --region {region} --instance-id {instance}")
}

/// What to look for, and when, from the records that are kept of it.
async fn about(id: &Id, table: &Table, stack: &Stack) -> Result<About, Error> {
    let now = now();
    let about = match id {
        Id::Job(which) => {
            let job = job::found(table, *which, stack).await?;
            let runners = runners(table, &job).await?;
            About::job(&job, &runners, now)
        }
        Id::Runner(name) => {
            let stored = table.records.runner(name).await.map_err(|error| table.error(error))?;
            stored.map_or_else(
                || About::unknown(name.as_str(), now),
                |stored| About::runner(&stored.record, now),
            )
        }
        Id::Instance(instance) => {
            let stored = table.records.runner_on(instance).await;
            let stored = stored.map_err(|error| table.error(error))?;
            let known = stored.map(|stored| About::runner(&stored.record, now));
            known.unwrap_or_else(|| About::unknown_instance(instance, now))
        }
    };
    Ok(about)
}

async fn runners(table: &Table, job: &Job) -> Result<Vec<Runner>, Error> {
    let mut runners = Vec::new();
    for name in runners_of(job) {
        let stored = table.records.runner(&name).await.map_err(|error| table.error(error))?;
        runners.extend(stored.map(|stored| stored.record));
    }
    Ok(runners)
}

/// The moment in front of a line.
fn clock(at: Timestamp) -> String {
    format!("{} {}.{:03}", at.utc_day(), at.utc_time(), at.millis().rem_euclid(1000))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn what_is_older_than_the_logs_is_said() {
        let from = Timestamp::from_seconds(1_000_000);
        for (days, kept, told) in [
            (20, Some(14), true),
            (13, Some(14), false),
            (20, Some(30), false),
            (20, None, false),
        ] {
            let now = from.after(Duration::from_hours(24 * days + 1));
            let said = forgotten(from, kept, now);
            assert_eq!(said.is_some(), told, "{days}, {kept:?}");
            assert!(said.is_none_or(|said| said.starts_with("that began 20 days ago, and the stack keeps its logs for 14:")));
        }
    }
}
