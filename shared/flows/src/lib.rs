//! What several functions do alike. Each is a loop of load, decide, record and act that may be run
//! twice, or die between any two of its steps, and be run again.

mod admission;
mod announce;
mod ask;
mod blocked;
mod bucket;
mod costing;
mod files;
mod follow;
mod gate;
mod orphans;
mod pools;
mod prices;
mod reap;
mod requester;
mod rerun;
mod stories;
mod wake;

use dayfly_ports::{ApiError, BusError, FleetError, ScheduleError, StoreError};

pub use admission::{Asked, NoPolicy, Policies};
pub use announce::announce;
pub use ask::event_of;
pub use blocked::Blocked;
pub use bucket::{acquire, bucket_with_one_taken};
pub use costing::{AT_ONCE_TRIES, SETTLED_AT_ONCE, cost_ended_runners, cost_soon, load_ledgers, tell_caps};
pub use files::load_files;
pub use follow::{attempt_before, follow_up};
pub use gate::{call_to_gate, count_living, leave_gate, living, look_after_gate};
pub use orphans::cost_orphan;
pub use pools::remember_of_pools;
pub use prices::{Effort, PriceCache, PriceUnknown};
pub use reap::{Reaped, part_with, reap};
pub use requester::RequesterLookup;
pub use rerun::settle_run;
pub use stories::{load_stories, load_story, tell_stories, tell_story_now};
pub use wake::{Rest, sleep_if_quiet, wake_up};

/// How often a decision is made anew because somebody else wrote in between, before the event is
/// left to be delivered again.
pub const MAX_CONFLICTS: usize = 8;

/// Why a step could not be finished. The event that asked for it comes again, or the record that
/// it left is due.
#[derive(Debug, thiserror::Error)]
pub enum FlowError {
    /// The table.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The bus.
    #[error(transparent)]
    Bus(#[from] BusError),
    /// EC2.
    #[error("EC2: {0}")]
    Fleet(#[from] FleetError),
    /// GitHub.
    #[error(transparent)]
    GitHub(#[from] ApiError),
    /// The schedule.
    #[error(transparent)]
    Schedule(#[from] ScheduleError),
    /// The stack policy.
    #[error(transparent)]
    Policy(#[from] NoPolicy),
}
