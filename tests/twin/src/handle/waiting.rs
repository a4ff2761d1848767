//! Waits for a state, and shows why it did not come.

use std::fmt;
use std::time::Duration;

use super::Twin;
use crate::state::State;

/// A wait that timed out, with the whole state of the twin.
#[derive(Debug, thiserror::Error)]
#[error("waited {within:?} for {what}\n{state}")]
pub struct TimedOut {
    what: String,
    within: Duration,
    state: String,
}

impl Twin {
    /// Waits until the state has something.
    ///
    /// # Errors
    /// When it does not come in time (real time); the error shows all that the twin has.
    pub async fn wait_for<T>(
        &self,
        what: &str,
        within: Duration,
        mut look: impl FnMut(&State) -> Option<T>,
    ) -> Result<T, TimedOut> {
        let mut changes = self.hub.changes();
        let until = tokio::time::Instant::now() + within;
        loop {
            changes.mark_unchanged();
            let found = look(&self.hub.state());
            if let Some(found) = found {
                return Ok(found);
            }
            if tokio::time::timeout_at(until, changes.changed()).await.is_err() {
                return Err(TimedOut {
                    what: what.to_owned(),
                    within,
                    state: summary(&self.hub.state()),
                });
            }
        }
    }
}

/// Runs, jobs, runners and deliveries, a line each.
fn summary(state: &State) -> String {
    struct Lines(Vec<String>);
    impl fmt::Display for Lines {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            self.0.iter().try_for_each(|line| writeln!(f, "  {line}"))
        }
    }
    let runs = state.runs().map(|run| {
        format!(
            "run {} attempt {} {:?} {:?}",
            run.id, run.attempt, run.status, run.conclusion
        )
    });
    let jobs = state.jobs().map(|job| {
        format!(
            "job {} `{}` attempt {} {:?} {:?} labels {:?} runner {:?}",
            job.id,
            job.spec.name,
            job.attempt,
            job.status,
            job.conclusion,
            job.spec.labels,
            job.runner.as_ref().map(|taken| &taken.name),
        )
    });
    let runners = state.runners().map(|runner| {
        format!(
            "runner {} `{}` session {} job {:?} labels {:?}",
            runner.id,
            runner.name,
            runner.session.is_some(),
            runner.job,
            runner.labels
        )
    });
    let deliveries = state.deliveries().map(|one| {
        let status = one.outcome.as_ref().map(|outcome| outcome.status_code);
        format!("webhook {} {:?} {status:?}", one.event, one.action)
    });
    Lines(runs.chain(jobs).chain(runners).chain(deliveries).collect()).to_string()
}
