//! What several functions do alike. Each is a loop of load, decide, record and act that may be run
//! twice, or die between any two of its steps, and be run again.

mod admission;
mod announce;
mod ask;
mod bucket;
mod files;
mod follow;
mod hindrance;
mod pools;
mod prices;
mod reap;
mod rerun;
mod settlement;
mod stories;
mod strays;
mod turnstile;
mod wake;
mod who;

use dayfly_ports::{ApiError, BusError, FleetError, ScheduleError, StoreError};

pub use admission::{Asked, NoPolicy, Policies};
pub use announce::announce;
pub use ask::event_of;
pub use bucket::{bucket_with_one_taken, draw};
pub use files::load_files;
pub use follow::{attempt_before, follow_up};
pub use hindrance::Hindrance;
pub use pools::remember_of_pools;
pub use prices::{Effort, PriceCache, PriceUnknown};
pub use reap::{Reaped, bid_farewell, reap};
pub use rerun::settle_run;
pub use settlement::{AT_ONCE_TRIES, SETTLED_AT_ONCE, load_ledgers, settle_costs, settle_soon, tell_caps};
pub use stories::{load_stories, load_story, tell_stories, tell_story_now};
pub use strays::settle_stray;
pub use turnstile::{call_to_turnstile, count_living, leave_turnstile, living, look_after_turnstile};
pub use wake::{Rest, sleep_if_quiet, wake_up};
pub use who::Who;

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
