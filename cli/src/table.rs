//! The stack's table. Nothing is ever written.

use aws_config::SdkConfig;
use dayfly_ports::{Store as _, StoreError};
use dayfly_records::Record;
use dayfly_store::DynamoTable;
use dayfly_types::time::Timestamp;

use crate::error::Error;

/// More live records than these need another tool.
const MOST: usize = 5000;

/// The table in DynamoDB.
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

    /// Every record that somebody has to look at one day: whatever lives.
    pub(crate) async fn live(&self) -> Result<Vec<Record>, Error> {
        let ever = Timestamp::from_millis(i64::MAX);
        let live = self.records.due(ever, MOST).await.map_err(|error| self.error(error))?;
        Ok(live.into_iter().map(|stored| stored.record).collect())
    }

    /// The error, with the table's name.
    pub(crate) fn error(&self, error: StoreError) -> Error {
        Error::table(&self.name, error)
    }
}
