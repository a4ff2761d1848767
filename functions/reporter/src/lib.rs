//! Says on its commit what becomes of a job: that it waits and for what, that it is given up and why,
//! that it was interrupted and runs again.
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used))]

mod caps;
mod combined;
mod comment;
mod story;

use std::time::Duration;

use dayfly_engine::check_run::{self, Ask, Step, Trouble};
use dayfly_engine::combined as decide;
use dayfly_flows::{FlowError, MAX_CONFLICTS, acquire};
use dayfly_ports::{Alerts, ApiError, ApiErrorKind, CheckView, Clock, GitHub, Scope, Store, StoreError};
use dayfly_records::event::{CheckRunDue, Event};
use dayfly_records::{BucketId, Change, CheckRun, Stored};
use dayfly_report::check_run::{CheckRunBody, Logs, render};
use dayfly_types::deadlines::Deadlines;
use dayfly_types::ids::{CheckRunId, RunKey};
use dayfly_types::time::Timestamp;

/// What came of an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It is said.
    Said,
    /// There was nothing to say, or somebody else is at it.
    Nothing,
    /// GitHub did not take it; it is said later.
    Postponed,
    /// GitHub will not take it.
    GivenUp,
}

/// What GitHub answered.
enum Told {
    /// The check run says it.
    Said(CheckRunId),
    /// This is what is there of the check run that was asked for before.
    Found(Option<CheckView>),
}

/// The reporter function.
pub struct Function<S, G, K, A> {
    /// The table.
    pub store: S,
    /// GitHub.
    pub github: G,
    /// The clock, to wait for what comes right behind.
    pub clock: K,
    /// The topic on which the stack calls for a person.
    pub alerts: A,
    /// The stack's name.
    pub stack: String,
    /// Where GitHub's pages are.
    pub web_url: String,
    /// Where the functions' logs are.
    pub logs: Logs,
    /// The stack's deadlines.
    pub deadlines: Deadlines,
}

impl<S: Store, G: GitHub, K: Clock, A: Alerts> Function<S, G, K, A> {
    /// Handles one event.
    ///
    /// # Errors
    /// If the table did not answer: the event comes again, and the check run is due.
    pub async fn handle(&self, event: Event, now: Timestamp) -> Result<Outcome, FlowError> {
        let outcome = match event {
            Event::CheckRunDue(due) => self.say(due, now).await?,
            Event::CommentDue(due) => self.say_comment(&due.repository, due.pull, now).await?,
            Event::CapDue(due) => self.tell_cap(due).await?,
            Event::JobQueued(_)
            | Event::JobInProgress(_)
            | Event::JobCompleted(_)
            | Event::RunCompleted(_)
            | Event::LaunchDue(_)
            | Event::QueueDue(_)
            | Event::CostDue(_) => Outcome::Nothing,
        };
        tracing::info!(?outcome, "handled");
        Ok(outcome)
    }

    /// Says a check run, and what is to be said in its place by then; or all of its run attempt, if they
    /// are many.
    async fn say(&self, due: CheckRunDue, now: Timestamp) -> Result<Outcome, FlowError> {
        let mut outcome = Outcome::Nothing;
        let mut may_write = false;
        for _ in 0..MAX_CONFLICTS {
            let Some(Stored {
                record: before,
                version,
            }) = self.store.check_run(due.run, due.key).await?
            else {
                return Ok(Outcome::Nothing);
            };
            if before.key.is_story() {
                return self
                    .tell_story(
                        Stored {
                            record: before,
                            version,
                        },
                        now,
                    )
                    .await;
            }
            let check = render(&before, &self.web_url);
            let (held, ask) = match check_run::step(&before, check.conclusion, now) {
                Step::Nothing => return Ok(outcome),
                Step::Ask(held, ask) => (*held, ask),
            };
            if before.key.is_of_all() || !self.is_apart(&before).await? {
                return self.say_together(&before).await;
            }
            if ask != Ask::Find && !may_write {
                if let Err(wait) = self.acquire(&before, now).await? {
                    let later = decide::put_off(&before, wait, now);
                    self.record(Change::update(version, later)).await?;
                    return Ok(Outcome::Postponed);
                }
                may_write = true;
            }
            if !self.record(Change::update(version, held.clone())).await? {
                continue;
            }
            // It may be another one that takes the place of one that is concluded.
            let check = render(&held, &self.web_url);
            let held = Stored::over(version, held);
            match self.ask(&held.record, ask, &check).await {
                Ok(Told::Said(id)) => {
                    self.said(&held, id, &check, None, now).await?;
                    outcome = Outcome::Said;
                    may_write = false;
                }
                Ok(Told::Found(found)) => {
                    let found = found.map(|view| (view.id, view.concluded));
                    let next = check_run::found(&held.record, found, now);
                    self.record(Change::update(held.version, next)).await?;
                }
                Err(error) => return self.failed(&before, &held, &error, now).await,
            }
        }
        Err(StoreError::Conflict.into())
    }

