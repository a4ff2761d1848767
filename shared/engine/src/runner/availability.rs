//! Whether a runner can still take a job.

use dayfly_records::{Runner, RunnerState};
use dayfly_types::checkin::Stage;

/// Whether a runner is on its way to, or open for, a job.
pub(crate) fn is_free(runner: &Runner) -> bool {
    runner.job.is_none()
        && matches!(
            runner.state,
            RunnerState::Requested | RunnerState::Launched | RunnerState::Enrolled
        )
}

/// Whether a runner has reported a job whose webhook has not come yet. When it comes, the job that the
/// runner was launched for gets that job's runner in exchange.
pub(crate) fn has_run_unknown_job(runner: &Runner) -> bool {
    runner.job.is_none() && runner.stages.iter().any(|(stage, _)| *stage == Stage::JobStarted)
}

/// Whether a runner's job is unknown: it has none yet, or it has started (and perhaps finished) one
/// whose webhook is on its way. If that turns out to be another job than the intended one, the two jobs
/// swap runners again.
pub(crate) fn is_unbound(runner: &Runner) -> bool {
    is_free(runner) || runner.job.is_none() && runner.state == RunnerState::Busy || has_run_unknown_job(runner)
}
