//! What nobody owns: instances with our tag and no live record, a schedule that is off while
//! something lives.

use dayfly_core::decide::sweep;
use dayfly_core::time::Timestamp;
use dayfly_lifecycle::{FlowError, wake_up};
use dayfly_ports::{Bus, Fleet, GitHub, Schedule, Store};

use crate::{Function, Swept};

impl<S: Store, G: GitHub, F: Fleet, B: Bus, C: Schedule> Function<S, G, F, B, C> {
    /// Compares EC2's view with the table's.
    pub(crate) async fn patrol(&self, swept: &mut Swept, now: Timestamp) -> Result<(), FlowError> {
        for view in self.fleet.living().await? {
            let runner = match &view.runner {
                Some(name) => self.store.runner(name).await?.map(|stored| stored.record),
                None => None,
            };
            if sweep::is_orphan(runner.as_ref(), &view.instance, now.since(view.launched_at)) {
                tracing::warn!(instance = %view.instance, runner = view.runner.as_ref().map(tracing::field::display),
                    "ended an instance that no live runner owns");
                self.fleet
                    .terminate(std::slice::from_ref(&view.instance), false)
                    .await?;
                swept.orphans += 1;
            }
        }
        if self.store.anything_lives().await? && !self.schedule.is_on().await? {
            tracing::warn!("something lives and the minute schedule was off");
            wake_up(&self.store, &self.schedule, now, &self.deadlines).await?;
            self.schedule.switch(true).await?;
        }
        Ok(())
    }
}
