//! What is remembered of capacity pools: interruptions and failed launches.

use dayfly_engine::launch::pools;
use dayfly_ports::{Store, StoreError};
use dayfly_records::{Change, PoolInterruption, PoolMemory, Runner};
use dayfly_types::capacity::InstanceLifecycle;
use dayfly_types::time::Timestamp;

use crate::commit_retrying;

/// Updates the memory of the pools with what `decide` returns; `None` changes nothing.
///
/// # Errors
/// The table does not answer.
pub async fn update_pool_memory<S: Store>(
    store: &S,
    decide: impl Fn(&PoolMemory) -> Option<PoolMemory>,
) -> Result<(), StoreError> {
    commit_retrying(store, async || {
        let known = store.pools().await?;
        let memory = known.as_ref().map(|stored| stored.record.clone()).unwrap_or_default();
        let next = decide(&memory).map(|next| Change::put(known.as_ref(), next));
        Ok((Vec::from_iter(next), ()))
    })
    .await
}

/// Records for its pool that EC2 took a runner's spot instance back. If the table does not take it, only
/// this interruption is forgotten.
pub(crate) async fn record_pool_interruption<S: Store>(store: &S, runner: &Runner, now: Timestamp) {
    let Some(launched) = runner
        .launched
        .as_ref()
        .filter(|launched| launched.lifecycle == InstanceLifecycle::Spot)
    else {
        return;
    };
    let interruption = PoolInterruption {
        instance: launched.instance.clone(),
        pool: launched.pool(),
        repository: runner.repository.clone(),
        entry: runner.plan.spec().name.clone(),
        at: runner.interrupted_at.unwrap_or(now),
    };
    let recorded = update_pool_memory(store, |memory| {
        pools::with_interruption(memory, interruption.clone(), now)
    })
    .await;
    if let Err(error) = recorded {
        tracing::warn!(runner = %runner.name, %error, "the interruption was not recorded for its pool");
    }
}
