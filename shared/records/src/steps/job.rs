//! The steps of a job.

use super::steps;
use crate::JobState;

/// The state of a job, without the details.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum JobKind {
    Queued,
    Launching,
    Running,
    Finished,
    Refused,
    Unlaunchable,
}

impl From<&JobState> for JobKind {
    fn from(state: &JobState) -> Self {
        match state {
            JobState::Queued => Self::Queued,
            JobState::Launching => Self::Launching,
            JobState::Running { .. } => Self::Running,
            JobState::Finished { .. } => Self::Finished,
            JobState::Refused { .. } => Self::Refused,
            JobState::Unlaunchable { .. } => Self::Unlaunchable,
        }
    }
}

steps! {
    /// The steps of a job.
    JobStep over JobKind;
    Hear: [] => Queued, "GitHub reported that it is queued";
    HearLate: [] => Running, "GitHub reported that it runs on one of our runners, before any report that it was queued";
    HearTooLate: [] => Finished, "GitHub reported that it is over, before any report that it was queued";
    Claim: [Queued] => Launching, "a runner is launched for it";
    WaitAgain: [Launching] => Queued, "its runner ended, or was taken by another job, before it began";
    Start: [Queued, Launching] => Running, "a runner took it";
    Revive: [Refused, Unlaunchable] => Running, "a runner took it after it was given up";
    Finish: [Queued, Launching, Running, Refused, Unlaunchable] => Finished, "GitHub reported that it is over";
    Refuse: [Queued, Launching] => Refused, "it asks for something that it cannot have, or that could cost more than is left";
    GiveUp: [Launching] => Unlaunchable, "no instance could be had in time, or none that took it";
}
