//! What the agent decides: pure, without clock, network or process.
//!
//! `decide` takes what happened and when, and says what to do. Moments are times since the
//! agent's start on the monotonic clock, so a corrected wall clock ends no instance.

use std::time::Duration;

use dayfly_types::checkin::{
    GoodbyeReason, InterruptionNotice, MESSAGE_MISTAKEN, MESSAGE_TOLD, Order, Phase, START_REFUSED, START_UNANSWERED,
    Stage,
};
use dayfly_types::deadlines::RECLAIM_SLACK;

mod startup;
#[cfg(test)]
mod tests;
mod words;

pub use words::{Action, Event, JitConfig};

/// Time since the agent's start.
pub type Moment = Duration;

/// How long a runner gets to tell GitHub that its job ended when the instance's lifetime is over:
/// a runner that is killed leaves its job hanging for ten minutes and more.
const LIFETIME_GRACE: Duration = Duration::from_secs(30);
/// The same when the operating system itself is going down.
const SHUTDOWN_GRACE: Duration = Duration::from_secs(20);
/// The same when the control plane is out of reach; GitHub may not be.
const UNREACHABLE_GRACE: Duration = Duration::from_secs(10);
/// How long a killed runner may take to be gone before nobody waits for it.
const KILL_PATIENCE: Duration = Duration::from_secs(5);
/// How long a goodbye may take.
const GOODBYE_PATIENCE: Duration = Duration::from_secs(20);
/// How long a goodbye may take after nothing has been answered for minutes.
const HOPELESS_GOODBYE_PATIENCE: Duration = Duration::from_secs(5);
/// A heartbeat that failed is followed by the next one this soon, or sooner.
const HEARTBEAT_RETRY: Duration = Duration::from_secs(5);
/// How long the runner may take to leave once its job has ended: it uploads logs, and nothing else.
const LEAVE_PATIENCE: Duration = Duration::from_secs(120);
/// What of the time that EC2 leaves is kept from the interruption hook: the listener ends its job
/// in it, which takes it ten seconds and more.
const LISTENERS_SHARE: Duration = Duration::from_secs(30);
/// A hook that gets less than this is not worth its start.
const SHORTEST_HOOK: Duration = Duration::from_secs(1);

/// Why and how the instance ends.
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
enum Life {
    /// It asks for its runner.
    Claiming,
    /// The startup script runs since `since` and is killed at `until`, and not waited for any more one
    /// `KILL_PATIENCE` after that. Then the runner starts.
    Preparing {
        jit_config: JitConfig,
        since: Moment,
        until: Moment,
        killed: bool,
    },
    /// The runner listens or runs a job.
    Working,
    /// The interruption hook runs since `since` and is killed at `until`; then the runner is asked to
    /// end, with `kill_at` for its patience.
    Saving {
        end: End,
        since: Moment,
        until: Moment,
        kill_at: Moment,
    },
    /// The runner was asked to end; killed at `kill_at`, and not waited for any more one
    /// `KILL_PATIENCE` after that.
    Draining { end: End, kill_at: Moment, killed: bool },
    /// The goodbye is under way.
    Leaving { give_up_at: Moment },
    /// The control plane wants EC2, and not the instance, to end it.
    AwaitingReclaim { until: Moment },
    /// Nothing is left to do but to power off.
    Over,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Job {
    None,
    Running,
    Ended,
}

/// Where the agent stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct State {
    life: Life,
    runner_alive: bool,
    job: Job,
    /// When the runner must have left; nothing before its job has ended.
    leave_by: Option<Moment>,
    notice: Option<InterruptionNotice>,
    /// When EC2 takes the instance back, once there is a notice.
    taken_back_at: Moment,
    heartbeat: Duration,
    drain: Duration,
    hook: bool,
    unreachable: Duration,
    lifetime_end: Moment,
    last_contact: Moment,
    /// `None` while one is under way.
    next_heartbeat: Option<Moment>,
}

