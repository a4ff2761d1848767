//! `dayfly status`: live runners, waiting jobs and their cost.

use std::io::IsTerminal as _;

use clap::Args;
use dayfly_config::machines::Table as Machines;
use dayfly_engine::cost::costing::{self, Ec2Answers};
use dayfly_records::{Record, Runner, RunnerState};
use dayfly_report::board;
use dayfly_types::capacity::InstanceLifecycle;
use dayfly_types::ids::{InstanceId, InstanceType, JobKey, Repository, RunnerName, Zone};
use dayfly_types::money::MicroDollars;
use dayfly_types::time::Timestamp;
use serde::Serialize;

use crate::clock::now;
use crate::error::Error;
use crate::output::{CommandStatus, Output};
use crate::screen;
use crate::stack::{Stack, StackTarget};
use crate::stop::StopRequest;
use crate::table::Table;
use crate::text::{runner_state, span, strip_control_chars};
use crate::watch::{self, Next};

/// Show the live runners, the waiting jobs, and the cost for an hour.
///
/// The price per hour is EC2's at the launch, without disk and address; the cost so far is computed at that price,
/// with disk and address. Runners that are gone and only await their costing are left out. Jobs whose runners wait
/// for a slot, because the stack policy limits how much runs at once, count as waiting.
///
/// Required permissions: `cloudformation:DescribeStacks`, and `dynamodb:Query` on the table's index.
///
/// Exit status: 0, or 2 if the status could not be read.
#[derive(Clone, Debug, Args)]
pub struct Arguments {
    #[command(flatten)]
    target: StackTarget,
    /// Refresh every five seconds, until Ctrl-C
    #[arg(long)]
    watch: bool,
    /// Print JSON, a line for each refresh
    #[arg(long)]
    json: bool,
}

/// In a narrow terminal the runner, its instance and its cost remain.
const COLUMNS: screen::Columns<'_> = screen::Columns {
    numbers: &[2, 7, 8],
    whole: &[0, 3, 4],
    optional: &[6, 7, 3, 5, 2],
};

/// # Errors
/// There is no such stack, or its table cannot be read.
pub(crate) async fn run(arguments: &Arguments, output: &mut Output<'_>) -> Result<CommandStatus, Error> {
    let (aws, stack) = Stack::connect(&arguments.target, output).await?;
    let table = Table::new(&aws, stack.output("TableName")?);
    let machines = Machines::embedded()?;
    let is_screen = arguments.watch && !arguments.json && std::io::stdout().is_terminal();
    output.note("reading the live runners …")?;
    let report = async || {
        let now = now();
        let report = Report::of(&table.live().await?, machines, now);
        let text = if arguments.json {
            serde_json::to_string(&report).map_err(std::io::Error::from)?
        } else {
            report.render(now, screen::width())
        };
        let clear = if is_screen { screen::CLEAR } else { "" };
        let next = if arguments.watch { Next::Repeat } else { Next::Stop };
        Ok((format!("{clear}{text}"), next))
    };
    watch::repeat(report, &mut StopRequest::on_ctrl_c(), output).await
}

#[derive(Debug, Serialize)]
struct Report {
    /// The runners that are not gone, by name.
    runners: Vec<Row>,
    /// The jobs for which nothing is launched yet.
    waiting: Vec<WaitingJob>,
    /// The price per hour of the instances with a known price, in micro-dollars.
    per_hour: MicroDollars,
    /// The known cost of the instances so far, in micro-dollars.
    so_far: MicroDollars,
}

#[derive(Debug, Serialize)]
struct Row {
    runner: RunnerName,
    state: RunnerState,
    /// When it reached that state, in milliseconds since 1970.
    since: Timestamp,
    repository: Repository,
    /// The job that it runs or ran, if any.
    job: Option<JobKey>,
    instance: Option<RunningInstance>,
    /// The cost of its instance, disk and address so far, in micro-dollars, if known.
    so_far: Option<MicroDollars>,
}

