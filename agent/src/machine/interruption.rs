//! Decisions about EC2's interruption notice and the `on_interruption` hook.

use std::time::Duration;

use dayfly_types::checkin::{GoodbyeReason, InterruptionNotice, Stage};

use super::{Action, End, JobProgress, Mode, Moment, State};

/// How much of the time that EC2 leaves is kept from the hook. In it the listener ends its job, which takes
/// ten seconds and more.
const LISTENERS_SHARE: Duration = Duration::from_secs(30);
/// A hook that gets less than this is not worth starting.
const SHORTEST_HOOK: Duration = Duration::from_secs(1);

impl State {
    pub(super) fn interrupted(&mut self, notice: InterruptionNotice, left: Duration, now: Moment) -> Vec<Action> {
        if self.notice.is_some() {
            return self.notice_repeated(left, now);
        }
        let end = End::because(
            GoodbyeReason::Interrupted,
            format!("spot notice: {} at {}", notice.action, notice.at),
        );
        let at = notice.at.clone();
        self.notice = Some(notice);
        self.taken_back_at = now + left;
        let has_hook_to_run = self.hook && self.mode == Mode::Working && self.job == JobProgress::Running;
        let left = left.min(self.drain).min(self.lifetime_end.saturating_sub(now));
        let mut actions = match hook_limit(left) {
            Some(limit) if has_hook_to_run => self.run_hook(end, at, limit, now),
            _ => self.wind_down(end, self.drain, now),
        };
        // At once: the control plane may not have received EC2's event, and a heartbeat that is under way does
        // not carry the notice.
        if matches!(self.mode, Mode::RunningHook { .. } | Mode::Draining { .. }) {
            actions.push(self.beat());
        }
        actions
    }

    /// Runs the hook before the runner is asked to end. The job goes on meanwhile.
    fn run_hook(&mut self, end: End, at: String, limit: Duration, now: Moment) -> Vec<Action> {
        self.mode = Mode::RunningHook {
            end,
            since: now,
            until: now + limit,
            kill_at: now + self.drain,
        };
        vec![Action::RunHook { at, limit }]
    }

    /// The same notice from another source. The metadata service knows the moment better than the control plane.
    fn notice_repeated(&mut self, left: Duration, now: Moment) -> Vec<Action> {
        self.taken_back_at = self.taken_back_at.min(now + left);
        let sooner = now + hook_limit(left).unwrap_or_default();
        match &mut self.mode {
            Mode::RunningHook { until, .. } if sooner < *until => {
                *until = sooner;
                self.tick(now)
            }
            _ => Vec::new(),
        }
    }

    /// Asks the runner to end after the hook ended or was killed.
    pub(super) fn hook_ended(&mut self, outcome: &str, now: Moment) -> Vec<Action> {
        let Mode::RunningHook {
            end, since, kill_at, ..
        } = &self.mode
        else {
            return Vec::new();
        };
        let (end, since, grace) = (end.clone(), *since, kill_at.saturating_sub(now));
        self.mode = Mode::Working;
        let mut actions = self.wind_down(end, grace, now);
        actions.push(hook_finished(outcome, since, now));
        actions
    }
}

pub(super) fn hook_finished(outcome: &str, since: Moment, now: Moment) -> Action {
    let seconds = now.saturating_sub(since).as_secs();
    Action::Report {
        stage: Stage::HookFinished,
        detail: Some(format!("{outcome}, after {seconds} s")),
    }
}

/// Returns how many whole seconds the hook may run if EC2 leaves `left`, or `None` if that is too little.
pub(super) fn hook_limit(left: Duration) -> Option<Duration> {
    let limit = left.saturating_sub(LISTENERS_SHARE).max(left / 4);
    let limit = Duration::from_secs(limit.as_secs());
    (limit >= SHORTEST_HOOK).then_some(limit)
}
