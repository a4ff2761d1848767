//! The minute schedule.

/// A schedule that could not be switched.
#[derive(Debug, thiserror::Error)]
#[error("the minute schedule could not be switched: {0}")]
pub struct ScheduleError(pub String);

/// The schedule that calls the sweeper every minute, on only while something lives.
pub trait Schedule {
    /// Switches it on or off; nothing happens if it stands so already.
    async fn switch(&self, on: bool) -> Result<(), ScheduleError>;

    /// Whether it is on.
    async fn is_on(&self) -> Result<bool, ScheduleError>;
}
