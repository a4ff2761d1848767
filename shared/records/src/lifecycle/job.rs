//! The life of a job.

use super::steps;
use crate::JobState;

/// Where a job stands, without the particulars.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum JobKind {
    /// It waits, and nothing is under way for it.
    Queued,
    /// A runner is on its way.
    Launching,
    /// A runner runs it.
    Running,
    /// It is over.
    Finished,
    /// It cannot have what it asks for.
    Refused,
    /// No instance could be had.
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
    /// What moves a job on.
    JobStep over JobKind;
    Hear: [] => Queued, "GitHub said that it waits";
    HearLate: [] => Running, "GitHub said that a runner of ours runs it, before it was said to wait";
    HearTooLate: [] => Finished, "GitHub said that it is over, before it was said to wait";
    Claim: [Queued] => Launching, "a runner is launched for it";
    WaitAgain: [Launching] => Queued, "its runner ended, or was taken by another job, before it began";
    Start: [Queued, Launching] => Running, "a runner took it";
    Revive: [Refused, Unlaunchable] => Running, "a runner took it after it had been given up";
    Finish: [Queued, Launching, Running, Refused, Unlaunchable] => Finished, "GitHub says that it is over";
    Refuse: [Queued, Launching] => Refused, "it asks for something that it cannot have, or that could cost more than is left";
    GiveUp: [Launching] => Unlaunchable, "no instance could be had in time, or none that took it";
}
