//! The GitHub calls of the functions.

use std::collections::BTreeSet;

use dayfly_config::labels::Label;
use dayfly_policy::Team;
use dayfly_ports::{
    ApiError, ApiErrorKind, CheckView, ConfigFile, FailedDelivery, GitHub, JobView, Minted, Removal, RerunAnswer,
    RunView, RunnerView, Scope,
};
use dayfly_records::CheckRunBody;
use dayfly_records::event::Conclusion;
use dayfly_records::origin::{LabelEvent, Origin, Pull, Review};
use dayfly_types::ids::{CheckRunId, CommentId, InstallationId, JobId, Repository, RunId, RunKey, RunnerId};
use dayfly_types::time::Timestamp;

use super::{HubJob, down, not_found, push_to};
use crate::World;

impl World {
    fn record_check_write(&self, check: &CheckRunBody) {
        let now = self.cloud().time();
        self.hub().check_writes.push((now, check.external_id.clone()));
    }
}

impl GitHub for World {
    async fn config_file(&self, scope: &Scope, path: &str, etag: Option<&str>) -> Result<ConfigFile, ApiError> {
        self.call("config_file").await.map_err(down("config_file"))?;
        let hub = self.hub();
        hub.may_read(&scope.repository, "config_file")?;
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
        // A registration that failed may still have taken effect.
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

    async fn open_runs(&self, scope: &Scope) -> Result<Vec<RunId>, ApiError> {
        self.call("open_runs").await.map_err(down("open_runs"))?;
        let hub = self.hub();
        hub.may_read(&scope.repository, "open_runs")?;
        Ok(hub.open_runs())
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

    async fn runners(&self, scope: &Scope) -> Result<Vec<RunnerView>, ApiError> {
        self.call("runners").await.map_err(down("runners"))?;
        self.hub().may_read(&scope.repository, "runners")?;
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
    async fn create_check(&self, _: &Scope, check: &CheckRunBody) -> Result<CheckRunId, ApiError> {
        let result = self.call("create_check").await;
        self.record_check_write(check);
        self.hub().may_check("create_check")?;
        // A creation that failed may still have taken effect.
        let id = self.hub().make_check(check);
        result.map_err(down("create_check"))?;
        Ok(id)
    }

    async fn update_check(&self, _: &Scope, id: CheckRunId, check: &CheckRunBody) -> Result<(), ApiError> {
        self.call("update_check").await.map_err(down("update_check"))?;
        self.record_check_write(check);
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
        if hub.comment_error == Some(ApiErrorKind::NotFound) {
            // GitHub answers so for everything that the App may not see.
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
        // A creation that failed may still have taken effect.
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
