//! Which metrics follow from what was written.

use std::time::Duration;

use dayfly_engine::{job_events, news};
use dayfly_records::event::Conclusion;
use dayfly_records::lifecycle::RunnerStep;
use dayfly_records::{Ending, Job, JobState, Record, RecordId, Rerun, Run, Runner, RunnerState};
use dayfly_types::ids::{JobKey, RunnerName};

use crate::{Bought, Metric, Outcome, Wait};

/// A record that was written, with what it was before.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Moved {
    /// What it was; nothing if it is new.
    pub before: Option<Record>,
    /// What it is.
    pub after: Record,
}

/// What there is to tell of a record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Told {
    /// The metric.
    pub metric: Metric,
    /// So many, or so many milliseconds.
    pub number: u64,
    /// Of which record.
    pub of: RecordId,
}

type Point = (Metric, u64);

/// What is to be told of records that were written together. `known` is what else was read on the way.
#[must_use]
pub fn of_changes(moved: &[Moved], known: impl Fn(&RecordId) -> Option<Record>) -> Vec<Told> {
    let together = Together { moved, known };
    moved
        .iter()
        .flat_map(|one| {
            let of = one.after.id();
            let points = together.points(one).into_iter();
            points.map(move |(metric, number)| Told {
                metric,
                number,
                of: of.clone(),
            })
        })
        .collect()
}

/// What is known of those that were written together.
struct Together<'a, K> {
    moved: &'a [Moved],
    known: K,
}

impl<K: Fn(&RecordId) -> Option<Record>> Together<'_, K> {
    fn points(&self, one: &Moved) -> Vec<Point> {
        match (&one.before, &one.after) {
            (None, Record::Job(after)) => self.job(None, after),
            (Some(Record::Job(before)), Record::Job(after)) => self.job(Some(before), after),
            (None, Record::Runner(after)) => self.claimed(after),
            (Some(Record::Runner(before)), Record::Runner(after)) => runner(before, after),
            (before, Record::Run(after)) => run(before.as_ref(), after),
            _ => Vec::new(),
        }
    }

    fn find(&self, id: &RecordId) -> Option<Record> {
        let written = self.moved.iter().find(|one| one.after.id() == *id);
        written.map_or_else(|| (self.known)(id), |one| Some(one.after.clone()))
    }

    fn runner(&self, registered: &str) -> Option<Runner> {
        let name = RunnerName::from_registered(registered)?;
        Runner::try_from(self.find(&RecordId::Runner(name))?).ok()
    }

    /// The runner that a job ran on.
    fn runner_of(&self, before: Option<&Job>, key: JobKey) -> Option<Runner> {
        if let Some(JobState::Running { runner }) = before.map(|job| &job.state) {
            return self.runner(runner);
        }
        let written = self.moved.iter().filter_map(|one| match &one.after {
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
                let told_no = |runner: &Runner| runner.message.as_ref().is_some_and(|it| it.job == after.key);
                if runner.as_ref().is_some_and(told_no) {
                    // It was counted when it was given up.
                    return Vec::new();
                }
                let outcome = outcome(*conclusion, runner.as_ref());
                outcome.map(|outcome| (Metric::Jobs(outcome), 1)).into_iter().collect()
            }
            JobState::Refused { .. } if !ended => vec![(Metric::Jobs(Outcome::Refused), 1)],
            JobState::Unlaunchable { .. } if !ended => vec![(Metric::Jobs(Outcome::GivenUp), 1)],
            JobState::Running { runner } => self
                .runner(runner)
                .filter(|runner| runner.state == RunnerState::Busy && runner.message.is_none())
                .map(|runner| waited(Wait::Whole, runner.since.since(after.queued_at)))
                .into_iter()
                .collect(),
            _ => Vec::new(),
        }
    }

    /// A runner that is wanted: how long the job waited for that, if it is the first that it gets.
    fn claimed(&self, runner: &Runner) -> Vec<Point> {
        let job = self
            .find(&RecordId::Job(runner.wanted_by))
            .and_then(|job| Job::try_from(job).ok());
        job.filter(|job| job.launches == 1 && runner.message.is_none())
            .map(|job| waited(Wait::Claim, runner.requested_at.since(job.queued_at)))
            .into_iter()
            .collect()
    }
}

/// How a job ended, as it is counted; nothing if it never wanted to run.
fn outcome(conclusion: Conclusion, runner: Option<&Runner>) -> Option<Outcome> {
    let ending = runner.and_then(|runner| runner.ending.as_ref());
    if job_events::was_interrupted(conclusion) && ending.is_some_and(Ending::interrupts_its_job) {
        return Some(Outcome::Interrupted);
    }
    match conclusion {
        Conclusion::Success | Conclusion::Neutral => Some(Outcome::Succeeded),
        Conclusion::Skipped => None,
        Conclusion::Cancelled | Conclusion::Stale => Some(Outcome::Cancelled),
        Conclusion::Failure
        | Conclusion::ActionRequired
        | Conclusion::TimedOut
        | Conclusion::StartupFailure
        | Conclusion::Unknown => Some(Outcome::Failed),
    }
}

fn runner(before: &Runner, after: &Runner) -> Vec<Point> {
    let mut told = Vec::new();
    if before.state != after.state {
        told.extend(stage(before, after));
    }
    if is_taken_back(after) && !is_taken_back(before) {
        told.push((Metric::Interruptions, 1));
    }
    told
}

/// Whether it lost its instance while it was needed. One that is given back because EC2 might want it was not.
fn is_taken_back(runner: &Runner) -> bool {
    news::is_interruption(runner) && runner.ending != Some(Ending::Rebalanced)
}

/// What a step of a runner ends. A messenger keeps no job waiting.
fn stage(before: &Runner, after: &Runner) -> Vec<Point> {
    let is_messenger = after.message.is_some();
    match (after.step, &after.launched) {
        (RunnerStep::Launch, Some(launched)) => {
            if is_messenger {
                return vec![(Metric::Launches(Bought::Messenger), 1)];
            }
            let turn = after.begun_at().since(after.requested_at);
            let mut told = vec![
                (Metric::Launches(launched.lifecycle.into()), 1),
                waited(Wait::Launch, launched.at.since(after.begun_at())),
            ];
            if !turn.is_zero() {
                told.push(waited(Wait::Turn, turn));
            }
            told
        }
        (RunnerStep::Enrol, Some(launched)) if !is_messenger => {
            vec![waited(Wait::Boot, after.since.since(launched.at))]
        }
        (RunnerStep::StartJob, Some(_)) if !is_messenger => {
            vec![waited(Wait::Start, after.since.since(before.since))]
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

fn waited(stage: Wait, span: Duration) -> Point {
    let millis = u64::try_from(span.as_millis()).unwrap_or(u64::MAX);
    (Metric::QueueTime(stage), millis)
}

#[cfg(test)]
#[path = "changes_tests.rs"]
pub(crate) mod tests;
