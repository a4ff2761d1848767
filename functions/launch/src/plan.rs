//! What to launch for a job: the ladder of attempts that its labels stand for.

use dayfly_core::capacity::InstanceLifecycle;
use dayfly_core::config::{Fallback, RunnerSpec};
use dayfly_core::decide::{pools, rerun};
use dayfly_core::labels;
use dayfly_core::record::{Job, LaunchPlan, PoolMemory, Rung};
use dayfly_core::time::Timestamp;
use dayfly_ports::{Bus, Clock, Fleet, GitHub, Parameters, Quotas, Schedule, Store};

use crate::entries::{Entries, no_such_label};
use crate::{Function, NoPlan, memory};

impl<S: Store, G: GitHub, F: Fleet, B: Bus, C: Schedule, P: Parameters, K: Clock, Q: Quotas>
    Function<S, G, F, B, C, P, K, Q>
{
    /// What to launch for a job. Nothing if no runner has its labels and they may be meant for
    /// somebody else's runners.
    pub(crate) async fn plan(&self, job: &mut Job, now: Timestamp) -> Result<Option<LaunchPlan>, NoPlan> {
        let Entries {
            specs: entries,
            giving_up,
        } = self.entries(job, now).await?;
        job.giving_up = giving_up;
        if entries.is_empty() {
            return if labels::must_be_ours(&job.labels) {
                Err(no_such_label(job))
            } else {
                Ok(None)
            };
        }
        // Only a breaker asks what was interrupted.
        let memory = if entries.iter().any(|entry| entry.breaker.is_some()) {
            memory::recall(&self.store).await
        } else {
            PoolMemory::default()
        };
        let mut rungs = Vec::new();
        let mut refused = None;
        let on_demand = match self.attempt_before(job).await {
            Ok(previous) => previous.is_some_and(|run| rerun::on_demand(&run)),
            Err(error) => return Err(NoPlan::Unavailable(error.to_string(), None)),
        };
        for entry in entries {
            let image = match self.images.find(&self.parameters, &self.fleet, &entry.image, now).await {
                Err(NoPlan::Refused(why)) => {
                    tracing::warn!(job = %job.key, entry = entry.name, why, "an entry of the configuration cannot be launched");
                    refused.get_or_insert(why);
                    continue;
                }
                found => found?,
            };
            rungs.extend(
                lifecycles(job, &entry, on_demand, &memory, now)
                    .into_iter()
                    .map(|lifecycle| Rung {
                        spec: entry.clone(),
                        image: image.image.clone(),
                        root_device: image.root_device.clone(),
                        lifecycle,
                    }),
            );
        }
        let mut rungs = rungs.into_iter();
        match (rungs.next(), refused) {
            (Some(first), _) => Ok(Some(LaunchPlan::new(first, rungs.collect()))),
            (None, Some(why)) => Err(NoPlan::Refused(why)),
            (None, None) => Ok(None),
        }
    }
}

/// The ways in which an entry's instances are bought, in their order.
fn lifecycles(
    job: &Job,
    entry: &RunnerSpec,
    on_demand: bool,
    memory: &PoolMemory,
    now: Timestamp,
) -> Vec<InstanceLifecycle> {
    let broken = entry
        .breaker
        .is_some_and(|breaker| pools::breaker_is_open(breaker, memory, &job.repository, &entry.name, now));
    match (entry.spot, entry.fallback) {
        (true, _) if broken || on_demand => vec![InstanceLifecycle::OnDemand],
        (true, Fallback::OnDemand) => vec![InstanceLifecycle::Spot, InstanceLifecycle::OnDemand],
        (true, Fallback::None) => vec![InstanceLifecycle::Spot],
        (false, _) => vec![InstanceLifecycle::OnDemand],
    }
}
