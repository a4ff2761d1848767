//! `dayfly status`: what lives and what waits, and what an hour of it costs.

use std::io::IsTerminal as _;

use clap::Args;
use dayfly_config::machines::Table as Machines;
use dayfly_engine::costing::{self, Answered};
use dayfly_records::{Record, Runner, RunnerState};
use dayfly_report::board;
use dayfly_types::capacity::InstanceLifecycle;
use dayfly_types::ids::{InstanceId, InstanceType, JobKey, Repository, RunnerName, Zone};
use dayfly_types::money::MicroDollars;
use dayfly_types::time::Timestamp;
use serde::Serialize;

use crate::error::Error;
use crate::output::Output;
use crate::stack::Stack;
use crate::stop::Stop;
use crate::table::Table;
use crate::watch::{self, Next};
use crate::{Ending, Place, aws, screen, words};

/// Show the runners that live, the jobs that wait, and what an hour of it costs.
///
/// The price is what EC2 asked for the instance when it was launched, without its disk and address; what it has
/// cost so far is reckoned at that price, with them. Runners that are gone and only wait for their cost to be
/// counted are left out; jobs whose runners wait for their turn, because the stack policy limits how much runs at
/// once, are among those that wait.
///
/// It needs the rights `cloudformation:DescribeStacks`, and `dynamodb:Query` on the table's index.
///
/// Exit status: 0, or 2 if it could not be read.
#[derive(Clone, Debug, Args)]
pub struct Arguments {
    #[command(flatten)]
    place: Place,
    /// Look again every five seconds, until Ctrl-C
    #[arg(long)]
    watch: bool,
    /// JSON in place of text, a line for each look
    #[arg(long)]
    json: bool,
}

/// What stays of the table in a narrow terminal: who it is, on what, and what it has cost.
const COLUMNS: screen::Columns<'_> = screen::Columns {
    numbers: &[2, 7, 8],
    whole: &[0, 3, 4],
    spare: &[6, 7, 3, 5, 2],
};

/// Carries the command out.
///
/// # Errors
/// If there is no such stack, or its table cannot be read.
pub(crate) async fn run(arguments: &Arguments, output: &mut Output<'_>) -> Result<Ending, Error> {
    let aws = aws::config(arguments.place.region.as_deref()).await?;
    output.note(format_args!("looking for the stack `{}` …", arguments.place.stack))?;
    let stack = Stack::find(&aws, &arguments.place).await?;
    let table = Table::new(&aws, stack.output("TableName")?);
    let machines = Machines::embedded()?;
    let is_screen = arguments.watch && !arguments.json && std::io::stdout().is_terminal();
    output.note("reading what lives …")?;
    let look = async || {
        let now = words::now();
        let report = Report::of(&table.live().await?, machines, now);
        let told = if arguments.json {
            serde_json::to_string(&report).map_err(std::io::Error::from)?
        } else {
            report.words(now, screen::width())
        };
        let clear = if is_screen { screen::CLEAR } else { "" };
        let next = if arguments.watch { Next::Look } else { Next::End };
        Ok((format!("{clear}{told}"), next))
    };
    watch::until_told(look, &mut Stop::on_ctrl_c(), output).await
}

/// What there is.
#[derive(Debug, Serialize)]
struct Report {
    /// The runners that are not gone, by their names.
    runners: Vec<Row>,
    /// The jobs for which nothing is launched yet.
    waiting: Vec<Waiting>,
    /// What an hour of the instances costs whose price is known, in micro-dollars.
    per_hour: MicroDollars,
    /// What the instances have cost so far, as far as that is known, in micro-dollars.
    so_far: MicroDollars,
}

/// A runner.
#[derive(Debug, Serialize)]
struct Row {
    runner: RunnerName,
    state: RunnerState,
    /// Since when it is in that state, in milliseconds since 1970.
    since: Timestamp,
    repository: Repository,
    /// The job that it runs or ran; nothing before.
    job: Option<JobKey>,
    instance: Option<Placed>,
    /// What its instance has cost so far with its disk and address, in micro-dollars, if that is known.
    so_far: Option<MicroDollars>,
}

/// An instance.
#[derive(Debug, Serialize)]
struct Placed {
    id: InstanceId,
    instance_type: InstanceType,
    zone: Zone,
    lifecycle: InstanceLifecycle,
    /// In micro-dollars, if it is known.
    price_per_hour: Option<MicroDollars>,
    /// When EC2 launched it, in milliseconds since 1970.
    launched_at: Timestamp,
}

/// A job that waits.
#[derive(Debug, Serialize)]
struct Waiting {
    job: JobKey,
    repository: Repository,
    /// Its name in the workflow, if that is known.
    name: Option<String>,
    /// When it was queued, or its runner was first asked for, in milliseconds since 1970.
    since: Timestamp,
    /// Whether a limit of the stack policy holds it back.
    for_its_turn: bool,
}

