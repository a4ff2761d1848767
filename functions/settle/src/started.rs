//! A job has started.

use dayfly_core::decide::settle;
use dayfly_core::event::{Event, JobEvent, LaunchDue};
use dayfly_core::record::Ending;
use dayfly_core::time::Timestamp;
use dayfly_lifecycle::{FlowError, MAX_CONFLICTS, follow_up};
use dayfly_ports::{Bus, Fleet, GitHub, Store, StoreError};

use crate::Function;
use crate::concerned::{Loaded, waits_again};

impl<S: Store, G: GitHub, F: Fleet, B: Bus> Function<S, G, F, B> {
    /// Binds a job to the runner that took it.
    pub(crate) async fn started(&self, event: &JobEvent, now: Timestamp) -> Result<(), FlowError> {
        for _ in 0..MAX_CONFLICTS {
            let loaded = Loaded::load(&self.store, event).await?;
            if loaded.is_foreign() {
                return Ok(());
            }
            let Some(after) = settle::started(loaded.known(), event, now, &self.deadlines) else {
                return Ok(());
            };
            match loaded.write(&self.store, after.clone(), None).await {
                Err(StoreError::Conflict) => continue,
                done => done?,
            }
            tracing::info!(job = %event.key(), run = %event.run, runner = event.runner_name, "the job has started");
            if let Some(key) = waits_again(&after, now) {
                self.bus.publish(&Event::LaunchDue(LaunchDue::of_job(key))).await?;
            }
            // It was interrupted before we knew which job it ran.
            let interrupted = |ending: &Ending| ending.interrupts_its_job();
            if let Some(runner) = after
                .taken
                .filter(|taken| taken.ending.as_ref().is_some_and(interrupted))
            {
                follow_up(&self.store, &self.bus, &runner, now).await?;
            }
            return Ok(());
        }
        Err(StoreError::Conflict.into())
    }
}
