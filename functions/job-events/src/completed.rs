//! A job is over.

use dayfly_engine::job_events::{self, AffectedRecords};
use dayfly_engine::rerun;
use dayfly_flows::{
    FlowError, commit_retrying, mark_stories_due, publish_check_run_due, publish_story_now, reap, reschedule_job,
};
use dayfly_ports::{Bus, Ports, Store, StoreError};
use dayfly_records::event::{Event, JobEvent, LaunchDue};
use dayfly_records::{Change, Ending, Record, Runner, RunnerState, Stored};
use dayfly_report::story::schedule::StoryUpdate;
use dayfly_types::ids::RunnerName;
use dayfly_types::time::Timestamp;

use crate::Function;
use crate::affected::{Loaded, displaced_job_to_launch, gate_turn_to_publish};

impl<P: Ports> Function<P> {
    /// Ends a job, and the runners that it no longer needs.
    pub(crate) async fn completed(&self, event: &JobEvent, now: Timestamp) -> Result<(), FlowError> {
        let to_end = self.record_completed(event, now).await?;
        tracing::info!(job = %event.key(), run = %event.run, conclusion = ?event.conclusion,
            runner = event.runner_name, "the job is over");
        for name in to_end {
            self.end(&name, now).await?;
        }
        Ok(())
    }

    /// Records the job's end. Returns the runners that end with it.
    async fn record_completed(&self, event: &JobEvent, now: Timestamp) -> Result<Vec<RunnerName>, FlowError> {
        let (store, bus) = (self.ports.store(), self.ports.bus());
        let recorded = commit_retrying(store, async || {
            let loaded = Loaded::load(store, event).await?;
            let known = loaded.known();
            if job_events::is_carried_over(&known, event) {
                return Ok::<_, FlowError>((Vec::new(), None));
            }
            let after = job_events::completed(known, event, now, &self.deadlines);
            let check_run = self.end_of_waiting_check_run(event, now).await?;
            if let Some(update) = story_update(&after) {
                mark_stories_due(store, &[update], now, &self.deadlines).await?;
            }
            let changes = loaded.changes(after.clone(), check_run.clone());
            Ok((changes, Some((after, check_run))))
        })
        .await?;
        let Some((after, check_run)) = recorded else {
            return Ok(Vec::new());
        };
        if let Some(update) = story_update(&after).filter(|_| !lives(&after)) {
            publish_story_now(store, bus, update, now).await?;
        }
        if let Some(Record::CheckRun(check_run)) = check_run.map(|change| change.record) {
            publish_check_run_due(bus, &check_run).await;
        }
        if let Some(key) = displaced_job_to_launch(&after, now) {
            bus.publish(&Event::LaunchDue(LaunchDue::of_job(key))).await?;
        }
        if let Some(due) = gate_turn_to_publish(&after, event) {
            bus.publish(&Event::LaunchDue(due)).await?;
        }
        let to_end: Vec<RunnerName> = [&after.actual_runner, &after.intended_runner]
            .into_iter()
            .flatten()
            .filter(|runner| is_ending(runner))
            .map(|runner| runner.name.clone())
            .collect();
        let interrupted = after
            .actual_runner
            .filter(|runner| runner.ending.as_ref().is_some_and(Ending::interrupts_its_job))
            .filter(|_| event.conclusion.is_none_or(rerun::needs_rerun));
        if let Some(runner) = interrupted {
            reschedule_job(store, bus, &runner, now).await?;
        }
        Ok(to_end)
    }

    /// Returns the check run of an ended job whose check run still says that it waits.
    async fn end_of_waiting_check_run(&self, event: &JobEvent, now: Timestamp) -> Result<Option<Change>, StoreError> {
        let Some(Stored { record, version }) = self.ports.store().check_run(event.run, event.key()).await? else {
            return Ok(None);
        };
        Ok(record.ended(now).map(|over| Change::update(version, over)))
    }

    async fn end(&self, name: &RunnerName, now: Timestamp) -> Result<(), FlowError> {
        if let Some(runner) = self.ports.store().runner(name).await?
            && is_ending(&runner.record)
        {
            reap(&self.ports, &self.prices, runner, now, &self.deadlines).await?;
        }
        Ok(())
    }
}

fn story_update(after: &AffectedRecords) -> Option<StoryUpdate<'_>> {
    let job = after.job.as_ref()?;
    Some(StoryUpdate::of(job, after.actual_runner.as_ref()))
}

fn lives(after: &AffectedRecords) -> bool {
    after.actual_runner.as_ref().is_some_and(Runner::is_live)
}

fn is_ending(runner: &Runner) -> bool {
    matches!(runner.state, RunnerState::Done | RunnerState::Lost)
}
