//! Converts records to items and back.

use std::collections::HashMap;

use aws_sdk_dynamodb::types::AttributeValue;
use dayfly_ports::StoreError;
use dayfly_records::{
    Bucket, CachedConfig, CheckRun, Cost, Delivery, FleetCall, Gate, Instance, Job, LaunchQueue, Ledger, Patrol,
    PoolMemory, Prices, PullReport, QueuedRunner, Record, Run, Runner, Stored, Version, VolumePrices, Wake, Watched,
};
use serde::Serialize;
use serde::de::DeserializeOwned;

pub type Item = HashMap<String, AttributeValue>;

/// The partition key: the record's kind and id.
pub const PK: &str = "pk";
pub const SK: &str = "sk";
/// The number of times the item has been written.
pub const VERSION: &str = "version";
/// The partition key of the due index; only items with a due time have it.
pub const DUE: &str = "due";
/// The only value of [`DUE`].
pub const DUE_VALUE: &str = "due";
/// The sort key of the due index: milliseconds since the epoch.
pub const DUE_AT: &str = "due_at";
/// When DynamoDB may delete the item: seconds since the epoch.
pub const EXPIRES_AT: &str = "expires_at";
/// The commit that last wrote the item, by which a repeated commit recognizes its own write.
pub const WRITTEN_BY: &str = "written_by";

/// Returns the item of a record, as `commit` writes it at `version`.
///
/// # Errors
/// If the record cannot be serialized, which no value of these types causes.
pub fn write(record: &Record, version: Version, commit: &str) -> Result<Item, StoreError> {
    let mut item = match record {
        Record::Delivery(delivery) => attributes(delivery),
        Record::Job(job) => attributes(job),
        Record::Runner(runner) => attributes(runner),
        Record::Instance(instance) => attributes(instance),
        Record::Run(run) => attributes(run),
        Record::Config(config) => attributes(config),
        Record::Wake(wake) => attributes(wake),
        Record::Watched(watched) => attributes(watched),
        Record::CheckRun(check_run) => attributes(check_run),
        Record::Pull(report) => attributes(report),
        Record::FleetCall(call) => attributes(call),
        Record::Queue(queue) => attributes(queue),
        Record::QueuedRunner(waiting) => attributes(waiting),
        Record::Pools(pools) => attributes(pools),
        Record::Bucket(bucket) => attributes(bucket),
        Record::Patrol(patrol) => attributes(patrol),
        Record::Gate(gate) => attributes(gate),
        Record::Ledger(ledger) => attributes(ledger),
        Record::Cost(cost) => attributes(cost),
        Record::Prices(prices) => attributes(prices),
        Record::Volumes(volumes) => attributes(volumes),
    }?;
    // An index refuses NULL as a key, and a missing attribute means the same.
    item.retain(|_, value| !value.is_null());
    let id = record.id();
    item.insert(PK.to_owned(), AttributeValue::S(id.pk()));
    item.insert(SK.to_owned(), AttributeValue::S(id.sk()));
    item.insert(VERSION.to_owned(), AttributeValue::N(version.0.to_string()));
    item.insert(WRITTEN_BY.to_owned(), AttributeValue::S(commit.to_owned()));
    if let Some(at) = record.due_at() {
        item.insert(DUE.to_owned(), AttributeValue::S(DUE_VALUE.to_owned()));
        item.insert(DUE_AT.to_owned(), AttributeValue::N(at.millis().to_string()));
    }
    if let Some(at) = record.expires_at() {
        item.insert(EXPIRES_AT.to_owned(), AttributeValue::N(at.seconds().to_string()));
    }
    Ok(item)
}

/// Returns the record of an item.
///
/// # Errors
/// If the kind in its key is unknown, if its attributes are not of that kind, or if they belong at another
/// key.
pub fn read(item: Item) -> Result<Stored<Record>, StoreError> {
    let key = key_of(&item);
    let unreadable = |what: &str| StoreError::Unreadable(format!("{key}: {what}"));
    let version = match item.get(VERSION) {
        Some(AttributeValue::N(number)) => number.parse().map_err(|_| unreadable(&format!("version `{number}`")))?,
        _ => return Err(unreadable("no version")),
    };
    let kind = key.split(['#', ' ']).next().unwrap_or_default();
    let record = match kind {
        "DELIVERY" => record::<Delivery>(item),
        "JOB" => record::<Job>(item),
        "FLEET" => record::<FleetCall>(item),
        "QUEUE" => record::<LaunchQueue>(item),
        "WAITING" => record::<QueuedRunner>(item),
        "POOLS" => record::<PoolMemory>(item),
        "BUCKET" => record::<Bucket>(item),
        "CHECK_RUN" => record::<CheckRun>(item),
        "PULL" => record::<PullReport>(item),
        "RUNNER" => record::<Runner>(item),
        "INSTANCE" => record::<Instance>(item),
        "RUN" => record::<Run>(item),
        "CONFIG" => record::<CachedConfig>(item),
        "WAKE" => record::<Wake>(item),
        "WATCHED" => record::<Watched>(item),
        "PATROL" => record::<Patrol>(item),
        "GATE" => record::<Gate>(item),
        "LEDGER" => record::<Ledger>(item),
        "COST" => record::<Cost>(item),
        "PRICES" => record::<Prices>(item),
        "VOLUMES" => record::<VolumePrices>(item),
        _ => return Err(unreadable("unknown kind of record")),
    }
    .map_err(|error| unreadable(&error.to_string()))?;
    if record.id().to_string() != key {
        return Err(unreadable(&format!("holds what belongs at {}", record.id())));
    }
    Ok(Stored {
        record,
        version: Version(version),
    })
}

/// Formats an item's key for logs and errors.
#[must_use]
pub fn key_of(item: &Item) -> String {
    let part = |name| match item.get(name) {
        Some(AttributeValue::S(text)) => text.as_str(),
        _ => "?",
    };
    format!("{} {}", part(PK), part(SK))
}

fn attributes(record: &impl Serialize) -> Result<Item, StoreError> {
    serde_dynamo::to_item(record).map_err(|error| StoreError::Unreadable(error.to_string()))
}

fn record<R: DeserializeOwned + Into<Record>>(item: Item) -> Result<Record, serde_dynamo::Error> {
    serde_dynamo::from_item::<_, R>(item).map(Into::into)
}

#[cfg(test)]
mod tests;
