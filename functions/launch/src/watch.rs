//! Which repositories have jobs, for patrol to look there.

use dayfly_ports::{Store, StoreError};
use dayfly_records::{Change, Job, Watched};
use dayfly_types::time::Timestamp;

/// Writes down that the job's repository has jobs, if that was not done of late.
pub async fn note<S: Store>(store: &S, job: &Job, now: Timestamp) {
    if let Err(error) = try_note(store, job, now).await {
        // The next job does it; patrol has GitHub's own list besides.
        tracing::warn!(job = %job.key, repository = %job.repository, %error, "the repository could not be written down for patrol");
    }
}

async fn try_note<S: Store>(store: &S, job: &Job, now: Timestamp) -> Result<(), StoreError> {
    let known = store.watched().await?;
    let watched = known
        .as_ref()
        .map_or_else(Watched::default, |stored| stored.record.clone());
    match watched.with(&job.repository, job.installation, now) {
        Some(next) => store.commit(vec![Change::put(known.as_ref(), next)]).await,
        None => Ok(()),
    }
}