    /// Whether a check run is told by a check run of its own.
    async fn is_apart(&self, check_run: &CheckRun) -> Result<bool, StoreError> {
        if decide::has_its_own(check_run) {
            return Ok(true);
        }
        let run = RunKey {
            run: check_run.run,
            attempt: check_run.key.attempt,
        };
        Ok(self.store.check_runs(run, decide::APART + 1).await?.len() <= decide::APART)
    }

    /// Takes a write of content out of what GitHub allows the installation; or how long to wait for one.
    async fn acquire(&self, check_run: &CheckRun, now: Timestamp) -> Result<Result<(), Duration>, StoreError> {
        let bucket = BucketId::ContentWrites(check_run.installation);
        let turn = acquire(&self.store, bucket, decide::terms(&check_run.content), now).await?;
        if let Err(wait) = turn {
            tracing::info!(job = %check_run.key, run = %check_run.run, seconds = wait.as_secs(),
                "GitHub takes what else there is to say first");
        }
        Ok(turn.map(drop))
    }

    async fn ask(&self, check_run: &CheckRun, ask: Ask, check: &CheckRunBody) -> Result<Told, ApiError> {
        let scope = Scope {
            installation: check_run.installation,
            repository: check_run.repository.clone(),
        };
        match ask {
            Ask::Find => {
                let found = self
                    .github
                    .find_check(&scope, &check.head_sha, &check.name, &check.external_id)
                    .await?;
                Ok(Told::Found(found))
            }
            Ask::Create => self.github.create_check(&scope, check).await.map(Told::Said),
            Ask::Update(id) => {
                self.github.update_check(&scope, id, check).await?;
                Ok(Told::Said(id))
            }
        }
    }

    /// Records that it was said, and when that is told `again` if nothing comes before. If something else is to
    /// be said by now, that is due at once, and answered.
    async fn said(
        &self,
        held: &Stored<CheckRun>,
        id: CheckRunId,
        check: &CheckRunBody,
        again: Option<Timestamp>,
        now: Timestamp,
    ) -> Result<Option<Stored<CheckRun>>, FlowError> {
        tracing::info!(job = %held.record.key, check = %id, title = check.title, "said it on the commit");
        let said = CheckRun {
            due_at: again,
            ..check_run::said(&held.record, id, check.conclusion)
        };
        let mut next = Some((held.version, said));
        for tried in 0..MAX_CONFLICTS {
            let Some((version, said)) = next else {
                return Ok(None);
            };
            if self.record(Change::update(version, said.clone())).await? {
                return Ok((tried > 0).then(|| Stored::over(version, said)));
            }
            let newer = self.store.check_run(held.record.run, held.record.key).await?;
            next = newer.and_then(|Stored { record, version }| {
                let then = check_run::said_meanwhile(&record, &held.record, id, check.conclusion, now)?;
                Some((version, then))
            });
        }
        Err(StoreError::Conflict.into())
    }

    async fn failed(
        &self,
        before: &CheckRun,
        held: &Stored<CheckRun>,
        error: &ApiError,
        now: Timestamp,
    ) -> Result<Outcome, FlowError> {
        let trouble = trouble(error);
        let next = check_run::failed(before, &held.record, trouble, now, &self.deadlines);
        let given_up = next.due_at.is_none();
        if given_up {
            tracing::warn!(job = %next.key, repository = %next.repository, %error, mend = mend(error),
                "what is to be said of the job cannot be said on its commit");
        } else {
            tracing::warn!(job = %next.key, %error, tries = next.tries, "what is to be said of the job is said later");
        }
        // If something else is to be said by now, it is due as it is.
        self.record(Change::update(held.version, next)).await?;
        Ok(if given_up { Outcome::GivenUp } else { Outcome::Postponed })
    }

    /// Writes a record; answers whether it was still as it was read.
    async fn record(&self, change: Change) -> Result<bool, FlowError> {
        match self.store.commit(vec![change]).await {
            Ok(()) => Ok(true),
            Err(StoreError::Conflict) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }
}

fn trouble(error: &ApiError) -> Trouble {
    match error.kind {
        ApiErrorKind::NotFound | ApiErrorKind::Forbidden | ApiErrorKind::BadRequest => Trouble::Hopeless,
        ApiErrorKind::RateLimited(_) => Trouble::Later(error.wait()),
        ApiErrorKind::Unavailable => Trouble::Unclear,
    }
}

fn mend(error: &ApiError) -> &'static str {
    match error.kind {
        ApiErrorKind::Forbidden | ApiErrorKind::NotFound => {
            "give the GitHub App the repository permission Checks: read and write, and accept it where the App is installed"
        }
        ApiErrorKind::BadRequest | ApiErrorKind::RateLimited(_) | ApiErrorKind::Unavailable => {
            "see what GitHub says; everything else goes on without it"
        }
    }
}
