//! Interrupted jobs are run again once their run is over, all with one call.

use dayfly_core::decide::rerun::{self, Ask, Next, Seen};
use dayfly_core::ids::RunKey;
use dayfly_core::record::{Change, Job, JobState, Run, Stored};
use dayfly_core::time::Timestamp;
use dayfly_ports::{GitHub, JobStatus, RerunAnswer, Scope, Store, StoreError};

use crate::{FlowError, MAX_CONFLICTS};

/// Runs the interrupted jobs of a run again, if it is over and they need it.
///
/// # Errors
/// If table or GitHub do not answer. The record stays due.
pub async fn settle_run<S: Store, G: GitHub>(
    store: &S,
    github: &G,
    key: RunKey,
    now: Timestamp,
) -> Result<(), FlowError> {
    for _ in 0..MAX_CONFLICTS {
        let Some(Stored { record: run, version }) = store.run(key).await? else {
            return Ok(());
        };
        let scope = Scope {
            installation: run.installation,
            repository: run.repository.clone(),
        };
        let view = github.run(&scope, key.run).await?;
        let seen = Seen {
            attempt: view.attempt,
            completed: view.completed,
            conclusion: view.conclusion,
        };
        let jobs = if seen.completed {
            jobs(store, github, &scope, &run).await?
        } else {
            Vec::new()
        };
        let (next, ask) = match rerun::decide(&run, seen, &jobs, now) {
            Next::Settled => return Ok(()),
            Next::Record(next) => (next, None),
            Next::Ask(next, ask) => (next, Some(ask)),
        };
        match store.commit(vec![Change::update(version, next.clone())]).await {
            Err(StoreError::Conflict) => continue,
            done => done?,
        }
        tracing::info!(run = %key, rerun = ?next.rerun, ?ask, interrupted = run.interrupted.len(), "looked at an interrupted run");
        return match ask {
            None => Ok(()),
            Some(ask) => act(store, github, &scope, Stored::over(version, next), ask).await,
        };
    }
    Err(StoreError::Conflict.into())
}

/// The interrupted jobs of a run that is over, as GitHub says that they ended if nobody has told
/// us yet.
async fn jobs<S: Store, G: GitHub>(store: &S, github: &G, scope: &Scope, run: &Run) -> Result<Vec<Job>, FlowError> {
    let mut jobs = Vec::new();
    for key in &run.interrupted {
        let Some(Stored { record: mut job, .. }) = store.job(*key).await? else {
            continue;
        };
        if !job.state.is_end()
            && let JobStatus::Completed(conclusion) = github.job(scope, key.job).await?.status
        {
            job.state = JobState::Finished { conclusion };
        }
        jobs.push(job);
    }
    Ok(jobs)
}

async fn act<S: Store, G: GitHub>(
    store: &S,
    github: &G,
    scope: &Scope,
    run: Stored<Run>,
    ask: Ask,
) -> Result<(), FlowError> {
    let answer = match ask {
        Ask::Job(job) => github.rerun_job(scope, job).await?,
        Ask::FailedJobs => github.rerun_failed_jobs(scope, run.record.key.run).await?,
    };
    match answer {
        RerunAnswer::Accepted => {
            tracing::info!(run = %run.record.key, "GitHub runs the interrupted jobs again");
            match store
                .commit(vec![Change::update(run.version, rerun::accepted(&run.record))])
                .await
            {
                // The record is due, and the next look finds the new attempt.
                Err(StoreError::Conflict) => Ok(()),
                done => Ok(done?),
            }
        }
        RerunAnswer::StillRunning => {
            tracing::info!(run = %run.record.key, "a job of the run is still running; the re-run is asked for again");
            Ok(())
        }
    }
}
