//! Publishes what becomes of jobs and what they cost: check runs, the comment of a pull request, and alerts about
//! caps.
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used))]

mod check_run;
mod combined;
mod pull_comment;
mod story;
mod thresholds;

use dayfly_engine::check_run::WriteFailure;
use dayfly_flows::FlowError;
use dayfly_ports::{Alerts, ApiError, ApiErrorKind, Clock, GitHub, Store, StoreError};
use dayfly_records::Change;
use dayfly_records::event::Event;
use dayfly_report::check_run::LogLinks;
use dayfly_types::deadlines::Deadlines;
use dayfly_types::time::Timestamp;

/// The result of handling an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReportOutcome {
    Published,
    /// There is nothing to publish, or another invocation is publishing it.
    Nothing,
    /// The call failed; publishing is retried later.
    Postponed,
    /// GitHub will never accept it.
    GivenUp,
}

/// The reporter function.
pub struct Function<S, G, K, A> {
    pub store: S,
    pub github: G,
    /// Waits for what follows right behind an event.
    pub clock: K,
    /// The topic that alerts a person.
    pub alerts: A,
    /// The stack's name.
    pub stack: String,
    /// GitHub's address.
    pub web_url: String,
    pub logs: LogLinks,
    pub deadlines: Deadlines,
}

impl<S: Store, G: GitHub, K: Clock, A: Alerts> Function<S, G, K, A> {
    /// Handles one event.
    ///
    /// # Errors
    /// The table did not answer: the event comes again, and what it is about stays due.
    pub async fn handle(&self, event: Event, now: Timestamp) -> Result<ReportOutcome, FlowError> {
        let outcome = match event {
            Event::CheckRunDue(due) => self.publish_check_run(due, now).await?,
            Event::CommentDue(due) => self.publish_comment(&due.repository, due.pull, now).await?,
            Event::CapDue(due) => self.report_threshold(due).await?,
            Event::JobQueued(_)
            | Event::JobInProgress(_)
            | Event::JobCompleted(_)
            | Event::RunCompleted(_)
            | Event::LaunchDue(_)
            | Event::QueueDue(_)
            | Event::CostDue(_) => ReportOutcome::Nothing,
        };
        tracing::info!(?outcome, "handled");
        Ok(outcome)
    }

    /// Writes a record. Returns whether it was unchanged since it was read.
    async fn record(&self, change: Change) -> Result<bool, FlowError> {
        match self.store.commit(vec![change]).await {
            Ok(()) => Ok(true),
            Err(StoreError::Conflict) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }
}

fn write_failure(error: &ApiError) -> WriteFailure {
    match error.kind {
        ApiErrorKind::NotFound | ApiErrorKind::Forbidden | ApiErrorKind::BadRequest => WriteFailure::Permanent,
        ApiErrorKind::RateLimited(_) => WriteFailure::Later(error.wait()),
        ApiErrorKind::Unavailable => WriteFailure::Unclear,
    }
}
