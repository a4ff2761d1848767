//! The minute schedule.

#[derive(Debug, thiserror::Error)]
#[error("the minute schedule could not be switched: {0}")]
pub struct ScheduleError(pub String);

/// The schedule that calls the sweeper every minute, on only while something lives.
pub trait Schedule {
    /// Switches the schedule. Switching it to its current state does nothing.
    async fn switch(&self, on: bool) -> Result<(), ScheduleError>;

    async fn is_on(&self) -> Result<bool, ScheduleError>;
}
