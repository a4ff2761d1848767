//! What follows from GitHub's word on a job or a run: binds the job to the runner that took it,
//! tears down what has done its work, runs interrupted jobs again.
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used))]

mod completed;
mod concerned;
mod started;

use dayfly_engine::rerun;
use dayfly_flows::{AT_ONCE_TRIES, FlowError, MAX_CONFLICTS, PriceCache, cost_ended_runners, settle_run};
use dayfly_ports::{Bus, Fleet, GitHub, Store, StoreError};
use dayfly_records::event::{CostDue, Event, RunEvent};
use dayfly_records::{Change, Stored};
use dayfly_types::deadlines::Deadlines;
use dayfly_types::ids::RunKey;
use dayfly_types::time::Timestamp;

/// The job events function.
pub struct Function<S, G, F, B> {
    /// The table.
    pub store: S,
    /// GitHub.
    pub github: G,
    /// EC2.
    pub fleet: F,
    /// The bus.
    pub bus: B,
    /// Prices that were looked up.
    pub prices: PriceCache,
    /// The stack's deadlines.
    pub deadlines: Deadlines,
}

impl<S: Store, G: GitHub, F: Fleet, B: Bus> Function<S, G, F, B> {
    /// Handles one event.
    ///
    /// # Errors
    /// If something did not answer: the event comes again, and what it left is due.
    pub async fn handle(&self, event: Event, now: Timestamp) -> Result<(), FlowError> {
        match event {
            Event::JobInProgress(job) => self.started(&job, now).await,
            Event::JobCompleted(job) => self.completed(&job, now).await,
            Event::RunCompleted(run) => self.run_completed(&run, now).await,
            Event::CostDue(due) => self.count(&due, now).await,
            Event::JobQueued(_)
            | Event::LaunchDue(_)
            | Event::QueueDue(_)
            | Event::CheckRunDue(_)
            | Event::CommentDue(_)
            | Event::CapDue(_) => Ok(()),
        }
    }

    /// Counts what a runner has cost.
    async fn count(&self, due: &CostDue, now: Timestamp) -> Result<(), FlowError> {
        let Some(runner) = self.store.runner(&due.runner).await? else {
            return Ok(());
        };
        let ends = (&self.store, &self.fleet, &self.bus, &self.prices);
        Box::pin(cost_ended_runners(
            ends,
            vec![runner],
            AT_ONCE_TRIES,
            now,
            &self.deadlines,
        ))
        .await
        .map(drop)
    }

    async fn run_completed(&self, event: &RunEvent, now: Timestamp) -> Result<(), FlowError> {
        let key = RunKey {
            run: event.run,
            attempt: event.attempt,
        };
        for _ in 0..MAX_CONFLICTS {
            // A run that nothing of ours was interrupted in has no record, and needs none.
            let Some(Stored { record, version }) = self.store.run(key).await? else {
                return Ok(());
            };
            if let Some(next) = rerun::completed(&record, event, now) {
                match self.store.commit(vec![Change::update(version, next)]).await {
                    Err(StoreError::Conflict) => continue,
                    done => done?,
                }
            }
            return settle_run(&self.store, &self.github, key, now).await;
        }
        Err(StoreError::Conflict.into())
    }
}
