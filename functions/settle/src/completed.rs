//! A job is over.

use dayfly_core::decide::settle::{self, Completed};
use dayfly_core::event::JobEvent;
use dayfly_core::ids::RunnerName;
use dayfly_core::record::{Ending, Runner, RunnerState};
use dayfly_core::time::Timestamp;
use dayfly_lifecycle::{FlowError, MAX_CONFLICTS, follow_up, reap};
use dayfly_ports::{Bus, Fleet, GitHub, Store, StoreError};

use crate::{Function, changed, record};

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
            let job = self.store.job(event.key()).await?;
            let ran = self.runner_registered_as(event.runner_name.as_deref()).await?;
            let own_name = job.as_ref().and_then(|job| job.record.runner.as_ref());
            let own = self.own_runner(own_name, ran.as_ref()).await?;
            let known = Completed {
                job: record(job.as_ref()),
                ran: record(ran.as_ref()),
                own: record(own.as_ref()),
            };
            let after = settle::completed(known, event, now, &self.deadlines);
            let interrupted = after
                .ran
                .clone()
                .filter(|runner| runner.ending.as_ref().is_some_and(Ending::interrupts_its_job))
                .filter(|_| event.conclusion.is_none_or(settle::was_interrupted));
            let to_end: Vec<RunnerName> = [&after.ran, &after.own]
                .into_iter()
                .flatten()
                .filter(|runner| is_ending(runner))
                .map(|runner| runner.name.clone())
                .collect();
            let changes: Vec<_> = [
                changed(job, after.job),
                changed(ran, after.ran),
                changed(own, after.own),
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
            if let Some(runner) = interrupted {
                follow_up(&self.store, &self.bus, &runner, now).await?;
            }
            return Ok(to_end);
        }
        Err(StoreError::Conflict.into())
    }

    async fn end(&self, name: &RunnerName, now: Timestamp) -> Result<(), FlowError> {
        if let Some(runner) = self.store.runner(name).await?
            && is_ending(&runner.record)
        {
            reap(
                (&self.store, &self.github, &self.fleet, &self.bus),
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
