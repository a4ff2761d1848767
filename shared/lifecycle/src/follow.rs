//! What the end of a runner means for jobs, recorded and told.

use dayfly_core::decide::ending::{self, Follows};
use dayfly_core::event::{Event, LaunchDue};
use dayfly_core::ids::{JobKey, RunKey};
use dayfly_core::record::{Change, JobState, Runner};
use dayfly_core::time::Timestamp;
use dayfly_ports::{Bus, Store, StoreError};

use crate::{FlowError, MAX_CONFLICTS};

/// Sees to it that the job of a runner that ends is run again, or waits again for another runner.
///
/// # Errors
/// If table or bus do not answer. Done again, it does only what is missing.
pub async fn follow_up<S: Store, B: Bus>(store: &S, bus: &B, runner: &Runner, now: Timestamp) -> Result<(), FlowError> {
    match ending::follows(runner) {
        Follows::Nothing => Ok(()),
        Follows::Interrupted { job, run } => interrupted(store, runner, job, run, now).await,
        Follows::MayWait(job) => may_wait(store, bus, runner, job, now).await,
    }
}

async fn interrupted<S: Store>(
    store: &S,
    runner: &Runner,
    job: JobKey,
    key: RunKey,
    now: Timestamp,
) -> Result<(), FlowError> {
    for _ in 0..MAX_CONFLICTS {
        let known = store.run(key).await?;
        let Some(run) = ending::interrupt(known.as_ref().map(|stored| &stored.record), runner, job, key, now) else {
            return Ok(());
        };
        match store.commit(vec![Change::put(known.as_ref(), run)]).await {
            Err(StoreError::Conflict) => {}
            done => {
                done?;
                tracing::info!(%job, run = %key, runner = %runner.name, "the job was interrupted; it runs again once its run is over");
                return Ok(());
            }
        }
    }
    Err(StoreError::Conflict.into())
}

async fn may_wait<S: Store, B: Bus>(
    store: &S,
    bus: &B,
    runner: &Runner,
    key: JobKey,
    now: Timestamp,
) -> Result<(), FlowError> {
    for _ in 0..MAX_CONFLICTS {
        let Some(stored) = store.job(key).await? else {
            return Ok(());
        };
        let Some(job) = ending::waits_again(&stored.record, runner, now) else {
            return Ok(());
        };
        let waits = job.state == JobState::Queued;
        match store.commit(vec![Change::update(stored.version, job)]).await {
            Err(StoreError::Conflict) => {}
            done => {
                done?;
                tracing::info!(job = %key, runner = %runner.name, again = waits, "the job's runner ended before it took the job");
                if waits {
                    bus.publish(&Event::LaunchDue(LaunchDue::of_job(key))).await?;
                }
                return Ok(());
            }
        }
    }
    Err(StoreError::Conflict.into())
}
