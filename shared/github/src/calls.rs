//! The calls, each as GitHub describes it.

use dayfly_config::labels::Label;
use dayfly_engine::admission::{LabelEvent, Origin, Pull, Review};
use dayfly_policy::Team;
use dayfly_ports::{
    ApiError, CheckView, ConfigFile, FailedDelivery, GitHub, JitConfig, JobView, Minted, Parameters, Removal,
    RerunAnswer, RunView, RunnerView, Scope,
};
use dayfly_report::check_run::CheckRunBody;
use dayfly_types::ids::{
    CheckRunId, CommentId, InstallationId, JobId, Repository, RunAttempt, RunId, RunKey, RunnerId,
};
use dayfly_types::time::Timestamp;
use http::StatusCode;

use crate::call::Call;
use crate::failure::Failure;
use crate::limits::Identity;
use crate::{GitHubApp, MAX_PAGES, PER_PAGE, answers};

/// The group that every repository's runners are in; other groups belong to organisations.
const DEFAULT_RUNNER_GROUP: u64 = 1;

/// Where a runner works, below its own folder: the name that GitHub's own setup gives it.
const WORK_FOLDER: &str = "_work";

/// The path of something in the repository of `scope`. Its name has only characters that mean nothing
/// in a URL.
pub(crate) fn path(scope: &Scope, rest: &str) -> String {
    format!("/repos/{}/{rest}", scope.repository)
}

impl<P: Parameters> GitHubApp<P> {
    async fn rerun(&self, scope: &Scope, call: Call) -> Result<RerunAnswer, ApiError> {
        match self.call(scope, call).await {
            Ok(_) => Ok(RerunAnswer::Accepted),
            Err(refused) if refused.is_still_running() => Ok(RerunAnswer::StillRunning),
            Err(refused) => Err(refused.error),
        }
    }
}

impl<P: Parameters> GitHub for GitHubApp<P> {
    async fn config_file(&self, scope: &Scope, path: &str, etag: Option<&str>) -> Result<ConfigFile, ApiError> {
        let call = Call::get("read the configuration", self::path(scope, &format!("contents/{path}")))
            .accept("application/vnd.github.raw+json")
            .if_none_match(etag);
        match self.call(scope, call).await {
            Ok(answer) if answer.status == StatusCode::NOT_MODIFIED => Ok(ConfigFile::NotModified),
            Ok(answer) => Ok(ConfigFile::Found {
                etag: answer.etag(),
                // What is no UTF-8 is no YAML either: its reader says so, with the place.
                text: String::from_utf8_lossy(&answer.body).into_owned(),
            }),
            Err(refused) if refused.status == Some(StatusCode::NOT_FOUND) => Ok(ConfigFile::Missing),
            Err(refused) => Err(refused.error),
        }
    }

    async fn mint(&self, scope: &Scope, name: &str, labels: &[Label]) -> Result<Minted, ApiError> {
        let body = serde_json::json!({
            "name": name,
            "runner_group_id": DEFAULT_RUNNER_GROUP,
            "labels": labels,
            "work_folder": WORK_FOLDER,
        });
        let call = Call::post(
            "register a runner",
            path(scope, "actions/runners/generate-jitconfig"),
            Some(body),
        );
        match self.read::<answers::JitConfig>(scope, call).await {
            Ok(minted) => Ok(Minted::Config(JitConfig {
                runner: RunnerId(minted.runner.id),
                encoded: minted.encoded_jit_config.into(),
            })),
            Err(refused) if refused.status == Some(StatusCode::CONFLICT) => Ok(Minted::NameTaken),
            Err(refused) => Err(refused.error),
        }
    }

