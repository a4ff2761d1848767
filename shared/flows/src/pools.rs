//! What befell the pools of late, in the table.

use dayfly_engine::pools;
use dayfly_ports::{Store, StoreError};
use dayfly_records::{Change, PoolInterruption, PoolMemory, Runner};
use dayfly_types::capacity::InstanceLifecycle;
use dayfly_types::time::Timestamp;

use crate::MAX_CONFLICTS;

/// Remembers what befell the pools, as `decide` adds it to what is known; nothing if it adds nothing.
///
/// # Errors
/// If the table does not answer.
pub async fn remember_of_pools<S: Store>(
    store: &S,
    decide: impl Fn(&PoolMemory) -> Option<PoolMemory>,
) -> Result<(), StoreError> {
    for _ in 0..MAX_CONFLICTS {
        let known = store.pools().await?;
        let memory = known.as_ref().map(|stored| stored.record.clone()).unwrap_or_default();
        let Some(next) = decide(&memory) else {
            return Ok(());
        };
        match store.commit(vec![Change::put(known.as_ref(), next)]).await {
            Err(StoreError::Conflict) => {}
            done => return done,
        }
    }
    Err(StoreError::Conflict)
}

/// Remembers that EC2 took a runner's spot instance back. Should the table not take it, the next
/// interruption is remembered.
pub(crate) async fn remember_interruption<S: Store>(store: &S, runner: &Runner, now: Timestamp) {
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
    let remembered = remember_of_pools(store, |memory| pools::interrupted(memory, interruption.clone(), now)).await;
    if let Err(error) = remembered {
        tracing::warn!(runner = %runner.name, %error, "the interruption could not be written down for its pool");
    }
}
