//! What the end of a runner means for jobs, recorded and told.

use dayfly_engine::ending::{self, Follows};
use dayfly_engine::{giving_up, news};
use dayfly_ports::{Bus, Store, StoreError};
use dayfly_records::event::{Event, LaunchDue};
use dayfly_records::{AfterInterruption, Change, CheckContent, CheckRun, Job, JobState, Run, Runner};
use dayfly_types::ids::{JobKey, RunKey};
use dayfly_types::time::Timestamp;

use crate::pools::remember_interruption;
use crate::{FlowError, MAX_CONFLICTS};

/// Sees to it that the job of a runner that ends is run again, or waits again for another runner.
///
/// # Errors
/// If table or bus do not answer. Done again, it does only what is missing.
pub async fn follow_up<S: Store, B: Bus>(store: &S, bus: &B, runner: &Runner, now: Timestamp) -> Result<(), FlowError> {
    if news::is_interruption(runner) {
        remember_interruption(store, runner, now).await;
    }
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
        // The count of our re-runs goes on from the attempt before, if this one has no record yet.
        let previous = match known {
            Some(_) => None,
            None => attempt_before(store, key).await?,
        };
        let record = store.job(job).await?.map(|stored| stored.record);
        let Some(run) = ending::interrupt(
            known.as_ref().map(|stored| &stored.record),
            previous.as_ref(),
            runner,
            (job, record.as_ref().map(|job| job.name.as_str())),
            key,
            now,
        ) else {
            return Ok(());
        };
        let mut changes = vec![Change::put(known.as_ref(), run)];
        if let Some(job) = record {
            let content = news::interrupted(runner, AfterInterruption::WhenRunIsOver, now);
            changes.push(check_run(store, &job, content, now).await?);
        }
        match store.commit(changes).await {
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

/// The record of the attempt before this one, if jobs of it were interrupted.
///
/// # Errors
/// If the table does not answer.
pub async fn attempt_before<S: Store>(store: &S, key: RunKey) -> Result<Option<Run>, StoreError> {
    let Some(before) = key.before() else {
        return Ok(None);
    };
    Ok(store.run(before).await?.map(|stored| stored.record))
}

/// What a job's check run is to say from now on.
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
        let due = job.due_at.is_some_and(|at| at <= now);
        let mut changes = Vec::new();
        if waits && news::is_interruption(runner) {
            let content = news::interrupted(runner, AfterInterruption::AnotherInstance, now);
            changes.push(check_run(store, &job, content, now).await?);
        } else if job.state.is_given_up() && !stored.record.state.is_given_up() {
            let content = giving_up::said(&job, runner.tried.clone());
            changes.push(check_run(store, &job, content, now).await?);
        }
        changes.push(Change::update(stored.version, job));
        match store.commit(changes).await {
            Err(StoreError::Conflict) => {}
            done => {
                done?;
                tracing::info!(job = %key, runner = %runner.name, again = waits, "the job's runner ended before it took the job");
                if due {
                    bus.publish(&Event::LaunchDue(LaunchDue::of_job(key))).await?;
                }
                return Ok(());
            }
        }
    }
    Err(StoreError::Conflict.into())
}
