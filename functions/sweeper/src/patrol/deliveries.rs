//! Webhooks that did not reach us.

use dayfly_engine::patrol::{Failed, redeliveries};
use dayfly_flows::FlowError;
use dayfly_ports::{Bus, Fleet, GitHub, Schedule, Store};
use dayfly_types::time::Timestamp;

use super::record;
use crate::{Function, Swept};

/// How many failed deliveries are asked for again in one patrol: each is a write to GitHub, which
/// takes 80 a minute.
const MAX_AT_ONCE: usize = 60;

impl<S: Store, G: GitHub, F: Fleet, B: Bus, C: Schedule> Function<S, G, F, B, C> {
    /// Has GitHub deliver again what it could not deliver since the last patrol.
    pub(super) async fn patrol_deliveries(&self, swept: &mut Swept, _now: Timestamp) -> Result<(), FlowError> {
        let known = record(self.store.patrol().await?.as_ref());
        let found = self
            .github
            .failed_deliveries(known.deliveries_seen, MAX_AT_ONCE)
            .await?;
        let failed = found
            .into_iter()
            .map(|one| Failed {
                number: one.number,
                delivery: one.delivery,
            })
            .collect();
        for (one, patrol) in redeliveries(&known, failed) {
            let taken_in = self.store.delivery(&one.delivery).await?;
            if taken_in.is_none_or(|stored| !stored.record.published) {
                self.github.redeliver(one.number).await?;
                tracing::warn!(delivery = %one.delivery, "a webhook that was lost is delivered again");
                swept.redelivered += 1;
            }
            self.remember(|next| {
                next.deliveries_seen = patrol.deliveries_seen;
                next.redelivered.clone_from(&patrol.redelivered);
            })
            .await?;
        }
        Ok(())
    }
}
