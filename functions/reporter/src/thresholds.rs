//! Alerts the owner of the account when the spending under a cap passes a threshold.

use std::time::Duration;

use dayfly_engine::cost::thresholds::{self, ThresholdClaim};
use dayfly_flows::{FlowError, MAX_CONFLICTS};
use dayfly_ports::{Alerts, Clock, GitHub, Store, StoreError};
use dayfly_records::event::CapDue;
use dayfly_records::{Change, Ledger, LedgerId, Stored};

use crate::{Function, ReportOutcome};

/// Tries to record a reported threshold: a ledger has many writers.
const TRIES: u32 = 24;

/// The pause after a try, multiplied by its number.
const PAUSE: Duration = Duration::from_millis(20);

impl<S: Store, G: GitHub, K: Clock, A: Alerts> Function<S, G, K, A> {
    /// Reports each passed threshold of a ledger. A threshold is claimed before it is reported and recorded
    /// afterwards, so only a crash or a lost answer in between reports it twice.
    pub(crate) async fn report_threshold(&self, due: CapDue) -> Result<ReportOutcome, FlowError> {
        let id = LedgerId {
            budget: due.budget,
            month: due.month,
        };
        let mut outcome = ReportOutcome::Nothing;
        for _ in 0..MAX_CONFLICTS {
            let Some(Stored { record, version }) = self.store.ledger(&id).await? else {
                return Ok(outcome);
            };
            let Some(ThresholdClaim {
                threshold,
                until,
                ledger,
            }) = thresholds::claim(&record, self.clock.now())
            else {
                return Ok(outcome);
            };
            if !self.record(Change::update(version, ledger.clone())).await? {
                continue;
            }
            let (subject, text) = thresholds::message(&ledger, threshold, &self.stack);
            let reported = self.alerts.send(&subject, &text).await;
            let held = Stored::over(version, ledger);
            if let Err(error) = reported {
                tracing::warn!(budget = %id.budget, %error, "the threshold of a cap is reported later");
                let now = self.clock.now();
                self.record_report(held, |ledger| {
                    thresholds::publish_failed(ledger, until, now, &self.deadlines)
                })
                .await?;
                return Ok(ReportOutcome::Postponed);
            }
            self.record_report(held, |ledger| thresholds::published(ledger, threshold, until))
                .await?;
            outcome = ReportOutcome::Published;
        }
        Err(StoreError::Conflict.into())
    }

    /// Records the result of a report in the current ledger.
    async fn record_report(&self, held: Stored<Ledger>, next: impl Fn(Ledger) -> Ledger) -> Result<(), FlowError> {
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
