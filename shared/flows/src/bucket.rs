//! Calls that several share: each takes one out of a bucket in the table before it makes one.
//!
//! Where few make calls and each is recorded anyway, the two are one transaction:
//! [`bucket_with_one_taken`]. Where very many come at once, as the instances of a burst do to register,
//! all of them would write one item over the same version, and all but one in vain, again and again. They
//! [`acquire`]: the table itself counts, in one conditional write without a read, and hands each a turn of
//! its own, some of them in the future. Whoever has a turn comes back for it and does not draw again, so
//! that a burst of N is N writes and a queue, however many there are.

use std::time::Duration;

use dayfly_ports::{Acquired, Store, StoreError};
use dayfly_records::{Bucket, BucketId, Change, TokenTerms};
use dayfly_types::time::Timestamp;

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
    let taken = bucket.take(TokenTerms::Now { leaving: 0 }, now);
    Ok(taken.map(|taken| Change::put(known.as_ref(), taken)))
}

/// Takes a call out of a bucket. Answers when it may be made, or how long to wait before asking again.
///
/// # Errors
/// If the table does not answer. A call may have been taken all the same; nobody makes it.
pub async fn acquire<S: Store>(
    store: &S,
    id: BucketId,
    terms: TokenTerms,
    now: Timestamp,
) -> Result<Result<Timestamp, Duration>, StoreError> {
    let latest = Bucket::latest(id, terms, now);
    Ok(match store.acquire(id, latest, now).await? {
        Acquired::Taken(bucket) => Ok(bucket.turn(now)),
        Acquired::Short(bucket) => Err(bucket.full_at.since(latest)),
    })
}
