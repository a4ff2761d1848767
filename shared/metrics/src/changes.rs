//! Derives metrics from what was written to the table.

use std::time::Duration;

use dayfly_engine::rerun;
use dayfly_engine::rerun::report;
use dayfly_records::event::Conclusion;
use dayfly_records::steps::RunnerStep;
use dayfly_records::{Ending, Job, JobState, Record, RecordId, Rerun, Run, Runner, RunnerState};
use dayfly_types::ids::{JobKey, RunnerName};

use crate::{JobOutcome, Metric, Purchase, WaitStage};

/// A written record, before and after the write.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Transition {
    /// `None` for a new record.
    pub before: Option<Record>,
    pub after: Record,
}

/// A value of a metric, with the record it comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Measurement {
    pub metric: Metric,
    /// A count, or milliseconds.
    pub value: u64,
    pub record: RecordId,
}

type Point = (Metric, u64);

/// Returns the measurements of one commit. `known` looks up other records that were read before it.
#[must_use]
pub fn measure(transitions: &[Transition], known: impl Fn(&RecordId) -> Option<Record>) -> Vec<Measurement> {
    let commit = Commit { transitions, known };
    transitions
        .iter()
        .flat_map(|transition| {
            let record = transition.after.id();
            let points = commit.points(transition).into_iter();
            points.map(move |(metric, value)| Measurement {
                metric,
                value,
                record: record.clone(),
            })
        })
        .collect()
}

/// The records written together, and those read before.
struct Commit<'a, K> {
    transitions: &'a [Transition],
    known: K,
}

impl<K: Fn(&RecordId) -> Option<Record>> Commit<'_, K> {
    fn points(&self, transition: &Transition) -> Vec<Point> {
        match (&transition.before, &transition.after) {
            (None, Record::Job(after)) => self.job(None, after),
            (Some(Record::Job(before)), Record::Job(after)) => self.job(Some(before), after),
            (None, Record::Runner(after)) => self.claimed(after),
            (Some(Record::Runner(before)), Record::Runner(after)) => runner(before, after),
            (before, Record::Run(after)) => run(before.as_ref(), after),
            _ => Vec::new(),
        }
    }

    fn find(&self, id: &RecordId) -> Option<Record> {
        let written = self.transitions.iter().find(|transition| transition.after.id() == *id);
        written.map_or_else(|| (self.known)(id), |transition| Some(transition.after.clone()))
    }

    fn runner(&self, registered: &str) -> Option<Runner> {
        let name = RunnerName::from_registered(registered)?;
        Runner::try_from(self.find(&RecordId::Runner(name))?).ok()
    }

    /// Returns the runner that the job ran on.
    fn runner_of(&self, before: Option<&Job>, key: JobKey) -> Option<Runner> {
        if let Some(JobState::Running { runner }) = before.map(|job| &job.state) {
            return self.runner(runner);
        }
        let written = self.transitions.iter().filter_map(|one| match &one.after {
            Record::Runner(runner) => Some(runner.as_ref()),
            _ => None,
        });
        written.into_iter().find(|runner| runner.job == Some(key)).cloned()
    }

    fn job(&self, before: Option<&Job>, after: &Job) -> Vec<Point> {
        let was = before.map(|job| &job.state);
        if was == Some(&after.state) {
            return Vec::new();
        }
        let ended = was.is_some_and(JobState::is_end);
        match &after.state {
            JobState::Finished { conclusion } if !ended => {
                let runner = self.runner_of(before, after.key);
                let reported = |runner: &Runner| runner.message.as_ref().is_some_and(|it| it.job == after.key);
                if runner.as_ref().is_some_and(reported) {
                    // A messenger ended it: it was counted when it was refused or given up.
                    return Vec::new();
                }
                let outcome = outcome(*conclusion, runner.as_ref());
                outcome.map(|outcome| (Metric::Jobs(outcome), 1)).into_iter().collect()
            }
            JobState::Refused { .. } if !ended => vec![(Metric::Jobs(JobOutcome::Refused), 1)],
            JobState::Unlaunchable { .. } if !ended => vec![(Metric::Jobs(JobOutcome::GivenUp), 1)],
            JobState::Running { runner } => self
                .runner(runner)
                .filter(|runner| runner.state == RunnerState::Busy && runner.message.is_none())
                .map(|runner| waited(WaitStage::Whole, runner.since.since(after.queued_at)))
                .into_iter()
                .collect(),
            _ => Vec::new(),
        }
    }

    /// Measures how long a job waited for its first runner to be claimed.
    fn claimed(&self, runner: &Runner) -> Vec<Point> {
        let job = self
            .find(&RecordId::Job(runner.wanted_by))
            .and_then(|job| Job::try_from(job).ok());
        job.filter(|job| job.launches == 1 && runner.message.is_none())
            .map(|job| waited(WaitStage::Claim, runner.requested_at.since(job.queued_at)))
            .into_iter()
            .collect()
    }
}

