//! Takes a token from a bucket. The table does the counting, so no read is needed before the write.
//!
//! A write that is repeated because its answer was lost takes two tokens, one of them unused.

use aws_sdk_dynamodb::operation::put_item::PutItemError;
use aws_sdk_dynamodb::operation::update_item::UpdateItemError;
use aws_sdk_dynamodb::types::{AttributeValue, ReturnValue};
use dayfly_aws::failure;
use dayfly_ports::{Acquired, Store, StoreError};
use dayfly_records::{Bucket, BucketId, Record, RecordId, Version};
use dayfly_types::time::Timestamp;
use uuid::Uuid;

use crate::DynamoTable;
use crate::item;

/// The attribute of [`Bucket::full_at`].
const FULL_AT: &str = "full_at";

/// How often another writer may change the bucket between two writes, either of which would have succeeded.
const TRIES: usize = 8;

impl DynamoTable {
    pub(crate) async fn acquire_token(
        &self,
        id: BucketId,
        latest: Timestamp,
        now: Timestamp,
    ) -> Result<Acquired, StoreError> {
        for _ in 0..TRIES {
            if let Some(bucket) = self.take_from_full(id, latest, now).await? {
                return Ok(Acquired::Taken(bucket));
            }
            if let Some(bucket) = self.take_from_used(id, latest, now).await? {
                return Ok(Acquired::Taken(bucket));
            }
            let bucket = self.bucket(id).await?.map(|stored| stored.record);
            if let Some(bucket) = bucket.filter(|bucket| bucket.take_by(latest, now).is_none()) {
                return Ok(Acquired::Short(bucket));
            }
        }
        Err(StoreError::Conflict)
    }

    /// Takes a token from a bucket that is missing or has refilled.
    async fn take_from_full(
        &self,
        id: BucketId,
        latest: Timestamp,
        now: Timestamp,
    ) -> Result<Option<Bucket>, StoreError> {
        let Some(bucket) = Bucket::full(id, now).take_by(latest, now) else {
            return Ok(None);
        };
        let written = item::write(&Record::Bucket(bucket), Version::FIRST, &Uuid::new_v4().to_string())?;
        let put = self
            .client
            .put_item()
            .table_name(&self.name)
            .set_item(Some(written))
            .condition_expression("attribute_not_exists(#key) OR #full_at <= :now")
            .expression_attribute_names("#key", item::PK)
            .expression_attribute_names("#full_at", FULL_AT)
            .expression_attribute_values(":now", number(&now.millis()))
            .send()
            .await;
        match put {
            Ok(_) => Ok(Some(bucket)),
            Err(error) => match error.as_service_error() {
                Some(PutItemError::ConditionalCheckFailedException(_)) => Ok(None),
                _ => Err(StoreError::Unavailable(failure(&error).to_string())),
            },
        }
    }

    /// Takes a token from a bucket that is in use.
    async fn take_from_used(
        &self,
        id: BucketId,
        latest: Timestamp,
        now: Timestamp,
    ) -> Result<Option<Bucket>, StoreError> {
        let key = RecordId::Bucket(id);
        let (_, every) = id.limits();
        let taken = self
            .client
            .update_item()
            .table_name(&self.name)
            .key(item::PK, AttributeValue::S(key.pk()))
            .key(item::SK, AttributeValue::S(key.sk()))
            .update_expression("SET #full_at = #full_at + :every, #expires_at = :expires_at")
            .condition_expression("#full_at > :now AND #full_at <= :latest")
            .expression_attribute_names("#full_at", FULL_AT)
            .expression_attribute_names("#expires_at", item::EXPIRES_AT)
            .expression_attribute_values(":every", number(&every.as_millis()))
            .expression_attribute_values(":now", number(&now.millis()))
            .expression_attribute_values(":latest", number(&latest.millis()))
            .expression_attribute_values(":expires_at", number(&expiry(id, latest)))
            .return_values(ReturnValue::AllNew)
            .send()
            .await;
        match taken {
            Ok(answer) => match answer
                .attributes
                .map(item::read)
                .transpose()?
                .map(|stored| stored.record)
            {
                Some(Record::Bucket(bucket)) => Ok(Some(bucket)),
                _ => Err(StoreError::Unreadable(format!("{key}: not a bucket"))),
            },
            Err(error) => match error.as_service_error() {
                Some(UpdateItemError::ConditionalCheckFailedException(_)) => Ok(None),
                _ => Err(StoreError::Unavailable(failure(&error).to_string())),
            },
        }
    }
}

/// Returns when DynamoDB may delete the bucket, which is full by `latest`.
fn expiry(id: BucketId, latest: Timestamp) -> i64 {
    let bucket = Bucket { id, full_at: latest };
    Record::Bucket(bucket).expires_at().map_or(0, Timestamp::seconds)
}

fn number(value: &impl ToString) -> AttributeValue {
    AttributeValue::N(value.to_string())
}
