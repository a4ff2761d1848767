//! GitHub, as the App: whose tokens last an hour, whose calls are tried again in one place, and whose
//! refusals become kinds that a caller can decide on.
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used))]

mod answers;
mod failure;
mod sign_in;
mod transport;

use std::time::Duration;

use dayfly_core::ids::{JobId, RunAttempt, RunId, RunnerId};
use dayfly_core::labels::Label;
use dayfly_ports::{
    ApiError, ConfigFile, GitHub, JitConfig, JobView, Minted, Parameters, Removal, RerunAnswer, RunView, RunnerView,
    Scope,
};
use http::StatusCode;
use serde::de::DeserializeOwned;
use tokio::time::timeout;

pub use dayfly_settings::GitHubSettings;

use failure::Failure;
use sign_in::SignIn;
use transport::{Answer, Call, Transport};

/// For a call with all that belongs to it: signing in, and trying again. A function that waits longer
/// is billed for it, and whoever called it has given up.
const CALL_LIMIT: Duration = Duration::from_secs(25);

/// The group that every repository's runners are in; other groups belong to organisations.
const DEFAULT_RUNNER_GROUP: u64 = 1;

/// Where a runner works, below its own folder: the name that GitHub's own setup gives it.
const WORK_FOLDER: &str = "_work";

/// GitHub's most for a page.
const PER_PAGE: usize = 100;

/// The GitHub App.
#[derive(Debug)]
pub struct GitHubApp<P> {
    transport: Transport,
    sign_in: SignIn<P>,
}

impl<P: Parameters> GitHubApp<P> {
    /// The App of these settings, whose private key lies among `parameters`. Nothing is read or sent
    /// yet.
    #[must_use]
    pub fn new(settings: GitHubSettings, parameters: P) -> Self {
        Self {
            transport: Transport::new(settings.api_url),
            sign_in: SignIn::new(settings.app_id, settings.key_parameter, parameters),
        }
    }

    /// Makes a call as the installation that `scope` names.
    async fn call(&self, scope: &Scope, call: Call) -> Result<Answer, Failure> {
        let what = call.what;
        let whole = async {
            let token = self.sign_in.token(&self.transport, scope.installation).await?;
            match self.transport.send(&call, &token).await {
                // Revoked, or the App's permissions were changed: another will do, once.
                Err(refused) if refused.status == Some(StatusCode::UNAUTHORIZED) => {
                    self.sign_in.forget_token(scope.installation);
                    let token = self.sign_in.token(&self.transport, scope.installation).await?;
                    self.transport.send(&call, &token).await
                }
                other => other,
            }
        };
        timeout(CALL_LIMIT, whole)
            .await
            .unwrap_or_else(|_| Err(Failure::timed_out(what, CALL_LIMIT)))
    }

    /// Makes a call whose answer is JSON of this shape.
    async fn read<T: DeserializeOwned>(&self, scope: &Scope, call: Call) -> Result<T, Failure> {
        let what = call.what;
        self.call(scope, call).await?.json(what)
    }

    async fn rerun(&self, scope: &Scope, call: Call) -> Result<RerunAnswer, ApiError> {
        match self.call(scope, call).await {
            Ok(_) => Ok(RerunAnswer::Accepted),
            Err(refused) if refused.is_still_running() => Ok(RerunAnswer::StillRunning),
            Err(refused) => Err(refused.error),
        }
    }
}

/// The path of something in the repository of `scope`. Its name has only characters that mean nothing
/// in a URL.
fn path(scope: &Scope, rest: &str) -> String {
    format!("/repos/{}/{rest}", scope.repository)
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
        for page in 1.. {
            let query = format!("actions/runners?name={escaped}&per_page={PER_PAGE}&page={page}");
            let call = Call::get("look a runner up", path(scope, &query));
            let answer: answers::Runners = self.read(scope, call).await.map_err(|refused| refused.error)?;
            let last = answer.runners.len() < PER_PAGE;
            let found = answer.runners.into_iter().find(|runner| runner.name == name);
            if found.is_some() || last {
                return Ok(found.map(Into::into));
            }
        }
        Ok(None)
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
}

#[cfg(test)]
mod tests;
