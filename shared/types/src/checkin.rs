//! The check-in protocol between an instance and the control plane: JSON over a signed HTTP POST to
//! `<check-in URL>/<verb>`.
//!
//! The caller is the instance id in the role session that signed the call, never a field of the body. Each
//! body names its instance all the same, so that a mix-up is refused.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::ids::{InstanceId, RunAttempt, RunId};
use crate::time::Timestamp;

/// `POST /claim`: asks for the JIT config. Answered once per instance.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClaimRequest {
    pub instance: InstanceId,
    /// For the logs.
    pub agent_version: String,
}

/// The answer to a claim. It holds a credential: never log it.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClaimAnswer {
    /// The name that the runner registers under.
    pub runner: String,
    /// GitHub's `encoded_jit_config`.
    pub jit_config: String,
    /// Seconds between two heartbeats.
    pub heartbeat_seconds: u64,
    /// Seconds from now until the instance ends itself, even if a job runs.
    pub lifetime_seconds: u64,
    /// Seconds that a drain may take.
    pub drain_seconds: u64,
    /// Bash text to run before an interruption ends a job.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub on_interruption: Option<String>,
    /// Bash text to run as root before the runner starts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub startup_script: Option<String>,
    /// Seconds that the startup script may take.
    #[serde(default)]
    pub startup_seconds: u64,
    /// Environment variables of the startup script, the runner and its jobs.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub env: BTreeMap<String, String>,
    /// A messenger's message, printed in place of running the job.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<JobMessage>,
}

/// A messenger's message to a job that was given up: the job fails with this in its log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct JobMessage {
    pub run: RunId,
    pub attempt: RunAttempt,
    /// The first line is a summary.
    pub text: String,
}

/// The detail of a messenger's [`Stage::JobStarted`] when it took the job that was given up.
pub const MESSAGE_DELIVERED: &str = "printed in the job's log why it was given up";

/// The detail when it took another job, which has to run again.
pub const MESSAGE_MISTAKEN: &str = "took another job by mistake";

impl ClaimAnswer {
    #[must_use]
    pub fn heartbeat(&self) -> Duration {
        Duration::from_secs(self.heartbeat_seconds)
    }

    #[must_use]
    pub fn lifetime(&self) -> Duration {
        Duration::from_secs(self.lifetime_seconds)
    }

    /// Returns the limit of the startup script, or `None` if there is no script.
    #[must_use]
    pub fn startup(&self) -> Option<Duration> {
        let limit = Duration::from_secs(self.startup_seconds);
        self.startup_script.as_ref().map(|_| limit)
    }

    #[must_use]
    pub fn drain(&self) -> Duration {
        Duration::from_secs(self.drain_seconds)
    }
}

impl std::fmt::Debug for ClaimAnswer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ClaimAnswer")
            .field("runner", &self.runner)
            .finish_non_exhaustive()
    }
}

/// `POST /start`: asks if the job that GitHub's runner is about to start may run. None of its steps has run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StartRequest {
    pub instance: InstanceId,
    /// The job's run, as GitHub's runner names it.
    pub run: RunId,
    pub attempt: RunAttempt,
}

/// The answer to a start request.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct StartAnswer {
    /// The reason why the job may not run, for its log; the first line is a summary. `None` lets it run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refusal: Option<String>,
}

/// The detail of a [`Stage::JobStarted`] when the job was not allowed to run here and did not start.
pub const START_REFUSED: &str = "stopped a job that may not run here before it started";

/// The detail when the control plane did not say if the job may run here, so that it has to run again.
pub const START_UNANSWERED: &str =
    "stopped a job before it started, as the control plane did not say if it may run here";

/// What the runner on the instance is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    /// It waits for a job.
    Listening,
    /// It runs a job.
    Running,
    /// It is ending, as it was ordered to.
    Draining,
}

/// EC2's interruption notice, from the instance's own metadata.
///
/// <https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/spot-instance-termination-notices.html>
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct InterruptionNotice {
    /// `terminate`, `stop` or `hibernate`.
    pub action: String,
    /// The time of the interruption in EC2's own spelling (RFC 3339).
    pub at: String,
}

/// `POST /heartbeat`: reports that the instance lives.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HeartbeatRequest {
    pub instance: InstanceId,
    pub phase: Phase,
    /// The interruption notice, once the instance has one.
    #[serde(default)]
    pub interruption: Option<InterruptionNotice>,
}

/// A stage that the instance reports when it is reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Stage {
    AgentUp,
    StartupStarted,
    /// The startup script ended; the detail says how.
    StartupFinished,
    RunnerStarted,
    JobStarted,
    JobFinished,
    /// The runner was ordered to end.
    DrainStarted,
    /// The interruption hook ended; the detail says how.
    HookFinished,
}

/// `POST /progress`: reports a stage.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProgressRequest {
    pub instance: InstanceId,
    pub stage: Stage,
    /// By the instance's clock.
    pub at: Timestamp,
    #[serde(default)]
    pub detail: Option<String>,
}

/// Why an instance ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum GoodbyeReason {
    /// The runner left after its job.
    Finished,
    Drained,
    /// EC2 gave an interruption notice.
    Interrupted,
    /// No job came.
    Idle,
    /// It was ordered to stop.
    Stopped,
    /// Its lifetime is over.
    Lifetime,
    /// The control plane did not answer for too long.
    Unreachable,
    /// The runner could not be started, or broke.
    RunnerFailed,
    /// GitHub refused the runner's version.
    RunnerOutdated,
    /// The startup script failed, or took too long.
    StartupFailed,
}

impl GoodbyeReason {
    /// The reason as a person reads it.
    #[must_use]
    pub fn words(self) -> &'static str {
        match self {
            Self::Finished => "the runner left after its job",
            Self::Drained => "the runner was drained",
            Self::Interrupted => "EC2 took the instance back",
            Self::Idle => "no job came in time",
            Self::Stopped => "the instance was told to stop",
            Self::Lifetime => "the instance reached its maximum lifetime",
            Self::Unreachable => "the instance could not reach the control plane",
            Self::RunnerFailed => "the runner could not be started, or broke",
            Self::StartupFailed => "its startup script failed, or took too long",
            Self::RunnerOutdated => "GitHub refused the runner's version: deploy a newer one",
        }
    }
}

/// `POST /goodbye`: the instance powers off next.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct GoodbyeRequest {
    pub instance: InstanceId,
    pub reason: GoodbyeReason,
    #[serde(default)]
    pub detail: Option<String>,
}

/// The control plane's order to an instance.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Order {
    Continue,
    /// End the runner, then power off.
    Drain,
    /// Power off now.
    Stop,
}

/// The answer to a heartbeat, a progress report and a goodbye.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OrderAnswer {
    pub order: Order,
    /// When EC2 takes the instance back, if it gave notice: the instance may not know yet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub taken_back_at: Option<Timestamp>,
}

impl From<Order> for OrderAnswer {
    fn from(order: Order) -> Self {
        Self {
            order,
            taken_back_at: None,
        }
    }
}

/// The body of every answer with an error status.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ErrorBody {
    pub error: String,
    /// Seconds to wait before the next try, if known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry_after_seconds: Option<u64>,
}

impl ErrorBody {
    #[must_use]
    pub fn retry_after(&self) -> Option<Duration> {
        self.retry_after_seconds.map(Duration::from_secs)
    }
}
