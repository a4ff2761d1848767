//! What the fleets came to, for whoever looks on.

use tokio::sync::broadcast;

use super::fleet::Refusal;
use super::market::{Lifecycle, Pool};

/// An instance that a fleet launched.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Launch {
    /// `i-…`.
    pub instance: String,
    /// Where it is from.
    pub pool: Pool,
    /// Whether it is on spot capacity.
    pub spot: bool,
    /// Dollars an hour, as EC2 writes it.
    pub price: String,
}

/// A fleet that got fewer instances than it asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shortage {
    /// How they were to be bought.
    pub lifecycle: Lifecycle,
    /// How many were asked for.
    pub wanted: u32,
    /// How many came.
    pub got: usize,
    /// How many pools gave nothing more.
    pub pools: usize,
    /// EC2's code for the first of them.
    pub code: String,
    /// EC2's words for the first of them.
    pub message: String,
}

/// Pieces of news that a slow listener may fall behind before it misses some.
const NEWS: usize = 1024;

/// Tells of what the fleets came to. Nobody may be listening.
#[derive(Debug)]
pub(super) struct News {
    launches: broadcast::Sender<Launch>,
    shortages: broadcast::Sender<Shortage>,
}

impl Default for News {
    fn default() -> Self {
        Self {
            launches: broadcast::channel(NEWS).0,
            shortages: broadcast::channel(NEWS).0,
        }
    }
}

impl News {
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
