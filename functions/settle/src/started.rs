//! A job has started.

use dayfly_core::decide::settle::{self, Started};
use dayfly_core::event::{Event, JobEvent, LaunchDue};
use dayfly_core::record::{Ending, JobState};
use dayfly_core::time::Timestamp;
use dayfly_lifecycle::{FlowError, MAX_CONFLICTS, follow_up};
use dayfly_ports::{Bus, Fleet, GitHub, Store, StoreError};

use crate::{Function, changed, record};

impl<S: Store, G: GitHub, F: Fleet, B: Bus> Function<S, G, F, B> {
    /// Binds a job to the runner that took it.
    pub(crate) async fn started(&self, event: &JobEvent, now: Timestamp) -> Result<(), FlowError> {
        for _ in 0..MAX_CONFLICTS {
            let job = self.store.job(event.key()).await?;
            let taken = self.runner_registered_as(event.runner_name.as_deref()).await?;
            if job.is_none() && taken.is_none() {
                // A job that was never ours on a runner that isn't.
                return Ok(());
            }
            let own_name = job.as_ref().and_then(|job| job.record.runner.as_ref());
            let own = self.own_runner(own_name, taken.as_ref()).await?;
            let robbed = match &taken {
                Some(runner) if runner.record.wanted_by != event.key() => {
                    self.store.job(runner.record.wanted_by).await?
                }
                _ => None,
            };
            let known = Started {
                job: record(job.as_ref()),
                taken: record(taken.as_ref()),
                own: record(own.as_ref()),
                robbed: record(robbed.as_ref()),
            };
            let Some(after) = settle::started(known, event, now, &self.deadlines) else {
                return Ok(());
            };
            let waits_again = after
                .robbed
                .as_ref()
                .filter(|robbed| robbed.state == JobState::Queued)
                .map(|robbed| robbed.key);
            let bound = after.taken.clone();
            let changes: Vec<_> = [
                changed(job, after.job),
                changed(taken, after.taken),
                changed(own, after.own),
                changed(robbed, after.robbed),
            ]
            .into_iter()
            .flatten()
            .collect();
            if !changes.is_empty() {
                match self.store.commit(changes).await {
                    Err(StoreError::Conflict) => continue,
                    done => done?,
                }
            }
            tracing::info!(job = %event.key(), run = %event.run, runner = event.runner_name, "the job has started");
            if let Some(key) = waits_again {
                self.bus.publish(&Event::LaunchDue(LaunchDue { key })).await?;
            }
            // It was interrupted before we knew which job it ran.
            if let Some(runner) = bound.filter(|runner| runner.ending.as_ref().is_some_and(Ending::interrupts_its_job))
            {
                follow_up(&self.store, &self.bus, &runner, now).await?;
            }
            return Ok(());
        }
        Err(StoreError::Conflict.into())
    }
}
