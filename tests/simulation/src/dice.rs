//! Chance, drawn from the seed and from its purpose: no draw depends on another, so that a history
//! stays much the same when items are removed from it.

use std::time::Duration;

use fastrand::Rng;

/// A hash that is the same everywhere (FNV-1a).
#[derive(Clone, Copy, Debug)]
pub struct Hash(pub u64);

impl Hash {
    /// The hash of nothing.
    pub const START: Self = Self(0xcbf2_9ce4_8422_2325);

    /// Adds bytes.
    #[must_use]
    pub fn with(self, bytes: &[u8]) -> Self {
        Self(bytes.iter().fold(self.0, |hash, byte| {
            (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3)
        }))
    }
}

/// The random numbers of one thing.
#[derive(Debug)]
pub struct Dice(Rng);

impl Dice {
    /// The random numbers of `subject` in the history of `seed`, for one purpose.
    #[must_use]
    pub fn of(seed: u64, purpose: &str, subject: &str) -> Self {
        let hash = Hash::START
            .with(&seed.to_le_bytes())
            .with(purpose.as_bytes())
            .with(&[0])
            .with(subject.as_bytes());
        // FNV's low bits are weak: one step of the generator spreads them.
        let mut rng = Rng::with_seed(hash.0 ^ (hash.0 >> 29));
        rng.u64(..);
        Self(rng)
    }

    /// Returns `true` with this probability.
    pub fn happens(&mut self, probability: f64) -> bool {
        probability > 0.0 && self.0.f64() < probability
    }

    /// Returns a number in `from..to`.
    pub fn number(&mut self, from: u64, to: u64) -> u64 {
        if from >= to { from } else { self.0.u64(from..to) }
    }

    /// Returns milliseconds in `from..to`.
    pub fn millis(&mut self, from: u64, to: u64) -> Duration {
        Duration::from_millis(self.number(from, to))
    }

    /// Returns seconds in `from..to`, to the millisecond.
    pub fn seconds(&mut self, from: u64, to: u64) -> Duration {
        self.millis(from * 1000, to * 1000)
    }

    /// Picks one.
    pub fn one_of<'a, T>(&mut self, of: &'a [T]) -> &'a T {
        &of[self.0.usize(..of.len())]
    }
}
