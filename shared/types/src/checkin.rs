//! The words that an instance and the control plane exchange: JSON over a signed HTTP POST to
//! `<check-in URL>/<verb>`.
//!
//! Who is calling is the instance id in the role session that signed the call, never a field of
//! the body. Each body names its instance all the same, so that a mix-up is refused.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::ids::{InstanceId, RunAttempt, RunId};
use crate::time::Timestamp;

/// `POST /claim`: asks for the JIT config. Answered once to an instance.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClaimRequest {
    /// The instance that asks.
    pub instance: InstanceId,
    /// The agent's version, for the record.
    pub agent_version: String,
}

/// The answer to a claim. It holds a credential: never log it.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClaimAnswer {
    /// The name that the runner is registered under.
    pub runner: String,
    /// GitHub's `encoded_jit_config`.
    pub jit_config: String,
    /// Seconds between two heartbeats.
    pub heartbeat_seconds: u64,
    /// Seconds from now after which the instance ends itself, whatever runs.
    pub lifetime_seconds: u64,
    /// Seconds that a drain may take.
    pub drain_seconds: u64,
    /// Bash text to run before an interruption ends a job.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub on_interruption: Option<String>,
    /// Bash text to run as root before the runner starts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub startup_script: Option<String>,
    /// Seconds that it may take.
    #[serde(default)]
    pub startup_seconds: u64,
    /// Environment variables of that script, the runner and its jobs.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub env: BTreeMap<String, String>,
    /// What to tell a job in place of running it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<JobMessage>,
}

/// What a messenger has to tell a job that was given up: it fails the job, with this in its log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct JobMessage {
    /// The job's run.
    pub run: RunId,
    /// The attempt of that run.
    pub attempt: RunAttempt,
    /// What to tell; its first line says it all.
    pub text: String,
}

/// The detail of a messenger's [`Stage::JobStarted`]: it took the job that was given up.
pub const MESSAGE_TOLD: &str = "told the job why it was given up";

/// The same: it took another job, which has to run again.
pub const MESSAGE_MISTAKEN: &str = "took another job by mistake";

impl ClaimAnswer {
    /// Time between two heartbeats.
    #[must_use]
    pub fn heartbeat(&self) -> Duration {
        Duration::from_secs(self.heartbeat_seconds)
    }

    /// Time until the instance ends itself.
    #[must_use]
    pub fn lifetime(&self) -> Duration {
        Duration::from_secs(self.lifetime_seconds)
    }

    /// Time that the startup script may take, if there is one.
    #[must_use]
    pub fn startup(&self) -> Option<Duration> {
        let limit = Duration::from_secs(self.startup_seconds);
        self.startup_script.as_ref().map(|_| limit)
    }

    /// Time that a drain may take.
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

/// `POST /start`: GitHub's runner is about to start a job, no step of which has run. May it?
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StartRequest {
    /// The instance that asks.
    pub instance: InstanceId,
    /// The job's run, as GitHub's runner names it.
    pub run: RunId,
    /// The attempt of that run.
    pub attempt: RunAttempt,
}

/// The answer to that.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct StartAnswer {
    /// Why it may not, for the job's log; its first line says it all. It may, if there is nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refusal: Option<String>,
}

/// The detail of a [`Stage::JobStarted`] that was none: the job may not run here.
pub const START_REFUSED: &str = "kept a job from starting that may not run here";

/// The same: nobody answered whether it may, so it has to run again.
pub const START_UNANSWERED: &str = "kept a job from starting, as nobody said whether it may run here";

/// What the runner on the instance is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    /// It waits for a job.
    Listening,
    /// It runs a job.
    Running,
    /// It was told to end and is ending.
    Draining,
}

/// EC2's word, in the instance's own metadata, that it will take the instance back.
///
/// <https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/spot-instance-termination-notices.html>
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct InterruptionNotice {
    /// `terminate`, `stop` or `hibernate`.
    pub action: String,
    /// When, in EC2's own spelling (RFC 3339).
    pub at: String,
}

/// `POST /heartbeat`: says that the instance lives.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HeartbeatRequest {
    /// The instance that speaks.
    pub instance: InstanceId,
    /// What its runner does.
    pub phase: Phase,
    /// The spot notice, once it was seen.
    #[serde(default)]
    pub interruption: Option<InterruptionNotice>,
}

/// A stage that the instance reports as it is reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Stage {
    /// The agent runs.
    AgentUp,
    /// The startup script was started.
    StartupStarted,
    /// The startup script ended; how, is in the detail.
    StartupFinished,
    /// The GitHub runner was started.
    RunnerStarted,
    /// A job began.
    JobStarted,
    /// The job ended.
    JobFinished,
    /// The runner was told to end.
    DrainStarted,
    /// The interruption hook ended; how, is in the detail.
    HookFinished,
}

/// `POST /progress`: a stage was reached.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProgressRequest {
    /// The instance that speaks.
    pub instance: InstanceId,
    /// The stage.
    pub stage: Stage,
    /// When, by the instance's clock.
    pub at: Timestamp,
    /// More in words.
    #[serde(default)]
    pub detail: Option<String>,
}

/// Why an instance ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum GoodbyeReason {
    /// The runner ran its job and left.
    Finished,
    /// It was drained.
    Drained,
    /// EC2 gave notice that it takes the instance back.
    Interrupted,
    /// No job came.
    Idle,
    /// It was told to stop.
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
    /// The instance that leaves.
    pub instance: InstanceId,
    /// Why.
    pub reason: GoodbyeReason,
    /// More in words.
    #[serde(default)]
    pub detail: Option<String>,
}

/// What the instance has to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Order {
    /// Go on.
    Continue,
    /// End the runner in order, then power off.
    Drain,
    /// Power off now.
    Stop,
}

/// The answer to a heartbeat, a progress report and a goodbye.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OrderAnswer {
    /// What to do.
    pub order: Order,
    /// When EC2 takes the instance back, if it gave notice: the instance may not have seen it yet.
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

/// The body of every refusal.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refusal {
    /// Why, in words.
    pub error: String,
    /// In how many seconds to ask again, if that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry_after_seconds: Option<u64>,
}

impl Refusal {
    /// How long to wait before asking again, if that is known.
    #[must_use]
    pub fn retry_after(&self) -> Option<Duration> {
        self.retry_after_seconds.map(Duration::from_secs)
    }
}
