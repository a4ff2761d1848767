//! The stack's table, as far as the drill reads it.

use dayfly_ports::Store as _;
use dayfly_records::Record;
use dayfly_types::ids::RunnerName;

use super::seen::{Again, Seen, Watched};
use crate::error::Error;
use crate::table::Table;

/// What is read. Nothing is ever written.
pub(crate) trait Records {
    /// The runners that are not gone.
    async fn live(&self) -> Result<Vec<Seen>, Error>;
    /// A runner, gone or not.
    async fn runner(&self, name: &RunnerName) -> Result<Option<Seen>, Error>;
    /// The same with what becomes of its job.
    async fn follow(&self, name: &RunnerName) -> Result<Watched, Error>;
}

/// The table in DynamoDB.
#[derive(Debug)]
pub(crate) struct TableRecords(pub(crate) Table);

impl Records for TableRecords {
    async fn live(&self) -> Result<Vec<Seen>, Error> {
        let live = self.0.live().await?;
        let mut runners: Vec<Seen> = live
            .iter()
            .filter_map(|record| match record {
                Record::Runner(runner) => Some(Seen::from(&**runner)),
                _ => None,
            })
            .collect();
        runners.sort_by(|one, other| one.name.cmp(&other.name));
        Ok(runners)
    }

    async fn runner(&self, name: &RunnerName) -> Result<Option<Seen>, Error> {
        let runner = self.0.records.runner(name).await.map_err(|error| self.0.error(error))?;
        Ok(runner.map(|stored| Seen::from(&stored.record)))
    }

    async fn follow(&self, name: &RunnerName) -> Result<Watched, Error> {
        let runner = self.runner(name).await?;
        let of_job = runner.as_ref().and_then(|runner| runner.job.zip(runner.run));
        let again = match of_job {
            None => Again::NotNoted,
            Some((job, run)) => {
                let run = self.0.records.run(run).await.map_err(|error| self.0.error(error))?;
                Again::of(run.map(|stored| stored.record).as_ref(), job)
            }
        };
        Ok(Watched { runner, again })
    }
}
