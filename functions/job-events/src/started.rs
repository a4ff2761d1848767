//! A job has started.

use dayfly_engine::job_events::{self, AffectedRecords};
use dayfly_flows::{FlowError, commit_retrying, mark_stories_due, publish_check_run_due, reschedule_job};
use dayfly_ports::{Bus, Ports, Store, StoreError};
use dayfly_records::event::{Event, JobEvent, LaunchDue};
use dayfly_records::{Change, Ending, Record, Runner, Stored};
use dayfly_report::story::schedule::StoryUpdate;
use dayfly_types::time::Timestamp;

use crate::Function;
use crate::affected::{Loaded, displaced_job_to_launch, gate_turn_to_publish};

impl<P: Ports> Function<P> {
    /// Binds a job to the runner that took it.
    pub(crate) async fn started(&self, event: &JobEvent, now: Timestamp) -> Result<(), FlowError> {
        let (store, bus) = (self.ports.store(), self.ports.bus());
        let recorded = commit_retrying(store, async || {
            let loaded = Loaded::load(store, event).await?;
            if loaded.is_foreign() {
                return Ok::<_, FlowError>((Vec::new(), None));
            }
            let Some(after) = job_events::started(loaded.known(), event, now, &self.deadlines) else {
                return Ok((Vec::new(), None));
            };
            if let (Some(job), Some(runner)) = (&after.job, &after.actual_runner) {
                let update = StoryUpdate::of(job, Some(runner));
                mark_stories_due(store, &[update], now, &self.deadlines).await?;
            }
            let check_run = self.check_run_on_other_instance(&after, event, now).await?;
            let changes = loaded.changes(after.clone(), check_run.clone());
            Ok((changes, Some((after, check_run))))
        })
        .await?;
        let Some((after, check_run)) = recorded else {
            return Ok(());
        };
        if let Some(Record::CheckRun(check_run)) = check_run.map(|change| change.record) {
            publish_check_run_due(bus, &check_run).await;
        }
        tracing::info!(job = %event.key(), run = %event.run, runner = event.runner_name, "the job has started");
        if let Some(key) = displaced_job_to_launch(&after, now) {
            bus.publish(&Event::LaunchDue(LaunchDue::of_job(key))).await?;
        }
        if let Some(due) = gate_turn_to_publish(&after, event) {
            bus.publish(&Event::LaunchDue(due)).await?;
        }
        // It was interrupted before we knew which job it ran.
        let interrupted = |runner: &Runner| runner.ending.as_ref().is_some_and(Ending::interrupts_its_job);
        if let Some(runner) = after.actual_runner.filter(interrupted) {
            reschedule_job(store, bus, &runner, now).await?;
        }
        Ok(())
    }

    /// Returns the check run of a job that runs on another job's instance, if it still says that the job waits.
    async fn check_run_on_other_instance(
        &self,
        after: &AffectedRecords,
        event: &JobEvent,
        now: Timestamp,
    ) -> Result<Option<Change>, StoreError> {
        let launched = after.actual_runner.as_ref().and_then(|runner| runner.launched.as_ref());
        let Some(launched) = launched.filter(|_| after.intended_runner.is_some()) else {
            return Ok(None);
        };
        let Some(Stored { record, version }) = self.ports.store().check_run(event.run, event.key()).await? else {
            return Ok(None);
        };
        let found = record.launched_elsewhere(launched, now);
        Ok(found.map(|found| Change::update(version, found)))
    }
}
