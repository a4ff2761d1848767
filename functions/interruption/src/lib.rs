//! Handles EC2's events of our instances: interruption notices, rebalance recommendations, state changes. Calls
//! neither EC2 nor GitHub.
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used))]

mod ec2_event;

use dayfly_engine::runner::interruption;
use dayfly_flows::{FlowError, commit_retrying, publish_cost_due, reschedule_job};
use dayfly_ports::{Bus, Store};
use dayfly_records::{Change, Stored};
use dayfly_types::deadlines::Deadlines;
use dayfly_types::time::Timestamp;

pub use crate::ec2_event::{Ec2Event, UnknownEvent};

/// The interruption function.
pub struct Function<S, B> {
    pub store: S,
    pub bus: B,
    pub deadlines: Deadlines,
}

impl<S: Store, B: Bus> Function<S, B> {
    /// Handles one event.
    ///
    /// # Errors
    /// The table or the bus did not answer: the event comes again.
    pub async fn handle(&self, event: &Ec2Event, now: Timestamp) -> Result<(), FlowError> {
        let Some(word) = event.word else {
            return Ok(());
        };
        let heard = commit_retrying(&self.store, async || {
            // Most instances of an account are not ours.
            let Some(Stored {
                record: runner,
                version,
            }) = self.store.runner_on(&event.instance).await?
            else {
                return Ok::<_, FlowError>((Vec::new(), None));
            };
            let next = interruption::apply(&runner, word, event.at.unwrap_or(now), now, &self.deadlines);
            let change = next.clone().map(|next| Change::update(version, next));
            Ok((Vec::from_iter(change), Some((runner, next))))
        })
        .await?;
        match heard {
            None => tracing::debug!(instance = %event.instance, ?word, "not one of our instances"),
            Some((_, Some(runner))) => {
                tracing::info!(runner = %runner.name, instance = %event.instance, ?word, state = ?runner.state, "heard from EC2");
                reschedule_job(&self.store, &self.bus, &runner, now).await?;
                publish_cost_due(&self.bus, &runner, now, &self.deadlines).await;
            }
            // A repeated event: the call before may have died before it rescheduled the job.
            Some((runner, None)) => reschedule_job(&self.store, &self.bus, &runner, now).await?,
        }
        Ok(())
    }
}
