//! Events about the fleets' results.

use tokio::sync::broadcast;

use super::fleet::Refusal;
use super::market::{Lifecycle, Pool};

/// An instance that a fleet launched.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Launch {
    /// `i-…`.
    pub instance: String,
    pub pool: Pool,
    pub spot: bool,
    /// Dollars per hour, as EC2 writes it.
    pub price: String,
}

/// A fleet that got fewer instances than requested.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shortage {
    pub lifecycle: Lifecycle,
    pub wanted: u32,
    pub got: usize,
    /// How many pools were exhausted.
    pub pools: usize,
    /// EC2's code for the first of them.
    pub code: String,
    /// EC2's message for the first of them.
    pub message: String,
}

/// How many events a slow listener may lag behind before it misses some.
const BACKLOG: usize = 1024;

/// Publishes the fleets' results, possibly without listeners.
#[derive(Debug)]
pub(super) struct FleetEvents {
    launches: broadcast::Sender<Launch>,
    shortages: broadcast::Sender<Shortage>,
}

impl Default for FleetEvents {
    fn default() -> Self {
        Self {
            launches: broadcast::channel(BACKLOG).0,
            shortages: broadcast::channel(BACKLOG).0,
        }
    }
}

impl FleetEvents {
    pub(super) fn launches(&self) -> broadcast::Receiver<Launch> {
        self.launches.subscribe()
    }

    pub(super) fn shortages(&self) -> broadcast::Receiver<Shortage> {
        self.shortages.subscribe()
    }

    pub(super) fn launched(&self, instances: &[String], pool: &Pool, lifecycle: Lifecycle, price: &str) {
        for instance in instances {
            drop(self.launches.send(Launch {
                instance: instance.clone(),
                pool: pool.clone(),
                spot: lifecycle == Lifecycle::Spot,
                price: price.to_owned(),
            }));
        }
    }

    pub(super) fn shortage(&self, lifecycle: Lifecycle, wanted: u32, got: usize, errors: &[Refusal]) {
        if let Some((_, code, message)) = errors.first()
            && u32::try_from(got).is_ok_and(|got| got < wanted)
        {
            drop(self.shortages.send(Shortage {
                lifecycle,
                wanted,
                got,
                pools: errors.len(),
                code: code.clone(),
                message: message.clone(),
            }));
        }
    }
}
