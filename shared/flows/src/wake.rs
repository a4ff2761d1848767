//! The minute schedule is on while anything lives, and off while nothing does.

use dayfly_ports::{Schedule, Store, StoreError};
use dayfly_records::{Change, Stored, Wake};
use dayfly_types::deadlines::Deadlines;
use dayfly_types::time::Timestamp;

use crate::{FlowError, MAX_CONFLICTS};

/// Switches the schedule on, before the record that needs it is written: whoever dies in between
/// leaves a schedule that finds nothing and goes off again, rather than a record that nobody finds.
/// While launches come thick and fast, only the first of them in a while has to write anything.
///
/// # Errors
/// If the table or the schedule do not answer.
pub async fn wake_up<S: Store, C: Schedule>(
    store: &S,
    schedule: &C,
    now: Timestamp,
    deadlines: &Deadlines,
) -> Result<(), FlowError> {
    for _ in 0..MAX_CONFLICTS {
        let known = store.wake().await?;
        let on = known.as_ref().is_some_and(|stored| stored.record.on);
        // Half of the quiet time is left to write the record, and for the table's index to show it
        // before anybody asks whether something lives.
        if on
            && known
                .as_ref()
                .is_some_and(|stored| now.since(stored.record.at) < deadlines.quiet / 2)
        {
            return Ok(());
        }
        if !on {
            schedule.switch(true).await?;
            tracing::info!("switched the minute schedule on");
        }
        match store
            .commit(vec![Change::put(known.as_ref(), Wake { on: true, at: now })])
            .await
        {
            Err(StoreError::Conflict) => {}
            done => return Ok(done?),
        }
    }
    Err(StoreError::Conflict.into())
}

/// Where the schedule stands after a look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rest {
    /// It is on.
    Awake,
    /// It was switched off by this look.
    FellAsleep,
    /// It was off.
    Asleep,
}

/// Switches the schedule off if nothing lives and nothing was launched for a while. A launch at the
/// same moment writes the switch's record, finds out, and is found out.
///
/// `called` says that the schedule itself has called, so that it is on whatever its record says.
///
/// # Errors
/// If the table or the schedule do not answer.
pub async fn sleep_if_quiet<S: Store, C: Schedule>(
    store: &S,
    schedule: &C,
    called: bool,
    now: Timestamp,
    deadlines: &Deadlines,
) -> Result<Rest, FlowError> {
    let known = store.wake().await?;
    let Some(Stored { record: wake, version }) = known.filter(|stored| stored.record.on) else {
        if called {
            own_up(store, schedule, now).await?;
            return Ok(Rest::Awake);
        }
        return Ok(Rest::Asleep);
    };
    if now.since(wake.at) < deadlines.quiet || store.anything_lives().await? {
        return Ok(Rest::Awake);
    }
    schedule.switch(false).await?;
    match store
        .commit(vec![Change::update(version, Wake { on: false, ..wake })])
        .await
    {
        Ok(()) => {
            tracing::info!("nothing lives: switched the minute schedule off");
            Ok(Rest::FellAsleep)
        }
        Err(error) => {
            schedule.switch(true).await?;
            match error {
                StoreError::Conflict => Ok(Rest::Awake),
                other => Err(other.into()),
            }
        }
    }
}

/// The schedule has called and its record, which was lost, or whose writer died, says that it is off:
/// both are brought to say the same, so that it can be switched off in order. It may have been
/// switched off since it called.
async fn own_up<S: Store, C: Schedule>(store: &S, schedule: &C, now: Timestamp) -> Result<(), FlowError> {
    let known = store.wake().await?;
    schedule.switch(true).await?;
    match store
        .commit(vec![Change::put(known.as_ref(), Wake { on: true, at: now })])
        .await
    {
        Ok(()) | Err(StoreError::Conflict) => Ok(()),
        Err(error) => Err(error.into()),
    }
}
