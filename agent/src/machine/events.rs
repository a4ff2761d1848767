//! The events that the agent reacts to, and the actions it takes.

use std::fmt;
use std::time::Duration;

use dayfly_types::checkin::{GoodbyeReason, InterruptionNotice, Order, Phase, Stage};
use dayfly_types::ids::{RunAttempt, RunId};

#[cfg(doc)]
use super::{State, decide};

/// GitHub's JIT config. It is a credential, so `Debug` hides it.
#[derive(Clone, PartialEq, Eq)]
pub struct JitConfig(pub String);

impl fmt::Debug for JitConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JitConfig(…)")
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// The control plane assigned a runner.
    Claimed {
        jit_config: JitConfig,
        /// Time between heartbeats.
        heartbeat: Duration,
        /// Time from now until the instance ends itself.
        lifetime: Duration,
        /// Time that a drain may take.
        drain: Duration,
        /// Whether there is an interruption hook.
        hook: bool,
        /// How long the startup script may take, if there is one.
        startup: Option<Duration>,
    },
    /// The control plane asks the instance to wait this long for its runner.
    ClaimPostponed(Duration),
    /// The control plane has no runner for this instance and never will.
    ClaimRefused,
    /// The startup script ended, or could not be started.
    StartupEnded {
        ok: bool,
        /// How it ended, as text.
        outcome: String,
        /// The end of its output.
        last_lines: String,
    },
    RunnerStarted,
    /// The runner's process could not be started.
    RunnerNotStarted(String),
    RunnerExited {
        /// Its exit status; `None` if a signal ended it.
        code: Option<i32>,
        /// The last line of its output.
        last_line: Option<String>,
    },
    /// The runner is about to begin a job, and waits for permission.
    JobStartRequested {
        run: RunId,
        attempt: RunAttempt,
    },
    JobStarted,
    /// The runner fails the job that it was about to begin.
    JobStartDenied {
        /// Whether the control plane denied it; otherwise it did not answer.
        answered: bool,
    },
    /// The runner of a messenger took a job, and fails it.
    MessengerTookJob {
        /// Whether it is another job than the one that was given up.
        by_mistake: bool,
    },
    JobFinished,
    HeartbeatAnswered(Order),
    /// A heartbeat was not answered, or refused.
    HeartbeatFailed,
    /// A progress report was answered.
    ProgressAnswered(Order),
    /// EC2 will take the instance back, according to its metadata or the control plane.
    SpotNotice {
        notice: InterruptionNotice,
        /// Time until EC2 acts.
        left: Duration,
    },
    /// The interruption hook ended by itself, with this outcome, or could not be started.
    HookEnded(String),
    /// The operating system asks the agent to end.
    Shutdown,
    /// The goodbye was answered, or given up.
    GoodbyeDone(Option<Order>),
    /// A deadline passed.
    Tick,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    RunStartup,
    /// Kill the startup script and its child processes.
    KillStartup,
    StartRunner(JitConfig),
    /// Ask the control plane for permission to begin this job; let it begin, or fail it.
    RequestJobStart {
        run: RunId,
        attempt: RunAttempt,
    },
    /// Run the interruption hook.
    RunHook {
        /// When EC2 takes the instance back, in EC2's spelling.
        at: String,
        /// How long the hook may take.
        limit: Duration,
    },
    /// Kill the interruption hook and its child processes.
    KillHook,
    /// Ask the runner to end its job and exit.
    SignalRunner,
    /// Kill the runner and its child processes.
    KillRunner,
    Heartbeat {
        phase: Phase,
        /// The interruption notice, if one came.
        interruption: Option<InterruptionNotice>,
    },
    /// Report a stage.
    Report {
        stage: Stage,
        detail: Option<String>,
    },
    /// Say goodbye, and give up at [`State::deadline`].
    Goodbye {
        reason: GoodbyeReason,
        detail: Option<String>,
    },
    /// End the instance.
    PowerOff,
}
