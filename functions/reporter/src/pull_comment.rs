//! The comment of a pull request: what its runs have cost.

use dayfly_engine::cost::caps::{budget_of_pull, budgets_of};
use dayfly_engine::pull_comment::{self, CommentCall, CommentStep};
use dayfly_flows::{FlowError, MAX_CONFLICTS, acquire};
use dayfly_ports::{Alerts, ApiError, ApiErrorKind, Clock, GitHub, Scope, Store, StoreError};
use dayfly_records::{BucketId, Change, CommentSettings, Ledger, LedgerId, PullReport, RunSum, Stored};
use dayfly_report::pull_comment::{MARKER, render};
use dayfly_report::sums::{CapLeft, caps_left};
use dayfly_types::budget::Budget;
use dayfly_types::ids::{CommentId, Repository};
use dayfly_types::month::Month;
use dayfly_types::time::Timestamp;

use crate::{Function, ReportOutcome, write_failure};

/// GitHub's answer to a call about a comment.
enum CommentAnswer {
    Published(CommentId),
    Found(Option<CommentId>),
}

impl<S: Store, G: GitHub, K: Clock, A: Alerts> Function<S, G, K, A> {
    /// Adds the cost of a run attempt to the comment of its pull request, and publishes it if it is due. The same sum
    /// again changes nothing. What is not published stays due.
    ///
    /// # Errors
    /// The table did not answer.
    pub async fn add_to_pull(
        &self,
        repository: &Repository,
        pull: u64,
        settings: CommentSettings,
        run_sum: RunSum,
        now: Timestamp,
    ) -> Result<(), FlowError> {
        for _ in 0..MAX_CONFLICTS {
            let known = self.store.pull(repository, pull).await?;
            let new = || PullReport::new(repository.clone(), pull, settings.installation, now);
            let before = known.as_ref().map_or_else(new, |stored| stored.record.clone());
            let Some(next) = before.with(run_sum.clone(), settings.clone(), now) else {
                return Ok(());
            };
            let is_due = next.due_at.is_some_and(|at| at <= now);
            if self.record(Change::put(known.as_ref(), next)).await? {
                if is_due {
                    self.publish_comment(repository, pull, now).await?;
                }
                return Ok(());
            }
        }
        Err(StoreError::Conflict.into())
    }

    /// Publishes the comment of a pull request if it is due, and again if its content changes meanwhile.
    pub(crate) async fn publish_comment(
        &self,
        repository: &Repository,
        pull: u64,
        now: Timestamp,
    ) -> Result<ReportOutcome, FlowError> {
        let mut outcome = ReportOutcome::Nothing;
        let mut may_write = false;
        for _ in 0..MAX_CONFLICTS {
            let Some(Stored {
                record: before,
                version,
            }) = self.store.pull(repository, pull).await?
            else {
                return Ok(outcome);
            };
            let paced = outcome == ReportOutcome::Published && before.due_at.is_some_and(|at| at > now);
            let (held, call) = match pull_comment::step(&before, now) {
                CommentStep::Call(held, call) if !paced => (*held, call),
                CommentStep::Call(..) | CommentStep::Nothing => return Ok(outcome),
            };
            if call != CommentCall::Find && !may_write {
                let bucket = BucketId::ContentWrites(before.installation);
                if let Err(wait) = acquire(&self.store, bucket, pull_comment::token_request(), now).await? {
                    let later = pull_comment::defer(&before, wait, now);
                    self.record(Change::update(version, later)).await?;
                    return Ok(ReportOutcome::Postponed);
                }
                may_write = true;
            }
            if !self.record(Change::update(version, held.clone())).await? {
                continue;
            }
            let held = Stored::over(version, held);
            match self.call_comments(&held.record, call, now).await? {
                Ok(CommentAnswer::Published(id)) => {
                    self.record_comment_published(&held, id, now).await?;
                    outcome = ReportOutcome::Published;
                    may_write = false;
                }
                Ok(CommentAnswer::Found(found)) => {
                    let next = pull_comment::found(&held.record, found, now);
                    self.record(Change::update(held.version, next)).await?;
                }
                Err(error) if matches!(call, CommentCall::Update(_)) && error.kind == ApiErrorKind::NotFound => {
                    // GitHub answers the same if the App has lost access.
                    match self.call_comments(&held.record, CommentCall::Find, now).await? {
                        Ok(CommentAnswer::Found(None)) => return self.record_comment_removed(repository, pull).await,
                        Ok(CommentAnswer::Found(found)) if found != before.comment => {
                            let next = pull_comment::found(&held.record, found, now);
                            self.record(Change::update(held.version, next)).await?;
                        }
                        _ => return self.record_comment_failure(&before, &held, &error, now).await,
                    }
                }
                Err(error) => return self.record_comment_failure(&before, &held, &error, now).await,
            }
        }
        Err(StoreError::Conflict.into())
    }

