//! Hears what EC2 says of our instances: that it will take one back, that it might, that one has
//! ended. Asks neither EC2 nor GitHub anything.
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used))]

mod ec2_event;

use dayfly_engine::interruption;
use dayfly_flows::{FlowError, MAX_CONFLICTS, cost_soon, follow_up};
use dayfly_ports::{Bus, Store, StoreError};
use dayfly_records::{Change, Stored};
use dayfly_types::deadlines::Deadlines;
use dayfly_types::time::Timestamp;

pub use crate::ec2_event::{Ec2Event, NotUnderstood};

/// The interruption function.
pub struct Function<S, B> {
    /// The table.
    pub store: S,
    /// The bus.
    pub bus: B,
    /// The stack's deadlines.
    pub deadlines: Deadlines,
}

impl<S: Store, B: Bus> Function<S, B> {
    /// Handles one event.
    ///
    /// # Errors
    /// If table or bus did not answer: the event comes again.
    pub async fn handle(&self, event: &Ec2Event, now: Timestamp) -> Result<(), FlowError> {
        let Some(word) = event.word else {
            return Ok(());
        };
        for _ in 0..MAX_CONFLICTS {
            // Most instances of an account are none of ours.
            let Some(Stored {
                record: runner,
                version,
            }) = self.store.runner_on(&event.instance).await?
            else {
                tracing::debug!(instance = %event.instance, ?word, "not one of ours");
                return Ok(());
            };
            if let Some(next) = interruption::heard(&runner, word, event.at.unwrap_or(now), now, &self.deadlines) {
                match self.store.commit(vec![Change::update(version, next.clone())]).await {
                    Err(StoreError::Conflict) => continue,
                    done => done?,
                }
                tracing::info!(runner = %runner.name, instance = %event.instance, ?word, state = ?next.state, "heard from EC2");
                follow_up(&self.store, &self.bus, &next, now).await?;
                cost_soon(&self.bus, &next, now, &self.deadlines).await;
            } else {
                // Said before; what follows from it may not have been done.
                follow_up(&self.store, &self.bus, &runner, now).await?;
            }
            return Ok(());
        }
        Err(StoreError::Conflict.into())
    }
}
