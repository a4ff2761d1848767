//! The GitHub port.

use dayfly_config::CONFIG_PATH;
use dayfly_config::labels::Label;
use dayfly_policy::Team;
use dayfly_ports::{
    ApiError, ApiErrorKind, CheckView, ConfigFile, FailedDelivery, GitHub, JobView, Minted, Removal, RerunAnswer,
    RunView, RunnerView, Scope,
};
use dayfly_records::CheckRunBody;
use dayfly_records::origin::{LabelEvent, Origin, Pull, Review};
use dayfly_types::ids::{CheckRunId, CommentId, InstallationId, JobId, Repository, RunId, RunKey, RunnerId};
use dayfly_types::time::Timestamp;

use super::Ports;
use crate::guards::Guard;
use crate::hub::INSTALLATION;

fn not_found(call: &'static str) -> ApiError {
    ApiError {
        kind: ApiErrorKind::NotFound,
        call,
        message: "Not Found".to_owned(),
    }
}

impl GitHub for Ports {
    async fn config_file(&self, scope: &Scope, path: &str, _: Option<&str>) -> Result<ConfigFile, ApiError> {
        self.github("config_file", |sim, _| {
            if path != CONFIG_PATH {
                return ConfigFile::Missing;
            }
            ConfigFile::Found {
                etag: None,
                text: sim.plan.config(&scope.repository).text(),
            }
        })
        .await
    }

    async fn mint(&self, scope: &Scope, name: &str, labels: &[Label]) -> Result<Minted, ApiError> {
        self.github("mint", |sim, _| sim.mint(name, scope, labels)).await
    }

    async fn runner_named(&self, _: &Scope, name: &str) -> Result<Option<RunnerView>, ApiError> {
        self.github("runner_named", |sim, dice| {
            sim.listed(dice, |runner| runner.name == name).into_iter().next()
        })
        .await
    }

    async fn remove_runner(&self, _: &Scope, runner: RunnerId) -> Result<Removal, ApiError> {
        self.github("remove_runner", |sim, _| sim.remove_runner(runner)).await
    }

    async fn job(&self, _: &Scope, job: JobId) -> Result<JobView, ApiError> {
        self.github("job", |sim, _| sim.job_as_asked(job))
            .await?
            .ok_or_else(|| not_found("job"))
    }

    async fn run(&self, _: &Scope, run: RunId) -> Result<RunView, ApiError> {
        self.github("run", |sim, _| {
            sim.hub.borrow().runs.get(&run).map(|run| RunView {
                attempt: run.attempt,
                completed: run.ended.is_some(),
                conclusion: run.ended,
            })
        })
        .await?
        .ok_or_else(|| not_found("run"))
    }

    async fn rerun_job(&self, _: &Scope, job: JobId) -> Result<RerunAnswer, ApiError> {
        self.github("rerun", |sim, _| {
            let run = sim.hub.borrow().jobs.get(&job).map(|job| job.run);
            run.map(|run| sim.rerun_by_us(run, Some(job)))
        })
        .await?
        .ok_or_else(|| not_found("rerun"))
    }

    async fn rerun_failed_jobs(&self, _: &Scope, run: RunId) -> Result<RerunAnswer, ApiError> {
        self.github("rerun", |sim, _| sim.rerun_by_us(run, None)).await
    }

    async fn superseded(&self, scope: &Scope, run: RunId) -> Result<Option<RunId>, ApiError> {
        self.github("superseded", |sim, _| {
            let one_of_them = sim.plan.config(&scope.repository).concurrency && sim.has(Guard::Concurrency);
            sim.hub.borrow().newer_than(run).filter(|_| one_of_them)
        })
        .await
    }

    async fn installations(&self) -> Result<Vec<InstallationId>, ApiError> {
        self.github("installations", |_, _| vec![INSTALLATION]).await
    }

    async fn pushed_repositories(&self, _: InstallationId, since: Timestamp) -> Result<Vec<Repository>, ApiError> {
        self.github("repositories", |sim, _| {
            let hub = sim.hub.borrow();
            let pushed = hub.pushed.iter().filter(|(_, at)| **at >= since);
            pushed.map(|(repository, _)| repository.clone()).collect()
        })
        .await
    }

    async fn open_runs(&self, scope: &Scope) -> Result<Vec<RunId>, ApiError> {
        self.github("open_runs", |sim, _| {
            if !sim.has(Guard::LostJobs) {
                return Vec::new();
            }
            sim.hub.borrow().open_runs(&scope.repository).collect()
        })
        .await
    }

