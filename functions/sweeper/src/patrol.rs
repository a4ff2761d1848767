//! Patrol compares EC2 and GitHub with the table: instances without a live record, records without an instance, a
//! schedule that is off while something lives, lost webhooks, leftover registrations.

mod deliveries;
mod instances;
mod repositories;

use dayfly_flows::{FlowError, ensure_schedule_on};
use dayfly_ports::{Ports, Schedule, Store};
use dayfly_records::{Change, Patrol, Stored};
use dayfly_types::time::Timestamp;

use crate::{Function, Swept};

impl<P: Ports, C: Schedule> Function<P, C> {
    /// Does every part of the patrol; a part that fails does not stop the others.
    pub(crate) async fn patrol(&self, swept: &mut Swept, now: Timestamp) -> Result<(), FlowError> {
        let parts = [
            ("instances", self.patrol_instances(swept, now).await),
            ("schedule", self.patrol_schedule(now).await),
            ("deliveries", self.patrol_deliveries(swept).await),
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
        if self.ports.store().has_live_records().await? && !self.schedule.is_on().await? {
            tracing::warn!("something lives and the minute schedule was off");
            ensure_schedule_on(self.ports.store(), &self.schedule, now, &self.deadlines).await?;
            self.schedule.switch(true).await?;
        }
        Ok(())
    }

    /// Changes the patrol's record. Two patrols at once do the same work twice, without harm.
    async fn update_record(&self, change: impl Fn(&mut Patrol)) -> Result<(), FlowError> {
        let known = self.ports.store().patrol().await?;
        let mut next = record(known.as_ref());
        change(&mut next);
        Ok(self
            .ports
            .store()
            .commit(vec![Change::put(known.as_ref(), next)])
            .await?)
    }
}

fn record(known: Option<&Stored<Patrol>>) -> Patrol {
    known.map_or_else(Patrol::default, |stored| stored.record.clone())
}
