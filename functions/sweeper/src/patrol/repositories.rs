//! Jobs whose webhook was lost, and leftover registrations, in the recently active repositories.

use std::collections::BTreeMap;
use std::time::Duration;

use dayfly_config::labels;
use dayfly_engine::patrol;
use dayfly_engine::patrol::lost_webhooks::{self, JobOnGitHub};
use dayfly_engine::patrol::orphans::{self, ListedRunner};
use dayfly_flows::{FlowError, event_of_job};
use dayfly_ports::{ApiErrorKind, Bus, GitHub, JobStatus, JobView, Ports, RunnerView, Schedule, Scope, Store};
use dayfly_records::Patrol;
use dayfly_types::ids::{InstallationId, JobKey, Repository, RunnerName};
use dayfly_types::time::Timestamp;

use crate::{Function, Swept};

/// How long after a push a repository's jobs are looked for.
const ACTIVE: Duration = Duration::from_secs(24 * 3600);

/// Repositories per patrol; the next patrol goes on with the rest.
const MAX_REPOSITORIES: usize = 50;

/// After this many repositories the patrol records how far it is: if the function's time is over before the last one,
/// the next patrol goes on from there.
const RECORD_EVERY: usize = 5;

/// After this many failures in a row, the remaining repositories are left to the next patrol.
const MAX_FAILURES: usize = 3;

/// Open runs of a repository per patrol; the next patrols look at the others.
const MAX_RUNS: usize = 40;

impl<P: Ports, C: Schedule> Function<P, C> {
    /// Patrols the active repositories, some at a time if there are many. One that fails does not stop the others.
    pub(super) async fn patrol_repositories(
        &self,
        known: &Patrol,
        swept: &mut Swept,
        now: Timestamp,
    ) -> Result<(), FlowError> {
        let active = self.active_repositories(now).await?;
        if active.is_empty() {
            return Ok(());
        }
        let (mut last, mut failures, mut failed) = (None, 0, Ok(()));
        let next = patrol::next_repositories(&active, known.last_checked.as_ref(), MAX_REPOSITORIES);
        let is_whole = next.len() == active.len();
        for (index, (repository, installation)) in next.into_iter().enumerate() {
            if index > 0 && index.is_multiple_of(RECORD_EVERY) {
                self.update_record(|next| next.last_checked.clone_from(&last)).await?;
            }
            let scope = Scope {
                installation,
                repository,
            };
            match self.patrol_repository(&scope, swept, now).await {
                Ok(()) => failures = 0,
                Err(error) => {
                    tracing::warn!(repository = %scope.repository, %error, "a repository is left to a later patrol");
                    if !is_closed(&error) {
                        failures += 1;
                        failed = Err(error);
                    }
                }
            }
            last = Some(scope.repository);
            if failures >= MAX_FAILURES {
                break;
            }
        }
        if !is_whole || failures >= MAX_FAILURES {
            self.update_record(|next| next.last_checked.clone_from(&last)).await?;
        }
        failed
    }

    /// Returns the repositories that recently had a push or a job.
    async fn active_repositories(&self, now: Timestamp) -> Result<BTreeMap<Repository, InstallationId>, FlowError> {
        let mut found = BTreeMap::new();
        if let Some(watched) = self.ports.store().watched().await? {
            for (repository, watched) in watched.record.repositories {
                found.insert(repository, watched.installation);
            }
        }
        let since = Timestamp::from_seconds(now.seconds().saturating_sub_unsigned(ACTIVE.as_secs()));
        for installation in self.ports.github().installations().await? {
            for repository in self.ports.github().pushed_repositories(installation, since).await? {
                found.insert(repository, installation);
            }
        }
        Ok(found)
    }

    async fn patrol_repository(&self, scope: &Scope, swept: &mut Swept, now: Timestamp) -> Result<(), FlowError> {
        for run in patrol::rotate(self.ports.github().open_runs(scope).await?, MAX_RUNS, now) {
            for view in self.ports.github().jobs_of(scope, run).await? {
                self.publish_if_lost(view, scope, swept, now).await?;
            }
        }
        for listed in self.ports.github().runners(scope).await? {
            self.remove_if_leftover(&listed, scope, swept).await?;
        }
        Ok(())
    }

    async fn publish_if_lost(
        &self,
        view: JobView,
        scope: &Scope,
        swept: &mut Swept,
        now: Timestamp,
    ) -> Result<(), FlowError> {
        let Some(status) = known_status(&view).filter(|_| labels::may_be_ours(&view.labels)) else {
            return Ok(());
        };
        let key = JobKey {
            job: view.job,
            attempt: view.attempt,
        };
        let age = view.created_at.map_or(Duration::MAX, |at| now.since(at));
        if age < self.deadlines.webhook {
            return Ok(());
        }
        let known = self.ports.store().job(key).await?.map(|stored| stored.record);
        if lost_webhooks::is_lost(known.as_ref(), status, age, &self.deadlines)
            && let Some(event) = event_of_job(view, scope, now)
        {
            tracing::warn!(job = %key, repository = %scope.repository, ?status, "a webhook was lost: GitHub tells the job's status");
            swept.lost_webhooks += 1;
            self.ports.bus().publish(&event).await?;
        }
        Ok(())
    }

    async fn remove_if_leftover(&self, view: &RunnerView, scope: &Scope, swept: &mut Swept) -> Result<(), FlowError> {
        let listed = ListedRunner {
            name: &view.name,
            online: view.online,
            busy: view.busy,
        };
        let Some(name) = RunnerName::from_registered(&view.name).filter(|_| !view.online && !view.busy) else {
            return Ok(());
        };
        let runner = self.ports.store().runner(&name).await?.map(|stored| stored.record);
        if orphans::is_orphan_registration(listed, runner.as_ref()) {
            tracing::warn!(runner = view.name, repository = %scope.repository, "removed a leftover registration");
            self.ports.github().remove_runner(scope, view.id).await?;
            swept.registrations += 1;
        }
        Ok(())
    }
}

/// Returns whether the App has no access to the repository, which is no failure of the patrol.
fn is_closed(error: &FlowError) -> bool {
    let FlowError::GitHub(error) = error else {
        return false;
    };
    matches!(error.kind, ApiErrorKind::NotFound | ApiErrorKind::Forbidden)
}

fn known_status(view: &JobView) -> Option<JobOnGitHub> {
    match view.status {
        JobStatus::Queued => Some(JobOnGitHub::Queued),
        JobStatus::Waiting => None,
        JobStatus::InProgress => Some(JobOnGitHub::Running {
            ours: view
                .runner_name
                .as_deref()
                .is_some_and(|name| RunnerName::from_registered(name).is_some()),
        }),
        JobStatus::Completed(_) => Some(JobOnGitHub::Over),
    }
}
