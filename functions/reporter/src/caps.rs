//! How far a cap is used up, told to the owner of the account.

use std::time::Duration;

use dayfly_engine::thresholds::{self, Claim};
use dayfly_flows::{FlowError, MAX_CONFLICTS};
use dayfly_ports::{Alerts, Clock, GitHub, Store, StoreError};
use dayfly_records::event::CapDue;
use dayfly_records::{Change, Ledger, LedgerId, Stored};

use crate::{Function, Outcome};

/// How often it is tried to record what was told: many write in a ledger.
const TRIES: u32 = 24;

/// How much longer each try waits than the one before.
const PAUSE: Duration = Duration::from_millis(20);

impl<S: Store, G: GitHub, K: Clock, A: Alerts> Function<S, G, K, A> {
    /// Tells what there is to tell of a ledger, one after the other: each is claimed before it is sent and
    /// recorded after. Only whoever dies, or is not answered, in between leaves it to be told twice.
    pub(crate) async fn tell_cap(&self, due: CapDue) -> Result<Outcome, FlowError> {
        let id = LedgerId {
            budget: due.budget,
            month: due.month,
        };
        let mut outcome = Outcome::Nothing;
        for _ in 0..MAX_CONFLICTS {
            let Some(Stored { record, version }) = self.store.ledger(&id).await? else {
                return Ok(outcome);
            };
            let Some(Claim { news, until, ledger }) = thresholds::claim(&record, self.clock.now()) else {
                return Ok(outcome);
            };
            if !self.record(Change::update(version, ledger.clone())).await? {
                continue;
            }
            let (subject, text) = thresholds::words(&ledger, news, &self.stack);
            let told = self.alerts.tell(&subject, &text).await;
            let held = Stored::over(version, ledger);
            if let Err(error) = told {
                tracing::warn!(budget = %id.budget, %error, "what there is to tell of a cap is told later");
                let now = self.clock.now();
                self.told_or_not(held, |ledger| thresholds::untold(ledger, until, now, &self.deadlines))
                    .await?;
                return Ok(Outcome::Postponed);
            }
            self.told_or_not(held, |ledger| thresholds::told(ledger, news, until))
                .await?;
            outcome = Outcome::Said;
        }
        Err(StoreError::Conflict.into())
    }

    /// Records what came of the telling, on what the ledger is by then.
    async fn told_or_not(&self, held: Stored<Ledger>, next: impl Fn(Ledger) -> Ledger) -> Result<(), FlowError> {
        let id = held.record.id();
        let mut current = Some(held);
        for tried in 1..=TRIES {
            let Some(Stored { record, version }) = current else {
                return Ok(());
            };
            if self.record(Change::update(version, next(record))).await? {
                return Ok(());
            }
            self.clock.sleep(PAUSE * tried).await;
            current = self.store.ledger(&id).await?;
        }
        Err(StoreError::Conflict.into())
    }
}
