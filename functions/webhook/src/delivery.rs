//! One event on the bus for each delivery, despite redeliveries and crashes.

use std::time::Duration;

use dayfly_ports::{Bus, BusError, Store, StoreError};
use dayfly_records::event::Event;
use dayfly_records::{Change, Delivery, Stored, Version};
use dayfly_types::ids::DeliveryId;
use dayfly_types::time::Timestamp;

/// How long an unpublished delivery is left to the invocation that recorded it: longer than the function may run.
const TAKE_OVER: Duration = Duration::from_secs(15);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DeliveryOutcome {
    Published,
    /// The delivery was received before.
    Duplicate,
}

/// GitHub records a failed delivery, and delivers it again on request.
#[derive(Debug)]
pub enum DeliveryError {
    Store(StoreError),
    Bus(BusError),
}

impl std::fmt::Display for DeliveryError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Store(error) => error.fmt(f),
            Self::Bus(error) => error.fmt(f),
        }
    }
}

/// Publishes the event of a delivery once.
pub async fn publish_once<S: Store, B: Bus>(
    store: &S,
    bus: &B,
    delivery: &DeliveryId,
    event: &Event,
    now: Timestamp,
) -> Result<DeliveryOutcome, DeliveryError> {
    let record = Delivery {
        delivery: delivery.clone(),
        at: now,
        published: false,
    };
    let version = match store.commit(vec![Change::create(record.clone())]).await {
        Ok(()) => Version::FIRST,
        Err(StoreError::Conflict) => match take_over(store, &record).await.map_err(DeliveryError::Store)? {
            Some(version) => version,
            None => return Ok(DeliveryOutcome::Duplicate),
        },
        Err(error) => return Err(DeliveryError::Store(error)),
    };
    if let Err(error) = bus.publish(event).await {
        forget(store, version, record).await;
        return Err(DeliveryError::Bus(error));
    }
    let published = Delivery {
        published: true,
        ..record
    };
    if let Err(error) = store.commit(vec![Change::update(version, published)]).await {
        // The event is on the bus; at worst a redelivery publishes it again.
        tracing::warn!(%delivery, %error, "a delivery could not be marked as published");
    }
    Ok(DeliveryOutcome::Published)
}

/// Takes over a delivery from an invocation that died before publishing it. Returns `None` for a duplicate.
async fn take_over<S: Store>(store: &S, record: &Delivery) -> Result<Option<Version>, StoreError> {
    let Some(Stored { record: known, version }) = store.delivery(&record.delivery).await? else {
        // It was forgotten just now, because its event could not be published.
        return match store.commit(vec![Change::create(record.clone())]).await {
            Ok(()) => Ok(Some(Version::FIRST)),
            Err(StoreError::Conflict) => Ok(None),
            Err(error) => Err(error),
        };
    };
    if known.published || record.at.since(known.at) < TAKE_OVER {
        return Ok(None);
    }
    match store.commit(vec![Change::update(version, record.clone())]).await {
        Ok(()) => Ok(Some(version.next())),
        Err(StoreError::Conflict) => Ok(None),
        Err(error) => Err(error),
    }
}

/// Forgets a delivery whose event did not reach the bus, so that the next one is no duplicate.
async fn forget<S: Store>(store: &S, version: Version, record: Delivery) {
    if let Err(error) = store.commit(vec![Change::delete(version, record)]).await {
        tracing::warn!(%error, "a delivery whose event failed could not be forgotten; it can be redelivered in {TAKE_OVER:?}");
    }
}
