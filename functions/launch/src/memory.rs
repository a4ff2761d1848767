//! What befell the pools of late, in the table.

use dayfly_core::capacity::{FleetError, InstanceLifecycle};
use dayfly_core::decide::pools;
use dayfly_core::record::{Change, PoolMemory};
use dayfly_core::time::Timestamp;
use dayfly_lifecycle::MAX_CONFLICTS;
use dayfly_ports::{Store, StoreError};

/// What is remembered. Should the table not say, a launch goes on without.
pub async fn recall<S: Store>(store: &S) -> PoolMemory {
    match store.pools().await {
        Ok(known) => known.map(|stored| stored.record).unwrap_or_default(),
        Err(error) => {
            tracing::warn!(%error, "what befell the pools of late could not be read: all are asked");
            PoolMemory::default()
        }
    }
}

/// Remembers the pools that could not serve a call. Should the table not take it, the next failure
/// is remembered.
pub async fn remember<S: Store>(store: &S, lifecycle: InstanceLifecycle, errors: &[FleetError], now: Timestamp) {
    if let Err(error) = try_remember(store, lifecycle, errors, now).await {
        tracing::warn!(%error, "what befell the pools could not be written down");
    }
}

async fn try_remember<S: Store>(
    store: &S,
    lifecycle: InstanceLifecycle,
    errors: &[FleetError],
    now: Timestamp,
) -> Result<(), StoreError> {
    for _ in 0..MAX_CONFLICTS {
        let known = store.pools().await?;
        let memory = known.as_ref().map(|stored| stored.record.clone()).unwrap_or_default();
        let Some(next) = pools::failed(&memory, lifecycle, errors, now) else {
            return Ok(());
        };
        match store.commit(vec![Change::put(known.as_ref(), next)]).await {
            Err(StoreError::Conflict) => {}
            done => return done,
        }
    }
    Err(StoreError::Conflict)
}
