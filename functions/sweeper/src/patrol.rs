//! Patrol compares EC2 and GitHub with the table: instances without a live record, records without an instance, a
//! schedule that is off while something lives, lost webhooks, leftover registrations.

mod deliveries;
mod instances;
mod orphans;
mod repositories;

use dayfly_flows::{FlowError, commit_retrying, ensure_schedule_on};
use dayfly_ports::{Ports, Schedule, Store};
use dayfly_records::{Change, Patrol, Stored};
use dayfly_types::time::Timestamp;
use futures_util::future::join4;

use crate::{Function, Swept};

impl<P: Ports, C: Schedule> Function<P, C> {
    /// Does every part of the patrol, all at once: a part that fails does not stop the others, and one that takes
    /// longer than the function may run, patrol after patrol, does not keep the others from their turn.
    pub(crate) async fn patrol(&self, swept: &mut Swept, now: Timestamp) -> Result<(), FlowError> {
        let known = record(self.ports.store().patrol().await?.as_ref());
        let mut of_instances = Swept::default();
        let mut of_deliveries = Swept::default();
        let mut of_repositories = Swept::default();
        let (instances, schedule, deliveries, repositories) = join4(
            Box::pin(self.patrol_instances(&known, &mut of_instances, now)),
            self.patrol_schedule(now),
            self.patrol_deliveries(&known, &mut of_deliveries),
            Box::pin(self.patrol_repositories(&known, &mut of_repositories, now)),
        )
        .await;
        *swept = Swept {
            redelivered: of_deliveries.redelivered,
            lost_webhooks: of_repositories.lost_webhooks,
            registrations: of_repositories.registrations,
            ..of_instances
        };
        let mut failed = Ok(());
        for (part, result) in [
            ("instances", instances),
            ("schedule", schedule),
            ("deliveries", deliveries),
            ("repositories", repositories),
        ] {
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
        let store = self.ports.store();
        commit_retrying(store, async || {
            let known = store.patrol().await?;
            let mut next = record(known.as_ref());
            change(&mut next);
            Ok((vec![Change::put(known.as_ref(), next)], ()))
        })
        .await
    }
}

fn record(known: Option<&Stored<Patrol>>) -> Patrol {
    known.map_or_else(Patrol::default, |stored| stored.record.clone())
}
