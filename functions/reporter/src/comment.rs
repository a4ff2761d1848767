//! The comment of a pull request: what its runs have cost.

use dayfly_engine::caps::{budget_of_pull, budgets_of};
use dayfly_engine::comment::{self, Ask, Step};
use dayfly_flows::{FlowError, MAX_CONFLICTS, acquire};
use dayfly_ports::{Alerts, ApiError, ApiErrorKind, Clock, GitHub, Scope, Store, StoreError};
use dayfly_records::{BucketId, Change, Ledger, LedgerId, PullReport, RunSum, Stored, Wish};
use dayfly_report::check_run::{COMMENT_MARKER, comment as render};
use dayfly_report::sums::{CapLeft, caps_left};
use dayfly_types::budget::Budget;
use dayfly_types::ids::{CommentId, Repository};
use dayfly_types::month::Month;
use dayfly_types::time::Timestamp;

use crate::{Function, Outcome, trouble};

/// What GitHub answered.
enum Told {
    /// The comment says it.
    Said(CommentId),
    /// This is what is there of it.
    Found(Option<CommentId>),
}

impl<S: Store, G: GitHub, K: Clock, A: Alerts> Function<S, G, K, A> {
    /// Counts what a run attempt of a pull request has cost, and says it in the comment if that is to be said
    /// now. The same sum again does nothing, and what is not said is due.
    ///
    /// # Errors
    /// If the table did not answer.
    pub async fn add_to_pull(
        &self,
        repository: &Repository,
        pull: u64,
        wish: Wish,
        run_sum: RunSum,
        now: Timestamp,
    ) -> Result<(), FlowError> {
        for _ in 0..MAX_CONFLICTS {
            let known = self.store.pull(repository, pull).await?;
            let new = || PullReport::new(repository.clone(), pull, wish.installation, now);
            let before = known.as_ref().map_or_else(new, |stored| stored.record.clone());
            let Some(next) = before.with(run_sum.clone(), wish.clone(), now) else {
                return Ok(());
            };
            let is_due = next.due_at.is_some_and(|at| at <= now);
            if self.record(Change::put(known.as_ref(), next)).await? {
                if is_due {
                    self.say_comment(repository, pull, now).await?;
                }
                return Ok(());
            }
        }
        Err(StoreError::Conflict.into())
    }

    /// Says what the runs of a pull request have cost, if that is due, and what is to be said in its place by
    /// then.
    pub(crate) async fn say_comment(
        &self,
        repository: &Repository,
        pull: u64,
        now: Timestamp,
    ) -> Result<Outcome, FlowError> {
        let mut outcome = Outcome::Nothing;
        let mut may_write = false;
        for _ in 0..MAX_CONFLICTS {
            let Some(Stored {
                record: before,
                version,
            }) = self.store.pull(repository, pull).await?
            else {
                return Ok(outcome);
            };
            let paced = outcome == Outcome::Said && before.due_at.is_some_and(|at| at > now);
            let (held, ask) = match comment::step(&before, now) {
                Step::Ask(held, ask) if !paced => (*held, ask),
                Step::Ask(..) | Step::Nothing => return Ok(outcome),
            };
            if ask != Ask::Find && !may_write {
                let bucket = BucketId::ContentWrites(before.installation);
                if let Err(wait) = acquire(&self.store, bucket, comment::terms(), now).await? {
                    let later = comment::put_off(&before, wait, now);
                    self.record(Change::update(version, later)).await?;
                    return Ok(Outcome::Postponed);
                }
                may_write = true;
            }
            if !self.record(Change::update(version, held.clone())).await? {
                continue;
            }
            let held = Stored::over(version, held);
            match self.ask_for_comment(&held.record, ask, now).await? {
                Ok(Told::Said(id)) => {
                    self.comment_said(&held, id, now).await?;
                    outcome = Outcome::Said;
                    may_write = false;
                }
                Ok(Told::Found(found)) => {
                    let next = comment::found(&held.record, found, now);
                    self.record(Change::update(held.version, next)).await?;
                }
                Err(error) if matches!(ask, Ask::Update(_)) && error.kind == ApiErrorKind::NotFound => {
                    // GitHub says so too of what the App may not see any more.
                    match self.ask_for_comment(&held.record, Ask::Find, now).await? {
                        Ok(Told::Found(None)) => return self.comment_removed(repository, pull).await,
                        Ok(Told::Found(found)) if found != before.comment => {
                            let next = comment::found(&held.record, found, now);
                            self.record(Change::update(held.version, next)).await?;
                        }
                        _ => return self.comment_failed(&before, &held, &error, now).await,
                    }
                }
                Err(error) => return self.comment_failed(&before, &held, &error, now).await,
            }
        }
        Err(StoreError::Conflict.into())
    }

