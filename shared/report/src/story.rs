//! The story of a job: each stage that it reached with its time and whose word that is, each runner that
//! was launched for it, and what it cost. What is not known is left out.

mod attempt;
mod money;
mod stages;
pub mod words;

use dayfly_records::{Attribution, Cost, CostId, Job, JobState, Runner};
use dayfly_types::ids::{InstanceId, JobKey, Repository, RunId, RunnerName};
use dayfly_types::money::MicroDollars;
use dayfly_types::time::Timestamp;
use serde::Serialize;

use crate::check_run::reason_of;

pub use attempt::{Attempt, Bill};
pub use money::{GITHUB_GPU_MINUTE, Money, minutes};
pub use stages::{Reached, Source, Stage};

/// All that is known of a job.
#[derive(Clone, Copy, Debug)]
pub struct Known<'a> {
    /// Its record.
    pub job: &'a Job,
    /// Those of the runners that [`runners_of`] names, as far as they are still kept.
    pub runners: &'a [Runner],
    /// What their instances have cost, as far as that is known: see [`cost_of`].
    pub costs: &'a [Cost],
}

/// What a job went through.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Story {
    /// Which job.
    pub job: JobKey,
    /// Its run.
    pub run: RunId,
    /// Its repository.
    pub repository: Repository,
    /// Its name in the workflow.
    pub name: String,
    /// Who it is counted for.
    pub attribution: Attribution,
    /// Where it stands.
    pub state: JobState,
    /// Why it was given up, if it was: a messenger that tells it so has it fail as any job.
    pub given_up: Option<String>,
    /// What it reached, in the order of time.
    pub stages: Vec<Reached>,
    /// The runners that were launched for it, and the one that ran it, in the order in which they were asked
    /// for.
    pub attempts: Vec<Attempt>,
    /// What it cost, or has cost so far.
    pub money: Money,
}

/// The runners that a job's story is told from: those that were launched for it, and the one that ran it.
#[must_use]
pub fn runners_of(job: &Job) -> Vec<RunnerName> {
    let launched = (1..=job.launches).map(|launch| RunnerName::of(job.key, job.first_launch.saturating_add(launch)));
    let mut names: Vec<RunnerName> = launched.collect();
    let running = match &job.state {
        JobState::Running { runner } => RunnerName::from_registered(runner),
        _ => None,
    };
    for name in [job.ran_on.clone(), running, job.runner.clone()].into_iter().flatten() {
        if !names.contains(&name) {
            names.push(name);
        }
    }
    names
}

/// Where it is written what a runner's instance has cost, if it had one.
#[must_use]
pub fn cost_of(runner: &Runner) -> Option<CostId> {
    let launched = runner.launched.as_ref()?;
    Some(CostId {
        launched_at: launched.at,
        instance: launched.instance.clone(),
    })
}

impl Story {
    /// The story as it stands at `now`. `github_per_minute` is what GitHub charges for a minute of a job on a
    /// runner that is not its own.
    #[must_use]
    pub fn of(known: Known<'_>, github_per_minute: MicroDollars, now: Timestamp) -> Self {
        let Known { job, costs, .. } = known;
        let mut runners: Vec<&Runner> = known.runners.iter().collect();
        runners.sort_by_key(|runner| (runner.requested_at, runner.name.clone()));
        let main = main_of(job, &runners);
        let attempts: Vec<Attempt> = runners
            .iter()
            .map(|runner| Attempt::of(runner, job, costs, now))
            .collect();
        let stages = stages::of(job, main, &runners, now);
        Self {
            job: job.key,
            run: job.run,
            repository: job.repository.clone(),
            name: job.name.clone(),
            attribution: job.attribution.clone(),
            state: job.state.clone(),
            given_up: given_up(job, main),
            money: Money::of(job, &attempts, &stages, github_per_minute, now),
            stages,
            attempts,
        }
    }

    /// When it reached a stage, if it did and that is known.
    #[must_use]
    pub fn reached(&self, stage: Stage) -> Option<Timestamp> {
        stages::at(&self.stages, stage)
    }

    /// The runner that ran it, or else the last that was launched for it.
    #[must_use]
    pub fn attempt(&self) -> Option<&Attempt> {
        self.attempts
            .iter()
            .find(|attempt| attempt.ran == Some(self.job))
            .or(self.attempts.last())
    }

    /// The instance of that runner.
    #[must_use]
    pub fn instance(&self) -> Option<&InstanceId> {
        self.attempt()?.instance.as_ref()
    }

    /// How often it lost the instance that it ran on, and with it what it had done.
    #[must_use]
    pub fn interruptions(&self) -> usize {
        let of_it = self.attempts.iter().filter(|attempt| attempt.is_of(self.job));
        of_it.filter(|attempt| attempt.interrupted).count()
    }

    /// Where GitHub shows it. `web` is where GitHub's pages are, `https://github.com` say.
    #[must_use]
    pub fn url(&self, web: &str) -> String {
        format!(
            "{web}/{}/actions/runs/{}/job/{}",
            self.repository, self.run, self.job.job
        )
    }
}

/// Why a job was given up, in words for its author.
fn given_up(job: &Job, main: Option<&Runner>) -> Option<String> {
    match &job.state {
        JobState::Refused { reason } | JobState::Unlaunchable { reason } => Some(reason.clone()),
        _ => stages::message_of(job, main).map(|message| reason_of(&message.text).to_owned()),
    }
}

/// The runner whose stages are the job's: the one that ran it, or else the last that was launched for it.
fn main_of<'a>(job: &Job, runners: &[&'a Runner]) -> Option<&'a Runner> {
    let named = |name: &Option<RunnerName>| {
        let name = name.as_ref()?;
        runners.iter().copied().find(|runner| runner.name == *name)
    };
    let ran = || runners.iter().copied().rev().find(|runner| runner.job == Some(job.key));
    named(&job.ran_on)
        .or_else(ran)
        .or_else(|| named(&job.runner))
        .or_else(|| runners.last().copied())
}

#[cfg(test)]
pub(crate) mod tests;
