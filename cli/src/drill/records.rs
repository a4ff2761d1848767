//! The stack's table, as far as the drill reads it.

use aws_config::SdkConfig;
use dayfly_core::ids::RunnerName;
use dayfly_core::record::Record;
use dayfly_core::time::Timestamp;
use dayfly_ports::{Store as _, StoreError};
use dayfly_store::DynamoTable;

use super::seen::{Again, Seen, Watched};
use crate::error::Error;

/// More live records than these need another tool.
const MOST: usize = 5000;

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
pub(crate) struct TableRecords {
    table: DynamoTable,
    name: String,
}

impl TableRecords {
    pub(crate) fn new(aws: &SdkConfig, name: &str) -> Self {
        Self {
            table: DynamoTable::new(aws, name),
            name: name.to_owned(),
        }
    }

    fn error(&self, error: StoreError) -> Error {
        Error::table(&self.name, error)
    }
}

impl Records for TableRecords {
    async fn live(&self) -> Result<Vec<Seen>, Error> {
        // Whatever lives is due one day.
        let ever = Timestamp::from_millis(i64::MAX);
        let live = self.table.due(ever, MOST).await.map_err(|error| self.error(error))?;
        let mut runners: Vec<Seen> = live
            .iter()
            .filter_map(|stored| match &stored.record {
                Record::Runner(runner) => Some(Seen::from(&**runner)),
                _ => None,
            })
            .collect();
        runners.sort_by(|one, other| one.name.cmp(&other.name));
        Ok(runners)
    }

    async fn runner(&self, name: &RunnerName) -> Result<Option<Seen>, Error> {
        let runner = self.table.runner(name).await.map_err(|error| self.error(error))?;
        Ok(runner.map(|stored| Seen::from(&stored.record)))
    }

    async fn follow(&self, name: &RunnerName) -> Result<Watched, Error> {
        let runner = self.runner(name).await?;
        let of_job = runner.as_ref().and_then(|runner| runner.job.zip(runner.run));
        let again = match of_job {
            None => Again::NotNoted,
            Some((job, run)) => {
                let run = self.table.run(run).await.map_err(|error| self.error(error))?;
                Again::of(run.map(|stored| stored.record).as_ref(), job)
            }
        };
        Ok(Watched { runner, again })
    }
}
