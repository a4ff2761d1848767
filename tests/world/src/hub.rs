//! GitHub: installations, repositories, runners, jobs, runs, deliveries and one file.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

use dayfly_config::CONFIG_PATH;
use dayfly_config::labels::Label;
use dayfly_policy::Team;
use dayfly_ports::{
    ApiError, ApiErrorKind, FailedDelivery, JitConfig, JobStatus, JobView, Minted, RerunAnswer, RunnerView, Scope,
};
use dayfly_records::CheckRunBody;
use dayfly_records::event::Conclusion;
use dayfly_records::origin::{Head, LabelEvent, Origin, Pull, Review};
use dayfly_types::ids::{CheckRunId, CommentId, InstallationId, JobId, Repository, RunAttempt, RunId, RunnerId};
use dayfly_types::time::Timestamp;
use secrecy::SecretString;

mod calls;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HubRunner {
    pub name: String,
    pub labels: Vec<Label>,
    pub job: Option<JobId>,
    pub online: bool,
}

impl HubRunner {
    fn view(&self, id: RunnerId) -> RunnerView {
        RunnerView {
            id,
            name: self.name.clone(),
            busy: self.job.is_some(),
            online: self.online,
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HubJob {
    pub run: RunId,
    pub attempt: RunAttempt,
    pub name: String,
    pub head_sha: String,
    pub labels: Vec<Label>,
    pub created_at: Option<Timestamp>,
    pub status: JobStatus,
    pub runner_name: Option<String>,
}

impl HubJob {
    fn view(&self, id: JobId) -> JobView {
        JobView {
            workflow: Some("ci".to_owned()),
            job: id,
            run: self.run,
            attempt: self.attempt,
            name: self.name.clone(),
            head_sha: self.head_sha.clone(),
            labels: self.labels.clone(),
            created_at: self.created_at,
            status: self.status,
            runner_name: self.runner_name.clone(),
        }
    }
}

#[derive(Debug, Default)]
pub struct Hub {
    pub runners: BTreeMap<RunnerId, HubRunner>,
    pub jobs: BTreeMap<JobId, HubJob>,
    /// The latest attempt of each run.
    pub attempts: BTreeMap<RunId, RunAttempt>,
    /// The accepted re-runs: of a whole run, or of one job.
    pub reruns: Vec<(RunId, Option<JobId>)>,
    /// Runs superseded by a newer one in their `concurrency` group.
    pub superseded: BTreeMap<RunId, RunId>,
    /// The conclusions of ended runs that did not fail.
    pub ended: BTreeMap<RunId, Conclusion>,
    /// `.dayfly.yml` of every repository without an entry in `files`.
    pub config: Option<String>,
    /// Other files, by repository and path.
    pub files: BTreeMap<(Repository, String), String>,
    /// Repositories whose files and runs the App may not read.
    pub unreadable: BTreeSet<Repository>,
    /// The repositories, with their installation and their last push.
    pub repositories: Vec<(InstallationId, Repository, Timestamp)>,
    pub failed: Vec<FailedDelivery>,
    pub redelivered: Vec<u64>,
    pub checks: BTreeMap<CheckRunId, CheckRunBody>,
    /// When a check run was created or updated, and its external id.
    pub check_writes: Vec<(Timestamp, String)>,
    /// The error on creating or updating check runs, if any.
    pub check_error: Option<ApiErrorKind>,
    /// The comments, each with its pull request and its text.
    pub comments: BTreeMap<CommentId, (u64, String)>,
    /// How often a comment was created or updated.
    pub comments_written: usize,
    /// The error on creating or updating comments, if any.
    pub comment_error: Option<ApiErrorKind>,
    pub cancelled: Vec<RunId>,
    /// The origins of runs that are not pushes to the repository.
    pub origins: BTreeMap<RunId, Origin>,
    /// Users with write access to every repository.
    pub writers: BTreeSet<String>,
    pub members: BTreeSet<(Team, String)>,
    /// The pull requests, with the owner and the branch they come from.
    pub pulls: Vec<(String, String, Pull)>,
    pub reviews: BTreeMap<u64, Vec<Review>>,
    pub label_events: BTreeMap<u64, Vec<LabelEvent>>,
    next_runner: u64,
    next_check: u64,
    next_comment: u64,
}

impl Hub {
    /// Queues a job in the latest attempt of its run.
    pub fn queue(&mut self, run: RunId, job: JobId) {
        let attempt = *self.attempts.entry(run).or_insert(RunAttempt(1));
        self.jobs.insert(
            job,
            HubJob {
                run,
                attempt,
                name: "test".to_owned(),
                head_sha: "abc".to_owned(),
                labels: vec![Label::new("dayfly-gpu")],
                created_at: None,
                status: JobStatus::Queued,
                runner_name: None,
            },
        );
    }

    fn file(&self, repository: &Repository, path: &str) -> Option<&str> {
        if self.files.keys().any(|(of, _)| of == repository) {
            return self
                .files
                .get(&(repository.clone(), path.to_owned()))
                .map(String::as_str);
        }
        self.config.as_deref().filter(|_| path == CONFIG_PATH)
    }

    /// Assigns a job to a runner.
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

    /// Ends a job, and with it the registration of its runner.
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

    /// Returns the runs with a queued or running job.
    fn open_runs(&self) -> Vec<RunId> {
        let is_open = |job: &&HubJob| matches!(job.status, JobStatus::Queued | JobStatus::InProgress);
        let open: BTreeSet<RunId> = self.jobs.values().filter(is_open).map(|job| job.run).collect();
        open.into_iter().collect()
    }

    fn pushed_since(&self, installation: InstallationId, since: Timestamp) -> Vec<Repository> {
        let mut pushed: Vec<_> = self
            .repositories
            .iter()
            .filter(|(its, _, at)| *its == installation && *at >= since)
            .collect();
        pushed.sort_by_key(|(_, _, at)| Reverse(*at));
        pushed
            .into_iter()
            .map(|(_, repository, _)| repository.clone())
            .collect()
    }

    fn failed_after(&self, after: u64, limit: usize) -> Vec<FailedDelivery> {
        let mut failed: Vec<_> = self.failed.iter().filter(|one| one.number > after).cloned().collect();
        failed.sort_by_key(|one| Reverse(one.number));
        failed.truncate(limit);
        failed
    }

    fn rerun(&mut self, run: RunId, job: Option<JobId>) -> RerunAnswer {
        if !self.run_is_over(run) {
            return RerunAnswer::StillRunning;
        }
        self.reruns.push((run, job));
        self.attempts.entry(run).and_modify(|attempt| attempt.0 += 1);
        RerunAnswer::Accepted
    }

    fn make_check(&mut self, check: &CheckRunBody) -> CheckRunId {
        self.next_check += 1;
        let id = CheckRunId(self.next_check);
        self.checks.insert(id, check.clone());
        id
    }

    /// A conclusion stays, as on GitHub.
    fn change_check(&mut self, id: CheckRunId, check: &CheckRunBody) -> Result<(), ApiError> {
        let known = self.checks.get_mut(&id).ok_or_else(|| not_found("update_check"))?;
        *known = CheckRunBody {
            head_sha: known.head_sha.clone(),
            conclusion: known.conclusion.or(check.conclusion),
            ..check.clone()
        };
        Ok(())
    }

    fn may_read(&self, repository: &Repository, call: &'static str) -> Result<(), ApiError> {
        if !self.unreadable.contains(repository) {
            return Ok(());
        }
        Err(ApiError {
            kind: ApiErrorKind::Forbidden,
            call,
            message: "Resource not accessible by integration".to_owned(),
        })
    }

    fn may_comment(&self, call: &'static str) -> Result<(), ApiError> {
        match self.comment_error {
            None => Ok(()),
            Some(kind) => Err(ApiError {
                kind,
                call,
                message: "refused".to_owned(),
            }),
        }
    }

    fn make_comment(&mut self, pull: u64, text: &str) -> CommentId {
        self.next_comment += 1;
        self.comments_written += 1;
        let id = CommentId(self.next_comment);
        self.comments.insert(id, (pull, text.to_owned()));
        id
    }

    fn may_check(&self, call: &'static str) -> Result<(), ApiError> {
        match self.check_error {
            None => Ok(()),
            Some(kind) => Err(ApiError {
                kind,
                call,
                message: "refused".to_owned(),
            }),
        }
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
                online: true,
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

/// The origin of a run that a user's push to the repository started.
#[must_use]
pub fn push_to(scope: &Scope) -> Origin {
    let repository = &scope.repository;
    Origin {
        event: "push".to_owned(),
        repository: 1,
        head: Some(Head {
            id: 1,
            owner: repository.owner().to_owned(),
            name: repository.to_string(),
        }),
        head_sha: "abc".to_owned(),
        head_branch: Some("main".to_owned()),
        actor: Some("alice".to_owned()),
        triggering_actor: Some("alice".to_owned()),
        pulls: Vec::new(),
    }
}
