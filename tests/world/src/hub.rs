//! GitHub: installations, repositories, runners, jobs, runs, deliveries and one file.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

use dayfly_core::config::CONFIG_PATH;
use dayfly_core::decide::admission::{Head, LabelEvent, Origin, Pull, Review};
use dayfly_core::event::Conclusion;
use dayfly_core::ids::{CheckRunId, CommentId, InstallationId, JobId, Repository, RunAttempt, RunId, RunKey, RunnerId};
use dayfly_core::labels::Label;
use dayfly_core::notice::CheckRun;
use dayfly_core::policy::Team;
use dayfly_core::time::Timestamp;
use dayfly_ports::{
    ApiError, ApiErrorKind, CheckView, ConfigFile, FailedDelivery, GitHub, JitConfig, JobStatus, JobView, Minted,
    Removal, RerunAnswer, RunView, RunnerView, Scope,
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
    /// Whether it is connected.
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

/// A job.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HubJob {
    /// Its run.
    pub run: RunId,
    /// The attempt of its run.
    pub attempt: RunAttempt,
    /// Its name.
    pub name: String,
    /// Its commit.
    pub head_sha: String,
    /// Its `runs-on`.
    pub labels: Vec<Label>,
    /// When it was made, if GitHub says so.
    pub created_at: Option<Timestamp>,
    /// Where it stands.
    pub status: JobStatus,
    /// The runner that took it.
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
    /// The runs in whose place there is a newer one, which their workflow's `concurrency` prefers.
    pub superseded: BTreeMap<RunId, RunId>,
    /// How a run that is over is said to have ended, where it is not a failure.
    pub ended: BTreeMap<RunId, Conclusion>,
    /// `.dayfly.yml` of every repository of which `files` says nothing.
    pub config: Option<String>,
    /// Other files: of which repository, at which path.
    pub files: BTreeMap<(Repository, String), String>,
    /// Repositories of whose files GitHub says that the App may not read them.
    pub shut: BTreeSet<Repository>,
    /// The repositories, their installations, and when they were pushed to.
    pub repositories: Vec<(InstallationId, Repository, Timestamp)>,
    /// The deliveries that failed.
    pub failed: Vec<FailedDelivery>,
    /// The deliveries that were asked for again, by their numbers.
    pub redelivered: Vec<u64>,
    /// The check runs, as they stand.
    pub checks: BTreeMap<CheckRunId, CheckRun>,
    /// When somebody asked to have one made or changed, and by what external id.
    pub checks_asked: Vec<(Timestamp, String)>,
    /// How GitHub refuses to make or change check runs, if it does.
    pub checks_refused: Option<ApiErrorKind>,
    /// The comments on pull requests that are there: of which, and what each says.
    pub comments: BTreeMap<CommentId, (u64, String)>,
    /// How often one was made or changed.
    pub comments_written: usize,
    /// How GitHub refuses to make or change comments, if it does.
    pub comments_refused: Option<ApiErrorKind>,
    /// The runs that were cancelled.
    pub cancelled: Vec<RunId>,
    /// Where runs come from that are no pushes to the repository.
    pub origins: BTreeMap<RunId, Origin>,
    /// Who may write to every repository.
    pub writers: BTreeSet<String>,
    /// Who is in which team.
    pub members: BTreeSet<(Team, String)>,
    /// The pull requests, with the owner and the branch that they come from.
    pub pulls: Vec<(String, String, Pull)>,
    /// The reviews of each.
    pub reviews: BTreeMap<u64, Vec<Review>>,
    /// When which labels of each came and went.
    pub label_events: BTreeMap<u64, Vec<LabelEvent>>,
    next_runner: u64,
    next_check: u64,
    next_comment: u64,
}

impl Hub {
    /// A job appears and waits for a runner, in the latest attempt of its run.
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

