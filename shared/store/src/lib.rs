//! The DynamoDB table that holds all state.
//!
//! A record is one item, with its fields as attributes, so that the table is readable without a tool. Each
//! item also has its keys, its version, and the attributes of the `due` index and the time-to-live; see
//! [`item`].
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used))]

mod acquire;
mod commit;
pub mod item;

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::operation::RequestId;
use aws_sdk_dynamodb::operation::query::builders::QueryFluentBuilder;
use aws_sdk_dynamodb::types::{AttributeValue, Select};
use dayfly_aws::{SdkConfig, failure};
use dayfly_ports::{Acquired, Store, StoreError};
use dayfly_records::{
    BucketId, Change, CheckRun, Cost, Job, Ledger, QueuedRunner, Record, RecordId, Stored, WrongKind,
};
use dayfly_types::ids::{JobId, QueueId, RunKey};
use dayfly_types::month::Month;
use dayfly_types::time::Timestamp;

use item::Item;

/// The index of records by when they are due.
const DUE_INDEX: &str = "due";

#[derive(Clone, Debug)]
pub struct DynamoTable {
    client: Client,
    name: String,
}

impl DynamoTable {
    /// Nothing is sent yet.
    #[must_use]
    pub fn new(config: &SdkConfig, name: impl Into<String>) -> Self {
        Self {
            client: Client::new(config),
            name: name.into(),
        }
    }

    /// Returns a job in all known attempts of its run, the earliest first.
    ///
    /// # Errors
    /// If the table cannot be read.
    pub async fn jobs(&self, job: JobId) -> Result<Vec<Job>, StoreError> {
        let found: Vec<Stored<Job>> = self.partition(RecordId::jobs_of(job)).await?;
        let mut jobs: Vec<Job> = found.into_iter().map(|stored| stored.record).collect();
        // The sort key is text, in which attempt 10 precedes attempt 2.
        jobs.sort_by_key(|job| job.key);
        Ok(jobs)
    }

    /// Returns the records of a partition, all of one kind.
    async fn partition<R: TryFrom<Record, Error = WrongKind>>(&self, pk: String) -> Result<Vec<Stored<R>>, StoreError> {
        records(self.partition_query(pk), usize::MAX).await
    }

    fn partition_query(&self, pk: String) -> QueryFluentBuilder {
        self.client
            .query()
            .table_name(&self.name)
            .key_condition_expression("#pk = :pk")
            .expression_attribute_names("#pk", item::PK)
            .expression_attribute_values(":pk", AttributeValue::S(pk))
            .consistent_read(true)
    }

    fn due_query(&self, until: Option<Timestamp>) -> QueryFluentBuilder {
        let query = self
            .client
            .query()
            .table_name(&self.name)
            .index_name(DUE_INDEX)
            .expression_attribute_names("#due", item::DUE)
            .expression_attribute_values(":due", AttributeValue::S(item::DUE_VALUE.to_owned()));
        match until {
            None => query.key_condition_expression("#due = :due"),
            Some(until) => query
                .key_condition_expression("#due = :due AND #at <= :now")
                .expression_attribute_names("#at", item::DUE_AT)
                .expression_attribute_values(":now", AttributeValue::N(until.millis().to_string())),
        }
    }
}

impl Store for DynamoTable {
    async fn load(&self, id: &RecordId) -> Result<Option<Stored<Record>>, StoreError> {
        let answer = self
            .client
            .get_item()
            .table_name(&self.name)
            .key(item::PK, AttributeValue::S(id.pk()))
            .key(item::SK, AttributeValue::S(id.sk()))
            .consistent_read(true)
            .send()
            .await
            .map_err(|error| StoreError::Unavailable(failure(&error).to_string()))?;
        answer.item.map(item::read).transpose()
    }

    async fn commit(&self, changes: Vec<Change>) -> Result<(), StoreError> {
        self.write(changes).await
    }

