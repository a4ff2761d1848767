//! The stack's table, which the commands only read.

use aws_config::SdkConfig;
use dayfly_ports::{Store as _, StoreError};
use dayfly_records::{Job, Record};
use dayfly_store::DynamoTable;
use dayfly_types::time::Timestamp;

use crate::error::Error;
use crate::job_selector::JobSelector;

/// The most live records that are read.
const MAX_LIVE_RECORDS: usize = 5000;

#[derive(Debug)]
pub(crate) struct Table {
    pub(crate) records: DynamoTable,
    name: String,
}

impl Table {
    pub(crate) fn new(aws: &SdkConfig, name: &str) -> Self {
        Self {
            records: DynamoTable::new(aws, name),
            name: name.to_owned(),
        }
    }

    /// Reads all live records: those that are due at some time.
    pub(crate) async fn live(&self) -> Result<Vec<Record>, Error> {
        let end_of_time = Timestamp::from_millis(i64::MAX);
        let live = self
            .records
            .due(end_of_time, MAX_LIVE_RECORDS)
            .await
            .map_err(|error| self.error(error))?;
        Ok(live.into_iter().map(|stored| stored.record).collect())
    }

    /// # Errors
    /// There is no such job, or the table cannot be read.
    pub(crate) async fn job(&self, selector: JobSelector, stack: &str) -> Result<Job, Error> {
        let jobs = self.records.jobs(selector.job).await;
        let jobs = jobs.map_err(|error| self.error(error))?;
        selector.select(jobs).ok_or_else(|| Error::NoSuchJob {
            job: selector.to_string(),
            stack: stack.to_owned(),
        })
    }

    /// Adds the table's name to an error.
    pub(crate) fn error(&self, error: StoreError) -> Error {
        Error::table(&self.name, error)
    }
}
