//! A demo in progress: what was seen of it.

use std::cell::Cell;
use std::collections::BTreeMap;

use anyhow::Context;
use dayfly_host::HostEvent;
use dayfly_twin::{CheckRun, Happening, Job, JobId, RepoId, RunId, Status, TwinEvent};
use jiff::Timestamp;

use crate::ec2_proxy::Launch;
use crate::lab::Lab;
use crate::timeline::Sight;

/// A demo in progress.
pub struct Story<'a> {
    /// The lab that it plays in.
    pub lab: &'a Lab,
    /// Its one run.
    pub run: RunId,
    /// What was launched, and when on GitHub's clock, as all times here.
    pub launches: Vec<(Launch, Timestamp)>,
    /// When instances ended.
    pub endings: BTreeMap<String, Timestamp>,
    /// When EC2's notice came.
    pub notices: Vec<Timestamp>,
    /// Whether what was held back at first has been let go.
    pub let_go: Cell<bool>,
}

impl<'a> Story<'a> {
    /// Nothing was seen yet.
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

    /// Notes what is seen.
    pub fn note(&mut self, sight: &Sight) {
        match sight {
            Sight::Launch(launch) => self.launches.push((launch.clone(), Timestamp::now())),
            Sight::Instance(reported) => match reported.event {
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

    /// A job that stands so, if there is one.
    #[must_use]
    pub fn job_that_is(&self, status: Status) -> Option<JobId> {
        self.lab
            .twin()
            .look(|state| state.jobs().find(|job| job.status == status).map(|job| job.id))
    }

    /// The jobs of an attempt.
    #[must_use]
    pub fn jobs(&self, attempt: u32) -> Vec<Job> {
        self.lab
            .twin()
            .look(|state| state.jobs_of(self.run, attempt).into_iter().cloned().collect())
    }

    /// A job of an attempt by its name.
    ///
    /// # Errors
    /// When there is none.
    pub fn job(&self, attempt: u32, name: &str) -> anyhow::Result<Job> {
        let jobs = self.jobs(attempt);
        let found = jobs.into_iter().find(|job| job.spec.name == name);
        found.with_context(|| format!("attempt {attempt} has no job `{name}`"))
    }

    /// dayfly's check run about a job.
    ///
    /// # Errors
    /// When there is none.
    pub fn check_of(&self, job: &Job) -> anyhow::Result<CheckRun> {
        let id = format!("{}/{}", job.id, job.attempt);
        let found = self.lab.twin().look(|state| {
            let of_job = |check: &&CheckRun| {
                let named = check.external_id.as_deref().unwrap_or_default();
                named == id || named.starts_with(&format!("{id}/"))
            };
            state.check_runs().iter().rfind(of_job).cloned()
        });
        found.with_context(|| format!("there is no check run about `{}`", job.spec.name))
    }

    /// The run's repository and commit.
    #[must_use]
    pub fn commit(&self) -> Option<(RepoId, String)> {
        let twin = self.lab.twin();
        twin.look(|state| state.run(self.run).map(|run| (run.repo, run.head_sha.clone())))
    }

    /// What was launched for a job, if it is the one on which it ran.
    ///
    /// # Errors
    /// When no launch is known for the job's runner.
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

/// Whether a line of a job's output was seen, and is one of these.
pub(super) fn is_output(sight: &Sight, wanted: impl FnOnce(&str) -> bool) -> bool {
    match sight {
        Sight::Twin(TwinEvent {
            what: Happening::StepOutput { line, .. },
            ..
        }) => wanted(line),
        _ => false,
    }
}
