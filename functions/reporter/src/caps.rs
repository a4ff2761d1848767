//! How far a cap is used up, told to the owner of the account.

use dayfly_core::decide::caps;
use dayfly_core::event::CapDue;
use dayfly_core::record::{Change, LedgerId, Stored, Threshold};
use dayfly_lifecycle::{FlowError, MAX_CONFLICTS};
use dayfly_ports::{Alerts, Clock, GitHub, Store, StoreError};

use crate::{Function, Outcome};

impl<S: Store, G: GitHub, K: Clock, A: Alerts> Function<S, G, K, A> {
    /// Tells the thresholds of a ledger that are to be told, and then that they are. Whoever dies in
    /// between tells them twice.
    pub(crate) async fn tell_cap(&self, due: CapDue) -> Result<Outcome, FlowError> {
        let id = LedgerId {
            purse: due.purse,
            month: due.month,
        };
        let mut told: Vec<Threshold> = Vec::new();
        for _ in 0..MAX_CONFLICTS {
            let Some(Stored {
                record: ledger,
                version,
            }) = self.store.ledger(&id).await?
            else {
                return Ok(Outcome::Nothing);
            };
            for (threshold, cap) in ledger.to_tell.clone() {
                if told.contains(&threshold) {
                    continue;
                }
                let (subject, text) = caps::words(&ledger, threshold, cap, &self.stack);
                if let Err(error) = self.alerts.tell(&subject, &text).await {
                    tracing::warn!(purse = %ledger.purse, %error, "a cap's threshold is told later");
                    return Ok(Outcome::Postponed);
                }
                told.push(threshold);
            }
            if told.is_empty() {
                return Ok(Outcome::Nothing);
            }
            match self
                .store
                .commit(vec![Change::update(version, caps::told(ledger, &told))])
                .await
            {
                Err(StoreError::Conflict) => {}
                done => return Ok(done.map(|()| Outcome::Said)?),
            }
        }
        Err(StoreError::Conflict.into())
    }
}
