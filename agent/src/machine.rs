//! The agent's decisions: pure, without clock, network or processes.
//!
//! [`decide`] takes an event and its time, and returns the actions to take. Times count from the agent's start
//! on the monotonic clock, so a corrected wall clock ends no instance.

use std::time::Duration;

use dayfly_types::checkin::{
    GoodbyeReason, InterruptionNotice, MESSAGE_DELIVERED, MESSAGE_MISTAKEN, Order, Phase, START_REFUSED,
    START_UNANSWERED, Stage,
};
use dayfly_types::deadlines::RECLAIM_SLACK;

mod events;
mod interruption;
mod startup;
#[cfg(test)]
mod tests;

pub use events::{Action, Event, JitConfig};
use interruption::hook_finished;

/// Time since the agent's start.
pub type Moment = Duration;

/// How long a runner gets to report its job's end to GitHub when the instance's lifetime is over. A runner
/// that is killed leaves its job hanging for ten minutes and more.
const LIFETIME_GRACE: Duration = Duration::from_secs(30);
/// The same when the operating system is shutting down.
const SHUTDOWN_GRACE: Duration = Duration::from_secs(20);
/// The same when the control plane is out of reach; GitHub may not be.
const UNREACHABLE_GRACE: Duration = Duration::from_secs(10);
/// How long a killed process is waited for.
const KILL_PATIENCE: Duration = Duration::from_secs(5);
/// How long a goodbye may take.
const GOODBYE_PATIENCE: Duration = Duration::from_secs(20);
/// The same when nothing has been answered for minutes.
const HOPELESS_GOODBYE_PATIENCE: Duration = Duration::from_secs(5);
/// The longest pause between a heartbeat that failed and the next.
const HEARTBEAT_RETRY: Duration = Duration::from_secs(5);
/// How long the runner may take to exit after its job: it only uploads logs.
const EXIT_PATIENCE: Duration = Duration::from_secs(120);
/// Why the instance ends.
#[derive(Clone, Debug, PartialEq, Eq)]
struct End {
    reason: GoodbyeReason,
    detail: Option<String>,
}

impl End {
    fn new(reason: GoodbyeReason) -> Self {
        Self { reason, detail: None }
    }

