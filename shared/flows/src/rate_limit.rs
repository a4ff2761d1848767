//! Rate limits that all calls share, as token buckets in the table.
//!
//! Where few calls are made and each is recorded anyway, token and record are one transaction:
//! [`take_token`]. Where very many come at once, as the instances of a burst do to register, all of them
//! would write one item over the same version, and all but one in vain, again and again. They [`acquire`]:
//! the table itself counts, in one conditional write without a read, and gives each caller a turn of its own,
//! some of them in the future. A caller that has a turn comes back for it and does not acquire again, so a
//! burst of N is N writes and a queue.

use std::time::Duration;

use dayfly_ports::{Acquired, Store, StoreError};
use dayfly_records::{Bucket, BucketId, Change, TokenRequest};
use dayfly_types::time::Timestamp;

/// Returns the bucket with one token taken, to be committed together with the record of the call, or how
/// long to wait for a token.
///
/// # Errors
/// The table does not answer.
pub async fn take_token<S: Store>(
    store: &S,
    id: BucketId,
    now: Timestamp,
) -> Result<Result<Change, Duration>, StoreError> {
    let known = store.bucket(id).await?;
    let bucket = known
        .as_ref()
        .map_or_else(|| Bucket::full(id, now), |stored| stored.record);
    let taken = bucket.take(TokenRequest::Now { leaving: 0 }, now);
    Ok(taken.map(|taken| Change::put(known.as_ref(), taken)))
}

/// Takes a token. Returns when the call may be made, or how long to wait before acquiring again.
///
/// # Errors
/// The table does not answer. A token may be taken all the same; it goes unused.
pub async fn acquire<S: Store>(
    store: &S,
    id: BucketId,
    terms: TokenRequest,
    now: Timestamp,
) -> Result<Result<Timestamp, Duration>, StoreError> {
    let latest = Bucket::latest(id, terms, now);
    Ok(match store.acquire(id, latest, now).await? {
        Acquired::Taken(bucket) => Ok(bucket.ready_at(now)),
        Acquired::Short(bucket) => Err(bucket.full_at.since(latest)),
    })
}
