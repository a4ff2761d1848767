//! Why a runner ends.

use dayfly_types::checkin::GoodbyeReason;
use serde::{Deserialize, Serialize};

/// Why a runner ends.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "is", rename_all = "snake_case")]
pub enum Ending {
    JobOver,
    /// The job that it was launched for no longer needs it.
    NotNeeded,
    /// No job came in time.
    Idle,
    /// EC2 gave an interruption notice.
    Interrupted,
    /// EC2 recommended a rebalance before a job came.
    Rebalanced,
    /// The instance ended, and not by our request.
    Vanished,
    /// The instance never checked in.
    NeverBooted,
    HeartbeatLost,
    /// It reached its maximum lifetime.
    Lifetime,
    /// A messenger took another job than the one that was given up.
    Mistaken,
    /// The question if its job may run on it got no answer.
    Unanswered,
    Goodbye {
        reason: GoodbyeReason,
    },
    /// No instance could be had.
    Unlaunchable {
        /// AWS's message.
        reason: String,
    },
}

impl Ending {
    /// The reason as a person reads it.
    #[must_use]
    pub fn words(&self) -> &str {
        match self {
            Self::JobOver => "its job is over",
            Self::NotNeeded => "its job no longer needs it",
            Self::Idle => "no job came in time",
            Self::Interrupted => "EC2 takes the instance back",
            Self::Rebalanced => "EC2 said that it might take the instance back, and no job had come yet",
            Self::Vanished => "its instance ended, and not by our request",
            Self::NeverBooted => "its instance never checked in",
            Self::HeartbeatLost => "its instance stopped sending heartbeats",
            Self::Lifetime => "it reached its maximum lifetime",
            Self::Mistaken => "it was launched to fail another job that was given up, and took this one by mistake",
            Self::Unanswered => "the control plane could not say in time if the job may run on it",
            Self::Goodbye { reason } => reason.words(),
            Self::Unlaunchable { reason } => reason,
        }
    }

    /// Whether the job that ran on it was interrupted through no fault of its own.
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
