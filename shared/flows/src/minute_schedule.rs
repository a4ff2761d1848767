//! The minute schedule: on while anything lives, off otherwise.

use dayfly_engine::quiet::{self, QuietStep};
use dayfly_ports::{Schedule, Store};
use dayfly_records::{Change, Stored, Wake};
use dayfly_types::deadlines::Deadlines;
use dayfly_types::time::Timestamp;

use crate::{FlowError, commit_if_current, commit_retrying};

/// Switches the schedule on, before the record that needs it is written: a function that dies in between
/// leaves a schedule that finds nothing and goes off again, not a record that is never found.
/// Of many launches in a short time, only the first writes anything.
///
/// # Errors
/// The table or the schedule does not answer.
pub async fn ensure_schedule_on<S: Store, C: Schedule>(
    store: &S,
    schedule: &C,
    now: Timestamp,
    deadlines: &Deadlines,
) -> Result<(), FlowError> {
    commit_retrying(store, async || {
        let known = store.wake().await?;
        let on = known.as_ref().filter(|stored| stored.record.on);
        // The other half of the quiet time is left to write the record, and for the table's index to show it
        // before a sweep asks for live records.
        if on.is_some_and(|stored| now.since(stored.record.at) < deadlines.quiet / 2) {
            return Ok((Vec::new(), ()));
        }
        if on.is_none() {
            schedule.switch(true).await?;
            tracing::info!("switched the minute schedule on");
        }
        Ok((vec![Change::put(known.as_ref(), Wake::on(now))], ()))
    })
    .await
}

/// The state of the schedule after [`switch_off_if_quiet`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ScheduleState {
    On,
    SwitchedOff,
    /// It was off before.
    Off,
}

/// Switches the schedule off if nothing lives and nothing was launched for the quiet time. A launch at the
/// same moment writes the same record, so one of the two meets a conflict and the schedule stays on.
///
/// `called` says that the schedule itself called: it is on, whatever its record says. `is_busy` says that the sweep
/// found something due.
///
/// # Errors
/// The table or the schedule does not answer.
pub async fn switch_off_if_quiet<S: Store, C: Schedule>(
    store: &S,
    schedule: &C,
    called: bool,
    is_busy: bool,
    now: Timestamp,
    deadlines: &Deadlines,
) -> Result<ScheduleState, FlowError> {
    let known = store.wake().await?;
    let Some(Stored { record: wake, version }) = known.filter(|stored| stored.record.on) else {
        if called {
            correct_record(store, schedule, now).await?;
            return Ok(ScheduleState::On);
        }
        return Ok(ScheduleState::Off);
    };
    let lives = is_busy || !quiet::is_quiet(wake, now, deadlines) || store.has_live_records().await?;
    match quiet::after_sweep(wake, lives, now, deadlines) {
        QuietStep::Keep => Ok(ScheduleState::On),
        QuietStep::Record(next) => {
            // After a conflict, a launch keeps the schedule on.
            commit_if_current(store, vec![Change::update(version, next)]).await?;
            Ok(ScheduleState::On)
        }
        QuietStep::SwitchOff(off) => switch_off(store, schedule, Change::update(version, off)).await,
    }
}

async fn switch_off<S: Store, C: Schedule>(store: &S, schedule: &C, off: Change) -> Result<ScheduleState, FlowError> {
    schedule.switch(false).await?;
    match commit_if_current(store, vec![off]).await {
        Ok(true) => {
            tracing::info!("nothing lives: switched the minute schedule off");
            Ok(ScheduleState::SwitchedOff)
        }
        Ok(false) => {
            schedule.switch(true).await?;
            Ok(ScheduleState::On)
        }
        Err(error) => {
            schedule.switch(true).await?;
            Err(error.into())
        }
    }
}

/// Brings schedule and record together where the schedule calls but its record says off: the record was
/// lost, or its writer died. The schedule may have been switched off since it called.
async fn correct_record<S: Store, C: Schedule>(store: &S, schedule: &C, now: Timestamp) -> Result<(), FlowError> {
    let known = store.wake().await?;
    schedule.switch(true).await?;
    let on = vec![Change::put(known.as_ref(), Wake::on(now))];
    commit_if_current(store, on).await?;
    Ok(())
}
