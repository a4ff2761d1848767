//! What the drill wants to know of a runner and of its job.

use comfy_table::Table;
use comfy_table::presets::NOTHING;
use dayfly_records::{Rerun, Run, Runner, RunnerState};
use dayfly_types::capacity::InstanceLifecycle;
use dayfly_types::ids::{InstanceId, InstanceType, JobKey, RunKey, RunnerName, Zone};
use dayfly_types::time::Timestamp;
use serde::Serialize;

use crate::words;

/// Where a runner is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Placed {
    pub(crate) instance: InstanceId,
    pub(crate) instance_type: InstanceType,
    pub(crate) zone: Zone,
    pub(crate) spot: bool,
}

/// A runner.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Seen {
    pub(crate) name: RunnerName,
    pub(crate) repository: String,
    pub(crate) state: RunnerState,
    pub(crate) placed: Option<Placed>,
    /// The job that it runs or ran.
    pub(crate) job: Option<JobKey>,
    /// The attempt of the run that the job is of.
    pub(crate) run: Option<RunKey>,
    pub(crate) rebalance_at: Option<Timestamp>,
    pub(crate) interrupted_at: Option<Timestamp>,
    pub(crate) job_over_at: Option<Timestamp>,
    pub(crate) ended_at: Option<Timestamp>,
    /// Why it ends, once it does.
    pub(crate) ending: Option<String>,
}

impl From<&Runner> for Seen {
    fn from(runner: &Runner) -> Self {
        let placed = runner.launched.as_ref().map(|launched| Placed {
            instance: launched.instance.clone(),
            instance_type: launched.instance_type.clone(),
            zone: launched.zone.clone(),
            spot: launched.lifecycle == InstanceLifecycle::Spot,
        });
        let run = runner.job.zip(runner.job_run).map(|(job, run)| RunKey {
            run,
            attempt: job.attempt,
        });
        Self {
            name: runner.name.clone(),
            repository: runner.repository.to_string(),
            state: runner.state,
            placed,
            job: runner.job,
            run,
            rebalance_at: runner.rebalance_at,
            interrupted_at: runner.interrupted_at,
            job_over_at: runner.job_over_at,
            ended_at: runner.ended_at,
            ending: runner.ending.as_ref().map(|ending| ending.words().to_owned()),
        }
    }
}

/// What becomes of an interrupted job.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Again {
    /// It is not noted as interrupted, or not yet.
    NotNoted,
    /// It is to run again once its run is over.
    Waits,
    /// GitHub has been asked, and has taken it.
    Runs,
    /// It will not.
    Declined(String),
}

impl Again {
    /// What a run says of one of its jobs.
    pub(crate) fn of(run: Option<&Run>, job: JobKey) -> Self {
        let Some(run) = run.filter(|run| run.interrupted.contains(&job)) else {
            return Self::NotNoted;
        };
        match &run.rerun {
            Rerun::Accepted => Self::Runs,
            Rerun::Declined { reason } => Self::Declined(reason.clone()),
            Rerun::NotYet | Rerun::Intended => Self::Waits,
        }
    }
}

/// A runner while it is watched, with what becomes of its job.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Watched {
    /// Nothing if the table has forgotten it.
    pub(crate) runner: Option<Seen>,
    pub(crate) again: Again,
}

impl Watched {
    pub(crate) fn is_gone(&self) -> bool {
        self.runner
            .as_ref()
            .is_none_or(|runner| runner.state == RunnerState::Gone)
    }
}

/// Runners, one a line; nothing if there is none.
pub(crate) fn table(runners: &[Seen]) -> String {
    if runners.is_empty() {
        return String::new();
    }
    let mut table = Table::new();
    table
        .load_style(NOTHING)
        .set_header(["runner", "state", "repository", "instance", "where", "bought"]);
    for runner in runners {
        let placed = runner.placed.as_ref();
        let or_dash = |text: Option<String>| text.unwrap_or_else(|| "-".to_owned());
        table.add_row([
            runner.name.to_string(),
            words::state(runner.state).to_owned(),
            runner.repository.clone(),
            or_dash(placed.map(|placed| placed.instance.to_string())),
            or_dash(placed.map(|placed| format!("{} in {}", placed.instance_type, placed.zone))),
            or_dash(placed.map(|placed| if placed.spot { "spot" } else { "on-demand" }.to_owned())),
        ]);
    }
    table.trim_fmt()
}
