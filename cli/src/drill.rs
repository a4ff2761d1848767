//! `dayfly drill`: brings about what EC2 may do any day, so that it can be seen how it is healed.
//!
//! An interruption is sent by AWS FIS, and so is a real one. The experiment's template lives only
//! for as long as it takes to start the experiment: one that runs does without it.

mod choose;
mod fis;
mod records;
mod seen;
#[cfg(test)]
mod tests;
mod timeline;

use std::time::Duration;

use clap::{Args, Subcommand};
use dayfly_types::ids::RunnerName;

use crate::error::Error;
use crate::output::Output;
use crate::stack::Stack;
use crate::stop::Stop;
use crate::table::Table;
use crate::words::now;
use crate::{Ending, Place, aws};
pub use choose::Refusal;
use choose::choose;
use fis::{AwsFis, Experiment, Injector, Order};
use records::{Records, TableRecords};
use seen::{Placed, Seen};
use timeline::{Line, Timeline};

/// Bring about what EC2 may do any day, and watch it healed.
#[derive(Clone, Debug, Args)]
pub struct Arguments {
    #[command(subcommand)]
    drill: Drill,
}

#[derive(Clone, Debug, Subcommand)]
enum Drill {
    Interruption(Interruption),
}

/// Have EC2 take the spot instance of a runner back, and follow what becomes of its job.
///
/// The interruption is a real one: AWS FIS sends it, the instance gets its notice two minutes ahead
/// and is ended, and its job fails and is run again as `.dayfly.yml` wants it. Without `--runner`,
/// the runners that live are listed.
///
/// It needs the rights `cloudformation:DescribeStacks`, on the table `dynamodb:GetItem` and on its
/// index `dynamodb:Query`, `fis:CreateExperimentTemplate`, `fis:TagResource`, `fis:StartExperiment`,
/// `fis:GetExperiment`, `fis:DeleteExperimentTemplate`, `iam:PassRole` on the role of the stack's
/// output `DrillRoleArn`, and for the first experiment of an account `iam:CreateServiceLinkedRole`.
///
/// Exit status: 0, or 1 if not all of it was seen, or 2 if it could not be done.
#[derive(Clone, Debug, Args)]
pub(crate) struct Interruption {
    #[command(flatten)]
    pub(crate) place: Place,
    /// The runner, `dayfly-…`, whose instance is taken
    #[arg(long)]
    runner: Option<String>,
    /// When it is taken, from now; the notice comes two minutes before
    #[arg(long, default_value = "2m", value_name = "2m…15m", value_parser = minutes)]
    after: u32,
    /// JSON in place of text, a line for each thing that happens
    #[arg(long)]
    json: bool,
}

/// The minutes that AWS FIS takes.
const MINUTES: std::ops::RangeInclusive<u32> = 2..=15;

fn minutes(text: &str) -> Result<u32, String> {
    let minutes = text.strip_suffix('m').unwrap_or(text).parse().ok();
    minutes
        .filter(|minutes| MINUTES.contains(minutes))
        .ok_or_else(|| "AWS FIS takes whole minutes from 2m to 15m".to_owned())
}

/// How the watching is done.
#[derive(Clone, Copy, Debug)]
struct Patience {
    /// The pause between two looks.
    look: Duration,
    /// How long a minute lasts.
    minute: Duration,
    /// How long after its instance was to be taken a runner may live.
    gone: Duration,
    /// How long after that a run may take to be over, and its job to be run again.
    again: Duration,
}

const PATIENCE: Patience = Patience {
    look: Duration::from_secs(3),
    minute: Duration::from_secs(60),
    gone: Duration::from_secs(600),
    again: Duration::from_secs(300),
};

/// Carries the command out.
///
/// # Errors
/// If the runner is none that can be interrupted, or AWS refuses.
pub(crate) async fn run(arguments: &Arguments, output: &mut Output<'_>) -> Result<Ending, Error> {
    let Drill::Interruption(interruption) = &arguments.drill;
    let aws = aws::config(interruption.place.region.as_deref()).await?;
    output.note(format_args!("looking for the stack `{}` …", interruption.place.stack))?;
    let stack = Stack::find(&aws, &interruption.place).await?;
    let records = TableRecords(Table::new(&aws, stack.output("TableName")?));
    let Some(runner) = &interruption.runner else {
        return list(&stack, &records, interruption.json, output).await;
    };
    let round = Round {
        stack: &stack,
        records: &records,
        fis: &AwsFis::new(&aws),
        patience: PATIENCE,
        json: interruption.json,
    };
    let stop = Stop::on_ctrl_c();
    round.interrupt(runner, interruption.after, stop, output).await
}

