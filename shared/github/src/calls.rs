//! The implementation of the [`GitHub`] port.

use dayfly_config::labels::Label;
use dayfly_policy::Team;
use dayfly_ports::{
    ApiError, CheckView, ConfigFile, FailedDelivery, GitHub, JitConfig, JobView, Minted, Parameters, Removal,
    RerunAnswer, RunView, RunnerView, Scope,
};
use dayfly_records::CheckRunBody;
use dayfly_records::origin::{LabelEvent, Origin, Pull, Review};
use dayfly_types::ids::{
    CheckRunId, CommentId, InstallationId, JobId, Repository, RunAttempt, RunId, RunKey, RunnerId,
};
use dayfly_types::time::Timestamp;
use http::StatusCode;

use crate::call::Call;
use crate::failure::Failure;
use crate::limits::Identity;
use crate::{GitHubApp, MAX_PAGES, PER_PAGE, answers};

/// The runner group of every repository; other groups belong to organisations.
const DEFAULT_RUNNER_GROUP: u64 = 1;

/// The name that GitHub's own setup gives a runner's work folder.
const WORK_FOLDER: &str = "_work";

/// Returns a path in the repository of `scope`. Repository names need no escaping in a URL.
pub(crate) fn path(scope: &Scope, rest: &str) -> String {
    format!("/repos/{}/{rest}", scope.repository)
}

/// Escapes text for a path segment or a query: an App's login has brackets, for example.
pub(crate) fn query_escaped(text: &str) -> String {
    form_urlencoded::byte_serialize(text.as_bytes()).collect()
}

