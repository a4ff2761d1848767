//! The story of a run attempt's jobs, reported again whenever something happens to one of them.

use dayfly_ports::{Bus, Store, StoreError};
use dayfly_records::{Change, CheckRun, CheckRunKey, CheckSubject, Job};
use dayfly_report::story::schedule::{StoryUpdate, schedule};
use dayfly_report::story::{JobRecords, JobStory, cost_of, runners_of};
use dayfly_types::deadlines::Deadlines;
use dayfly_types::ids::{JobKey, RunKey};
use dayfly_types::time::Timestamp;
use futures_util::future::try_join_all;

use super::publish_check_run_due;
use crate::FlowError;
use crate::commit::commit_with_tries;

/// Tries to write the check run of a story. Where all jobs of the largest matrix start at the same moment,
/// each conflict is one of the others that has written.
///
/// <https://docs.github.com/en/actions/reference/limits>
const STORY_TRIES: usize = 256;

/// Records loaded at once: each further load needs a connection of its own.
const AT_ONCE: usize = 16;

/// Records that the stories of these jobs have updates. They are reported a little later, by the sweep that
/// finds them due. Call this before the update itself is written, so that it is reported even if the
/// function dies in between.
///
/// # Errors
/// The table does not answer.
pub async fn mark_stories_due<S: Store>(
    store: &S,
    updates: &[StoryUpdate<'_>],
    now: Timestamp,
    deadlines: &Deadlines,
) -> Result<(), FlowError> {
    let is_reported = |update: &&StoryUpdate<'_>| update.job.reporting.is_any();
    let mut left: Vec<StoryUpdate<'_>> = updates.iter().filter(is_reported).copied().collect();
    while let Some(first) = left.first() {
        let run = first.job.run_key();
        let is_of_run = |update: &StoryUpdate<'_>| update.job.run_key() == run;
        let of_run: Vec<StoryUpdate<'_>> = left.iter().copied().filter(is_of_run).collect();
        left.retain(|update| !is_of_run(update));
        mark_due(store, run, &of_run, (now.after(deadlines.report_delay()), now)).await?;
    }
    Ok(())
}

/// [`mark_stories_due`] for a job of which nothing lives any more: its story is published at once, because
/// there may be no later sweep to find it due.
///
/// # Errors
/// The table does not answer.
pub async fn publish_story_now<S: Store, B: Bus>(
    store: &S,
    bus: &B,
    update: StoryUpdate<'_>,
    now: Timestamp,
) -> Result<(), FlowError> {
    if update.job.reporting.is_any()
        && let Some(check_run) = mark_due(store, update.job.run_key(), &[update], (now, now)).await?
    {
        publish_check_run_due(bus, &check_run).await;
    }
    Ok(())
}

async fn mark_due<S: Store>(
    store: &S,
    run: RunKey,
    updates: &[StoryUpdate<'_>],
    (soon, now): (Timestamp, Timestamp),
) -> Result<Option<CheckRun>, FlowError> {
    commit_with_tries(store, STORY_TRIES, async || {
        let key = CheckRunKey::new(CheckSubject::Story, run.attempt);
        let known = store.check_run(run.run, key).await?;
        let next = schedule(known.as_ref().map(|known| &known.record), updates, soon, now);
        let change = next.clone().map(|next| Change::put(known.as_ref(), next));
        Ok((Vec::from_iter(change), next))
    })
    .await
}

/// Loads the current stories of these jobs; a job that the table no longer has is left out.
///
/// # Errors
/// The table does not answer.
pub async fn load_stories<S: Store>(
    store: &S,
    jobs: &[JobKey],
    now: Timestamp,
) -> Result<Vec<(Job, JobStory)>, StoreError> {
    let mut stories = Vec::new();
    for some in jobs.chunks(AT_ONCE) {
        let loaded = try_join_all(some.iter().map(|key| load(store, *key, now))).await?;
        stories.extend(loaded.into_iter().flatten());
    }
    Ok(stories)
}

async fn load<S: Store>(store: &S, key: JobKey, now: Timestamp) -> Result<Option<(Job, JobStory)>, StoreError> {
    let Some(job) = store.job(key).await?.map(|stored| stored.record) else {
        return Ok(None);
    };
    let loaded = load_story(store, &job, now).await?;
    Ok(Some((job, loaded)))
}

/// Loads the current story of a job.
///
/// # Errors
/// The table does not answer.
pub async fn load_story<S: Store>(store: &S, job: &Job, now: Timestamp) -> Result<JobStory, StoreError> {
    let (mut runners, mut costs) = (Vec::new(), Vec::new());
    for name in runners_of(job) {
        let Some(runner) = store.runner(&name).await?.map(|stored| stored.record) else {
            continue;
        };
        if let Some(id) = cost_of(&runner) {
            costs.extend(store.cost(&id).await?.map(|stored| stored.record));
        }
        runners.push(runner);
    }
    let known = JobRecords {
        job,
        runners: &runners,
        costs: &costs,
    };
    Ok(JobStory::of(known, job.github_per_minute, now))
}
