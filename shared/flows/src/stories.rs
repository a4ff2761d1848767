//! The story of a run attempt's jobs, told anew whenever something happens to one of them.

use dayfly_ports::{Bus, Store, StoreError};
use dayfly_records::{Change, CheckRun, Job};
use dayfly_report::story::{Known, Story, cost_of, runners_of};
use dayfly_report::story_due::{self, News};
use dayfly_types::deadlines::Deadlines;
use dayfly_types::ids::{JobKey, RunKey};
use dayfly_types::time::Timestamp;
use futures_util::future::try_join_all;

use crate::{FlowError, announce};

/// How often it is tried to write the check run of a story: whoever meets a conflict has lost to another who has
/// written, and that is each of the others once, where all jobs of the largest matrix begin at the same moment.
///
/// <https://docs.github.com/en/actions/reference/limits>
const MOST_TELLERS: usize = 256;

/// How many records are loaded at once: each load of more needs a connection of its own.
const AT_ONCE: usize = 16;

/// Records that there is something new to tell of these jobs. It is told a little later, by whoever finds
/// that it is due. To be called before what is new is written, so that it is told whoever dies in between.
///
/// # Errors
/// If the table does not answer.
pub async fn tell_stories<S: Store>(
    store: &S,
    news: &[News<'_>],
    now: Timestamp,
    deadlines: &Deadlines,
) -> Result<(), FlowError> {
    let is_told = |news: &&News<'_>| news.job.reporting.is_any();
    let mut left: Vec<News<'_>> = news.iter().filter(is_told).copied().collect();
    while let Some(first) = left.first() {
        let run = first.job.run_key();
        let is_of_run = |news: &News<'_>| news.job.run_key() == run;
        let of_run: Vec<News<'_>> = left.iter().copied().filter(is_of_run).collect();
        left.retain(|news| !is_of_run(news));
        tell(store, run, &of_run, (now.after(deadlines.gather()), now)).await?;
    }
    Ok(())
}

/// The same of a job of which nothing lives any more: it is told at once, for nobody may be awake to find later
/// that it is due.
///
/// # Errors
/// If the table does not answer.
pub async fn tell_story_now<S: Store, B: Bus>(
    (store, bus): (&S, &B),
    news: News<'_>,
    now: Timestamp,
) -> Result<(), FlowError> {
    if news.job.reporting.is_any()
        && let Some(check_run) = tell(store, news.job.run_key(), &[news], (now, now)).await?
    {
        announce(bus, &check_run).await;
    }
    Ok(())
}

async fn tell<S: Store>(
    store: &S,
    run: RunKey,
    news: &[News<'_>],
    (soon, now): (Timestamp, Timestamp),
) -> Result<Option<CheckRun>, FlowError> {
    for _ in 0..MOST_TELLERS {
        let known = store.check_run(run.run, JobKey::story_of(run.attempt)).await?;
        let Some(next) = story_due::due(known.as_ref().map(|known| &known.record), news, soon, now) else {
            return Ok(None);
        };
        match store.commit(vec![Change::put(known.as_ref(), next.clone())]).await {
            Err(StoreError::Conflict) => {}
            done => return Ok(done.map(|()| Some(next))?),
        }
    }
    Err(StoreError::Conflict.into())
}

/// The stories of these jobs as the table has them now, of those that it still knows.
///
/// # Errors
/// If the table does not answer.
pub async fn load_stories<S: Store>(
    store: &S,
    jobs: &[JobKey],
    now: Timestamp,
) -> Result<Vec<(Job, Story)>, StoreError> {
    let mut stories = Vec::new();
    for some in jobs.chunks(AT_ONCE) {
        let loaded = try_join_all(some.iter().map(|key| load(store, *key, now))).await?;
        stories.extend(loaded.into_iter().flatten());
    }
    Ok(stories)
}

async fn load<S: Store>(store: &S, key: JobKey, now: Timestamp) -> Result<Option<(Job, Story)>, StoreError> {
    let Some(job) = store.job(key).await?.map(|stored| stored.record) else {
        return Ok(None);
    };
    let told = load_story(store, &job, now).await?;
    Ok(Some((job, told)))
}

/// The story of a job as the table has it now.
///
/// # Errors
/// If the table does not answer.
pub async fn load_story<S: Store>(store: &S, job: &Job, now: Timestamp) -> Result<Story, StoreError> {
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
    let known = Known {
        job,
        runners: &runners,
        costs: &costs,
    };
    Ok(Story::of(known, job.github_per_minute, now))
}
