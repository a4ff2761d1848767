//! What several functions do alike. Each flow loads, decides, records and acts. It may run twice, or die
//! between any two of its steps and run again.

mod checks;
mod commit;
mod cost;
mod end;
mod gate;
mod launch;
mod lost_webhook;
mod minute_schedule;
mod rate_limit;
mod rerun;

use dayfly_ports::{ApiError, BusError, FleetError, ScheduleError, StoreError};

pub use checks::{load_stories, load_story, mark_stories_due, publish_check_run_due, publish_story_now};
pub use commit::{MAX_CONFLICTS, commit_if_current, commit_retrying};
pub use cost::{
    INLINE_SETTLE_TRIES, PriceCache, PriceLookup, PriceUnknown, SETTLE_BATCH, load_ledgers, publish_caps_due,
    publish_cost_due, settle_costs, settle_orphan,
};
pub use end::{attempt_before, reap, release_ended_runner, reschedule_job};
pub use gate::{leave_gate, load_live_runners, load_slot_holders, publish_turns, reconcile_gate};
pub use launch::{
    Admission, AdmissionRequest, Blocked, Policies, PolicyError, RunRequester, RunnerAccess, load_files,
    update_pool_memory,
};
pub use lost_webhook::event_of_job;
pub use minute_schedule::{ScheduleState, ensure_schedule_on, switch_off_if_quiet};
pub use rate_limit::{acquire, take_token};
pub use rerun::rerun_interrupted_jobs;

/// Why a flow stopped. The event is delivered again, or the record it left is due.
#[derive(Debug, thiserror::Error)]
pub enum FlowError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Bus(#[from] BusError),
    #[error("EC2: {0}")]
    Fleet(#[from] FleetError),
    #[error(transparent)]
    GitHub(#[from] ApiError),
    #[error(transparent)]
    Schedule(#[from] ScheduleError),
    #[error(transparent)]
    Policy(#[from] PolicyError),
}
