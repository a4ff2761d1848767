//! Handles records that are due, every minute while anything lives, and patrols for orphans and lost webhooks,
//! every quarter of an hour.
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used))]

mod job_lookup;
mod patrol;
mod sweep;

use dayfly_flows::{FlowError, PriceCache};
use dayfly_metrics::Runners;
use dayfly_ports::{Ports, Schedule, Store};
use dayfly_types::deadlines::Deadlines;
use dayfly_types::time::Timestamp;
use serde::Deserialize;

/// The task of a schedule.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(tag = "task", rename_all = "snake_case")]
pub enum Task {
    /// Every minute while anything lives.
    Sweep,
    /// Every quarter of an hour.
    Patrol,
}

/// What one call did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Swept {
    /// Records that were due.
    pub due: usize,
    /// Due records that a service did not answer for: they stay due.
    pub failed: usize,
    /// Orphans that were ended.
    pub orphans: usize,
    /// Instances whose cost could not be counted: the next patrol tries again.
    pub uncounted: usize,
    /// Runners whose instance EC2 no longer lists.
    pub vanished: usize,
    /// Webhooks that GitHub was asked to deliver again.
    pub redelivered: usize,
    /// Lost webhooks whose event was published in their place.
    pub lost_webhooks: usize,
    /// Leftover registrations that were removed.
    pub registrations: usize,
    /// Whether the minute schedule is off.
    pub asleep: bool,
    /// Whether this call switched it off.
    pub fell_asleep: bool,
}

/// Due records read to count runners.
const MAX_COUNTED: usize = 1_000;

/// The sweeper function.
pub struct Function<P, C> {
    pub ports: P,
    pub schedule: C,
    pub prices: PriceCache,
    pub deadlines: Deadlines,
}

impl<P: Ports, C: Schedule> Function<P, C> {
    /// Does the task of a schedule.
    ///
    /// # Errors
    /// Table, EC2 or schedule did not answer. A single record's failure is no error: it is logged and counted,
    /// and the record stays due.
    pub async fn handle(&self, task: Task, now: Timestamp) -> Result<Swept, FlowError> {
        let mut swept = Swept::default();
        let patrolled = match task {
            Task::Patrol => self.patrol(&mut swept, now).await,
            Task::Sweep => Ok(()),
        };
        self.sweep(task, &mut swept, now).await?;
        tracing::info!(?task, ?swept, "swept");
        patrolled?;
        Ok(swept)
    }

    /// Publishes the number of runners after a task: each minute while there are any, and once more when the
    /// minute schedule goes off, so that nothing is published at rest.
    ///
    /// It is not part of [`Function::handle`], because nothing depends on it.
    pub async fn publish_runner_count(&self, task: Task, swept: Swept) {
        if task == Task::Patrol && !swept.fell_asleep {
            return;
        }
        let ever = Timestamp::from_millis(i64::MAX);
        match self.ports.store().due(ever, MAX_COUNTED).await {
            Ok(due) => {
                let runners = Runners::count(due.iter().map(|stored| &stored.record));
                if runners != Runners::default() || swept.fell_asleep {
                    runners.publish();
                }
            }
            Err(error) => tracing::warn!(%error, "the number of runners is published in a minute"),
        }
    }
}
