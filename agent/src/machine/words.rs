//! What the agent hears, and what it does.

use std::fmt;
use std::time::Duration;

use dayfly_types::checkin::{GoodbyeReason, InterruptionNotice, Order, Phase, Stage};
use dayfly_types::ids::{RunAttempt, RunId};

#[cfg(doc)]
use super::{State, decide};

/// GitHub's JIT config: a credential, so it prints as nothing.
#[derive(Clone, PartialEq, Eq)]
pub struct JitConfig(pub String);

impl fmt::Debug for JitConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JitConfig(…)")
    }
}

/// Something that happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// The control plane handed out a runner.
    Claimed {
        /// Its registration with GitHub.
        jit_config: JitConfig,
        /// Time between heartbeats.
        heartbeat: Duration,
        /// Time from now until the instance ends itself.
        lifetime: Duration,
        /// Time that a drain may take.
        drain: Duration,
        /// Whether something is to be run before an interruption ends a job.
        hook: bool,
        /// How long the startup script may take, if there is one.
        startup: Option<Duration>,
    },
    /// The control plane has this instance wait so long for its runner.
    ClaimPostponed(Duration),
    /// The control plane has nothing for this instance and never will.
    ClaimRefused,
    /// The startup script ended, or could not be started.
    StartupEnded {
        /// Whether all is ready.
        ok: bool,
        /// How it ended.
        words: String,
        /// The last of what it said.
        last_lines: String,
    },
    /// The runner's process runs.
    RunnerStarted,
    /// The runner's process could not be started.
    RunnerNotStarted(String),
    /// The runner's process ended.
    RunnerExited {
        /// Its exit status; `None` if a signal ended it.
        code: Option<i32>,
        /// The last thing it said.
        last_words: Option<String>,
    },
    /// The runner is about to begin a job, and waits for whether it may.
    JobAsks {
        /// Its run.
        run: RunId,
        /// The attempt of that run.
        attempt: RunAttempt,
    },
    /// The runner began a job.
    JobStarted,
    /// The runner fails the job that it was about to begin.
    JobKept {
        /// Whether the control plane said so, or did not answer.
        answered: bool,
    },
    /// The runner of a messenger began a job, and fails it.
    JobRefused {
        /// Whether it is another job than the one that was given up.
        by_mistake: bool,
    },
    /// The runner's job ended.
    JobFinished,
    /// A heartbeat was answered.
    HeartbeatAnswered(Order),
    /// A heartbeat was not answered, or refused.
    HeartbeatFailed,
    /// A progress report was answered.
    ProgressAnswered(Order),
    /// EC2 will take the instance back, as its metadata or the control plane says.
    SpotNotice {
        /// Its words.
        notice: InterruptionNotice,
        /// How long it leaves until then.
        left: Duration,
    },
    /// The interruption hook ended by itself, or could not be started: how, in words.
    HookEnded(String),
    /// The operating system wants the agent to end.
    Shutdown,
    /// The goodbye was answered, or given up.
    GoodbyeDone(Option<Order>),
    /// A deadline passed.
    Tick,
}

/// Something to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// Run the startup script.
    RunStartup,
    /// End the startup script's processes at once.
    KillStartup,
    /// Start the GitHub runner.
    StartRunner(JitConfig),
    /// Ask the control plane whether this job may begin, and let it begin or fail it.
    AskToStart {
        /// Its run.
        run: RunId,
        /// The attempt of that run.
        attempt: RunAttempt,
    },
    /// Run the interruption hook.
    RunHook {
        /// When EC2 takes the instance back, in its own spelling.
        at: String,
        /// How long the hook may take.
        limit: Duration,
    },
    /// End the interruption hook's processes at once.
    KillHook,
    /// Ask the runner to end its job and itself.
    SignalRunner,
    /// End the runner's processes at once.
    KillRunner,
    /// Send a heartbeat.
    Heartbeat {
        /// What the runner does.
        phase: Phase,
        /// The spot notice, if one came.
        interruption: Option<InterruptionNotice>,
    },
    /// Report a stage.
    Report {
        /// The stage.
        stage: Stage,
        /// More in words.
        detail: Option<String>,
    },
    /// Say goodbye, and give up at the deadline that [`State::deadline`] tells.
    Goodbye {
        /// Why.
        reason: GoodbyeReason,
        /// More in words.
        detail: Option<String>,
    },
    /// End the instance.
    PowerOff,
}
