//! The capacity pools that a call asks for, steered by what failed or was interrupted there recently.

pub(crate) mod zones;

use dayfly_engine::launch::pools;
use dayfly_flows::{FlowError, update_pool_memory};
use dayfly_ports::Store as _;
use dayfly_records::{PoolMemory, Runner};
use dayfly_types::capacity::{FleetError, InstanceLifecycle, Placement};
use dayfly_types::ids::InstanceType;
use dayfly_types::time::Timestamp;

use crate::{Function, LaunchPorts};

impl<P: LaunchPorts> Function<P> {
    /// The pools of these types to ask for a runner's current launch option.
    pub(crate) async fn placements(
        &self,
        runner: &Runner,
        types: &[InstanceType],
        now: Timestamp,
    ) -> Result<Vec<Placement>, FlowError> {
        let option = runner.plan.option();
        let subnets = match option.spec.subnets.as_slice() {
            [] => &self.subnets,
            own => own,
        };
        let all = self.zones.placements(self.ports.fleet(), subnets, types).await?;
        let memory = self.pool_memory().await;
        Ok(pools::prefer(all, option.lifecycle, &memory, now))
    }

    /// What is remembered of the pools. If the table does not answer, a launch goes on without.
    pub(crate) async fn pool_memory(&self) -> PoolMemory {
        match self.ports.store().pools().await {
            Ok(known) => known.map(|stored| stored.record).unwrap_or_default(),
            Err(error) => {
                tracing::warn!(%error, "the pool memory could not be read: all pools are asked");
                PoolMemory::default()
            }
        }
    }

    /// Remembers the pools that could not serve a call. If the table does not answer, the next failure is
    /// remembered.
    pub(crate) async fn remember_failures(&self, lifecycle: InstanceLifecycle, errors: &[FleetError], now: Timestamp) {
        let remembered = update_pool_memory(self.ports.store(), |memory| {
            pools::with_failures(memory, lifecycle, errors, now)
        })
        .await;
        if let Err(error) = remembered {
            tracing::warn!(%error, "the failures could not be added to the pool memory");
        }
    }
}
