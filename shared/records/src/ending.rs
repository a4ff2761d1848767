//! Why a runner ends.

use dayfly_types::checkin::GoodbyeReason;
use serde::{Deserialize, Serialize};

/// Why a runner ends.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "is", rename_all = "snake_case")]
pub enum Ending {
    /// Its job is over.
    JobOver,
    /// The job that it was launched for needs it no more.
    NotNeeded,
    /// No job came in time.
    Idle,
    /// EC2 takes the instance back.
    Interrupted,
    /// EC2 said that it might take the instance back, and no job had come yet.
    Rebalanced,
    /// The instance ended and nobody of ours had asked for it.
    Vanished,
    /// It never checked in.
    NeverBooted,
    /// Its heartbeat stopped.
    HeartbeatLost,
    /// It reached its maximum lifetime.
    Lifetime,
    /// It was sent to tell another job that it is given up.
    Mistaken,
    /// Nobody answered whether its job might run on it.
    Unanswered,
    /// It said goodbye.
    Goodbye {
        /// For this reason.
        reason: GoodbyeReason,
    },
    /// No instance could be had.
    Unlaunchable {
        /// AWS's words.
        reason: String,
    },
}

impl Ending {
    /// The reason as a person reads it.
    #[must_use]
    pub fn words(&self) -> &str {
        match self {
            Self::JobOver => "its job is over",
            Self::NotNeeded => "its job needs it no more",
            Self::Idle => "no job came in time",
            Self::Interrupted => "EC2 takes the instance back",
            Self::Rebalanced => "EC2 said that it might take the instance back, and no job had come yet",
            Self::Vanished => "its instance ended and nobody had asked for it",
            Self::NeverBooted => "its instance never checked in",
            Self::HeartbeatLost => "its instance was not heard of any more",
            Self::Lifetime => "it reached its maximum lifetime",
            Self::Mistaken => "it was sent to another job, to tell it that it is given up, and took this one",
            Self::Unanswered => "nobody could say in time whether the job may run on it",
            Self::Goodbye { reason } => reason.words(),
            Self::Unlaunchable { reason } => reason,
        }
    }

    /// Whether a job that ran on it has been interrupted by no fault of its own.
    #[must_use]
    pub fn interrupts_its_job(&self) -> bool {
        match self {
            Self::Interrupted | Self::Vanished | Self::HeartbeatLost | Self::Mistaken | Self::Unanswered => true,
            Self::Goodbye { reason } => matches!(reason, GoodbyeReason::Unreachable | GoodbyeReason::Interrupted),
            Self::JobOver
            | Self::NotNeeded
            | Self::Idle
            | Self::Rebalanced
            | Self::NeverBooted
            | Self::Lifetime
            | Self::Unlaunchable { .. } => false,
        }
    }
}
