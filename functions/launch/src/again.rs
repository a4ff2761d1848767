//! A job of a run that was run again: what the attempt before says of it.

use dayfly_engine::news;
use dayfly_flows::attempt_before;
use dayfly_ports::{Bus, Clock, Fleet, GitHub, Parameters, Quotas, Schedule, Store, StoreError};
use dayfly_records::{Change, CheckRun, Job, Run};
use dayfly_types::capacity::InstanceLifecycle;
use dayfly_types::time::Timestamp;

use crate::Function;

impl<S: Store, G: GitHub, F: Fleet, B: Bus, C: Schedule, P: Parameters, K: Clock, Q: Quotas>
    Function<S, G, F, B, C, P, K, Q>
{
    /// The record of the attempt before a job's, if jobs of it were interrupted.
    pub(crate) async fn attempt_before(&self, job: &Job) -> Result<Option<Run>, StoreError> {
        attempt_before(&self.store, job.run_key()).await
    }

    /// What is to be said of a job that is run again because it was interrupted, if it is.
    pub(crate) async fn again(
        &self,
        job: &Job,
        lifecycle: InstanceLifecycle,
        now: Timestamp,
    ) -> Result<Vec<Change>, StoreError> {
        let previous = self.attempt_before(job).await?;
        let Some(content) = previous.and_then(|previous| news::again(&previous, job, lifecycle)) else {
            return Ok(Vec::new());
        };
        let known = self.store.check_run(job.run, job.key).await?;
        let check_run = CheckRun::of(known.as_ref().map(|stored| stored.record.clone()), job, content, now);
        Ok(vec![Change::put(known.as_ref(), check_run)])
    }
}