/// Returns how a finished job counts, or `None` for a skipped one.
fn outcome(conclusion: Conclusion, runner: Option<&Runner>) -> Option<JobOutcome> {
    let ending = runner.and_then(|runner| runner.ending.as_ref());
    if rerun::needs_rerun(conclusion) && ending.is_some_and(Ending::interrupts_its_job) {
        return Some(JobOutcome::Interrupted);
    }
    match conclusion {
        Conclusion::Success | Conclusion::Neutral => Some(JobOutcome::Succeeded),
        Conclusion::Skipped => None,
        Conclusion::Cancelled | Conclusion::Stale => Some(JobOutcome::Cancelled),
        Conclusion::Failure
        | Conclusion::ActionRequired
        | Conclusion::TimedOut
        | Conclusion::StartupFailure
        | Conclusion::Unknown => Some(JobOutcome::Failed),
    }
}

fn runner(before: &Runner, after: &Runner) -> Vec<Point> {
    let mut points = Vec::new();
    if before.state != after.state {
        points.extend(completed_stage(before, after));
    }
    if is_interrupted(after) && !is_interrupted(before) {
        points.push((Metric::Interruptions, 1));
    }
    points
}

/// Whether the runner lost its instance while it was needed. A rebalanced runner was given back unneeded.
fn is_interrupted(runner: &Runner) -> bool {
    report::is_interruption(runner) && runner.ending != Some(Ending::Rebalanced)
}

/// Measures the stage that a runner's step completes. No job waits for a messenger.
fn completed_stage(before: &Runner, after: &Runner) -> Vec<Point> {
    let is_messenger = after.message.is_some();
    match (after.step, &after.launched) {
        (RunnerStep::Launch, Some(launched)) => {
            if is_messenger {
                return vec![(Metric::Launches(Purchase::Messenger), 1)];
            }
            let turn = after.launch_begun_at().since(after.requested_at);
            let mut points = vec![
                (Metric::Launches(launched.lifecycle.into()), 1),
                waited(WaitStage::Launch, launched.at.since(after.launch_begun_at())),
            ];
            if !turn.is_zero() {
                points.push(waited(WaitStage::Turn, turn));
            }
            points
        }
        (RunnerStep::Enrol, Some(launched)) if !is_messenger => {
            vec![waited(WaitStage::Boot, after.since.since(launched.at))]
        }
        (RunnerStep::StartJob, Some(_)) if !is_messenger => {
            vec![waited(WaitStage::Start, after.since.since(before.since))]
        }
        _ => Vec::new(),
    }
}

fn run(before: Option<&Record>, after: &Run) -> Vec<Point> {
    let was = match before {
        Some(Record::Run(before)) => before.rerun == Rerun::Accepted,
        _ => false,
    };
    if after.rerun == Rerun::Accepted && !was {
        return vec![(Metric::Reruns, 1)];
    }
    Vec::new()
}

fn waited(stage: WaitStage, span: Duration) -> Point {
    let millis = u64::try_from(span.as_millis()).unwrap_or(u64::MAX);
    (Metric::QueueTime(stage), millis)
}

#[cfg(test)]
pub(crate) mod tests;