#[derive(Debug, Serialize)]
struct RunningInstance {
    id: InstanceId,
    instance_type: InstanceType,
    zone: Zone,
    lifecycle: InstanceLifecycle,
    /// In micro-dollars, if known.
    price_per_hour: Option<MicroDollars>,
    /// When EC2 launched it, in milliseconds since 1970.
    launched_at: Timestamp,
}

#[derive(Debug, Serialize)]
struct WaitingJob {
    job: JobKey,
    repository: Repository,
    /// Its name in the workflow, if known.
    name: Option<String>,
    /// When it was queued, or its runner was requested, in milliseconds since 1970.
    since: Timestamp,
    /// Whether it waits because of a limit in the stack policy.
    for_its_turn: bool,
}

impl Report {
    fn of(records: &[Record], machines: &Machines, now: Timestamp) -> Self {
        let mut runners: Vec<Row> = records
            .iter()
            .filter_map(|record| match record {
                Record::Runner(runner) if runner.waits_at_gate() => None,
                // A runner that is gone only awaits its costing.
                Record::Runner(runner) if runner.is_live() => Some(Row::of(runner, machines, now)),
                _ => None,
            })
            .collect();
        runners.sort_by(|one, other| one.runner.cmp(&other.runner));
        let mut waiting: Vec<WaitingJob> = records
            .iter()
            .filter_map(|record| match record {
                Record::Job(job) => board::WaitingJob::of(job).map(|waiting| WaitingJob::new(job.key, waiting)),
                Record::Runner(runner) if runner.waits_at_gate() => {
                    let waiting = board::WaitingJob::for_its_turn(runner, None);
                    Some(WaitingJob::new(board::job_of_runner(runner), waiting))
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

    fn render(&self, now: Timestamp, width: Option<u16>) -> String {
        let mut parts = Vec::new();
        if !self.runners.is_empty() {
            parts.push(self.table(now, width));
        }
        let runners = counted(self.runners.len(), "live runner");
        let so_far = if self.runners.is_empty() {
            String::new()
        } else {
            format!(", {} so far", self.so_far.in_cents())
        };
        parts.push(format!("{runners}, {}/h{so_far}", self.per_hour));
        if !self.waiting.is_empty() {
            let jobs = counted(self.waiting.len(), "waiting job");
            let each = self.waiting.iter().map(|job| {
                let WaitingJob {
                    repository,
                    name,
                    since,
                    job,
                    for_its_turn,
                } = job;
                let name = name.as_deref().map_or_else(
                    || format!("job {}", job.job),
                    |name| format!("`{}`", strip_control_chars(name)),
                );
                let turn = if *for_its_turn { ", for a slot" } else { "" };
                format!("  {repository} {name}, for {}{turn}", span(now.since(*since)))
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
            "pool",
            "capacity",
            "$/h",
            "so far",
        ];
        let rows = self.runners.iter().map(|row| {
            let instance = row.instance.as_ref();
            let or_dash = |text: Option<String>| text.unwrap_or_else(|| "-".to_owned());
            let price = instance.and_then(|instance| instance.price_per_hour);
            vec![
                row.runner.to_string(),
                runner_state(row.state).to_owned(),
                span(now.since(row.since)),
                row.repository.to_string(),
                or_dash(instance.map(|instance| instance.id.to_string())),
                or_dash(instance.map(|instance| format!("{} in {}", instance.instance_type, instance.zone))),
                or_dash(instance.map(|instance| instance.lifecycle.to_string())),
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
        let instance = runner.launched.as_ref().map(|launched| RunningInstance {
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
            so_far: costing::cost(runner, None, &Ec2Answers::default(), now).map(|cost| cost.total()),
            instance,
        }
    }
}

impl WaitingJob {
    fn new(key: JobKey, waiting: board::WaitingJob) -> Self {
        Self {
            job: key,
            repository: waiting.job.repository,
            name: waiting.job.name,
            since: waiting.since,
            for_its_turn: waiting.for_its_turn,
        }
    }
}

fn counted(count: usize, noun: &str) -> String {
    match count {
        0 => format!("no {noun}s"),
        1 => format!("1 {noun}"),
        _ => format!("{count} {noun}s"),
    }
}

#[cfg(test)]
mod tests;
