//! GitHub: runners, jobs, runs and one file.

use std::collections::BTreeMap;

use dayfly_core::event::Conclusion;
use dayfly_core::ids::{JobId, RunAttempt, RunId, RunnerId};
use dayfly_core::labels::Label;
use dayfly_ports::{
    ApiError, ApiErrorKind, ConfigFile, GitHub, JitConfig, JobStatus, JobView, Minted, Removal, RerunAnswer, RunView,
    RunnerView, Scope,
};
use secrecy::SecretString;

use crate::World;

/// A registered runner.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HubRunner {
    /// Its name.
    pub name: String,
    /// Its labels.
    pub labels: Vec<Label>,
    /// The job it runs.
    pub job: Option<JobId>,
}

/// A job.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HubJob {
    /// Its run.
    pub run: RunId,
    /// Where it stands.
    pub status: JobStatus,
    /// The runner that took it.
    pub runner_name: Option<String>,
}

/// What GitHub knows.
#[derive(Debug, Default)]
pub struct Hub {
    /// The registered runners.
    pub runners: BTreeMap<RunnerId, HubRunner>,
    /// The jobs.
    pub jobs: BTreeMap<JobId, HubJob>,
    /// The latest attempt of each run.
    pub attempts: BTreeMap<RunId, RunAttempt>,
    /// The runs that were run again, and how.
    pub reruns: Vec<(RunId, Option<JobId>)>,
    /// `.dayfly.yml` of every repository.
    pub config: Option<String>,
    next_runner: u64,
}

impl Hub {
    /// A job appears and waits for a runner.
    pub fn queue(&mut self, run: RunId, job: JobId) {
        self.attempts.entry(run).or_insert(RunAttempt(1));
        self.jobs.insert(
            job,
            HubJob {
                run,
                status: JobStatus::Queued,
                runner_name: None,
            },
        );
    }

    /// A runner takes a job.
    ///
    /// # Panics
    /// If there is no such runner or job.
    pub fn assign(&mut self, runner: RunnerId, job: JobId) {
        let runner = self.runners.get_mut(&runner).expect("the runner is registered");
        runner.job = Some(job);
        let job = self.jobs.get_mut(&job).expect("the job exists");
        job.status = JobStatus::InProgress;
        job.runner_name = Some(runner.name.clone());
    }

    /// A job ends, and with it the registration of its runner.
    ///
    /// # Panics
    /// If there is no such job.
    pub fn complete(&mut self, job: JobId, conclusion: Conclusion) {
        self.runners.retain(|_, runner| runner.job != Some(job));
        self.jobs.get_mut(&job).expect("the job exists").status = JobStatus::Completed(conclusion);
    }

    fn run_is_over(&self, run: RunId) -> bool {
        self.jobs
            .values()
            .filter(|job| job.run == run)
            .all(|job| matches!(job.status, JobStatus::Completed(_)))
    }

    fn rerun(&mut self, run: RunId, job: Option<JobId>) -> RerunAnswer {
        if !self.run_is_over(run) {
            return RerunAnswer::StillRunning;
        }
        self.reruns.push((run, job));
        self.attempts.entry(run).and_modify(|attempt| attempt.0 += 1);
        RerunAnswer::Accepted
    }

    fn mint(&mut self, name: &str, labels: &[Label]) -> Minted {
        if self.runners.values().any(|runner| runner.name == name) {
            return Minted::NameTaken;
        }
        self.next_runner += 1;
        let runner = RunnerId(self.next_runner);
        self.runners.insert(
            runner,
            HubRunner {
                name: name.to_owned(),
                labels: labels.to_vec(),
                job: None,
            },
        );
        Minted::Config(JitConfig {
            runner,
            encoded: SecretString::from(format!("jit-config-of-{name}")),
        })
    }
}

fn down(call: &'static str) -> impl Fn(String) -> ApiError {
    move |message| ApiError {
        kind: ApiErrorKind::Unavailable,
        call,
        message,
    }
}

fn not_found(call: &'static str) -> ApiError {
    ApiError {
        kind: ApiErrorKind::NotFound,
        call,
        message: "Not Found".to_owned(),
    }
}

impl GitHub for World {
    async fn config_file(&self, _: &Scope, _: &str, etag: Option<&str>) -> Result<ConfigFile, ApiError> {
        self.call("config_file").await.map_err(down("config_file"))?;
        Ok(match &self.hub().config {
            None => ConfigFile::Missing,
            Some(text) if etag == Some(text) => ConfigFile::NotModified,
            Some(text) => ConfigFile::Found {
                etag: Some(text.clone()),
                text: text.clone(),
            },
        })
    }

    async fn mint(&self, _: &Scope, name: &str, labels: &[Label]) -> Result<Minted, ApiError> {
        let result = self.call("mint").await;
        // A registration that errored may have been made all the same.
        let minted = self.hub().mint(name, labels);
        result.map_err(down("mint"))?;
        Ok(minted)
    }

    async fn runner_named(&self, _: &Scope, name: &str) -> Result<Option<RunnerView>, ApiError> {
        self.call("runner_named").await.map_err(down("runner_named"))?;
        Ok(self
            .hub()
            .runners
            .iter()
            .find(|(_, runner)| runner.name == name)
            .map(|(id, runner)| RunnerView {
                id: *id,
                name: runner.name.clone(),
                busy: runner.job.is_some(),
                online: true,
            }))
    }

    async fn remove_runner(&self, _: &Scope, runner: RunnerId) -> Result<Removal, ApiError> {
        self.call("remove_runner").await.map_err(down("remove_runner"))?;
        let mut hub = self.hub();
        if hub.runners.get(&runner).is_some_and(|runner| runner.job.is_some()) {
            return Ok(Removal::Busy);
        }
        hub.runners.remove(&runner);
        Ok(Removal::Removed)
    }

    async fn job(&self, _: &Scope, job: JobId) -> Result<JobView, ApiError> {
        self.call("job").await.map_err(down("job"))?;
        let hub = self.hub();
        let job = hub.jobs.get(&job).ok_or_else(|| not_found("job"))?;
        Ok(JobView {
            status: job.status,
            runner_name: job.runner_name.clone(),
        })
    }

    async fn run(&self, _: &Scope, run: RunId) -> Result<RunView, ApiError> {
        self.call("run").await.map_err(down("run"))?;
        let hub = self.hub();
        let attempt = *hub.attempts.get(&run).ok_or_else(|| not_found("run"))?;
        let completed = hub.run_is_over(run);
        Ok(RunView {
            attempt,
            completed,
            conclusion: completed.then_some(Conclusion::Failure),
        })
    }

    async fn rerun_job(&self, _: &Scope, job: JobId) -> Result<RerunAnswer, ApiError> {
        self.call("rerun").await.map_err(down("rerun"))?;
        let mut hub = self.hub();
        let run = hub.jobs.get(&job).ok_or_else(|| not_found("rerun_job"))?.run;
        Ok(hub.rerun(run, Some(job)))
    }

    async fn rerun_failed_jobs(&self, _: &Scope, run: RunId) -> Result<RerunAnswer, ApiError> {
        self.call("rerun").await.map_err(down("rerun"))?;
        Ok(self.hub().rerun(run, None))
    }
}