impl Report {
    fn of(records: &[Record], machines: &Machines, now: Timestamp) -> Self {
        let mut runners: Vec<Row> = records
            .iter()
            .filter_map(|record| match record {
                Record::Runner(runner) if runner.waits_for_its_turn() => None,
                // One that is gone only waits for its cost to be counted.
                Record::Runner(runner) if runner.is_live() => Some(Row::of(runner, machines, now)),
                _ => None,
            })
            .collect();
        runners.sort_by(|one, other| one.runner.cmp(&other.runner));
        let mut waiting: Vec<Waiting> = records
            .iter()
            .filter_map(|record| match record {
                Record::Job(job) => board::Waiting::of(job).map(|waiting| Waiting::of(job.key, waiting)),
                Record::Runner(runner) if runner.waits_for_its_turn() => {
                    let waiting = board::Waiting::for_its_turn(runner, None);
                    Some(Waiting::of(board::job_of(runner), waiting))
                }
                _ => None,
            })
            .collect();
        waiting.sort_by_key(|job| job.since);
        let prices = runners.iter().filter_map(|row| row.instance.as_ref()?.price_per_hour);
        Self {
            per_hour: prices.sum(),
            so_far: runners.iter().filter_map(|row| row.so_far).sum(),
            runners,
            waiting,
        }
    }

    fn words(&self, now: Timestamp, width: Option<u16>) -> String {
        let mut parts = Vec::new();
        if !self.runners.is_empty() {
            parts.push(self.table(now, width));
        }
        let runners = counted(self.runners.len(), "runner", "lives", "live");
        let so_far = if self.runners.is_empty() {
            String::new()
        } else {
            format!(", {} so far", self.so_far.in_cents())
        };
        parts.push(format!("{runners}, for {}/h{so_far}", self.per_hour));
        if !self.waiting.is_empty() {
            let jobs = counted(self.waiting.len(), "job", "waits", "wait");
            let each = self.waiting.iter().map(|job| {
                let Waiting {
                    repository,
                    name,
                    since,
                    job,
                    for_its_turn,
                } = job;
                let name = name.as_deref().map_or_else(
                    || format!("job {}", job.job),
                    |name| format!("`{}`", words::plain(name)),
                );
                let turn = if *for_its_turn { ", until its turn comes" } else { "" };
                format!("  {repository} {name}, for {}{turn}", words::span(now.since(*since)))
            });
            parts.push(format!("{jobs}:\n{}", each.collect::<Vec<_>>().join("\n")));
        }
        parts.join("\n")
    }

    fn table(&self, now: Timestamp, width: Option<u16>) -> String {
        let header = [
            "runner",
            "state",
            "for",
            "repository",
            "instance",
            "where",
            "bought",
            "$/h",
            "so far",
        ];
        let rows = self.runners.iter().map(|row| {
            let placed = row.instance.as_ref();
            let or_dash = |text: Option<String>| text.unwrap_or_else(|| "-".to_owned());
            let price = placed.and_then(|placed| placed.price_per_hour);
            vec![
                row.runner.to_string(),
                words::state(row.state).to_owned(),
                words::span(now.since(row.since)),
                row.repository.to_string(),
                or_dash(placed.map(|placed| placed.id.to_string())),
                or_dash(placed.map(|placed| format!("{} in {}", placed.instance_type, placed.zone))),
                or_dash(placed.map(|placed| placed.lifecycle.to_string())),
                or_dash(price.map(|price| price.to_string())),
                or_dash(row.so_far.map(MicroDollars::in_cents)),
            ]
        });
        let rows: Vec<Vec<String>> = rows.collect();
        screen::fitted(&header, &rows, COLUMNS, width)
    }
}

impl Row {
    fn of(runner: &Runner, machines: &Machines, now: Timestamp) -> Self {
        let instance = runner.launched.as_ref().map(|launched| Placed {
            id: launched.instance.clone(),
            instance_type: launched.instance_type.clone(),
            zone: launched.zone.clone(),
            lifecycle: launched.lifecycle,
            price_per_hour: match launched.lifecycle {
                InstanceLifecycle::Spot => launched.price_per_hour,
                InstanceLifecycle::OnDemand => launched.on_demand.map(|price| price.per_hour).or_else(|| {
                    let machine = machines.get(&launched.instance_type)?;
                    machine.price
                }),
            },
            launched_at: launched.at,
        });
        Self {
            runner: runner.name.clone(),
            state: runner.state,
            since: runner.since,
            repository: runner.repository.clone(),
            job: runner.job,
            so_far: costing::cost(runner, None, &Answered::default(), now).map(|cost| cost.total()),
            instance,
        }
    }
}

impl Waiting {
    fn of(key: JobKey, waiting: board::Waiting) -> Self {
        Self {
            job: key,
            repository: waiting.job.repository,
            name: waiting.job.name,
            since: waiting.since,
            for_its_turn: waiting.for_its_turn,
        }
    }
}

fn counted(count: usize, noun: &str, one: &str, many: &str) -> String {
    match count {
        0 => format!("no {noun} {one}"),
        1 => format!("1 {noun} {one}"),
        _ => format!("{count} {noun}s {many}"),
    }
}

#[cfg(test)]
mod tests;