    async fn runner_named(&self, scope: &Scope, name: &str) -> Result<Option<RunnerView>, ApiError> {
        let escaped: String = form_urlencoded::byte_serialize(name.as_bytes()).collect();
        for page in 1..=MAX_PAGES {
            let query = format!("actions/runners?name={escaped}&per_page={PER_PAGE}&page={page}");
            let call = Call::get("look a runner up", path(scope, &query));
            let answer: answers::Runners = self.read(scope, call).await.map_err(|refused| refused.error)?;
            let last = answer.runners.len() < PER_PAGE;
            let found = answer.runners.into_iter().find(|runner| runner.name == name);
            if found.is_some() || last {
                return Ok(found.map(Into::into));
            }
        }
        // None would say that it is not registered, which nobody has seen.
        let trouble = format!("more than {MAX_PAGES} pages of runners whose names begin so");
        Err(Failure::unanswered("look a runner up", trouble).error)
    }

    async fn remove_runner(&self, scope: &Scope, runner: RunnerId) -> Result<Removal, ApiError> {
        let call = Call::delete("remove a runner", path(scope, &format!("actions/runners/{runner}")));
        match self.call(scope, call).await {
            Ok(_) => Ok(Removal::Removed),
            Err(refused) => match refused.status {
                Some(StatusCode::NOT_FOUND) => Ok(Removal::Removed),
                Some(StatusCode::UNPROCESSABLE_ENTITY) => Ok(Removal::Busy),
                _ => Err(refused.error),
            },
        }
    }

    async fn job(&self, scope: &Scope, job: JobId) -> Result<JobView, ApiError> {
        let call = Call::get("look a job up", path(scope, &format!("actions/jobs/{job}")));
        match self.read::<answers::Job>(scope, call).await {
            Ok(job) => Ok(job.into()),
            Err(refused) => Err(refused.error),
        }
    }

    async fn run(&self, scope: &Scope, run: RunId) -> Result<RunView, ApiError> {
        let call = Call::get("look a run up", path(scope, &format!("actions/runs/{run}")));
        match self.read::<answers::Run>(scope, call).await {
            Ok(run) => Ok(RunView {
                attempt: RunAttempt(run.attempt),
                completed: run.status.as_deref() == Some("completed"),
                conclusion: run.conclusion,
            }),
            Err(refused) => Err(refused.error),
        }
    }

    async fn rerun_job(&self, scope: &Scope, job: JobId) -> Result<RerunAnswer, ApiError> {
        let rest = format!("actions/jobs/{job}/rerun");
        self.rerun(scope, Call::post("run a job again", path(scope, &rest), None))
            .await
    }

    async fn rerun_failed_jobs(&self, scope: &Scope, run: RunId) -> Result<RerunAnswer, ApiError> {
        let rest = format!("actions/runs/{run}/rerun-failed-jobs");
        self.rerun(
            scope,
            Call::post("run a run's failed jobs again", path(scope, &rest), None),
        )
        .await
    }

    async fn superseded(&self, scope: &Scope, run: RunId) -> Result<Option<RunId>, ApiError> {
        let read = self.read_newer_run(scope, run).await;
        read.map_err(|refused| refused.error)
    }

    async fn installations(&self) -> Result<Vec<InstallationId>, ApiError> {
        self.read_installations().await.map_err(|refused| refused.error)
    }

    async fn pushed_repositories(
        &self,
        installation: InstallationId,
        since: Timestamp,
    ) -> Result<Vec<Repository>, ApiError> {
        let read = self.read_repositories(installation, since).await;
        read.map_err(|refused| refused.error)
    }

    async fn open_runs(&self, scope: &Scope) -> Result<Vec<RunId>, ApiError> {
        self.read_open_runs(scope).await.map_err(|refused| refused.error)
    }

    async fn jobs_of(&self, scope: &Scope, run: RunId) -> Result<Vec<JobView>, ApiError> {
        self.read_jobs(scope, run).await.map_err(|refused| refused.error)
    }

    async fn runners(&self, scope: &Scope) -> Result<Vec<RunnerView>, ApiError> {
        self.read_runners(scope).await.map_err(|refused| refused.error)
    }

