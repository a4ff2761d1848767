//! Writes a commit atomically, each record only over the version it was decided on.

use std::collections::HashMap;

use aws_sdk_dynamodb::error::SdkError;
use aws_sdk_dynamodb::operation::put_item::PutItemError;
use aws_sdk_dynamodb::operation::transact_write_items::TransactWriteItemsError;
use aws_sdk_dynamodb::types::error::TransactionCanceledException;
use aws_sdk_dynamodb::types::{AttributeValue, Delete, Put, TransactWriteItem};
use dayfly_aws::failure;
use dayfly_ports::StoreError;
use dayfly_records::{Change, Version};
use uuid::Uuid;

use crate::DynamoTable;
use crate::item::{self, Item};

impl DynamoTable {
    /// Writes the changes. The SDK repeats a call whose answer is lost, and the repetition must not conflict
    /// with the first call:
    /// - the condition of a single write also accepts an item written by the same commit,
    /// - a transaction has a token by which DynamoDB recognizes it for ten minutes. A single deletion uses a
    ///   transaction too, because it leaves no item to recognize.
    pub(crate) async fn write(&self, changes: Vec<Change>) -> Result<(), StoreError> {
        let commit = Uuid::new_v4().to_string();
        match changes.as_slice() {
            [] => Ok(()),
            [only] if !only.delete => self.put(only, &commit).await,
            several => self.transact(several, commit).await,
        }
    }

    async fn put(&self, change: &Change, commit: &str) -> Result<(), StoreError> {
        let condition = Condition::new(change, Some(commit));
        self.client
            .put_item()
            .table_name(&self.name)
            .set_item(Some(written(change, commit)?))
            .condition_expression(condition.expression)
            .set_expression_attribute_names(Some(condition.names))
            .set_expression_attribute_values(condition.values)
            .send()
            .await
            .map(drop)
            .map_err(|error| put_error(&error))
    }

    async fn transact(&self, changes: &[Change], commit: String) -> Result<(), StoreError> {
        let writes = changes
            .iter()
            .map(|change| self.transaction_item(change, &commit))
            .collect::<Result<Vec<_>, _>>()?;
        self.client
            .transact_write_items()
            .set_transact_items(Some(writes))
            .client_request_token(commit)
            .send()
            .await
            .map(drop)
            .map_err(|error| transaction_error(&error))
    }

    fn transaction_item(&self, change: &Change, commit: &str) -> Result<TransactWriteItem, StoreError> {
        let condition = Condition::new(change, None);
        let built = if change.delete {
            let id = change.record.id();
            Delete::builder()
                .table_name(&self.name)
                .key(item::PK, AttributeValue::S(id.pk()))
                .key(item::SK, AttributeValue::S(id.sk()))
                .condition_expression(condition.expression)
                .set_expression_attribute_names(Some(condition.names))
                .set_expression_attribute_values(condition.values)
                .build()
                .map(|delete| TransactWriteItem::builder().delete(delete).build())
        } else {
            Put::builder()
                .table_name(&self.name)
                .set_item(Some(written(change, commit)?))
                .condition_expression(condition.expression)
                .set_expression_attribute_names(Some(condition.names))
                .set_expression_attribute_values(condition.values)
                .build()
                .map(|put| TransactWriteItem::builder().put(put).build())
        };
        built.map_err(|error| StoreError::Unreadable(error.to_string()))
    }
}

fn written(change: &Change, commit: &str) -> Result<Item, StoreError> {
    let version = Version(change.expected.map_or(1, |read| read.0.saturating_add(1)));
    item::write(&change.record, version, commit)
}

/// The condition on the existing item.
struct Condition {
    expression: &'static str,
    names: HashMap<String, String>,
    /// `None` instead of an empty map, which DynamoDB refuses.
    values: Option<HashMap<String, AttributeValue>>,
}

impl Condition {
    /// Requires the version that was read, or an item written by the commit `own`.
    fn new(change: &Change, own: Option<&str>) -> Self {
        let (expression, key) = match (change.expected, own) {
            (None, None) => ("attribute_not_exists(#key)", item::PK),
            (None, Some(_)) => ("attribute_not_exists(#key) OR #by = :by", item::PK),
            (Some(_), None) => ("#key = :version", item::VERSION),
            (Some(_), Some(_)) => ("#key = :version OR #by = :by", item::VERSION),
        };
        let mut names = HashMap::from([("#key".to_owned(), key.to_owned())]);
        let mut values = HashMap::new();
        if let Some(version) = change.expected {
            values.insert(":version".to_owned(), AttributeValue::N(version.0.to_string()));
        }
        if let Some(own) = own {
            names.insert("#by".to_owned(), item::WRITTEN_BY.to_owned());
            values.insert(":by".to_owned(), AttributeValue::S(own.to_owned()));
        }
        Self {
            expression,
            names,
            values: (!values.is_empty()).then_some(values),
        }
    }
}

fn put_error(error: &SdkError<PutItemError>) -> StoreError {
    match error.as_service_error() {
        Some(
            PutItemError::ConditionalCheckFailedException(_)
            // A concurrent transaction on the same item may win.
            | PutItemError::TransactionConflictException(_),
        ) => StoreError::Conflict,
        _ => StoreError::Unavailable(failure(error).to_string()),
    }
}

fn transaction_error(error: &SdkError<TransactWriteItemsError>) -> StoreError {
    match error.as_service_error() {
        Some(TransactWriteItemsError::TransactionCanceledException(cancelled)) => cancelled_error(cancelled),
        _ => StoreError::Unavailable(failure(error).to_string()),
    }
}

fn cancelled_error(cancelled: &TransactionCanceledException) -> StoreError {
    let reasons: Vec<_> = cancelled
        .cancellation_reasons()
        .iter()
        .filter_map(|reason| reason.code().map(|code| (code, reason.message().unwrap_or_default())))
        .filter(|(code, _)| *code != "None")
        .collect();
    let conflict = |(code, _): &(&str, &str)| matches!(*code, "ConditionalCheckFailed" | "TransactionConflict");
    if reasons.iter().any(conflict) {
        return StoreError::Conflict;
    }
    let messages: Vec<_> = reasons
        .iter()
        .map(|(code, message)| format!("{code}: {message}"))
        .collect();
    StoreError::Unavailable(format!("the transaction was cancelled: {}", messages.join("; ")))
}
