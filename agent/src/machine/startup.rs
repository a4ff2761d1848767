//! Decisions about the startup script, which runs between the claim and the runner's start.

use std::time::Duration;

use dayfly_types::checkin::{GoodbyeReason, Stage};

use super::{Action, End, JitConfig, Mode, Moment, State};

impl State {
    /// Starts the runner: at once, or after a startup script that may run for `limit`.
    pub(super) fn prepare(&mut self, jit_config: JitConfig, limit: Option<Duration>, now: Moment) -> Vec<Action> {
        let Some(limit) = limit else {
            self.mode = Mode::Working;
            self.runner_alive = true;
            return vec![Action::StartRunner(jit_config)];
        };
        self.mode = Mode::Preparing {
            jit_config,
            since: now,
            until: now + limit,
            killed: false,
        };
        let report = Action::Report {
            stage: Stage::StartupStarted,
            detail: None,
        };
        vec![Action::RunStartup, report]
    }

    /// Starts the runner after a script that succeeded, or ends the instance.
    pub(super) fn startup_ended(&mut self, ok: bool, outcome: &str, last_lines: &str, now: Moment) -> Vec<Action> {
        let Mode::Preparing {
            jit_config,
            since,
            killed,
            ..
        } = &self.mode
        else {
            return Vec::new();
        };
        let seconds = now.saturating_sub(*since).as_secs();
        let outcome = if *killed {
            "took too long and was killed"
        } else {
            outcome
        };
        let mut detail = format!("{outcome}, after {seconds} s");
        let report = |detail: &str| Action::Report {
            stage: Stage::StartupFinished,
            detail: Some(detail.to_owned()),
        };
        if ok && !*killed {
            let start = Action::StartRunner(jit_config.clone());
            self.mode = Mode::Working;
            self.runner_alive = true;
            return vec![report(&detail), start];
        }
        if !last_lines.is_empty() {
            detail = format!("{detail}; its last lines:\n{last_lines}");
        }
        let mut actions = vec![report(&detail)];
        actions.extend(self.say_goodbye(End::because(GoodbyeReason::StartupFailed, detail), now));
        actions
    }
}
