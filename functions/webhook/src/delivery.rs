//! One delivery, one event on the bus, however often GitHub delivers it and whenever we die.

use std::time::Duration;

use dayfly_ports::{Bus, BusError, Store, StoreError};
use dayfly_records::event::Event;
use dayfly_records::{Change, Delivery, Stored, Version};
use dayfly_types::ids::DeliveryId;
use dayfly_types::time::Timestamp;

/// How long a delivery that was taken in and not yet published is left to whoever took it: longer
/// than the function may run.
const TAKE_OVER: Duration = Duration::from_secs(15);

/// What became of a delivery.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Taken {
    /// Its event is on the bus.
    Published,
    /// It was taken in before.
    Double,
}

/// Why a delivery could not be taken in. GitHub records a failure, and delivers it again when asked.
#[derive(Debug)]
pub enum Failed {
    /// The table.
    Store(StoreError),
    /// The bus.
    Bus(BusError),
}

impl std::fmt::Display for Failed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Store(error) => error.fmt(f),
            Self::Bus(error) => error.fmt(f),
        }
    }
}

/// Puts the event of a delivery on the bus, once.
pub async fn hand_on<S: Store, B: Bus>(
    store: &S,
    bus: &B,
    delivery: &DeliveryId,
    event: &Event,
    now: Timestamp,
) -> Result<Taken, Failed> {
    let record = Delivery {
        delivery: delivery.clone(),
        at: now,
        published: false,
    };
    let version = match store.commit(vec![Change::create(record.clone())]).await {
        Ok(()) => Version::FIRST,
        Err(StoreError::Conflict) => match take_over(store, &record).await.map_err(Failed::Store)? {
            Some(version) => version,
            None => return Ok(Taken::Double),
        },
        Err(error) => return Err(Failed::Store(error)),
    };
    if let Err(error) = bus.publish(event).await {
        forget(store, version, record).await;
        return Err(Failed::Bus(error));
    }
    let published = Delivery {
        published: true,
        ..record
    };
    if let Err(error) = store.commit(vec![Change::update(version, published)]).await {
        // The event is on its way; at worst a redelivery puts it there again.
        tracing::warn!(%delivery, %error, "a delivery could not be marked as handed on");
    }
    Ok(Taken::Published)
}

/// Takes over a delivery that somebody took in and then died over. Nothing if it is a double.
async fn take_over<S: Store>(store: &S, record: &Delivery) -> Result<Option<Version>, StoreError> {
    let Some(Stored { record: known, version }) = store.delivery(&record.delivery).await? else {
        // Forgotten in this very moment, because its event could not be published.
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

/// Forgets a delivery whose event did not reach the bus, so that the next one is no double.
async fn forget<S: Store>(store: &S, version: Version, record: Delivery) {
    if let Err(error) = store.commit(vec![Change::delete(version, record)]).await {
        tracing::warn!(%error, "a delivery whose event failed could not be forgotten; it can be redelivered in {TAKE_OVER:?}");
    }
}
