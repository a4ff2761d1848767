//! What the end of a runner means for its job: run again if it was interrupted, launched again if it still
//! waits.

use dayfly_engine::rerun::report;
use dayfly_engine::runner::ending::{self, EndConsequence};
use dayfly_ports::{Bus, Store, StoreError};
use dayfly_records::event::{Event, LaunchDue};
use dayfly_records::{AfterInterruption, Change, CheckContent, CheckRun, Job, JobState, Run, Runner};
use dayfly_types::ids::{JobKey, RunKey};
use dayfly_types::time::Timestamp;

use crate::launch::record_pool_interruption;
use crate::{FlowError, commit_retrying};

/// Has the job of an ending runner run again, or wait for another runner.
///
/// # Errors
/// Table or bus does not answer. Done again, it does only what is missing.
pub async fn reschedule_job<S: Store, B: Bus>(
    store: &S,
    bus: &B,
    runner: &Runner,
    now: Timestamp,
) -> Result<(), FlowError> {
    if report::is_interruption(runner) {
        record_pool_interruption(store, runner, now).await;
    }
    match ending::consequence(runner) {
        EndConsequence::Nothing => Ok(()),
        EndConsequence::Interrupted { job, run } => record_interrupted_job(store, runner, job, run, now).await,
        EndConsequence::MayWait(job) => relaunch_waiting_job(store, bus, runner, job, now).await,
    }
}

async fn record_interrupted_job<S: Store>(
    store: &S,
    runner: &Runner,
    job: JobKey,
    key: RunKey,
    now: Timestamp,
) -> Result<(), FlowError> {
    let recorded = commit_retrying(store, async || {
        let known = store.run(key).await?;
        // The count of our re-runs goes on from the attempt before, if this one has no record yet.
        let previous = match known {
            Some(_) => None,
            None => attempt_before(store, key).await?,
        };
        let record = store.job(job).await?.map(|stored| stored.record);
        let Some(run) = ending::add_interrupted_job(
            known.as_ref().map(|stored| &stored.record),
            previous.as_ref(),
            runner,
            (job, record.as_ref().map(|job| job.name.as_str())),
            key,
            now,
        ) else {
            return Ok::<_, StoreError>((Vec::new(), false));
        };
        let mut changes = vec![Change::put(known.as_ref(), run)];
        if let Some(job) = record {
            let content = report::interrupted(runner, AfterInterruption::WhenRunIsOver, now);
            changes.push(check_run(store, &job, content, now).await?);
        }
        Ok((changes, true))
    })
    .await?;
    if recorded {
        tracing::info!(%job, run = %key, runner = %runner.name, "the job was interrupted; it runs again once its run is over");
    }
    Ok(())
}

/// Loads the record of the attempt before this one, if jobs of it were interrupted.
///
/// # Errors
/// The table does not answer.
pub async fn attempt_before<S: Store>(store: &S, key: RunKey) -> Result<Option<Run>, StoreError> {
    let Some(before) = key.previous() else {
        return Ok(None);
    };
    Ok(store.run(before).await?.map(|stored| stored.record))
}

async fn check_run<S: Store>(
    store: &S,
    job: &Job,
    content: CheckContent,
    now: Timestamp,
) -> Result<Change, StoreError> {
    let known = store.check_run(job.run, job.key).await?;
    let before = known.as_ref().map(|stored| stored.record.clone());
    Ok(Change::put(known.as_ref(), CheckRun::of(before, job, content, now)))
}

async fn relaunch_waiting_job<S: Store, B: Bus>(
    store: &S,
    bus: &B,
    runner: &Runner,
    key: JobKey,
    now: Timestamp,
) -> Result<(), FlowError> {
    let requeued = commit_retrying(store, async || {
        let Some(stored) = store.job(key).await? else {
            return Ok::<_, StoreError>((Vec::new(), None));
        };
        let Some(requeued) = ending::requeue_job(&stored.record, runner, now) else {
            return Ok((Vec::new(), None));
        };
        let mut changes = Vec::new();
        if let Some(content) = requeued.content.clone() {
            changes.push(check_run(store, &requeued.job, content, now).await?);
        }
        changes.push(Change::update(stored.version, requeued.job.clone()));
        Ok((changes, Some(requeued)))
    })
    .await?;
    if let Some(requeued) = requeued {
        let again = requeued.job.state == JobState::Queued;
        tracing::info!(job = %key, runner = %runner.name, again, "the job's runner ended before it took the job");
        if requeued.is_due {
            bus.publish(&Event::LaunchDue(LaunchDue::of_job(key))).await?;
        }
    }
    Ok(())
}
