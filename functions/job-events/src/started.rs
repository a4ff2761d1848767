//! A job has started.

use dayfly_engine::job_events::{self, Concerned};
use dayfly_flows::{FlowError, MAX_CONFLICTS, announce, follow_up, tell_stories};
use dayfly_ports::{Bus, Fleet, GitHub, Store, StoreError};
use dayfly_records::event::{Event, JobEvent, LaunchDue};
use dayfly_records::{Change, Ending, Record, Stored};
use dayfly_report::story_due::News;
use dayfly_types::time::Timestamp;

use crate::Function;
use crate::concerned::{Loaded, asks_anew, waits_again};

impl<S: Store, G: GitHub, F: Fleet, B: Bus> Function<S, G, F, B> {
    /// Binds a job to the runner that took it.
    pub(crate) async fn started(&self, event: &JobEvent, now: Timestamp) -> Result<(), FlowError> {
        for _ in 0..MAX_CONFLICTS {
            let loaded = Loaded::load(&self.store, event).await?;
            if loaded.is_foreign() {
                return Ok(());
            }
            let Some(after) = job_events::started(loaded.known(), event, now, &self.deadlines) else {
                return Ok(());
            };
            if let (Some(job), Some(runner)) = (&after.job, &after.taken) {
                tell_stories(&self.store, &[News::of(job, Some(runner))], now, &self.deadlines).await?;
            }
            let found = self.said_to_be_found(&after, event, now).await?;
            match loaded.write(&self.store, after.clone(), found.clone()).await {
                Err(StoreError::Conflict) => continue,
                done => done?,
            }
            if let Some(Record::CheckRun(check_run)) = found.map(|change| change.record) {
                announce(&self.bus, &check_run).await;
            }
            tracing::info!(job = %event.key(), run = %event.run, runner = event.runner_name, "the job has started");
            if let Some(key) = waits_again(&after, now) {
                self.bus.publish(&Event::LaunchDue(LaunchDue::of_job(key))).await?;
            }
            if let Some(due) = asks_anew(&after, event) {
                self.bus.publish(&Event::LaunchDue(due)).await?;
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

    /// What is to be said of a job that is said to wait, and runs on the instance of another.
    async fn said_to_be_found(
        &self,
        after: &Concerned,
        event: &JobEvent,
        now: Timestamp,
    ) -> Result<Option<Change>, StoreError> {
        let launched = after.taken.as_ref().and_then(|taken| taken.launched.as_ref());
        let Some(launched) = launched.filter(|_| after.own.is_some()) else {
            return Ok(None);
        };
        let Some(Stored { record, version }) = self.store.check_run(event.run, event.key()).await? else {
            return Ok(None);
        };
        let found = record.found(launched, now);
        Ok(found.map(|found| Change::update(version, found)))
    }
}