    async fn failed_deliveries(&self, after: u64, limit: usize) -> Result<Vec<FailedDelivery>, ApiError> {
        let read = self.read_failed_deliveries(after, limit).await;
        read.map_err(|refused| refused.error)
    }

    async fn redeliver(&self, number: u64) -> Result<(), ApiError> {
        let path = format!("/app/hook/deliveries/{number}/attempts");
        let call = Call::post("deliver a webhook again", path, None);
        match self.call(Identity::App, call).await {
            Ok(_) => Ok(()),
            Err(refused) => Err(refused.error),
        }
    }
    async fn create_check(&self, scope: &Scope, check: &CheckRunBody) -> Result<CheckRunId, ApiError> {
        let made = self.make_check(scope, check).await;
        made.map_err(|refused| refused.error)
    }

    async fn update_check(&self, scope: &Scope, id: CheckRunId, check: &CheckRunBody) -> Result<(), ApiError> {
        let changed = self.change_check(scope, id, check).await;
        changed.map_err(|refused| refused.error)
    }

    async fn find_check(
        &self,
        scope: &Scope,
        head_sha: &str,
        name: &str,
        external_id: &str,
    ) -> Result<Option<CheckView>, ApiError> {
        let found = self.look_check_up(scope, head_sha, name, external_id).await;
        found.map_err(|refused| refused.error)
    }

    async fn find_comment(&self, scope: &Scope, pull: u64, marker: &str) -> Result<Option<CommentId>, ApiError> {
        let found = self.look_comment_up(scope, pull, marker).await;
        found.map_err(|refused| refused.error)
    }

    async fn create_comment(&self, scope: &Scope, pull: u64, text: &str) -> Result<CommentId, ApiError> {
        let made = self.make_comment(scope, pull, text).await;
        made.map_err(|refused| refused.error)
    }

    async fn update_comment(&self, scope: &Scope, comment: CommentId, text: &str) -> Result<(), ApiError> {
        let changed = self.change_comment(scope, comment, text).await;
        changed.map_err(|refused| refused.error)
    }

    async fn cancel_run(&self, scope: &Scope, run: RunId) -> Result<(), ApiError> {
        let path = path(scope, &format!("actions/runs/{run}/cancel"));
        let call = Call::post("cancel a run", path, None).repeatable();
        match self.call(scope, call).await {
            Ok(_) => Ok(()),
            // It is over.
            Err(refused) if refused.status == Some(StatusCode::CONFLICT) => Ok(()),
            Err(refused) => Err(refused.error),
        }
    }

    async fn run_origin(&self, scope: &Scope, run: RunKey) -> Result<Origin, ApiError> {
        let read = self.read_origin(scope, run).await;
        read.map_err(|refused| refused.error)
    }

    async fn may_write(&self, scope: &Scope, user: &str) -> Result<bool, ApiError> {
        let read = self.read_may_write(scope, user).await;
        read.map_err(|refused| refused.error)
    }

    async fn is_member(&self, scope: &Scope, team: &Team, user: &str) -> Result<bool, ApiError> {
        let read = self.read_is_member(scope, team, user).await;
        read.map_err(|refused| refused.error)
    }

    async fn pulls_from(&self, scope: &Scope, owner: &str, branch: &str) -> Result<Vec<Pull>, ApiError> {
        let read = self.read_pulls(scope, owner, branch).await;
        read.map_err(|refused| refused.error)
    }

    async fn reviews(&self, scope: &Scope, pull: u64) -> Result<Vec<Review>, ApiError> {
        let read = self.read_reviews(scope, pull).await;
        read.map_err(|refused| refused.error)
    }

    async fn label_events(&self, scope: &Scope, pull: u64) -> Result<Vec<LabelEvent>, ApiError> {
        let read = self.read_label_events(scope, pull).await;
        read.map_err(|refused| refused.error)
    }
}
