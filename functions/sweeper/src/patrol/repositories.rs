//! Jobs that we should have been told of, and registrations that are left over, in the repositories
//! that were active of late.

use std::collections::BTreeMap;
use std::time::Duration;

use dayfly_config::labels;
use dayfly_engine::patrol::{self, Listed, Standing};
use dayfly_flows::{FlowError, event_of};
use dayfly_ports::{ApiErrorKind, Bus, Fleet, GitHub, JobStatus, JobView, RunnerView, Schedule, Scope, Store};
use dayfly_types::ids::{InstallationId, JobKey, Repository, RunnerName};
use dayfly_types::time::Timestamp;

use super::record;
use crate::{Function, Swept};

/// How long after a push a repository's jobs are looked for.
const ACTIVE: Duration = Duration::from_secs(24 * 3600);

/// How many repositories one patrol looks at; the next one goes on with the rest.
const MAX_REPOSITORIES: usize = 50;

/// After so many repositories one after the other of which GitHub tells nothing, the others are left to the next
/// patrol.
const MAX_FAILURES: usize = 3;

/// How many open runs of a repository one patrol looks at; the next ones look at the others.
const MAX_RUNS: usize = 40;

impl<S: Store, G: GitHub, F: Fleet, B: Bus, C: Schedule> Function<S, G, F, B, C> {
    /// Looks through the active repositories, some at a time if there are many. One of which GitHub tells nothing
    /// holds up none of the others.
    pub(super) async fn patrol_repositories(&self, swept: &mut Swept, now: Timestamp) -> Result<(), FlowError> {
        let active = self.active_repositories(now).await?;
        if active.is_empty() {
            return Ok(());
        }
        let known = record(self.store.patrol().await?.as_ref());
        let (mut last, mut failures, mut failed) = (None, 0, Ok(()));
        for (repository, installation) in patrol::next_behind(&active, known.looked_at.as_ref(), MAX_REPOSITORIES) {
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
        if active.len() > MAX_REPOSITORIES {
            self.remember(|next| next.looked_at.clone_from(&last)).await?;
        }
        failed
    }

    /// The repositories that were pushed to, or had a job, of late.
    async fn active_repositories(&self, now: Timestamp) -> Result<BTreeMap<Repository, InstallationId>, FlowError> {
        let mut found = BTreeMap::new();
        if let Some(watched) = self.store.watched().await? {
            for (repository, watched) in watched.record.repositories {
                found.insert(repository, watched.installation);
            }
        }
        let since = Timestamp::from_seconds(now.seconds().saturating_sub_unsigned(ACTIVE.as_secs()));
        for installation in self.github.installations().await? {
            for repository in self.github.pushed_repositories(installation, since).await? {
                found.insert(repository, installation);
            }
        }
        Ok(found)
    }

    async fn patrol_repository(&self, scope: &Scope, swept: &mut Swept, now: Timestamp) -> Result<(), FlowError> {
        for run in patrol::some_of(self.github.open_runs(scope).await?, MAX_RUNS, now) {
            for view in self.github.jobs_of(scope, run).await? {
                self.hand_on_if_news(view, scope, swept, now).await?;
            }
        }
        for listed in self.github.runners(scope).await? {
            self.remove_if_left_over(&listed, scope, swept).await?;
        }
        Ok(())
    }

    async fn hand_on_if_news(
        &self,
        view: JobView,
        scope: &Scope,
        swept: &mut Swept,
        now: Timestamp,
    ) -> Result<(), FlowError> {
        let Some(standing) = standing(&view).filter(|_| labels::may_be_ours(&view.labels)) else {
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
        let known = self.store.job(key).await?.map(|stored| stored.record);
        if patrol::is_news(known.as_ref(), standing, age, &self.deadlines)
            && let Some(event) = event_of(view, scope, now)
        {
            tracing::warn!(job = %key, repository = %scope.repository, ?standing, "a webhook was lost: GitHub says where the job stands");
            swept.lost_webhooks += 1;
            self.bus.publish(&event).await?;
        }
        Ok(())
    }

    async fn remove_if_left_over(&self, view: &RunnerView, scope: &Scope, swept: &mut Swept) -> Result<(), FlowError> {
        let listed = Listed {
            name: &view.name,
            online: view.online,
            busy: view.busy,
        };
        let Some(name) = RunnerName::from_registered(&view.name).filter(|_| !view.online && !view.busy) else {
            return Ok(());
        };
        let runner = self.store.runner(&name).await?.map(|stored| stored.record);
        if patrol::is_left_over(listed, runner.as_ref()) {
            tracing::warn!(runner = view.name, repository = %scope.repository, "removed a registration that was left over");
            self.github.remove_runner(scope, view.id).await?;
            swept.registrations += 1;
        }
        Ok(())
    }
}

/// Whether a repository is not, or no longer, open to the App: its being so is no failure of the patrol.
fn is_closed(error: &FlowError) -> bool {
    let FlowError::GitHub(error) = error else {
        return false;
    };
    matches!(error.kind, ApiErrorKind::NotFound | ApiErrorKind::Forbidden)
}

fn standing(view: &JobView) -> Option<Standing> {
    match view.status {
        JobStatus::Queued => Some(Standing::Queued),
        JobStatus::Waiting => None,
        JobStatus::InProgress => Some(Standing::Running {
            ours: view
                .runner_name
                .as_deref()
                .is_some_and(|name| RunnerName::from_registered(name).is_some()),
        }),
        JobStatus::Completed(_) => Some(Standing::Over),
    }
}
