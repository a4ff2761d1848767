//! The check run of one job.

use std::time::Duration;

use dayfly_engine::check_run::{self, CheckRunCall, CheckRunStep, combined};
use dayfly_flows::{FlowError, MAX_CONFLICTS, acquire};
use dayfly_ports::{Alerts, ApiError, ApiErrorKind, CheckView, Clock, GitHub, Scope, Store, StoreError};
use dayfly_records::CheckRunBody;
use dayfly_records::event::CheckRunDue;
use dayfly_records::{BucketId, Change, CheckRun, CheckSubject, Stored};
use dayfly_report::check_run::render;
use dayfly_types::ids::{CheckRunId, RunKey};
use dayfly_types::time::Timestamp;

use crate::{Function, ReportOutcome, write_failure};

/// GitHub's answer to a call about a check run.
pub(crate) enum CheckAnswer {
    Published(CheckRunId),
    /// The check run that an earlier call created, if it did.
    Found(Option<CheckView>),
}

impl<S: Store, G: GitHub, K: Clock, A: Alerts> Function<S, G, K, A> {
    /// Publishes a check run, and again if its content changes meanwhile. Where a run attempt has many, it publishes
    /// the combined one.
    pub(crate) async fn publish_check_run(&self, due: CheckRunDue, now: Timestamp) -> Result<ReportOutcome, FlowError> {
        let mut outcome = ReportOutcome::Nothing;
        let mut may_write = false;
        for _ in 0..MAX_CONFLICTS {
            let Some(stored) = self.store.check_run(due.run, due.key).await? else {
                return Ok(ReportOutcome::Nothing);
            };
            if stored.record.key.of == CheckSubject::Story {
                return self.publish_story(stored, now).await;
            }
            let Stored {
                record: before,
                version,
            } = stored;
            let check = render(&before, &self.web_url);
            let (held, call) = match check_run::step(&before, check.conclusion, now) {
                CheckRunStep::Nothing => return Ok(outcome),
                CheckRunStep::Call(held, call) => (*held, call),
            };
            if before.key.of == CheckSubject::Jobs || !self.stands_alone(&before).await? {
                return self.publish_combined(&before).await;
            }
            if call != CheckRunCall::Find && !may_write {
                if let Err(wait) = self.acquire(&before, now).await? {
                    let later = combined::defer(&before, wait, now);
                    self.record(Change::update(version, later)).await?;
                    return Ok(ReportOutcome::Postponed);
                }
                may_write = true;
            }
            if !self.record(Change::update(version, held.clone())).await? {
                continue;
            }
            // It may be the successor of one that is concluded.
            let check = render(&held, &self.web_url);
            let held = Stored::over(version, held);
            match self.call_checks(&held.record, call, &check).await {
                Ok(CheckAnswer::Published(id)) => {
                    self.record_published(&held, id, &check, None, now).await?;
                    outcome = ReportOutcome::Published;
                    may_write = false;
                }
                Ok(CheckAnswer::Found(found)) => {
                    let found = found.map(|view| (view.id, view.concluded));
                    let next = check_run::found(&held.record, found, now);
                    self.record(Change::update(held.version, next)).await?;
                }
                Err(error) => return self.record_failure(&before, &held, &error, now).await,
            }
        }
        Err(StoreError::Conflict.into())
    }

    /// Whether a check run is published by itself, not combined with others.
    async fn stands_alone(&self, check_run: &CheckRun) -> Result<bool, StoreError> {
        if combined::has_its_own(check_run) {
            return Ok(true);
        }
        let run = RunKey {
            run: check_run.run,
            attempt: check_run.key.attempt,
        };
        Ok(self.store.check_runs(run, combined::APART + 1).await?.len() <= combined::APART)
    }

