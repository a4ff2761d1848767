//! A running demo, with what was observed.

use std::cell::Cell;
use std::collections::BTreeMap;

use anyhow::Context;
use dayfly_host::HostEvent;
use dayfly_twin::{CheckRun, Happening, Job, JobId, RepoId, RunId, Status, TwinEvent};
use jiff::Timestamp;

use crate::ec2_proxy::Launch;
use crate::lab::Lab;
use crate::timeline::Observation;

pub struct Story<'a> {
    pub lab: &'a Lab,
    pub run: RunId,
    /// The launches, with times on GitHub's clock, as everywhere here.
    pub launches: Vec<(Launch, Timestamp)>,
    pub endings: BTreeMap<String, Timestamp>,
    pub notices: Vec<Timestamp>,
    /// Whether a function held back at first was released.
    pub let_go: Cell<bool>,
}

impl<'a> Story<'a> {
    #[must_use]
    pub fn new(lab: &'a Lab, run: RunId) -> Self {
        Self {
            lab,
            run,
            launches: Vec::new(),
            endings: BTreeMap::new(),
            notices: Vec::new(),
            let_go: Cell::new(false),
        }
    }

    /// Records an observation.
    pub fn note(&mut self, observation: &Observation) {
        match observation {
            Observation::Launch(launch) => self.launches.push((launch.clone(), Timestamp::now())),
            Observation::Instance(reported) => match reported.event {
                HostEvent::NoticeGiven => self.notices.push(Timestamp::now()),
                HostEvent::Ended(_) => {
                    self.endings
                        .entry(reported.instance.clone())
                        .or_insert_with(Timestamp::now);
                }
                _ => {}
            },
            _ => {}
        }
    }

    /// Returns a job of this status, if there is one.
    #[must_use]
    pub fn job_that_is(&self, status: Status) -> Option<JobId> {
        self.lab
            .twin()
            .inspect(|state| state.jobs().find(|job| job.status == status).map(|job| job.id))
    }

    /// Returns the jobs of an attempt.
    #[must_use]
    pub fn jobs(&self, attempt: u32) -> Vec<Job> {
        self.lab
            .twin()
            .inspect(|state| state.jobs_of(self.run, attempt).into_iter().cloned().collect())
    }

    /// Returns a job of an attempt by its name.
    ///
    /// # Errors
    /// If there is none.
    pub fn job(&self, attempt: u32, name: &str) -> anyhow::Result<Job> {
        let jobs = self.jobs(attempt);
        let found = jobs.into_iter().find(|job| job.spec.name == name);
        found.with_context(|| format!("attempt {attempt} has no job `{name}`"))
    }

    /// Returns dayfly's check run of a job.
    ///
    /// # Errors
    /// If there is none.
    pub fn check_of(&self, job: &Job) -> anyhow::Result<CheckRun> {
        let id = format!("{}/{}", job.id, job.attempt);
        let found = self.lab.twin().inspect(|state| {
            let of_job = |check: &&CheckRun| {
                let named = check.external_id.as_deref().unwrap_or_default();
                named == id || named.starts_with(&format!("{id}/"))
            };
            state.check_runs().iter().rfind(of_job).cloned()
        });
        found.with_context(|| format!("there is no check run about `{}`", job.spec.name))
    }

    /// Returns the run's repository and commit.
    #[must_use]
    pub fn commit(&self) -> Option<(RepoId, String)> {
        let twin = self.lab.twin();
        twin.inspect(|state| state.run(self.run).map(|run| (run.repo, run.head_sha.clone())))
    }

    /// Returns the launch that a job ran on.
    ///
    /// # Errors
    /// If no launch is known for the job's runner.
    pub fn launch_of(&self, job: &Job) -> anyhow::Result<&(Launch, Timestamp)> {
        let runner = job.runner.as_ref().map(|taken| taken.name.clone()).unwrap_or_default();
        // A runner's name ends with its instance, without the dash.
        let found = self
            .launches
            .iter()
            .find(|(launch, _)| runner.ends_with(&launch.instance.replacen("i-", "i", 1)));
        found.with_context(|| format!("`{}` ran on `{runner}`, of which no launch was seen", job.spec.name))
    }
}

/// Whether an observation is a matching line of a job's output.
pub(super) fn is_output(observation: &Observation, wanted: impl FnOnce(&str) -> bool) -> bool {
    match observation {
        Observation::Twin(TwinEvent {
            what: Happening::StepOutput { line, .. },
            ..
        }) => wanted(line),
        _ => false,
    }
}