impl<P: Parameters> GitHubApp<P> {
    async fn rerun(&self, scope: &Scope, call: Call) -> Result<RerunAnswer, ApiError> {
        match self.call(scope, call).await {
            Ok(_) => Ok(RerunAnswer::Accepted),
            Err(refused) if refused.is_still_running() => Ok(RerunAnswer::StillRunning),
            Err(refused) => Err(refused.into()),
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
                // Invalid UTF-8 is no YAML either; the YAML reader reports it with its position.
                text: String::from_utf8_lossy(&answer.body).into_owned(),
            }),
            Err(refused) if refused.status == Some(StatusCode::NOT_FOUND) => Ok(ConfigFile::Missing),
            Err(refused) => Err(refused.into()),
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
            Err(refused) => Err(refused.into()),
        }
    }

    async fn runner_named(&self, scope: &Scope, name: &str) -> Result<Option<RunnerView>, ApiError> {
        let escaped = query_escaped(name);
        for page in 1..=MAX_PAGES {
            let query = format!("actions/runners?name={escaped}&per_page={PER_PAGE}&page={page}");
            let call = Call::get("look up a runner", path(scope, &query));
            let answer: answers::Runners = self.read(scope, call).await?;
            let last = answer.runners.len() < PER_PAGE;
            let found = answer.runners.into_iter().find(|runner| runner.name == name);
            if found.is_some() || last {
                return Ok(found.map(Into::into));
            }
        }
        // `None` would claim that it is not registered, which these pages do not show.
        let too_many = format!("more than {MAX_PAGES} pages of runners whose names start like this");
        Err(Failure::unanswered("look up a runner", too_many).into())
    }

    async fn remove_runner(&self, scope: &Scope, runner: RunnerId) -> Result<Removal, ApiError> {
        let call = Call::delete("remove a runner", path(scope, &format!("actions/runners/{runner}")));
        match self.call(scope, call).await {
            Ok(_) => Ok(Removal::Removed),
            Err(refused) => match refused.status {
                Some(StatusCode::NOT_FOUND) => Ok(Removal::Removed),
                Some(StatusCode::UNPROCESSABLE_ENTITY) => Ok(Removal::Busy),
                _ => Err(refused.into()),
            },
        }
    }

    async fn job(&self, scope: &Scope, job: JobId) -> Result<JobView, ApiError> {
        let call = Call::get("look up a job", path(scope, &format!("actions/jobs/{job}")));
        Ok(self.read::<answers::Job>(scope, call).await?.into())
    }

    async fn run(&self, scope: &Scope, run: RunId) -> Result<RunView, ApiError> {
        let call = Call::get("look up a run", path(scope, &format!("actions/runs/{run}")));
        let run: answers::Run = self.read(scope, call).await?;
        Ok(RunView {
            attempt: RunAttempt(run.attempt),
            completed: run.status.as_deref() == Some("completed"),
            conclusion: run.conclusion,
        })
    }

    async fn rerun_job(&self, scope: &Scope, job: JobId) -> Result<RerunAnswer, ApiError> {
        let rest = format!("actions/jobs/{job}/rerun");
        let call = Call::post("re-run a job", path(scope, &rest), None);
        self.rerun(scope, call).await
    }

    async fn rerun_failed_jobs(&self, scope: &Scope, run: RunId) -> Result<RerunAnswer, ApiError> {
        let rest = format!("actions/runs/{run}/rerun-failed-jobs");
        let call = Call::post("re-run a run's failed jobs", path(scope, &rest), None);
        self.rerun(scope, call).await
    }

    async fn superseded(&self, scope: &Scope, run: RunId) -> Result<Option<RunId>, ApiError> {
        Ok(self.read_superseding_run(scope, run).await?)
    }

    async fn installations(&self) -> Result<Vec<InstallationId>, ApiError> {
        Ok(self.read_installations().await?)
    }

    async fn pushed_repositories(
        &self,
        installation: InstallationId,
        since: Timestamp,
    ) -> Result<Vec<Repository>, ApiError> {
        Ok(self.read_repositories(installation, since).await?)
    }

    async fn open_runs(&self, scope: &Scope) -> Result<Vec<RunId>, ApiError> {
        Ok(self.read_open_runs(scope).await?)
    }

    async fn jobs_of(&self, scope: &Scope, run: RunId) -> Result<Vec<JobView>, ApiError> {
        Ok(self.read_jobs(scope, run).await?)
    }

    async fn runners(&self, scope: &Scope) -> Result<Vec<RunnerView>, ApiError> {
        Ok(self.read_runners(scope).await?)
    }

    async fn failed_deliveries(&self, after: u64, limit: usize) -> Result<Vec<FailedDelivery>, ApiError> {
        Ok(self.read_failed_deliveries(after, limit).await?)
    }

    async fn redeliver(&self, number: u64) -> Result<(), ApiError> {
        let path = format!("/app/hook/deliveries/{number}/attempts");
        let call = Call::post("redeliver a webhook", path, None);
        self.call(Identity::App, call).await?;
        Ok(())
    }

    async fn create_check(&self, scope: &Scope, check: &CheckRunBody) -> Result<CheckRunId, ApiError> {
        Ok(self.post_check(scope, check).await?)
    }

    async fn update_check(&self, scope: &Scope, id: CheckRunId, check: &CheckRunBody) -> Result<(), ApiError> {
        Ok(self.patch_check(scope, id, check).await?)
    }

    async fn find_check(
        &self,
        scope: &Scope,
        head_sha: &str,
        name: &str,
        external_id: &str,
    ) -> Result<Option<CheckView>, ApiError> {
        Ok(self.search_check(scope, head_sha, name, external_id).await?)
    }

    async fn find_comment(&self, scope: &Scope, pull: u64, marker: &str) -> Result<Option<CommentId>, ApiError> {
        Ok(self.search_comment(scope, pull, marker).await?)
    }

    async fn create_comment(&self, scope: &Scope, pull: u64, text: &str) -> Result<CommentId, ApiError> {
        Ok(self.post_comment(scope, pull, text).await?)
    }

    async fn update_comment(&self, scope: &Scope, comment: CommentId, text: &str) -> Result<(), ApiError> {
        Ok(self.patch_comment(scope, comment, text).await?)
    }

    async fn cancel_run(&self, scope: &Scope, run: RunId) -> Result<(), ApiError> {
        let path = path(scope, &format!("actions/runs/{run}/cancel"));
        let call = Call::post("cancel a run", path, None).repeatable();
        match self.call(scope, call).await {
            Ok(_) => Ok(()),
            // The run is already over.
            Err(refused) if refused.status == Some(StatusCode::CONFLICT) => Ok(()),
            Err(refused) => Err(refused.into()),
        }
    }

    async fn run_origin(&self, scope: &Scope, run: RunKey) -> Result<Origin, ApiError> {
        Ok(self.read_origin(scope, run).await?)
    }

    async fn may_write(&self, scope: &Scope, user: &str) -> Result<bool, ApiError> {
        Ok(self.read_may_write(scope, user).await?)
    }

    async fn is_member(&self, scope: &Scope, team: &Team, user: &str) -> Result<bool, ApiError> {
        Ok(self.read_is_member(scope, team, user).await?)
    }

    async fn pulls_from(&self, scope: &Scope, owner: &str, branch: &str) -> Result<Vec<Pull>, ApiError> {
        Ok(self.read_pulls(scope, owner, branch).await?)
    }

    async fn reviews(&self, scope: &Scope, pull: u64) -> Result<Vec<Review>, ApiError> {
        Ok(self.read_reviews(scope, pull).await?)
    }

    async fn label_events(&self, scope: &Scope, pull: u64) -> Result<Vec<LabelEvent>, ApiError> {
        Ok(self.read_label_events(scope, pull).await?)
    }
}