/// Shows the runners that live.
async fn list(stack: &Stack, records: &impl Records, json: bool, output: &mut Output<'_>) -> Result<Ending, Error> {
    let live = records.live().await?;
    if json {
        output.json(&live)?;
    } else if live.is_empty() {
        output.result(format_args!(
            "No runner lives in the stack `{}` in {}: push something that runs on one, and come back.",
            stack.name, stack.region
        ))?;
    } else {
        output.result(seen::table(&live))?;
        output.note("choose one that is on spot with `--runner`")?;
    }
    Ok(Ending::Done)
}

/// One interruption, and what it is watched with.
struct Round<'a, R, F> {
    stack: &'a Stack,
    records: &'a R,
    fis: &'a F,
    patience: Patience,
    json: bool,
}

impl<R: Records, F: Injector> Round<'_, R, F> {
    async fn interrupt(
        &self,
        name: &str,
        minutes: u32,
        mut stop: Stop,
        output: &mut Output<'_>,
    ) -> Result<Ending, Error> {
        let runner = match RunnerName::meant_by(name) {
            Some(runner) => self.records.runner(&runner).await?,
            None => None,
        };
        let placed = match choose(name, runner.as_ref()) {
            Ok(placed) => placed.clone(),
            Err(refusal) => {
                return Err(Error::NoSuchDrill {
                    refusal,
                    live: seen::table(&self.records.live().await?),
                });
            }
        };
        // Known, as there is a place: what is watched is what was chosen.
        let Some(runner) = runner else {
            return Ok(Ending::SomethingStayed);
        };
        let order = Order::new(self.stack, &runner.name, &placed, minutes)?;
        let Some(experiment) = self.send(&order, &mut stop, output).await? else {
            output.note("nothing was sent")?;
            return Ok(Ending::SomethingStayed);
        };
        output.result(sent(&placed, minutes).told(self.json))?;
        self.follow(&runner, &experiment, minutes, stop, output).await
    }

    /// Starts the experiment, unless it is stopped before that. The template goes whatever happens.
    async fn send(&self, order: &Order, stop: &mut Stop, output: &mut Output<'_>) -> Result<Option<String>, Error> {
        let template = self.fis.create(order).await?;
        let started = if stop.has_come().await {
            Ok(None)
        } else {
            self.fis.start(&template, order).await.map(Some)
        };
        if let Err(error) = self.fis.delete(&template).await {
            output.note(format_args!(
                "the experiment template {template} is left, and does nothing by itself: {}",
                error.cause()
            ))?;
        }
        started
    }

    /// Tells what becomes of the runner, until it is gone and its job is run again or is not to be.
    async fn follow(
        &self,
        runner: &Seen,
        experiment: &str,
        minutes: u32,
        mut stop: Stop,
        output: &mut Output<'_>,
    ) -> Result<Ending, Error> {
        let mut timeline = Timeline::default();
        let mut sending = true;
        let begun = tokio::time::Instant::now();
        let taken = begun + self.patience.minute * minutes;
        let mut gone = None;
        loop {
            if sending {
                match self.fis.state(experiment).await? {
                    Experiment::UnderWay => {}
                    Experiment::Sent => sending = false,
                    Experiment::Failed(reason) => return Err(Error::NotSent { reason }),
                }
            }
            let seen = self.records.follow(&runner.name).await?;
            for line in timeline.news(&seen, now()) {
                output.result(line.told(self.json))?;
            }
            if timeline.is_over() {
                return Ok(Ending::Done);
            }
            let instant = tokio::time::Instant::now();
            if seen.is_gone() {
                if gone.is_none() {
                    output.note("waiting for the run of its job to be over, five minutes at most …")?;
                }
                let since = *gone.get_or_insert(instant);
                if instant > since + self.patience.again {
                    return told(Ending::Done, timeline.rest(), output);
                }
            } else if instant > taken + self.patience.gone {
                let rest = format!("{} is not gone yet: see the log of the function `sweeper`", runner.name);
                return told(Ending::SomethingStayed, &rest, output);
            }
            if stop.comes_within(self.patience.look).await {
                let rest = "no longer watched; what was sent cannot be called back";
                return told(Ending::SomethingStayed, rest, output);
            }
        }
    }
}

fn told(ending: Ending, rest: &str, output: &mut Output<'_>) -> Result<Ending, Error> {
    output.note(rest)?;
    Ok(ending)
}

fn sent(placed: &Placed, minutes: u32) -> Line {
    let notice = match minutes - MINUTES.start() {
        0 => "at once".to_owned(),
        1 => "in a minute".to_owned(),
        later => format!("in {later} minutes"),
    };
    Line {
        at: now(),
        what: format!(
            "AWS FIS interrupts {}, {} in {}: the notice comes {notice}, the end in {minutes} minutes",
            placed.instance, placed.instance_type, placed.zone
        ),
    }
}
