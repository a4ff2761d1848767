//! A job is over.

use dayfly_engine::job_events;
use dayfly_flows::{FlowError, MAX_CONFLICTS, announce, follow_up, reap, tell_stories, tell_story_now};
use dayfly_ports::{Bus, Fleet, GitHub, Store, StoreError};
use dayfly_records::event::{Event, JobEvent, LaunchDue};
use dayfly_records::{Change, Ending, Record, Runner, RunnerState, Stored};
use dayfly_report::story_due::News;
use dayfly_types::ids::RunnerName;
use dayfly_types::time::Timestamp;

use crate::Function;
use crate::concerned::{Loaded, asks_anew, waits_again};

impl<S: Store, G: GitHub, F: Fleet, B: Bus> Function<S, G, F, B> {
    /// Ends a job, and the runners that it needs no more.
    pub(crate) async fn completed(&self, event: &JobEvent, now: Timestamp) -> Result<(), FlowError> {
        let to_end = self.record_completed(event, now).await?;
        tracing::info!(job = %event.key(), run = %event.run, conclusion = ?event.conclusion,
            runner = event.runner_name, "the job is over");
        for name in to_end {
            self.end(&name, now).await?;
        }
        Ok(())
    }

    /// Records the job's end, and answers which runners have to end with it.
    async fn record_completed(&self, event: &JobEvent, now: Timestamp) -> Result<Vec<RunnerName>, FlowError> {
        for _ in 0..MAX_CONFLICTS {
            let loaded = Loaded::load(&self.store, event).await?;
            let known = loaded.known();
            if job_events::is_carried_over(&known, event) {
                return Ok(Vec::new());
            }
            let after = job_events::completed(known, event, now, &self.deadlines);
            let over = self.said_to_be_over(event, now).await?;
            let news = after.job.as_ref().map(|job| News::of(job, after.taken.as_ref()));
            let lives = after.taken.as_ref().is_some_and(Runner::is_live);
            if let Some(news) = news.filter(|_| lives) {
                tell_stories(&self.store, &[news], now, &self.deadlines).await?;
            }
            match loaded.write(&self.store, after.clone(), over.clone()).await {
                Err(StoreError::Conflict) => continue,
                done => done?,
            }
            if let Some(news) = news.filter(|_| !lives) {
                tell_story_now((&self.store, &self.bus), news, now).await?;
            }
            if let Some(Record::CheckRun(check_run)) = over.map(|change| change.record) {
                announce(&self.bus, &check_run).await;
            }
            if let Some(key) = waits_again(&after, now) {
                self.bus.publish(&Event::LaunchDue(LaunchDue::of_job(key))).await?;
            }
            if let Some(due) = asks_anew(&after, event) {
                self.bus.publish(&Event::LaunchDue(due)).await?;
            }
            let to_end: Vec<RunnerName> = [&after.taken, &after.own]
                .into_iter()
                .flatten()
                .filter(|runner| is_ending(runner))
                .map(|runner| runner.name.clone())
                .collect();
            let interrupted = after
                .taken
                .filter(|runner| runner.ending.as_ref().is_some_and(Ending::interrupts_its_job))
                .filter(|_| event.conclusion.is_none_or(job_events::was_interrupted));
            if let Some(runner) = interrupted {
                follow_up(&self.store, &self.bus, &runner, now).await?;
            }
            return Ok(to_end);
        }
        Err(StoreError::Conflict.into())
    }

    /// What is to be said of a job that is over, if it is said to wait.
    async fn said_to_be_over(&self, event: &JobEvent, now: Timestamp) -> Result<Option<Change>, StoreError> {
        let Some(Stored { record, version }) = self.store.check_run(event.run, event.key()).await? else {
            return Ok(None);
        };
        Ok(record.over(now).map(|over| Change::update(version, over)))
    }

    async fn end(&self, name: &RunnerName, now: Timestamp) -> Result<(), FlowError> {
        if let Some(runner) = self.store.runner(name).await?
            && is_ending(&runner.record)
        {
            reap(
                (&self.store, &self.github, &self.fleet, &self.bus, &self.prices),
                runner,
                now,
                &self.deadlines,
            )
            .await?;
        }
        Ok(())
    }
}

fn is_ending(runner: &Runner) -> bool {
    matches!(runner.state, RunnerState::Done | RunnerState::Lost)
}