    async fn ask_for_comment(
        &self,
        report: &PullReport,
        ask: Ask,
        now: Timestamp,
    ) -> Result<Result<Told, ApiError>, StoreError> {
        let scope = Scope {
            installation: report.installation,
            repository: report.repository.clone(),
        };
        if ask == Ask::Find {
            let found = self.github.find_comment(&scope, report.pull, COMMENT_MARKER).await;
            return Ok(found.map(Told::Found));
        }
        let text = render(report, &self.caps_of(report, now).await?, &self.web_url);
        Ok(match ask {
            Ask::Update(id) => self
                .github
                .update_comment(&scope, id, &text)
                .await
                .map(|()| Told::Said(id)),
            Ask::Find | Ask::Create => self
                .github
                .create_comment(&scope, report.pull, &text)
                .await
                .map(Told::Said),
        })
    }

    /// What is left this month of the caps that the jobs of a pull request are counted under.
    async fn caps_of(&self, report: &PullReport, now: Timestamp) -> Result<Vec<CapLeft>, StoreError> {
        let repository = &report.repository;
        let mut budgets = budgets_of(Some(repository));
        // What all others spend is not for everybody to read who may read the pull request.
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

    /// Records that it was said. If something else is to be said by now, that is due at once.
    async fn comment_said(&self, held: &Stored<PullReport>, id: CommentId, now: Timestamp) -> Result<(), FlowError> {
        let PullReport { repository, pull, .. } = &held.record;
        tracing::info!(%repository, pull, comment = %id, "said on the pull request what its runs have cost");
        let mut next = Some((held.version, comment::said(&held.record, id, now)));
        for _ in 0..MAX_CONFLICTS {
            let Some((version, said)) = next else {
                return Ok(());
            };
            if self.record(Change::update(version, said)).await? {
                return Ok(());
            }
            let newer = self.store.pull(repository, *pull).await?;
            next = newer.and_then(|Stored { record, version }| {
                let then = comment::said_meanwhile(&record, &held.record, id, now)?;
                Some((version, then))
            });
        }
        Err(StoreError::Conflict.into())
    }

    /// Records that a person has deleted it.
    async fn comment_removed(&self, repository: &Repository, pull: u64) -> Result<Outcome, FlowError> {
        for _ in 0..MAX_CONFLICTS {
            let Some(Stored { record, version }) = self.store.pull(repository, pull).await? else {
                return Ok(Outcome::GivenUp);
            };
            if self.record(Change::update(version, comment::removed(&record))).await? {
                tracing::info!(%repository, pull, "the pull request's comment was deleted, and stays away");
                return Ok(Outcome::GivenUp);
            }
        }
        Err(StoreError::Conflict.into())
    }

    async fn comment_failed(
        &self,
        before: &PullReport,
        held: &Stored<PullReport>,
        error: &ApiError,
        now: Timestamp,
    ) -> Result<Outcome, FlowError> {
        let next = comment::failed(before, &held.record, trouble(error), now, &self.deadlines);
        let PullReport {
            repository,
            pull,
            tries,
            ..
        } = &next;
        let given_up = next.due_at.is_none();
        if given_up {
            tracing::warn!(%repository, pull, %error, mend = mend(error),
                "what its runs have cost cannot be said on the pull request");
        } else {
            tracing::warn!(%repository, pull, %error, tries, "what its runs have cost is said on the pull request later");
        }
        // If something else is to be said by now, it is due as it is.
        self.record(Change::update(held.version, next)).await?;
        Ok(if given_up { Outcome::GivenUp } else { Outcome::Postponed })
    }
}

fn mend(error: &ApiError) -> &'static str {
    match error.kind {
        ApiErrorKind::Forbidden | ApiErrorKind::NotFound => {
            "give the GitHub App the repository permission Pull requests: read and write, and accept it where the App is installed; or set `comment: false` in the repository's file"
        }
        ApiErrorKind::BadRequest | ApiErrorKind::RateLimited(_) | ApiErrorKind::Unavailable => {
            "see what GitHub says; everything else goes on without it"
        }
    }
}
