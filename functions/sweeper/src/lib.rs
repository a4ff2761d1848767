//! Looks at what is due, every minute while anything lives; looks for what nobody owns, every
//! quarter of an hour.
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used))]

mod ask;
mod patrol;
mod sweep;

use dayfly_flows::{FlowError, PriceCache};
use dayfly_metrics::Runners;
use dayfly_ports::{Bus, Fleet, GitHub, Schedule, Store};
use dayfly_types::deadlines::Deadlines;
use dayfly_types::time::Timestamp;
use serde::Deserialize;

/// What the schedules ask for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(tag = "task", rename_all = "snake_case")]
pub enum Task {
    /// Every minute while anything lives.
    Sweep,
    /// Every quarter of an hour.
    Patrol,
}

/// What one sweep did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Swept {
    /// Records that were due.
    pub due: usize,
    /// Of these, those that something did not answer for: they stay due.
    pub failed: usize,
    /// Orphans that were ended.
    pub orphans: usize,
    /// Instances of which it could not be counted what they have cost: the next patrol does so.
    pub uncounted: usize,
    /// Runners whose instance EC2 names no more.
    pub vanished: usize,
    /// Webhooks that GitHub was asked to deliver again.
    pub redelivered: usize,
    /// Webhooks that were lost, and what they told of handed on.
    pub lost_webhooks: usize,
    /// Registrations that were left over and removed.
    pub registrations: usize,
    /// Whether the minute schedule is off.
    pub asleep: bool,
    /// Whether it was on until now.
    pub fell_asleep: bool,
}

/// The most records that are looked at for how many runners there are.
const MOST_COUNTED: usize = 1_000;

/// The sweeper function.
pub struct Function<S, G, F, B, C> {
    /// The table.
    pub store: S,
    /// GitHub.
    pub github: G,
    /// EC2.
    pub fleet: F,
    /// The bus.
    pub bus: B,
    /// The minute schedule.
    pub schedule: C,
    /// Prices that were looked up.
    pub prices: PriceCache,
    /// The stack's deadlines.
    pub deadlines: Deadlines,
}

impl<S: Store, G: GitHub, F: Fleet, B: Bus, C: Schedule> Function<S, G, F, B, C> {
    /// Does what a schedule asks for.
    ///
    /// # Errors
    /// If table, EC2 or schedule did not answer. A single record's failure is none: it is logged,
    /// counted, and the record stays due.
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

    /// Tells how many runners there are, after what a schedule asked for: each minute while there are any, and once
    /// more that there are none when the minute schedule goes off. Nothing is told at rest.
    ///
    /// It is no part of [`Function::handle`], for nothing hangs on it.
    pub async fn tell_runners(&self, task: Task, swept: Swept) {
        if task == Task::Patrol && !swept.fell_asleep {
            return;
        }
        let ever = Timestamp::from_millis(i64::MAX);
        match self.store.due(ever, MOST_COUNTED).await {
            Ok(due) => {
                let runners = Runners::among(due.iter().map(|stored| &stored.record));
                if runners != Runners::default() || swept.fell_asleep {
                    runners.tell();
                }
            }
            Err(error) => tracing::warn!(%error, "how many runners there are is told in a minute"),
        }
    }
}