    async fn call_comments(
        &self,
        report: &PullReport,
        call: CommentCall,
        now: Timestamp,
    ) -> Result<Result<CommentAnswer, ApiError>, StoreError> {
        let scope = Scope {
            installation: report.installation,
            repository: report.repository.clone(),
        };
        if call == CommentCall::Find {
            let found = self.github.find_comment(&scope, report.pull, MARKER).await;
            return Ok(found.map(CommentAnswer::Found));
        }
        let text = render(report, &self.caps_of(report, now).await?, &self.web_url);
        Ok(match call {
            CommentCall::Update(id) => self
                .github
                .update_comment(&scope, id, &text)
                .await
                .map(|()| CommentAnswer::Published(id)),
            CommentCall::Find | CommentCall::Create => self
                .github
                .create_comment(&scope, report.pull, &text)
                .await
                .map(CommentAnswer::Published),
        })
    }

    /// Returns what is left this month of the caps that the pull request counts towards.
    async fn caps_of(&self, report: &PullReport, now: Timestamp) -> Result<Vec<CapLeft>, StoreError> {
        let repository = &report.repository;
        let mut budgets = budgets_of(Some(repository));
        // Not every reader of the pull request may see what others spend.
        budgets.retain(|budget| report.all_caps || matches!(budget, Budget::Repository { .. }));
        budgets.push(budget_of_pull(repository, report.pull));
        budgets.extend(report.actor.as_ref().map(|login| Budget::Actor {
            login: login.to_lowercase(),
        }));
        let mut ledgers: Vec<Ledger> = Vec::new();
        for budget in budgets {
            let month = Month::of(now);
            let known = self.store.ledger(&LedgerId { budget, month }).await?;
            ledgers.extend(known.map(|stored| stored.record));
        }
        Ok(caps_left(&ledgers))
    }

    /// Records that the comment was published. If its content has changed meanwhile, it is due at once.
    async fn record_comment_published(
        &self,
        held: &Stored<PullReport>,
        id: CommentId,
        now: Timestamp,
    ) -> Result<(), FlowError> {
        let PullReport { repository, pull, .. } = &held.record;
        tracing::info!(%repository, pull, comment = %id, "published the comment of the pull request");
        let mut next = Some((held.version, pull_comment::published(&held.record, id, now)));
        for _ in 0..MAX_CONFLICTS {
            let Some((version, published)) = next else {
                return Ok(());
            };
            if self.record(Change::update(version, published)).await? {
                return Ok(());
            }
            let newer = self.store.pull(repository, *pull).await?;
            next = newer.and_then(|Stored { record, version }| {
                let then = pull_comment::published_meanwhile(&record, &held.record, id, now)?;
                Some((version, then))
            });
        }
        Err(StoreError::Conflict.into())
    }

    /// Records that a person has deleted the comment.
    async fn record_comment_removed(&self, repository: &Repository, pull: u64) -> Result<ReportOutcome, FlowError> {
        for _ in 0..MAX_CONFLICTS {
            let Some(Stored { record, version }) = self.store.pull(repository, pull).await? else {
                return Ok(ReportOutcome::GivenUp);
            };
            if self
                .record(Change::update(version, pull_comment::removed(&record)))
                .await?
            {
                tracing::info!(%repository, pull, "the pull request's comment was deleted, and stays away");
                return Ok(ReportOutcome::GivenUp);
            }
        }
        Err(StoreError::Conflict.into())
    }

    /// Records that a call failed, and when it is retried.
    async fn record_comment_failure(
        &self,
        before: &PullReport,
        held: &Stored<PullReport>,
        error: &ApiError,
        now: Timestamp,
    ) -> Result<ReportOutcome, FlowError> {
        let next = pull_comment::failed(before, &held.record, write_failure(error), now, &self.deadlines);
        let PullReport {
            repository,
            pull,
            tries,
            ..
        } = &next;
        let given_up = next.due_at.is_none();
        if given_up {
            tracing::warn!(%repository, pull, %error, mend = mend(error),
                "the comment of the pull request cannot be published");
        } else {
            tracing::warn!(%repository, pull, %error, tries, "the comment of the pull request is published later");
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
            "give the GitHub App the repository permission Pull requests: read and write, and accept it where the App is installed; or set `comment: false` in the repository's file"
        }
        ApiErrorKind::BadRequest | ApiErrorKind::RateLimited(_) | ApiErrorKind::Unavailable => {
            "see GitHub's message; everything else goes on without the comment"
        }
    }
}
