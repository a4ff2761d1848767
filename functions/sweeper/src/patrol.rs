//! What nobody owns, and what was never told: instances with our tag and no live record, records
//! without an instance, a schedule that is off while something lives, webhooks that were lost,
//! registrations that are left over.

mod deliveries;
mod instances;
mod repositories;

use dayfly_flows::{FlowError, wake_up};
use dayfly_ports::{Bus, Fleet, GitHub, Schedule, Store};
use dayfly_records::{Change, Patrol, Stored};
use dayfly_types::time::Timestamp;

use crate::{Function, Swept};

impl<S: Store, G: GitHub, F: Fleet, B: Bus, C: Schedule> Function<S, G, F, B, C> {
    /// Compares EC2's and GitHub's view with the table's. What one of them does not answer holds up
    /// none of the rest.
    pub(crate) async fn patrol(&self, swept: &mut Swept, now: Timestamp) -> Result<(), FlowError> {
        let parts = [
            ("instances", self.patrol_instances(swept, now).await),
            ("schedule", self.patrol_schedule(now).await),
            ("deliveries", self.patrol_deliveries(swept, now).await),
            ("repositories", self.patrol_repositories(swept, now).await),
        ];
        let mut failed = Ok(());
        for (part, result) in parts {
            if let Err(error) = result {
                tracing::warn!(part, %error, "a part of the patrol is left to the next");
                failed = Err(error);
            }
        }
        failed
    }

    /// Switches the minute schedule on if something lives while it is off.
    async fn patrol_schedule(&self, now: Timestamp) -> Result<(), FlowError> {
        if self.store.anything_lives().await? && !self.schedule.is_on().await? {
            tracing::warn!("something lives and the minute schedule was off");
            wake_up(&self.store, &self.schedule, now, &self.deadlines).await?;
            self.schedule.switch(true).await?;
        }
        Ok(())
    }

    /// Changes what patrol remembers. Two patrols at once do the same work twice, and no harm.
    async fn remember(&self, change: impl Fn(&mut Patrol)) -> Result<(), FlowError> {
        let known = self.store.patrol().await?;
        let mut next = record(known.as_ref());
        change(&mut next);
        Ok(self.store.commit(vec![Change::put(known.as_ref(), next)]).await?)
    }
}

fn record(known: Option<&Stored<Patrol>>) -> Patrol {
    known.map_or_else(Patrol::default, |stored| stored.record.clone())
}
