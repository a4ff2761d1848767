//! Handles GitHub's events of jobs and runs: binds a job to the runner that took it, ends runners whose job
//! is over, has interrupted jobs run again.
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used))]

mod affected;
mod completed;
mod started;

use dayfly_engine::rerun;
use dayfly_flows::{FlowError, INLINE_SETTLE_TRIES, PriceCache, commit_retrying, rerun_interrupted_jobs, settle_costs};
use dayfly_ports::{Ports, Store};
use dayfly_records::event::{CostDue, Event, RunEvent};
use dayfly_records::{Change, Stored};
use dayfly_types::deadlines::Deadlines;
use dayfly_types::ids::RunKey;
use dayfly_types::time::Timestamp;

/// The job events function.
pub struct Function<P> {
    pub ports: P,
    pub prices: PriceCache,
    pub deadlines: Deadlines,
}

impl<P: Ports> Function<P> {
    /// Handles one event.
    ///
    /// # Errors
    /// A service did not answer: the event comes again, and the records that it left are due.
    pub async fn handle(&self, event: Event, now: Timestamp) -> Result<(), FlowError> {
        match event {
            Event::JobInProgress(job) => self.started(&job, now).await,
            Event::JobCompleted(job) => self.completed(&job, now).await,
            Event::RunCompleted(run) => self.run_completed(&run, now).await,
            Event::CostDue(due) => self.settle_cost(&due, now).await,
            Event::JobQueued(_)
            | Event::LaunchDue(_)
            | Event::QueueDue(_)
            | Event::CheckRunDue(_)
            | Event::CommentDue(_)
            | Event::CapDue(_) => Ok(()),
        }
    }

    async fn settle_cost(&self, due: &CostDue, now: Timestamp) -> Result<(), FlowError> {
        let Some(runner) = self.ports.store().runner(&due.runner).await? else {
            return Ok(());
        };
        Box::pin(settle_costs(
            &self.ports,
            &self.prices,
            vec![runner],
            INLINE_SETTLE_TRIES,
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
        let store = self.ports.store();
        let is_known = commit_retrying(store, async || {
            // A run without interrupted jobs of ours has no record, and needs none.
            let Some(Stored { record, version }) = store.run(key).await? else {
                return Ok::<_, FlowError>((Vec::new(), false));
            };
            let next = rerun::completed(&record, event, now);
            let change = next.map(|next| Change::update(version, next));
            Ok((Vec::from_iter(change), true))
        })
        .await?;
        if is_known {
            rerun_interrupted_jobs(store, self.ports.github(), key, now).await?;
        }
        Ok(())
    }
}
