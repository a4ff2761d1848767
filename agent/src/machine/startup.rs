//! What is decided about the startup script, which runs between the claim and the runner's start.

use std::time::Duration;

use dayfly_types::checkin::{GoodbyeReason, Stage};

use super::{Action, End, JitConfig, Life, Moment, State};

impl State {
    /// The runner is there to be started: at once, or once the startup script has run, for as long as
    /// `limit` at most.
    pub(super) fn prepare(&mut self, jit_config: JitConfig, limit: Option<Duration>, now: Moment) -> Vec<Action> {
        let Some(limit) = limit else {
            self.life = Life::Working;
            self.runner_alive = true;
            return vec![Action::StartRunner(jit_config)];
        };
        self.life = Life::Preparing {
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

    /// The startup script has ended: the runner starts, or the instance ends.
    pub(super) fn prepared(&mut self, ok: bool, words: &str, last_lines: &str, now: Moment) -> Vec<Action> {
        let Life::Preparing {
            jit_config,
            since,
            killed,
            ..
        } = &self.life
        else {
            return Vec::new();
        };
        let seconds = now.saturating_sub(*since).as_secs();
        let how = if *killed { "took too long and was killed" } else { words };
        let mut words = format!("{how}, after {seconds} s");
        let report = |detail: &str| Action::Report {
            stage: Stage::StartupFinished,
            detail: Some(detail.to_owned()),
        };
        if ok && !*killed {
            let start = Action::StartRunner(jit_config.clone());
            self.life = Life::Working;
            self.runner_alive = true;
            return vec![report(&words), start];
        }
        if !last_lines.is_empty() {
            words = format!("{words}; its last lines:\n{last_lines}");
        }
        let mut actions = vec![report(&words)];
        actions.extend(self.leave(End::because(GoodbyeReason::StartupFailed, words), now));
        actions
    }
}
