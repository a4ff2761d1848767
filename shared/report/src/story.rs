//! The story of a job: each stage with its time and source, each runner that was launched for it, and its cost.
//! Unknown parts are left out.

mod cost;
mod launch_try;
pub mod schedule;
mod stages;

use std::time::Duration;

use dayfly_records::{Attribution, Cost, CostId, Job, JobState, RunSum, Runner};
use dayfly_types::ids::{InstanceId, JobKey, Repository, RunId, RunKey, RunnerName};
use dayfly_types::money::MicroDollars;
use dayfly_types::time::Timestamp;
use serde::Serialize;

use crate::check_run::reason_of;
use crate::urls;

pub use cost::{GITHUB_GPU_MINUTE, Money, minutes};
pub use launch_try::{Bill, LaunchTry};
pub use stages::{Reached, Source, Stage};

/// The records that a job's story is built from.
#[derive(Clone, Copy, Debug)]
pub struct JobRecords<'a> {
    pub job: &'a Job,
    /// The runners that [`runners_of`] names, as far as they are still stored.
    pub runners: &'a [Runner],
    /// What their instances cost, as far as it is known: see [`cost_of`].
    pub costs: &'a [Cost],
}

/// What a job went through and what it cost.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct JobStory {
    pub job: JobKey,
    pub run: RunId,
    pub repository: Repository,
    pub name: String,
    pub attribution: Attribution,
    pub state: JobState,
    /// Why the job was given up. One that a messenger took fails like any other job.
    pub given_up: Option<String>,
    /// In the order of time.
    pub stages: Vec<Reached>,
    /// The runners that were launched for the job and the one that ran it, in the order in which they were
    /// requested.
    pub launch_tries: Vec<LaunchTry>,
    pub money: Money,
}

/// The jobs of a run attempt and their cost in total.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RunStory {
    pub jobs: Vec<JobStory>,
    pub money: Money,
}

/// Returns the runners of a job's story: those that were launched for it, and the one that ran it.
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

/// Returns the id of the cost of a runner's instance, if it had one.
#[must_use]
pub fn cost_of(runner: &Runner) -> Option<CostId> {
    let launched = runner.launched.as_ref()?;
    Some(CostId {
        launched_at: launched.at,
        instance: launched.instance.clone(),
    })
}

impl JobStory {
    /// Builds the story as of `now`. `github_per_minute` is GitHub's charge for a minute of a job on a self-hosted
    /// runner.
    #[must_use]
    pub fn of(records: JobRecords<'_>, github_per_minute: MicroDollars, now: Timestamp) -> Self {
        let JobRecords { job, runners, costs } = records;
        let mut runners: Vec<&Runner> = runners.iter().collect();
        runners.sort_by_key(|runner| (runner.requested_at, runner.name.clone()));
        let main = main_runner(job, &runners);
        let launch_tries: Vec<LaunchTry> = runners
            .iter()
            .map(|runner| LaunchTry::of(runner, job, costs, now))
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
            money: Money::of(job, &launch_tries, &stages, github_per_minute, now),
            stages,
            launch_tries,
        }
    }

    /// Returns when the job reached a stage, if that is known.
    #[must_use]
    pub fn reached(&self, stage: Stage) -> Option<Timestamp> {
        stages::at(&self.stages, stage)
    }

    /// Returns how long the job was queued before it started.
    #[must_use]
    pub fn waited(&self) -> Option<Duration> {
        let queued = self.reached(Stage::Queued).or(self.reached(Stage::Seen))?;
        Some(self.reached(Stage::JobStarted)?.since(queued))
    }

    /// Returns how long the job ran, up to `now`.
    #[must_use]
    pub fn ran(&self, now: Timestamp) -> Option<Duration> {
        let until = self.reached(Stage::JobFinished).unwrap_or(now);
        Some(until.since(self.reached(Stage::JobStarted)?))
    }

    /// Returns the runner that ran the job, or else the last that was launched for it.
    #[must_use]
    pub fn main_try(&self) -> Option<&LaunchTry> {
        self.launch_tries
            .iter()
            .find(|one| one.ran == Some(self.job))
            .or(self.launch_tries.last())
    }

    /// Returns the instance of [`Self::main_try`].
    #[must_use]
    pub fn instance(&self) -> Option<&InstanceId> {
        self.main_try()?.instance.as_ref()
    }

    /// Counts how often the job lost the instance that it ran on, and its work with it.
    #[must_use]
    pub fn interruptions(&self) -> usize {
        let own = self.launch_tries.iter().filter(|one| one.is_of(self.job));
        own.filter(|one| one.interrupted).count()
    }

    /// Returns the job's page. `web` is GitHub's address, such as `https://github.com`.
    #[must_use]
    pub fn url(&self, web: &str) -> String {
        urls::job(web, &self.repository, self.run, self.job.job)
    }
}

impl RunStory {
    /// Sums up the jobs of a run attempt.
    #[must_use]
    pub fn of(jobs: Vec<JobStory>) -> Self {
        let money = jobs.iter().map(|job| job.money.clone()).sum();
        Self { jobs, money }
    }

    #[must_use]
    pub fn workflow(&self) -> Option<&str> {
        self.jobs.iter().find_map(|job| job.attribution.workflow.as_deref())
    }

    #[must_use]
    pub fn interruptions(&self) -> usize {
        self.jobs.iter().map(JobStory::interruptions).sum()
    }

    /// Returns the sum that the comment of the pull request shows.
    #[must_use]
    pub fn sum(&self, run: RunKey) -> RunSum {
        let all = &self.money;
        RunSum {
            run: run.run,
            attempt: run.attempt,
            workflow: self.workflow().map(str::to_owned),
            jobs: u32::try_from(self.jobs.len()).unwrap_or(u32::MAX),
            minutes: all.minutes.unwrap_or_default(),
            cost: all.total,
            saved: all.saved,
            wasted: all.wasted,
            on_github: all.on_github,
            github_charge: all.github_charge,
            is_final: all.is_final,
        }
    }
}

/// Returns why a job was given up, for its author.
fn given_up(job: &Job, main: Option<&Runner>) -> Option<String> {
    match &job.state {
        JobState::Refused { reason } | JobState::Unlaunchable { reason } => Some(reason.clone()),
        _ => stages::message_of(job, main).map(|message| reason_of(&message.text).to_owned()),
    }
}

/// Returns the runner whose stages are the job's: the one that ran it, or else the last that was launched for it.
fn main_runner<'a>(job: &Job, runners: &[&'a Runner]) -> Option<&'a Runner> {
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