    fn because(reason: GoodbyeReason, detail: impl Into<String>) -> Self {
        Self {
            reason,
            detail: Some(detail.into()),
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Mode {
    /// The agent asks for its runner.
    Claiming,
    /// The startup script has been running since `since`. It is killed at `until` and waited for one
    /// `KILL_PATIENCE` more. The runner starts after it.
    Preparing {
        jit_config: JitConfig,
        since: Moment,
        until: Moment,
        killed: bool,
    },
    /// The runner listens or runs a job.
    Working,
    /// The interruption hook has been running since `since`. It is killed at `until`. Then the runner is asked to
    /// end, and killed at `kill_at`.
    RunningHook {
        end: End,
        since: Moment,
        until: Moment,
        kill_at: Moment,
    },
    /// The runner was asked to end. It is killed at `kill_at` and waited for one `KILL_PATIENCE` more.
    Draining { end: End, kill_at: Moment, killed: bool },
    /// The goodbye is under way.
    Leaving { give_up_at: Moment },
    /// The control plane wants EC2 to end the instance.
    AwaitingReclaim { until: Moment },
    /// Only the power-off is left.
    Over,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum JobProgress {
    None,
    Running,
    Ended,
}

/// The agent's state.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct State {
    mode: Mode,
    runner_alive: bool,
    job: JobProgress,
    /// Whether the job was stopped before its start because the control plane did not say if it may run.
    start_unanswered: bool,
    /// When the runner must have exited; `None` until its job has ended.
    exit_by: Option<Moment>,
    notice: Option<InterruptionNotice>,
    /// When EC2 takes the instance back, if there is a notice.
    taken_back_at: Moment,
    heartbeat: Duration,
    drain: Duration,
    hook: bool,
    unreachable: Duration,
    lifetime_end: Moment,
    last_contact: Moment,
    /// `None` while a heartbeat is under way.
    next_heartbeat: Option<Moment>,
}

impl State {
    #[must_use]
    pub fn new(max_lifetime: Duration, unreachable: Duration) -> Self {
        Self {
            mode: Mode::Claiming,
            runner_alive: false,
            job: JobProgress::None,
            start_unanswered: false,
            exit_by: None,
            notice: None,
            taken_back_at: Moment::MAX,
            heartbeat: Duration::ZERO,
            drain: Duration::ZERO,
            hook: false,
            unreachable,
            lifetime_end: max_lifetime,
            last_contact: Duration::ZERO,
            next_heartbeat: Some(Duration::ZERO),
        }
    }

    #[must_use]
    pub fn is_over(&self) -> bool {
        self.mode == Mode::Over
    }

    #[must_use]
    pub fn is_claiming(&self) -> bool {
        self.mode == Mode::Claiming
    }

    /// Returns when to call [`decide`] with [`Event::Tick`] if nothing else happens.
    #[must_use]
    pub fn deadline(&self) -> Option<Moment> {
        let living = self.lifetime_end.min(self.last_contact + self.unreachable);
        let beat = self.next_heartbeat.unwrap_or(Moment::MAX);
        match &self.mode {
            Mode::Claiming => Some(living),
            Mode::Working => Some(living.min(beat).min(self.exit_by.unwrap_or(Moment::MAX))),
            Mode::Preparing { until, .. } => Some(living.min(beat).min(*until)),
            Mode::RunningHook { until, .. } => Some(beat.min(*until)),
            Mode::Draining { kill_at, .. } => Some(beat.min(*kill_at)),
            Mode::Leaving { give_up_at } => Some(*give_up_at),
            Mode::AwaitingReclaim { until } => Some(*until),
            Mode::Over => None,
        }
    }

    fn phase(&self) -> Phase {
        match self.mode {
            Mode::Claiming | Mode::Working if self.job == JobProgress::Running => Phase::Running,
            Mode::Claiming | Mode::Preparing { .. } | Mode::Working => Phase::Listening,
            _ => Phase::Draining,
        }
    }

    fn beat(&mut self) -> Action {
        self.next_heartbeat = None;
        Action::Heartbeat {
            phase: self.phase(),
            interruption: self.notice.clone(),
        }
    }

    /// Begins the end. The runner gets `grace` to end in order, or is killed if that is zero.
    fn wind_down(&mut self, end: End, grace: Duration, now: Moment) -> Vec<Action> {
        match &mut self.mode {
            Mode::Leaving { .. } | Mode::AwaitingReclaim { .. } | Mode::Over => Vec::new(),
            Mode::Preparing { .. } => {
                let mut actions = vec![Action::KillStartup];
                actions.extend(self.say_goodbye(end, now));
                actions
            }
            Mode::Claiming | Mode::Working if !self.runner_alive => self.say_goodbye(end, now),
            Mode::Draining { kill_at, killed, .. } => {
                // The first reason is kept, for it is why the job ended. The time left may shrink.
                if *killed || now + grace >= *kill_at {
                    return Vec::new();
                }
                *kill_at = now + grace;
                self.tick(now)
            }
            Mode::RunningHook { kill_at, .. } if now + grace >= *kill_at => Vec::new(),
            Mode::RunningHook { end, since, .. } => {
                let (end, since) = (end.clone(), *since);
                let mut actions = vec![Action::KillHook];
                self.mode = Mode::Working;
                actions.extend(self.wind_down(end, grace, now));
                actions.push(hook_finished("cut short", since, now));
                actions
            }
            Mode::Claiming | Mode::Working => {
                let report = Action::Report {
                    stage: Stage::DrainStarted,
                    detail: end.detail.clone(),
                };
                let killed = grace.is_zero();
                let kill_at = now + if killed { KILL_PATIENCE } else { grace };
                self.mode = Mode::Draining { end, kill_at, killed };
                if killed {
                    vec![Action::KillRunner]
                } else {
                    vec![Action::SignalRunner, report]
                }
            }
        }
    }

    fn job_started(&mut self, detail: Option<&str>) -> Vec<Action> {
        self.job = JobProgress::Running;
        vec![Action::Report {
            stage: Stage::JobStarted,
            detail: detail.map(str::to_owned),
        }]
    }

    fn say_goodbye(&mut self, end: End, now: Moment) -> Vec<Action> {
        let patience = if now >= self.last_contact + self.unreachable {
            HOPELESS_GOODBYE_PATIENCE
        } else {
            GOODBYE_PATIENCE
        };
        self.mode = Mode::Leaving {
            give_up_at: now + patience,
        };
        // The report of it may still be under way when the instance ends.
        let unanswered = self.start_unanswered.then(|| START_UNANSWERED.to_owned());
        vec![Action::Goodbye {
            reason: end.reason,
            detail: unanswered.or(end.detail),
        }]
    }

    fn power_off(&mut self) -> Vec<Action> {
        self.mode = Mode::Over;
        vec![Action::PowerOff]
    }

    fn obey(&mut self, order: Order, now: Moment) -> Vec<Action> {
        self.last_contact = self.last_contact.max(now);
        match order {
            Order::Continue => Vec::new(),
            Order::Drain => self.wind_down(End::new(GoodbyeReason::Drained), self.drain, now),
            Order::Stop => self.wind_down(End::new(GoodbyeReason::Stopped), Duration::ZERO, now),
        }
    }

    fn tick(&mut self, now: Moment) -> Vec<Action> {
        match &mut self.mode {
            Mode::Leaving { give_up_at: until } | Mode::AwaitingReclaim { until } => {
                if now >= *until {
                    self.power_off()
                } else {
                    Vec::new()
                }
            }
            Mode::RunningHook { until, .. } if now >= *until => {
                let mut actions = vec![Action::KillHook];
                actions.extend(self.hook_ended("killed when its time was over", now));
                actions
            }
            Mode::Draining { end, kill_at, killed } if now >= *kill_at => {
                if *killed {
                    let end = end.clone();
                    return self.say_goodbye(end, now);
                }
                *killed = true;
                *kill_at = now + KILL_PATIENCE;
                vec![Action::KillRunner]
            }
            Mode::Claiming | Mode::Preparing { .. } | Mode::Working if now >= self.lifetime_end => {
                self.wind_down(End::new(GoodbyeReason::Lifetime), LIFETIME_GRACE, now)
            }
            Mode::Claiming | Mode::Preparing { .. } | Mode::Working if now >= self.last_contact + self.unreachable => {
                self.wind_down(End::new(GoodbyeReason::Unreachable), UNREACHABLE_GRACE, now)
            }
            Mode::Preparing { until, killed, .. } if now >= *until => {
                if *killed {
                    return self.startup_ended(false, "it did not end when it was killed", "", now);
                }
                *killed = true;
                *until = now + KILL_PATIENCE;
                vec![Action::KillStartup]
            }
            Mode::Working if self.exit_by.is_some_and(|exit_by| now >= exit_by) => {
                let end = End::because(GoodbyeReason::Finished, "the runner did not leave after its job");
                self.wind_down(end, UNREACHABLE_GRACE, now)
            }
            Mode::Preparing { .. } | Mode::Working | Mode::RunningHook { .. } | Mode::Draining { .. }
                if self.next_heartbeat.is_some_and(|next| now >= next) =>
            {
                vec![self.beat()]
            }
            Mode::Claiming
            | Mode::Preparing { .. }
            | Mode::Working
            | Mode::RunningHook { .. }
            | Mode::Draining { .. }
            | Mode::Over => Vec::new(),
        }
    }

    fn runner_exited(&mut self, code: Option<i32>, last_line: Option<String>, now: Moment) -> Vec<Action> {
        self.runner_alive = false;
        let end = match (&self.mode, code) {
            (Mode::Draining { end, .. }, _) => end.clone(),
            // The runner has not been asked to end yet, so a job that has ended ran through.
            (Mode::RunningHook { end, .. }, _) if self.job != JobProgress::Ended => end.clone(),
            (_, Some(0)) if self.job != JobProgress::None => End::new(GoodbyeReason::Finished),
            (_, Some(0)) => End {
                reason: GoodbyeReason::Idle,
                detail: last_line,
            },
            (_, Some(OUTDATED)) => End {
                reason: GoodbyeReason::RunnerOutdated,
                detail: last_line,
            },
            (_, Some(code)) => {
                let last_line = last_line.unwrap_or_default();
                End::because(GoodbyeReason::RunnerFailed, format!("exit status {code}: {last_line}"))
            }
            (_, None) => End::because(GoodbyeReason::RunnerFailed, "ended by a signal"),
        };
        match self.mode {
            Mode::Working | Mode::Draining { .. } => self.say_goodbye(end, now),
            Mode::RunningHook { since, .. } => {
                let mut actions = vec![
                    Action::KillHook,
                    hook_finished("cut short by the runner's end", since, now),
                ];
                actions.extend(self.say_goodbye(end, now));
                actions
            }
            _ => Vec::new(),
        }
    }
}

/// The exit status of GitHub's runner when GitHub refuses its version.
const OUTDATED: i32 = 7;

/// Returns what to do about `event` at `now`, and updates `state`.
#[must_use]
pub fn decide(state: &mut State, event: Event, now: Moment) -> Vec<Action> {
    match event {
        Event::Claimed {
            jit_config,
            heartbeat,
            lifetime,
            drain,
            hook,
            startup,
        } => {
            // The end has begun already. GitHub expires the unused registration.
            if state.mode != Mode::Claiming {
                return Vec::new();
            }
            state.last_contact = now;
            state.heartbeat = heartbeat;
            state.next_heartbeat = Some(now + heartbeat);
            state.drain = drain;
            state.hook = hook;
            state.lifetime_end = state.lifetime_end.min(now + lifetime);
            state.prepare(jit_config, startup, now)
        }
        // No contact is expected before that.
        Event::ClaimPostponed(wait) => {
            state.last_contact = now + wait;
            Vec::new()
        }
        // Without a goodbye, which would be refused too.
        Event::ClaimRefused if state.mode == Mode::Claiming => state.power_off(),
        Event::StartupEnded {
            ok,
            outcome,
            last_lines,
        } => state.startup_ended(ok, &outcome, &last_lines, now),
        Event::RunnerStarted => vec![Action::Report {
            stage: Stage::RunnerStarted,
            detail: None,
        }],
        Event::RunnerNotStarted(error) => {
            state.runner_alive = false;
            match state.mode {
                Mode::Working => state.say_goodbye(End::because(GoodbyeReason::RunnerFailed, error), now),
                _ => state.runner_exited(None, None, now),
            }
        }
        Event::RunnerExited { code, last_line } => state.runner_exited(code, last_line, now),
        Event::JobStartRequested { run, attempt } if state.job == JobProgress::None => {
            vec![Action::RequestJobStart { run, attempt }]
        }
        // Job code may write the same later; only the first counts.
        Event::ClaimRefused | Event::JobStartRequested { .. } => Vec::new(),
        Event::JobStarted => {
            state.last_contact = state.last_contact.max(now);
            state.job_started(None)
        }
        Event::JobStartDenied { answered: true } => {
            state.last_contact = state.last_contact.max(now);
            state.job_started(Some(START_REFUSED))
        }
        Event::JobStartDenied { answered: false } => {
            state.start_unanswered = true;
            state.job_started(Some(START_UNANSWERED))
        }
        Event::MessengerTookJob { by_mistake: false } => state.job_started(Some(MESSAGE_DELIVERED)),
        Event::MessengerTookJob { by_mistake: true } => state.job_started(Some(MESSAGE_MISTAKEN)),
        Event::JobFinished => {
            state.job = JobProgress::Ended;
            state.exit_by = Some(now + EXIT_PATIENCE);
            vec![Action::Report {
                stage: Stage::JobFinished,
                detail: None,
            }]
        }
        Event::HeartbeatAnswered(order) => {
            state.next_heartbeat = Some(now + state.heartbeat);
            state.obey(order, now)
        }
        Event::HeartbeatFailed => {
            state.next_heartbeat = Some(now + state.heartbeat.min(HEARTBEAT_RETRY));
            Vec::new()
        }
        Event::ProgressAnswered(order) => state.obey(order, now),
        Event::SpotNotice { notice, left } => state.interrupted(notice, left, now),
        Event::HookEnded(outcome) => state.hook_ended(&outcome, now),
        Event::Shutdown => {
            let grace = state.drain.min(SHUTDOWN_GRACE);
            let end = End::because(GoodbyeReason::Stopped, "the operating system is shutting down");
            state.wind_down(end, grace, now)
        }
        Event::GoodbyeDone(order) => match (&state.mode, order) {
            // An instance that EC2 interrupts within its first hour costs nothing, and one that ends itself
            // does, so the control plane may leave it to EC2.
            (Mode::Leaving { .. }, Some(Order::Continue)) if state.notice.is_some() => {
                let until = (state.taken_back_at + RECLAIM_SLACK).min(state.lifetime_end).max(now);
                state.mode = Mode::AwaitingReclaim { until };
                Vec::new()
            }
            (Mode::Leaving { .. }, _) => state.power_off(),
            _ => Vec::new(),
        },
        Event::Tick => state.tick(now),
    }
}
