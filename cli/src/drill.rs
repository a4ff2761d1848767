//! `dayfly drill`: causes a real interruption, and shows how dayfly recovers.
//!
//! AWS FIS sends the interruption. The experiment template exists only until the experiment has started: a running
//! experiment does not need it.

mod fis;
mod records;
mod refusal;
mod snapshot;
#[cfg(test)]
mod tests;
mod timeline;

use std::time::Duration;

use clap::{Args, Subcommand};
use dayfly_types::ids::RunnerName;

use crate::clock::now;
use crate::error::Error;
use crate::output::{CommandStatus, Output};
use crate::stack::{Stack, StackTarget};
use crate::stop::StopRequest;
use crate::table::Table;
use fis::{AwsFis, ExperimentProgress, ExperimentRequest, FaultInjector};
use records::{RunnerRecords, RunnerTable};
use refusal::interruptible_placement;
use snapshot::{Placement, RunnerSnapshot};
use timeline::{Timeline, TimelineEntry};

/// Cause what EC2 may do at any time, and watch the recovery.
#[derive(Clone, Debug, Args)]
pub struct Arguments {
    #[command(subcommand)]
    drill: Drill,
}

#[derive(Clone, Debug, Subcommand)]
enum Drill {
    Interruption(Interruption),
}

/// Have EC2 interrupt the spot instance of a runner, and follow its job.
///
/// The interruption is a real one: AWS FIS sends it, the instance gets its notice two minutes ahead and is ended,
/// and its job fails and is rerun as `.dayfly.yml` says. Without `--runner`, the live runners are listed.
///
/// Required permissions: `cloudformation:DescribeStacks`, on the table `dynamodb:GetItem` and on its
/// index `dynamodb:Query`, `fis:CreateExperimentTemplate`, `fis:TagResource`, `fis:StartExperiment`,
/// `fis:GetExperiment`, `fis:DeleteExperimentTemplate`, `iam:PassRole` on the role of the stack's
/// output `DrillRoleArn`, and for the first experiment of an account `iam:CreateServiceLinkedRole`.
///
/// Exit status: 0, or 1 if the recovery was not observed to its end, or 2 if the drill failed.
#[derive(Clone, Debug, Args)]
pub(crate) struct Interruption {
    #[command(flatten)]
    pub(crate) target: StackTarget,
    /// The runner to interrupt, `dayfly-…`
    #[arg(long)]
    runner: Option<String>,
    /// Time until the interruption; the notice comes two minutes before
    #[arg(long, default_value = "2m", value_name = "2m…15m", value_parser = minutes)]
    after: u32,
    /// Print JSON, a line for each milestone
    #[arg(long)]
    json: bool,
}

/// The minutes that AWS FIS accepts.
const MINUTES: std::ops::RangeInclusive<u32> = 2..=15;

fn minutes(text: &str) -> Result<u32, String> {
    let minutes = text.strip_suffix('m').unwrap_or(text).parse().ok();
    minutes
        .filter(|minutes| MINUTES.contains(minutes))
        .ok_or_else(|| "AWS FIS accepts whole minutes from 2m to 15m".to_owned())
}

#[derive(Clone, Copy, Debug)]
struct Patience {
    /// The pause between polls.
    poll: Duration,
    /// The length of a minute, which is shorter in tests.
    minute: Duration,
    /// How long a runner may outlast its interruption.
    gone: Duration,
    /// How long the end of the run and the rerun of its job may then take.
    rerun: Duration,
}

const PATIENCE: Patience = Patience {
    poll: Duration::from_secs(3),
    minute: Duration::from_secs(60),
    gone: Duration::from_secs(600),
    rerun: Duration::from_secs(300),
};

/// # Errors
/// The runner cannot be interrupted, or AWS denies a call.
pub(crate) async fn run(arguments: &Arguments, output: &mut Output<'_>) -> Result<CommandStatus, Error> {
    let Drill::Interruption(interruption) = &arguments.drill;
    let (aws, stack) = Stack::connect(&interruption.target, output).await?;
    let records = RunnerTable(Table::new(&aws, stack.output("TableName")?));
    let Some(runner) = &interruption.runner else {
        return list(&stack, &records, interruption.json, output).await;
    };
    let drill = InterruptionDrill {
        stack: &stack,
        records: &records,
        fis: &AwsFis::new(&aws),
        patience: PATIENCE,
        json: interruption.json,
    };
    let stop = StopRequest::on_ctrl_c();
    drill.interrupt(runner, interruption.after, stop, output).await
}