    /// The file at a path of a repository.
    fn file(&self, repository: &Repository, path: &str) -> Option<&str> {
        if self.files.keys().any(|(of, _)| of == repository) {
            return self
                .files
                .get(&(repository.clone(), path.to_owned()))
                .map(String::as_str);
        }
        self.config.as_deref().filter(|_| path == CONFIG_PATH)
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

    /// The runs with a job that is queued or runs.
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

    fn make_check(&mut self, check: &CheckRun) -> CheckRunId {
        self.next_check += 1;
        let id = CheckRunId(self.next_check);
        self.checks.insert(id, check.clone());
        id
    }

    /// As GitHub does it: a conclusion stays.
    fn change_check(&mut self, id: CheckRunId, check: &CheckRun) -> Result<(), ApiError> {
        let known = self.checks.get_mut(&id).ok_or_else(|| not_found("update_check"))?;
        *known = CheckRun {
            head_sha: known.head_sha.clone(),
            conclusion: known.conclusion.or(check.conclusion),
            ..check.clone()
        };
        Ok(())
    }

    fn may_comment(&self, call: &'static str) -> Result<(), ApiError> {
        match self.comments_refused {
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
        match self.checks_refused {
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

impl World {
    fn asked_for_check(&self, check: &CheckRun) {
        let now = self.cloud().time();
        self.hub().checks_asked.push((now, check.external_id.clone()));
    }
}

impl GitHub for World {
    async fn config_file(&self, scope: &Scope, path: &str, etag: Option<&str>) -> Result<ConfigFile, ApiError> {
        self.call("config_file").await.map_err(down("config_file"))?;
        let hub = self.hub();
        if hub.shut.contains(&scope.repository) {
            return Err(ApiError {
                kind: ApiErrorKind::Forbidden,
                call: "config_file",
                message: "Resource not accessible by integration".to_owned(),
            });
        }
        Ok(match hub.file(&scope.repository, path) {
            None => ConfigFile::Missing,
            Some(text) if etag == Some(text) => ConfigFile::NotModified,
            Some(text) => ConfigFile::Found {
                etag: Some(text.to_owned()),
                text: text.to_owned(),
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
            .map(|(id, runner)| runner.view(*id)))
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
        let found = hub.jobs.get(&job).ok_or_else(|| not_found("job"))?;
        Ok(found.view(job))
    }

    async fn run(&self, _: &Scope, run: RunId) -> Result<RunView, ApiError> {
        self.call("run").await.map_err(down("run"))?;
        let hub = self.hub();
        let attempt = *hub.attempts.get(&run).ok_or_else(|| not_found("run"))?;
        let completed = hub.run_is_over(run);
        Ok(RunView {
            attempt,
            completed,
            conclusion: completed.then(|| hub.ended.get(&run).copied().unwrap_or(Conclusion::Failure)),
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

    async fn superseded(&self, _: &Scope, run: RunId) -> Result<Option<RunId>, ApiError> {
        self.call("superseded").await.map_err(down("superseded"))?;
        Ok(self.hub().superseded.get(&run).copied())
    }

    async fn installations(&self) -> Result<Vec<InstallationId>, ApiError> {
        self.call("installations").await.map_err(down("installations"))?;
        let hub = self.hub();
        let all: BTreeSet<InstallationId> = hub.repositories.iter().map(|(its, _, _)| *its).collect();
        Ok(all.into_iter().collect())
    }

    async fn pushed_repositories(
        &self,
        installation: InstallationId,
        since: Timestamp,
    ) -> Result<Vec<Repository>, ApiError> {
        self.call("pushed_repositories")
            .await
            .map_err(down("pushed_repositories"))?;
        Ok(self.hub().pushed_since(installation, since))
    }

    async fn open_runs(&self, _: &Scope) -> Result<Vec<RunId>, ApiError> {
        self.call("open_runs").await.map_err(down("open_runs"))?;
        Ok(self.hub().open_runs())
    }

    async fn jobs_of(&self, _: &Scope, run: RunId) -> Result<Vec<JobView>, ApiError> {
        self.call("jobs_of").await.map_err(down("jobs_of"))?;
        let hub = self.hub();
        let latest = *hub.attempts.get(&run).ok_or_else(|| not_found("jobs_of"))?;
        let of_latest = |job: &HubJob| job.run == run && job.attempt == latest;
        Ok(hub
            .jobs
            .iter()
            .filter(|(_, job)| of_latest(job))
            .map(|(id, job)| job.view(*id))
            .collect())
    }

    async fn runners(&self, _: &Scope) -> Result<Vec<RunnerView>, ApiError> {
        self.call("runners").await.map_err(down("runners"))?;
        Ok(self.hub().runners.iter().map(|(id, runner)| runner.view(*id)).collect())
    }

    async fn failed_deliveries(&self, after: u64, limit: usize) -> Result<Vec<FailedDelivery>, ApiError> {
        self.call("failed_deliveries")
            .await
            .map_err(down("failed_deliveries"))?;
        Ok(self.hub().failed_after(after, limit))
    }

    async fn redeliver(&self, number: u64) -> Result<(), ApiError> {
        self.call("redeliver").await.map_err(down("redeliver"))?;
        let mut hub = self.hub();
        if hub.failed.iter().all(|one| one.number != number) {
            return Err(not_found("redeliver"));
        }
        hub.redelivered.push(number);
        Ok(())
    }
    async fn create_check(&self, _: &Scope, check: &CheckRun) -> Result<CheckRunId, ApiError> {
        let result = self.call("create_check").await;
        self.asked_for_check(check);
        self.hub().may_check("create_check")?;
        // One that errored may have been made all the same.
        let id = self.hub().make_check(check);
        result.map_err(down("create_check"))?;
        Ok(id)
    }

    async fn update_check(&self, _: &Scope, id: CheckRunId, check: &CheckRun) -> Result<(), ApiError> {
        self.call("update_check").await.map_err(down("update_check"))?;
        self.asked_for_check(check);
        self.hub().may_check("update_check")?;
        self.hub().change_check(id, check)
    }

    async fn find_check(
        &self,
        _: &Scope,
        head_sha: &str,
        name: &str,
        external_id: &str,
    ) -> Result<Option<CheckView>, ApiError> {
        self.call("find_check").await.map_err(down("find_check"))?;
        let hub = self.hub();
        let found = hub
            .checks
            .iter()
            .find(|(_, check)| check.head_sha == head_sha && check.name == name && check.external_id == external_id);
        Ok(found.map(|(id, check)| CheckView {
            id: *id,
            concluded: check.conclusion,
        }))
    }

    async fn find_comment(&self, _: &Scope, pull: u64, marker: &str) -> Result<Option<CommentId>, ApiError> {
        self.call("find_comment").await.map_err(down("find_comment"))?;
        let hub = self.hub();
        if hub.comments_refused == Some(ApiErrorKind::NotFound) {
            // It says so of all that the App does not see.
            return Err(not_found("find_comment"));
        }
        let found = hub
            .comments
            .iter()
            .find(|(_, (of, text))| *of == pull && text.starts_with(marker));
        Ok(found.map(|(id, _)| *id))
    }

    async fn create_comment(&self, _: &Scope, pull: u64, text: &str) -> Result<CommentId, ApiError> {
        let result = self.call("create_comment").await;
        self.hub().may_comment("create_comment")?;
        // One that errored may have been made all the same.
        let id = self.hub().make_comment(pull, text);
        result.map_err(down("create_comment"))?;
        Ok(id)
    }

    async fn update_comment(&self, _: &Scope, comment: CommentId, text: &str) -> Result<(), ApiError> {
        self.call("update_comment").await.map_err(down("update_comment"))?;
        let mut hub = self.hub();
        hub.may_comment("update_comment")?;
        hub.comments_written += 1;
        let known = hub
            .comments
            .get_mut(&comment)
            .ok_or_else(|| not_found("update_comment"))?;
        text.clone_into(&mut known.1);
        Ok(())
    }

    async fn cancel_run(&self, _: &Scope, run: RunId) -> Result<(), ApiError> {
        self.call("cancel_run").await.map_err(down("cancel_run"))?;
        self.hub().cancelled.push(run);
        Ok(())
    }

    async fn run_origin(&self, scope: &Scope, run: RunKey) -> Result<Origin, ApiError> {
        self.call("run_origin").await.map_err(down("run_origin"))?;
        let known = self.hub().origins.get(&run.run).cloned();
        Ok(known.unwrap_or_else(|| push_to(scope)))
    }

    async fn may_write(&self, _: &Scope, user: &str) -> Result<bool, ApiError> {
        self.call("may_write").await.map_err(down("may_write"))?;
        Ok(self.hub().writers.contains(user))
    }

    async fn is_member(&self, _: &Scope, team: &Team, user: &str) -> Result<bool, ApiError> {
        self.call("is_member").await.map_err(down("is_member"))?;
        Ok(self.hub().members.contains(&(team.clone(), user.to_owned())))
    }

    async fn pulls_from(&self, _: &Scope, owner: &str, branch: &str) -> Result<Vec<Pull>, ApiError> {
        self.call("pulls_from").await.map_err(down("pulls_from"))?;
        let hub = self.hub();
        let from = hub.pulls.iter().filter(|(its, of, _)| its == owner && of == branch);
        Ok(from.map(|(_, _, pull)| pull.clone()).collect())
    }

    async fn reviews(&self, _: &Scope, pull: u64) -> Result<Vec<Review>, ApiError> {
        self.call("reviews").await.map_err(down("reviews"))?;
        Ok(self.hub().reviews.get(&pull).cloned().unwrap_or_default())
    }

    async fn label_events(&self, _: &Scope, pull: u64) -> Result<Vec<LabelEvent>, ApiError> {
        self.call("label_events").await.map_err(down("label_events"))?;
        Ok(self.hub().label_events.get(&pull).cloned().unwrap_or_default())
    }
}

/// Where a run comes from that somebody's push to the repository started.
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
