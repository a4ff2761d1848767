//! The minute schedule: on while anything lives, off otherwise.

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
        Ok((vec![Change::put(known.as_ref(), Wake { on: true, at: now })], ()))
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
/// `called` says that the schedule itself called: it is on, whatever its record says.
///
/// # Errors
/// The table or the schedule does not answer.
pub async fn switch_off_if_quiet<S: Store, C: Schedule>(
    store: &S,
    schedule: &C,
    called: bool,
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
    if now.since(wake.at) < deadlines.quiet || store.has_live_records().await? {
        return Ok(ScheduleState::On);
    }
    schedule.switch(false).await?;
    let off = vec![Change::update(version, Wake { on: false, ..wake })];
    match commit_if_current(store, off).await {
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
    let on = vec![Change::put(known.as_ref(), Wake { on: true, at: now })];
    commit_if_current(store, on).await?;
    Ok(())
}
