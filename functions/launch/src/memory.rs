//! What befell the pools of late, in the table.

use dayfly_engine::pools;
use dayfly_flows::remember_of_pools;
use dayfly_ports::Store;
use dayfly_records::PoolMemory;
use dayfly_types::capacity::{FleetError, InstanceLifecycle};
use dayfly_types::time::Timestamp;

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
    let remembered = remember_of_pools(store, |memory| pools::failed(memory, lifecycle, errors, now)).await;
    if let Err(error) = remembered {
        tracing::warn!(%error, "what befell the pools could not be written down");
    }
}
