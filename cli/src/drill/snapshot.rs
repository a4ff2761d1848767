//! The state of a runner and its job during a drill.

use comfy_table::Table;
use comfy_table::presets::NOTHING;
use dayfly_records::{Rerun, Run, Runner, RunnerState};
use dayfly_types::capacity::InstanceLifecycle;
use dayfly_types::ids::{InstanceId, InstanceType, JobKey, RunKey, RunnerName, Zone};
use dayfly_types::time::Timestamp;
use serde::Serialize;

use crate::text::runner_state;

/// A runner's instance.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Placement {
    pub(crate) instance: InstanceId,
    pub(crate) instance_type: InstanceType,
    pub(crate) zone: Zone,
    pub(crate) spot: bool,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct RunnerSnapshot {
    pub(crate) name: RunnerName,
    pub(crate) repository: String,
    pub(crate) state: RunnerState,
    pub(crate) placement: Option<Placement>,
    /// The job that it runs or ran.
    pub(crate) job: Option<JobKey>,
    /// The run attempt of that job.
    pub(crate) run: Option<RunKey>,
    pub(crate) rebalance_at: Option<Timestamp>,
    pub(crate) interrupted_at: Option<Timestamp>,
    pub(crate) job_over_at: Option<Timestamp>,
    pub(crate) ended_at: Option<Timestamp>,
    /// Why it ends, if it does.
    pub(crate) ending: Option<String>,
}

impl From<&Runner> for RunnerSnapshot {
    fn from(runner: &Runner) -> Self {
        let placement = runner.launched.as_ref().map(|launched| Placement {
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
            placement,
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

/// The progress of an interrupted job's rerun.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum RerunProgress {
    /// The job is not, or not yet, recorded as interrupted.
    NotRecorded,
    /// The job is rerun once its run is over.
    Waiting,
    /// GitHub has accepted the rerun.
    Accepted,
    /// The job is not rerun, for this reason.
    Declined(String),
}

impl RerunProgress {
    pub(crate) fn from_run(run: Option<&Run>, job: JobKey) -> Self {
        let Some(run) = run.filter(|run| run.interrupted.contains(&job)) else {
            return Self::NotRecorded;
        };
        match &run.rerun {
            Rerun::Accepted => Self::Accepted,
            Rerun::Declined { reason } => Self::Declined(reason.clone()),
            Rerun::NotYet | Rerun::Intended => Self::Waiting,
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct DrillProgress {
    /// `None` if the table no longer has it.
    pub(crate) runner: Option<RunnerSnapshot>,
    pub(crate) rerun: RerunProgress,
}

impl DrillProgress {
    pub(crate) fn is_gone(&self) -> bool {
        self.runner
            .as_ref()
            .is_none_or(|runner| runner.state == RunnerState::Gone)
    }
}

/// Returns a table of the runners, or an empty text if there are none.
pub(crate) fn table(runners: &[RunnerSnapshot]) -> String {
    if runners.is_empty() {
        return String::new();
    }
    let mut table = Table::new();
    table
        .load_style(NOTHING)
        .set_header(["runner", "state", "repository", "instance", "pool", "capacity"]);
    for runner in runners {
        let placement = runner.placement.as_ref();
        let or_dash = |text: Option<String>| text.unwrap_or_else(|| "-".to_owned());
        table.add_row([
            runner.name.to_string(),
            runner_state(runner.state).to_owned(),
            runner.repository.clone(),
            or_dash(placement.map(|placement| placement.instance.to_string())),
            or_dash(placement.map(|placement| format!("{} in {}", placement.instance_type, placement.zone))),
            or_dash(placement.map(|placement| if placement.spot { "spot" } else { "on-demand" }.to_owned())),
        ]);
    }
    table.trim_fmt()
}