/// Lists the live runners.
async fn list(
    stack: &Stack,
    records: &impl RunnerRecords,
    json: bool,
    output: &mut Output<'_>,
) -> Result<CommandStatus, Error> {
    let live = records.live().await?;
    if json {
        output.json(&live)?;
    } else if live.is_empty() {
        output.result(format_args!(
            "There is no live runner in the stack `{}` in {}: push a commit whose job needs one, and try again.",
            stack.name, stack.region
        ))?;
    } else {
        output.result(snapshot::table(&live))?;
        output.note("choose one on spot capacity with `--runner`")?;
    }
    Ok(CommandStatus::Done)
}

struct InterruptionDrill<'a, R, F> {
    stack: &'a Stack,
    records: &'a R,
    fis: &'a F,
    patience: Patience,
    json: bool,
}

impl<R: RunnerRecords, F: FaultInjector> InterruptionDrill<'_, R, F> {
    async fn interrupt(
        &self,
        name: &str,
        minutes: u32,
        mut stop: StopRequest,
        output: &mut Output<'_>,
    ) -> Result<CommandStatus, Error> {
        let runner = match RunnerName::meant_by(name) {
            Some(runner) => self.records.runner(&runner).await?,
            None => None,
        };
        let placement = match interruptible_placement(name, runner.as_ref()) {
            Ok(placement) => placement.clone(),
            Err(refusal) => return Err(refusal.into_error(snapshot::table(&self.records.live().await?))),
        };
        // A runner with a placement is known.
        let Some(runner) = runner else {
            return Ok(CommandStatus::NeedsAttention);
        };
        let request = ExperimentRequest::new(self.stack, &runner.name, &placement, minutes)?;
        let Some(experiment) = self.send(&request, &mut stop, output).await? else {
            output.note("nothing was sent")?;
            return Ok(CommandStatus::NeedsAttention);
        };
        output.result(sent_entry(&placement, minutes).render(self.json))?;
        self.follow(&runner, &experiment, minutes, stop, output).await
    }

    /// Starts the experiment unless a stop is requested first. The template is deleted in any case.
    async fn send(
        &self,
        request: &ExperimentRequest,
        stop: &mut StopRequest,
        output: &mut Output<'_>,
    ) -> Result<Option<String>, Error> {
        let template = self.fis.create(request).await?;
        let started = if stop.is_requested().await {
            Ok(None)
        } else {
            self.fis.start(&template, request).await.map(Some)
        };
        if let Err(error) = self.fis.delete(&template).await {
            output.note(format_args!(
                "the experiment template {template} is left, which does nothing by itself: {}",
                error.cause()
            ))?;
        }
        started
    }

    /// Reports the runner's milestones until it is gone and its job's rerun is decided.
    async fn follow(
        &self,
        runner: &RunnerSnapshot,
        experiment: &str,
        minutes: u32,
        mut stop: StopRequest,
        output: &mut Output<'_>,
    ) -> Result<CommandStatus, Error> {
        let mut timeline = Timeline::default();
        let mut is_sending = true;
        let start = tokio::time::Instant::now();
        let interrupted = start + self.patience.minute * minutes;
        let mut gone = None;
        loop {
            if is_sending {
                match self.fis.state(experiment).await? {
                    ExperimentProgress::Running => {}
                    ExperimentProgress::Sent => is_sending = false,
                    ExperimentProgress::Failed(reason) => return Err(Error::NotSent { reason }),
                }
            }
            let progress = self.records.progress(&runner.name).await?;
            for entry in timeline.update(&progress, now()) {
                output.result(entry.render(self.json))?;
            }
            if timeline.is_over() {
                return Ok(CommandStatus::Done);
            }
            let instant = tokio::time::Instant::now();
            if progress.is_gone() {
                if gone.is_none() {
                    output.note("waiting for the run of its job to be over, five minutes at most …")?;
                }
                let since = *gone.get_or_insert(instant);
                if instant > since + self.patience.rerun {
                    return end_with_note(CommandStatus::Done, timeline.open_end(), output);
                }
            } else if instant > interrupted + self.patience.gone {
                let note = format!("{} is not gone yet: see the log of the function `sweeper`", runner.name);
                return end_with_note(CommandStatus::NeedsAttention, &note, output);
            }
            if stop.requested_within(self.patience.poll).await {
                let note = "no longer watched; the interruption cannot be undone";
                return end_with_note(CommandStatus::NeedsAttention, note, output);
            }
        }
    }
}

fn end_with_note(status: CommandStatus, note: &str, output: &mut Output<'_>) -> Result<CommandStatus, Error> {
    output.note(note)?;
    Ok(status)
}

fn sent_entry(placement: &Placement, minutes: u32) -> TimelineEntry {
    let notice = match minutes - MINUTES.start() {
        0 => "at once".to_owned(),
        1 => "in a minute".to_owned(),
        later => format!("in {later} minutes"),
    };
    TimelineEntry {
        at: now(),
        text: format!(
            "AWS FIS interrupts {}, {} in {}: the notice comes {notice}, the end in {minutes} minutes",
            placement.instance, placement.instance_type, placement.zone
        ),
    }
}
