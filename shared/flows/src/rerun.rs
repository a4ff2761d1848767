//! Interrupted jobs run again once their run is over, all with one call, and their check runs say so.

use std::collections::BTreeMap;

use dayfly_engine::rerun::report;
use dayfly_engine::rerun::{self, RerunCall, RerunDecision, RunJobs, RunOnGitHub};
use dayfly_ports::{GitHub, JobStatus, JobView, RerunAnswer, Scope, Store, StoreError};
use dayfly_records::event::Conclusion;
use dayfly_records::{Change, JobState, Run, Stored, Version};
use dayfly_types::ids::{JobId, RunKey};
use dayfly_types::time::Timestamp;

use crate::{FlowError, MAX_CONFLICTS};

/// Check runs written at once. A transaction takes a hundred items.
///
/// <https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_TransactWriteItems.html>
const CHECK_RUNS_AT_ONCE: usize = 50;

/// Runs the interrupted jobs of a run again, if the run is over and they need it.
///
/// # Errors
/// Table or GitHub does not answer. The record stays due.
pub async fn rerun_interrupted_jobs<S: Store, G: GitHub>(
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
        let Some((next, ask)) = decide(store, github, &scope, &run, now).await? else {
            return Ok(());
        };
        match record(store, &run, version, &next, now).await {
            Err(StoreError::Conflict) => continue,
            done => done?,
        }
        tracing::info!(run = %key, rerun = ?next.rerun, ?ask, interrupted = run.interrupted.len(), "looked at an interrupted run");
        return match ask {
            None => Ok(()),
            Some(ask) => ask_github(store, github, &scope, Stored::over(version, next), ask, now).await,
        };
    }
    Err(StoreError::Conflict.into())
}

/// Decides on a run by GitHub's view of it. Returns the next record and what to ask of GitHub, or `None` if
/// nothing is left to do.
async fn decide<S: Store, G: GitHub>(
    store: &S,
    github: &G,
    scope: &Scope,
    run: &Run,
    now: Timestamp,
) -> Result<Option<(Run, Option<RerunCall>)>, FlowError> {
    let view = github.run(scope, run.key.run).await?;
    let seen = RunOnGitHub {
        attempt: view.attempt,
        completed: view.completed,
        conclusion: view.conclusion,
    };
    let jobs = if seen.completed && seen.attempt == run.key.attempt && rerun::is_open(run) {
        let views = github.jobs_of(scope, run.key.run).await?;
        jobs(store, run, views).await?
    } else {
        RunJobs::default()
    };
    Ok(match rerun::decide(run, seen, &jobs, now) {
        RerunDecision::Settled => None,
        RerunDecision::Record(next) => Some((next, None)),
        RerunDecision::Call(next, ask) => Some(match github.superseded(scope, run.key.run).await? {
            Some(newer) => (rerun::superseded(run, newer), None),
            None => (next, Some(ask)),
        }),
    })
}

/// Returns the jobs of a run that is over, with the conclusions that GitHub gives.
async fn jobs<S: Store>(store: &S, run: &Run, views: Vec<JobView>) -> Result<RunJobs, StoreError> {
    let mut ended: BTreeMap<JobId, (String, Conclusion)> = views
        .into_iter()
        .filter_map(|view| match view.status {
            JobStatus::Completed(conclusion) => Some((view.job, (view.name, conclusion))),
            JobStatus::Queued | JobStatus::Waiting | JobStatus::InProgress => None,
        })
        .collect();
    let mut interrupted = Vec::new();
    for key in &run.interrupted {
        let end = ended.remove(&key.job);
        let Some(Stored { record: mut job, .. }) = store.job(*key).await? else {
            continue;
        };
        if let Some((_, conclusion)) = end.filter(|_| !job.state.is_end()) {
            job.state = JobState::Finished { conclusion };
        }
        interrupted.push(job);
    }
    Ok(RunJobs {
        interrupted,
        others: ended.into_values().collect(),
    })
}

/// Writes the decision on a run, with the check runs of its interrupted jobs that change. Of very many, some
/// are written before the run: doing that again changes nothing.
async fn record<S: Store>(
    store: &S,
    before: &Run,
    version: Version,
    next: &Run,
    now: Timestamp,
) -> Result<(), StoreError> {
    let mut changes = if before.rerun == next.rerun {
        Vec::new()
    } else {
        changed_check_runs(store, next, now).await?
    };
    while changes.len() > CHECK_RUNS_AT_ONCE {
        let rest = changes.split_off(CHECK_RUNS_AT_ONCE);
        store.commit(changes).await?;
        changes = rest;
    }
    changes.push(Change::update(version, next.clone()));
    store.commit(changes).await
}

async fn changed_check_runs<S: Store>(store: &S, run: &Run, now: Timestamp) -> Result<Vec<Change>, StoreError> {
    let mut changes = Vec::new();
    for key in &run.interrupted {
        let Some(Stored { record: job, .. }) = store.job(*key).await? else {
            continue;
        };
        let known = store.check_run(run.key.run, *key).await?;
        let check_run = report::of_run(known.as_ref().map(|stored| &stored.record), &job, run, now);
        changes.extend(check_run.map(|check_run| Change::put(known.as_ref(), check_run)));
    }
    Ok(changes)
}

async fn ask_github<S: Store, G: GitHub>(
    store: &S,
    github: &G,
    scope: &Scope,
    run: Stored<Run>,
    ask: RerunCall,
    now: Timestamp,
) -> Result<(), FlowError> {
    let Stored { record: run, version } = run;
    let answer = match ask {
        RerunCall::Job(job) => github.rerun_job(scope, job).await?,
        RerunCall::FailedJobs => github.rerun_failed_jobs(scope, run.key.run).await?,
    };
    match answer {
        RerunAnswer::Accepted => {
            tracing::info!(run = %run.key, with_failed = run.with_failed, "GitHub runs the interrupted jobs again");
            match record(store, &run, version, &rerun::accepted(&run), now).await {
                // The record is still due, and the next sweep finds the new attempt.
                Err(StoreError::Conflict) => Ok(()),
                done => Ok(done?),
            }
        }
        RerunAnswer::StillRunning => {
            tracing::info!(run = %run.key, "a job of the run is still running; the re-run is tried again");
            Ok(())
        }
    }
}
