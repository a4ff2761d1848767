//! Webhooks that did not reach us.

use dayfly_engine::patrol::lost_webhooks::{FailedDelivery, redeliveries};
use dayfly_flows::FlowError;
use dayfly_ports::{GitHub, Ports, Schedule, Store};
use dayfly_records::Patrol;

use crate::{Function, Swept};

/// Redeliveries requested per patrol. Each is a write to GitHub, which takes 80 a minute.
const MAX_AT_ONCE: usize = 60;

impl<P: Ports, C: Schedule> Function<P, C> {
    /// Has GitHub redeliver the webhooks that failed since the last patrol.
    pub(super) async fn patrol_deliveries(&self, known: &Patrol, swept: &mut Swept) -> Result<(), FlowError> {
        let found = self
            .ports
            .github()
            .failed_deliveries(known.deliveries_seen, MAX_AT_ONCE)
            .await?;
        let failed = found
            .into_iter()
            .map(|one| FailedDelivery {
                number: one.number,
                delivery: one.delivery,
            })
            .collect();
        for (one, patrol) in redeliveries(known, failed) {
            let received = self.ports.store().delivery(&one.delivery).await?;
            if received.is_none_or(|stored| !stored.record.published) {
                self.ports.github().redeliver(one.number).await?;
                tracing::warn!(delivery = %one.delivery, "a lost webhook is delivered again");
                swept.redelivered += 1;
            }
            self.update_record(|next| {
                next.deliveries_seen = patrol.deliveries_seen;
                next.redelivered.clone_from(&patrol.redelivered);
            })
            .await?;
        }
        Ok(())
    }
}