    async fn due(&self, now: Timestamp, limit: usize) -> Result<Vec<Stored<Record>>, StoreError> {
        let mut found = Vec::new();
        let mut next: Option<Item> = None;
        loop {
            let wanted = limit.saturating_sub(found.len());
            if wanted == 0 {
                return Ok(found);
            }
            let page = self
                .due_query(Some(now))
                .limit(i32::try_from(wanted).unwrap_or(i32::MAX))
                .set_exclusive_start_key(next.take())
                .send()
                .await
                .map_err(|error| StoreError::Unavailable(failure(&error).to_string()))?;
            found.extend(page.items.unwrap_or_default().into_iter().filter_map(readable));
            next = page.last_evaluated_key;
            if next.is_none() {
                return Ok(found);
            }
        }
    }

    async fn waiting(&self, queue: &QueueId) -> Result<Vec<Stored<QueuedRunner>>, StoreError> {
        self.partition(RecordId::waiting_in(queue)).await
    }

    async fn check_runs(&self, run: RunKey, limit: usize) -> Result<Vec<Stored<CheckRun>>, StoreError> {
        let of_attempt = self
            .client
            .query()
            .table_name(&self.name)
            .key_condition_expression("#pk = :pk AND begins_with(#sk, :sk)")
            .expression_attribute_names("#pk", item::PK)
            .expression_attribute_names("#sk", item::SK)
            .expression_attribute_values(":pk", AttributeValue::S(RecordId::check_runs_of(run.run)))
            .expression_attribute_values(":sk", AttributeValue::S(RecordId::check_runs_in(run.attempt)))
            .consistent_read(true)
            .limit(i32::try_from(limit).unwrap_or(i32::MAX));
        records(of_attempt, limit).await
    }

    async fn ledgers(&self, month: Month) -> Result<Vec<Stored<Ledger>>, StoreError> {
        self.partition(RecordId::ledgers_of(month)).await
    }

    async fn costs(&self, month: Month) -> Result<Vec<Cost>, StoreError> {
        let found: Vec<Stored<Cost>> = self.partition(RecordId::costs_of(month)).await?;
        Ok(found.into_iter().map(|stored| stored.record).collect())
    }

    async fn latest_costs(&self, month: Month, limit: usize) -> Result<Vec<Cost>, StoreError> {
        let pages = self
            .partition_query(RecordId::costs_of(month))
            .scan_index_forward(false)
            .limit(i32::try_from(limit).unwrap_or(i32::MAX));
        let found: Vec<Stored<Cost>> = records(pages, limit).await?;
        Ok(found.into_iter().map(|stored| stored.record).collect())
    }

    async fn acquire(&self, bucket: BucketId, latest: Timestamp, now: Timestamp) -> Result<Acquired, StoreError> {
        self.acquire_token(bucket, latest, now).await
    }

    async fn has_live_records(&self) -> Result<bool, StoreError> {
        let answer = self
            .due_query(None)
            .select(Select::Count)
            .limit(1)
            .send()
            .await
            .map_err(|error| StoreError::Unavailable(failure(&error).to_string()))?;
        tracing::debug!(
            request = answer.request_id(),
            count = answer.count,
            "checked for live records"
        );
        Ok(answer.count > 0)
    }
}

/// Returns up to `limit` records of a query, all of one kind.
async fn records<R: TryFrom<Record, Error = WrongKind>>(
    query: QueryFluentBuilder,
    limit: usize,
) -> Result<Vec<Stored<R>>, StoreError> {
    let mut items = query.into_paginator().items().send();
    let mut found = Vec::new();
    while found.len() < limit
        && let Some(item) = items.next().await
    {
        let item = item.map_err(|error| StoreError::Unavailable(failure(&error).to_string()))?;
        let Stored { record, version } = item::read(item)?;
        found.push(Stored {
            record: R::try_from(record)?,
            version,
        });
    }
    Ok(found)
}

/// Reads an item. One that cannot be read is logged and skipped: it would otherwise block everything due
/// after it, in every sweep.
fn readable(item: Item) -> Option<Stored<Record>> {
    let key = item::key_of(&item);
    match item::read(item) {
        Ok(stored) => Some(stored),
        Err(error) => {
            tracing::error!(key, %error, "cannot read a due record: repair or delete the item");
            None
        }
    }
}
