//! The records that a drill reads.

use dayfly_ports::Store as _;
use dayfly_records::Record;
use dayfly_types::ids::RunnerName;

use super::snapshot::{DrillProgress, RerunProgress, RunnerSnapshot};
use crate::error::Error;
use crate::table::Table;

pub(crate) trait RunnerRecords {
    /// Returns the runners that are not gone.
    async fn live(&self) -> Result<Vec<RunnerSnapshot>, Error>;
    /// Returns a runner, gone or not.
    async fn runner(&self, name: &RunnerName) -> Result<Option<RunnerSnapshot>, Error>;
    /// Returns a runner with the progress of its job's rerun.
    async fn progress(&self, name: &RunnerName) -> Result<DrillProgress, Error>;
}

#[derive(Debug)]
pub(crate) struct RunnerTable(pub(crate) Table);

impl RunnerRecords for RunnerTable {
    async fn live(&self) -> Result<Vec<RunnerSnapshot>, Error> {
        let live = self.0.live().await?;
        let mut runners: Vec<RunnerSnapshot> = live
            .iter()
            .filter_map(|record| match record {
                Record::Runner(runner) => Some(RunnerSnapshot::from(&**runner)),
                _ => None,
            })
            .collect();
        runners.sort_by(|one, other| one.name.cmp(&other.name));
        Ok(runners)
    }

    async fn runner(&self, name: &RunnerName) -> Result<Option<RunnerSnapshot>, Error> {
        let runner = self.0.records.runner(name).await.map_err(|error| self.0.error(error))?;
        Ok(runner.map(|stored| RunnerSnapshot::from(&stored.record)))
    }

    async fn progress(&self, name: &RunnerName) -> Result<DrillProgress, Error> {
        let runner = self.runner(name).await?;
        let job_and_run = runner.as_ref().and_then(|runner| runner.job.zip(runner.run));
        let rerun = match job_and_run {
            None => RerunProgress::NotRecorded,
            Some((job, run)) => {
                let run = self.0.records.run(run).await.map_err(|error| self.0.error(error))?;
                RerunProgress::from_run(run.map(|stored| stored.record).as_ref(), job)
            }
        };
        Ok(DrillProgress { runner, rerun })
    }
}