    /// Acquires one of the installation's content writes. Returns how long to wait if there is none left.
    pub(crate) async fn acquire(
        &self,
        check_run: &CheckRun,
        now: Timestamp,
    ) -> Result<Result<(), Duration>, StoreError> {
        let bucket = BucketId::ContentWrites(check_run.installation);
        let turn = acquire(&self.store, bucket, combined::token_request(&check_run.content), now).await?;
        if let Err(wait) = turn {
            tracing::info!(job = %check_run.key, run = %check_run.run, seconds = wait.as_secs(),
                "no content write is left; publishing waits");
        }
        Ok(turn.map(drop))
    }

    pub(crate) async fn call_checks(
        &self,
        check_run: &CheckRun,
        call: CheckRunCall,
        check: &CheckRunBody,
    ) -> Result<CheckAnswer, ApiError> {
        let scope = Scope {
            installation: check_run.installation,
            repository: check_run.repository.clone(),
        };
        match call {
            CheckRunCall::Find => {
                let found = self
                    .github
                    .find_check(&scope, &check.head_sha, &check.name, &check.external_id)
                    .await?;
                Ok(CheckAnswer::Found(found))
            }
            CheckRunCall::Create => self
                .github
                .create_check(&scope, check)
                .await
                .map(CheckAnswer::Published),
            CheckRunCall::Update(id) => {
                self.github.update_check(&scope, id, check).await?;
                Ok(CheckAnswer::Published(id))
            }
        }
    }

    /// Records that a check run was published and is due again at `again`, unless something comes before. If its
    /// content has changed meanwhile, it is due at once, and returned.
    pub(crate) async fn record_published(
        &self,
        held: &Stored<CheckRun>,
        id: CheckRunId,
        check: &CheckRunBody,
        again: Option<Timestamp>,
        now: Timestamp,
    ) -> Result<Option<Stored<CheckRun>>, FlowError> {
        tracing::info!(job = %held.record.key, check = %id, title = check.title, "published the check run");
        let published = CheckRun {
            due_at: again,
            ..check_run::published(&held.record, id, check.conclusion)
        };
        let mut next = Some((held.version, published));
        for tried in 0..MAX_CONFLICTS {
            let Some((version, published)) = next else {
                return Ok(None);
            };
            if self.record(Change::update(version, published.clone())).await? {
                return Ok((tried > 0).then(|| Stored::over(version, published)));
            }
            let newer = self.store.check_run(held.record.run, held.record.key).await?;
            next = newer.and_then(|Stored { record, version }| {
                let then = check_run::published_meanwhile(&record, &held.record, id, check.conclusion, now)?;
                Some((version, then))
            });
        }
        Err(StoreError::Conflict.into())
    }

    /// Records that a call failed, and when it is retried.
    pub(crate) async fn record_failure(
        &self,
        before: &CheckRun,
        held: &Stored<CheckRun>,
        error: &ApiError,
        now: Timestamp,
    ) -> Result<ReportOutcome, FlowError> {
        let next = check_run::failed(before, &held.record, write_failure(error), now, &self.deadlines);
        let given_up = next.due_at.is_none();
        if given_up {
            tracing::warn!(job = %next.key, repository = %next.repository, %error, mend = mend(error),
                "the check run cannot be published");
        } else {
            tracing::warn!(job = %next.key, %error, tries = next.tries, "the check run is published later");
        }
        // If the content has changed meanwhile, the changed record stays due.
        self.record(Change::update(held.version, next)).await?;
        Ok(if given_up {
            ReportOutcome::GivenUp
        } else {
            ReportOutcome::Postponed
        })
    }
}

fn mend(error: &ApiError) -> &'static str {
    match error.kind {
        ApiErrorKind::Forbidden | ApiErrorKind::NotFound => {
            "give the GitHub App the repository permission Checks: read and write, and accept it where the App is installed"
        }
        ApiErrorKind::BadRequest | ApiErrorKind::RateLimited(_) | ApiErrorKind::Unavailable => {
            "see GitHub's message; everything else goes on without the check run"
        }
    }
}