impl State {
    /// The state at the agent's start.
    #[must_use]
    pub fn new(max_lifetime: Duration, unreachable: Duration) -> Self {
        Self {
            life: Life::Claiming,
            runner_alive: false,
            job: Job::None,
            leave_by: None,
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

    /// Whether there is nothing left to decide.
    #[must_use]
    pub fn is_over(&self) -> bool {
        self.life == Life::Over
    }

    /// Whether the agent still waits for its runner.
    #[must_use]
    pub fn is_claiming(&self) -> bool {
        self.life == Life::Claiming
    }

    /// When to call [`decide`] with [`Event::Tick`] if nothing else happens.
    #[must_use]
    pub fn deadline(&self) -> Option<Moment> {
        let living = self.lifetime_end.min(self.last_contact + self.unreachable);
        let beat = self.next_heartbeat.unwrap_or(Moment::MAX);
        match &self.life {
            Life::Claiming => Some(living),
            Life::Working => Some(living.min(beat).min(self.leave_by.unwrap_or(Moment::MAX))),
            Life::Preparing { until, .. } => Some(living.min(beat).min(*until)),
            Life::Saving { until, .. } => Some(beat.min(*until)),
            Life::Draining { kill_at, .. } => Some(beat.min(*kill_at)),
            Life::Leaving { give_up_at } => Some(*give_up_at),
            Life::AwaitingReclaim { until } => Some(*until),
            Life::Over => None,
        }
    }

    fn phase(&self) -> Phase {
        match self.life {
            Life::Claiming | Life::Working if self.job == Job::Running => Phase::Running,
            Life::Claiming | Life::Preparing { .. } | Life::Working => Phase::Listening,
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

    /// Begins the end: the runner gets `grace` to end in order, none if it is zero.
    fn wind_down(&mut self, end: End, grace: Duration, now: Moment) -> Vec<Action> {
        match &mut self.life {
            Life::Leaving { .. } | Life::AwaitingReclaim { .. } | Life::Over => Vec::new(),
            Life::Preparing { .. } => {
                let mut actions = vec![Action::KillStartup];
                actions.extend(self.leave(end, now));
                actions
            }
            Life::Claiming | Life::Working if !self.runner_alive => self.leave(end, now),
            Life::Draining { kill_at, killed, .. } => {
                // The first reason stands: it is why the job ended. The patience may shrink.
                if *killed || now + grace >= *kill_at {
                    return Vec::new();
                }
                *kill_at = now + grace;
                self.tick(now)
            }
            Life::Saving { kill_at, .. } if now + grace >= *kill_at => Vec::new(),
            Life::Saving { end, since, .. } => {
                let (end, since) = (end.clone(), *since);
                let mut actions = vec![Action::KillHook];
                self.life = Life::Working;
                actions.extend(self.wind_down(end, grace, now));
                actions.push(hook_finished("cut short", since, now));
                actions
            }
            Life::Claiming | Life::Working => {
                let report = Action::Report {
                    stage: Stage::DrainStarted,
                    detail: end.detail.clone(),
                };
                let killed = grace.is_zero();
                let kill_at = now + if killed { KILL_PATIENCE } else { grace };
                self.life = Life::Draining { end, kill_at, killed };
                if killed {
                    vec![Action::KillRunner]
                } else {
                    vec![Action::SignalRunner, report]
                }
            }
        }
    }

    fn job_started(&mut self, detail: Option<&str>) -> Vec<Action> {
        self.job = Job::Running;
        vec![Action::Report {
            stage: Stage::JobStarted,
            detail: detail.map(str::to_owned),
        }]
    }

    /// Begins the end with the interruption hook. The job goes on meanwhile.
    fn save(&mut self, end: End, at: String, limit: Duration, now: Moment) -> Vec<Action> {
        self.life = Life::Saving {
            end,
            since: now,
            until: now + limit,
            kill_at: now + self.drain,
        };
        vec![Action::RunHook { at, limit }]
    }

    /// The notice again, from elsewhere: the metadata knows the moment better than the control plane.
    fn hurry(&mut self, left: Duration, now: Moment) -> Vec<Action> {
        self.taken_back_at = self.taken_back_at.min(now + left);
        let sooner = now + hook_limit(left).unwrap_or_default();
        match &mut self.life {
            Life::Saving { until, .. } if sooner < *until => {
                *until = sooner;
                self.tick(now)
            }
            _ => Vec::new(),
        }
    }

    /// The interruption hook has ended, or has to: now the runner is asked to end.
    fn saved(&mut self, words: &str, now: Moment) -> Vec<Action> {
        let Life::Saving {
            end, since, kill_at, ..
        } = &self.life
        else {
            return Vec::new();
        };
        let (end, since, grace) = (end.clone(), *since, kill_at.saturating_sub(now));
        self.life = Life::Working;
        let mut actions = self.wind_down(end, grace, now);
        actions.push(hook_finished(words, since, now));
        actions
    }

    fn leave(&mut self, end: End, now: Moment) -> Vec<Action> {
        let patience = if now >= self.last_contact + self.unreachable {
            HOPELESS_GOODBYE_PATIENCE
        } else {
            GOODBYE_PATIENCE
        };
        self.life = Life::Leaving {
            give_up_at: now + patience,
        };
        vec![Action::Goodbye {
            reason: end.reason,
            detail: end.detail,
        }]
    }

    fn power_off(&mut self) -> Vec<Action> {
        self.life = Life::Over;
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
        match &mut self.life {
            Life::Leaving { give_up_at: until } | Life::AwaitingReclaim { until } => {
                if now >= *until {
                    self.power_off()
                } else {
                    Vec::new()
                }
            }
            Life::Saving { until, .. } if now >= *until => {
                let mut actions = vec![Action::KillHook];
                actions.extend(self.saved("killed when its time was over", now));
                actions
            }
            Life::Draining { end, kill_at, killed } if now >= *kill_at => {
                if *killed {
                    let end = end.clone();
                    return self.leave(end, now);
                }
                *killed = true;
                *kill_at = now + KILL_PATIENCE;
                vec![Action::KillRunner]
            }
            Life::Claiming | Life::Preparing { .. } | Life::Working if now >= self.lifetime_end => {
                self.wind_down(End::new(GoodbyeReason::Lifetime), LIFETIME_GRACE, now)
            }
            Life::Claiming | Life::Preparing { .. } | Life::Working if now >= self.last_contact + self.unreachable => {
                self.wind_down(End::new(GoodbyeReason::Unreachable), UNREACHABLE_GRACE, now)
            }
            Life::Preparing { until, killed, .. } if now >= *until => {
                if *killed {
                    return self.prepared(false, "it did not end when it was killed", "", now);
                }
                *killed = true;
                *until = now + KILL_PATIENCE;
                vec![Action::KillStartup]
            }
            Life::Working if self.leave_by.is_some_and(|leave_by| now >= leave_by) => {
                let end = End::because(GoodbyeReason::Finished, "the runner did not leave after its job");
                self.wind_down(end, UNREACHABLE_GRACE, now)
            }
            Life::Preparing { .. } | Life::Working | Life::Saving { .. } | Life::Draining { .. }
                if self.next_heartbeat.is_some_and(|next| now >= next) =>
            {
                vec![self.beat()]
            }
            Life::Claiming
            | Life::Preparing { .. }
            | Life::Working
            | Life::Saving { .. }
            | Life::Draining { .. }
            | Life::Over => Vec::new(),
        }
    }

    fn runner_exited(&mut self, code: Option<i32>, words: Option<String>, now: Moment) -> Vec<Action> {
        self.runner_alive = false;
        let end = match (&self.life, code) {
            (Life::Draining { end, .. }, _) => end.clone(),
            // Nobody has asked it to end yet: a job that ended by then has come through.
            (Life::Saving { end, .. }, _) if self.job != Job::Ended => end.clone(),
            (_, Some(0)) if self.job != Job::None => End::new(GoodbyeReason::Finished),
            (_, Some(0)) => End {
                reason: GoodbyeReason::Idle,
                detail: words,
            },
            (_, Some(OUTDATED)) => End {
                reason: GoodbyeReason::RunnerOutdated,
                detail: words,
            },
            (_, Some(code)) => {
                let words = words.unwrap_or_default();
                End::because(GoodbyeReason::RunnerFailed, format!("exit status {code}: {words}"))
            }
            (_, None) => End::because(GoodbyeReason::RunnerFailed, "ended by a signal"),
        };
        match self.life {
            Life::Working | Life::Draining { .. } => self.leave(end, now),
            Life::Saving { since, .. } => {
                let mut actions = vec![
                    Action::KillHook,
                    hook_finished("cut short by the runner's end", since, now),
                ];
                actions.extend(self.leave(end, now));
                actions
            }
            _ => Vec::new(),
        }
    }
}

fn hook_finished(words: &str, since: Moment, now: Moment) -> Action {
    let seconds = now.saturating_sub(since).as_secs();
    Action::Report {
        stage: Stage::HookFinished,
        detail: Some(format!("{words}, after {seconds} s")),
    }
}

/// How many whole seconds the interruption hook may run if EC2 leaves `left`; nothing if that is
/// too little.
fn hook_limit(left: Duration) -> Option<Duration> {
    let limit = left.saturating_sub(LISTENERS_SHARE).max(left / 4);
    let limit = Duration::from_secs(limit.as_secs());
    (limit >= SHORTEST_HOOK).then_some(limit)
}

/// How GitHub's runner ends when GitHub refuses its version.
const OUTDATED: i32 = 7;

/// Says what to do now that `event` happened at `now`, and moves `state` on.
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
            // An answer that comes after the end began: the registration is GitHub's to expire.
            if state.life != Life::Claiming {
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
        // Nothing is to be heard before that.
        Event::ClaimPostponed(wait) => {
            state.last_contact = now + wait;
            Vec::new()
        }
        // Not even a goodbye: it would be refused too.
        Event::ClaimRefused if state.life == Life::Claiming => state.power_off(),
        Event::StartupEnded { ok, words, last_lines } => state.prepared(ok, &words, &last_lines, now),
        Event::RunnerStarted => vec![Action::Report {
            stage: Stage::RunnerStarted,
            detail: None,
        }],
        Event::RunnerNotStarted(words) => {
            state.runner_alive = false;
            match state.life {
                Life::Working => state.leave(End::because(GoodbyeReason::RunnerFailed, words), now),
                _ => state.runner_exited(None, None, now),
            }
        }
        Event::RunnerExited { code, last_words } => state.runner_exited(code, last_words, now),
        Event::JobAsks { run, attempt } if state.job == Job::None => vec![Action::AskToStart { run, attempt }],
        // Job code can say so later; once is enough.
        Event::ClaimRefused | Event::JobAsks { .. } => Vec::new(),
        Event::JobStarted => {
            state.last_contact = state.last_contact.max(now);
            state.job_started(None)
        }
        Event::JobKept { answered: true } => {
            state.last_contact = state.last_contact.max(now);
            state.job_started(Some(START_REFUSED))
        }
        Event::JobKept { answered: false } => state.job_started(Some(START_UNANSWERED)),
        Event::JobRefused { by_mistake: false } => state.job_started(Some(MESSAGE_TOLD)),
        Event::JobRefused { by_mistake: true } => state.job_started(Some(MESSAGE_MISTAKEN)),
        Event::JobFinished => {
            state.job = Job::Ended;
            state.leave_by = Some(now + LEAVE_PATIENCE);
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
        Event::SpotNotice { notice, left } => spot_notice(state, notice, left, now),
        Event::HookEnded(words) => state.saved(&words, now),
        Event::Shutdown => {
            let grace = state.drain.min(SHUTDOWN_GRACE);
            let end = End::because(GoodbyeReason::Stopped, "the operating system is shutting down");
            state.wind_down(end, grace, now)
        }
        Event::GoodbyeDone(order) => match (&state.life, order) {
            // Within its first hour an instance that EC2 interrupts costs nothing, and one that
            // ends itself does: the control plane may prefer to leave it to EC2.
            (Life::Leaving { .. }, Some(Order::Continue)) if state.notice.is_some() => {
                let until = (state.taken_back_at + RECLAIM_SLACK).min(state.lifetime_end).max(now);
                state.life = Life::AwaitingReclaim { until };
                Vec::new()
            }
            (Life::Leaving { .. }, _) => state.power_off(),
            _ => Vec::new(),
        },
        Event::Tick => state.tick(now),
    }
}

fn spot_notice(state: &mut State, notice: InterruptionNotice, left: Duration, now: Moment) -> Vec<Action> {
    if state.notice.is_some() {
        return state.hurry(left, now);
    }
    let end = End::because(
        GoodbyeReason::Interrupted,
        format!("spot notice: {} at {}", notice.action, notice.at),
    );
    let at = notice.at.clone();
    state.notice = Some(notice);
    state.taken_back_at = now + left;
    let saves = state.hook && state.life == Life::Working && state.job == Job::Running;
    let left = left.min(state.drain).min(state.lifetime_end.saturating_sub(now));
    let mut actions = match hook_limit(left) {
        Some(limit) if saves => state.save(end, at, limit, now),
        _ => state.wind_down(end, state.drain, now),
    };
    // At once, for the control plane may not have had EC2's event. A heartbeat that is under way does not
    // tell of it.
    if matches!(state.life, Life::Saving { .. } | Life::Draining { .. }) {
        actions.push(state.beat());
    }
    actions
}
