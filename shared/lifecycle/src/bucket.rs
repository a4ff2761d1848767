//! Calls that several share: each takes one out of a bucket in the table before it makes one.

use std::time::Duration;

use dayfly_core::record::{Bucket, BucketId, Change};
use dayfly_core::time::Timestamp;
use dayfly_ports::{Store, StoreError};

/// A bucket with one call taken out of it, to be written together with what records the call; or how
/// long to wait for one.
///
/// # Errors
/// If the table does not answer.
pub async fn bucket_with_one_taken<S: Store>(
    store: &S,
    id: BucketId,
    now: Timestamp,
) -> Result<Result<Change, Duration>, StoreError> {
    let known = store.bucket(id).await?;
    let bucket = known
        .as_ref()
        .map_or_else(|| Bucket::full(id, now), |stored| stored.record);
    Ok(bucket.take(now).map(|taken| Change::put(known.as_ref(), taken)))
}