    async fn jobs_of(&self, _: &Scope, run: RunId) -> Result<Vec<JobView>, ApiError> {
        self.github("jobs_of", |sim, _| {
            let hub = sim.hub.borrow();
            let jobs = hub.runs.get(&run).map(|run| run.jobs.clone()).unwrap_or_default();
            jobs.into_iter().filter_map(|job| hub.view(job)).collect()
        })
        .await
    }

    async fn runners(&self, scope: &Scope) -> Result<Vec<RunnerView>, ApiError> {
        self.github("runners", |sim, dice| {
            let offline_too = sim.has(Guard::Offline);
            sim.listed(dice, |runner| {
                runner.repository == scope.repository && (runner.online || offline_too)
            })
        })
        .await
    }

    async fn failed_deliveries(&self, after: u64, limit: usize) -> Result<Vec<FailedDelivery>, ApiError> {
        self.github("failed_deliveries", |sim, _| sim.failed_deliveries(after, limit))
            .await
    }

    async fn redeliver(&self, number: u64) -> Result<(), ApiError> {
        self.github("redeliver", |sim, _| sim.redeliver(number)).await
    }
    async fn create_check(&self, scope: &Scope, check: &CheckRunBody) -> Result<CheckRunId, ApiError> {
        self.github("create_check", |sim, _| sim.make_check(scope, check)).await
    }

    async fn update_check(&self, _: &Scope, id: CheckRunId, check: &CheckRunBody) -> Result<(), ApiError> {
        self.github("update_check", |sim, _| sim.change_check(id, check))
            .await?
            .then_some(())
            .ok_or_else(|| not_found("update_check"))
    }

    async fn find_check(
        &self,
        scope: &Scope,
        head_sha: &str,
        name: &str,
        external_id: &str,
    ) -> Result<Option<CheckView>, ApiError> {
        self.github("find_check", |sim, _| {
            let hub = sim.hub.borrow();
            let found = hub.checks.of(external_id).find(|(_, check)| {
                check.repository == scope.repository && check.body.head_sha == head_sha && check.body.name == name
            });
            found.map(|(id, check)| CheckView {
                id,
                concluded: check.body.conclusion,
            })
        })
        .await
    }

    async fn find_comment(&self, scope: &Scope, pull: u64, marker: &str) -> Result<Option<CommentId>, ApiError> {
        self.github("find_comment", |sim, _| {
            let hub = sim.hub.borrow();
            let found = hub.comments.iter().find(|(_, comment)| {
                comment.repository == scope.repository && comment.pull == pull && comment.text.starts_with(marker)
            });
            found.map(|(id, _)| *id)
        })
        .await
    }

    async fn create_comment(&self, scope: &Scope, pull: u64, text: &str) -> Result<CommentId, ApiError> {
        self.github("create_comment", |sim, _| sim.make_comment(scope, pull, text))
            .await
    }

    async fn update_comment(&self, _: &Scope, comment: CommentId, text: &str) -> Result<(), ApiError> {
        self.github("update_comment", |sim, _| sim.change_comment(comment, text))
            .await?
            .then_some(())
            .ok_or_else(|| not_found("update_comment"))
    }

    async fn cancel_run(&self, _: &Scope, run: RunId) -> Result<(), ApiError> {
        self.github("cancel_run", |sim, _| sim.cancelled_by_us(run)).await
    }

    async fn run_origin(&self, scope: &Scope, run: RunKey) -> Result<Origin, ApiError> {
        self.github("run_origin", |sim, _| sim.origin(scope, run))
            .await?
            .ok_or_else(|| not_found("run_origin"))
    }

    async fn may_write(&self, _: &Scope, _: &str) -> Result<bool, ApiError> {
        self.github("may_write", |_, _| false).await
    }

    async fn is_member(&self, _: &Scope, _: &Team, _: &str) -> Result<bool, ApiError> {
        self.github("is_member", |_, _| false).await
    }

    async fn pulls_from(&self, _: &Scope, _: &str, _: &str) -> Result<Vec<Pull>, ApiError> {
        self.github("pulls_from", |_, _| Vec::new()).await
    }

    async fn reviews(&self, _: &Scope, _: u64) -> Result<Vec<Review>, ApiError> {
        self.github("reviews", |_, _| Vec::new()).await
    }

    async fn label_events(&self, _: &Scope, _: u64) -> Result<Vec<LabelEvent>, ApiError> {
        self.github("label_events", |_, _| Vec::new()).await
    }
}
