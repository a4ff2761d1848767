//! Chance, drawn from the seed and from what it is for: what one thing draws depends on no other, so
//! that a history of which something is taken away stays much the same.

use std::time::Duration;

use fastrand::Rng;

/// A hash that is the same everywhere (FNV-1a).
#[derive(Clone, Copy, Debug)]
pub struct Hash(pub u64);

impl Hash {
    /// Of nothing yet.
    pub const START: Self = Self(0xcbf2_9ce4_8422_2325);

    /// With these bytes.
    #[must_use]
    pub fn with(self, bytes: &[u8]) -> Self {
        Self(bytes.iter().fold(self.0, |hash, byte| {
            (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3)
        }))
    }
}

/// A die of one thing.
#[derive(Debug)]
pub struct Dice(Rng);

impl Dice {
    /// The die of `subject` in the history of `seed`, for one purpose.
    #[must_use]
    pub fn of(seed: u64, purpose: &str, subject: &str) -> Self {
        let hash = Hash::START
            .with(&seed.to_le_bytes())
            .with(purpose.as_bytes())
            .with(&[0])
            .with(subject.as_bytes());
        // FNV's low bits are weak: one turn of the generator spreads them.
        let mut rng = Rng::with_seed(hash.0 ^ (hash.0 >> 29));
        rng.u64(..);
        Self(rng)
    }

    /// Whether something of this probability happens.
    pub fn happens(&mut self, probability: f64) -> bool {
        probability > 0.0 && self.0.f64() < probability
    }

    /// A number in `from..to`.
    pub fn number(&mut self, from: u64, to: u64) -> u64 {
        if from >= to { from } else { self.0.u64(from..to) }
    }

    /// Milliseconds in `from..to`.
    pub fn millis(&mut self, from: u64, to: u64) -> Duration {
        Duration::from_millis(self.number(from, to))
    }

    /// Seconds in `from..to`, to the millisecond.
    pub fn seconds(&mut self, from: u64, to: u64) -> Duration {
        self.millis(from * 1000, to * 1000)
    }

    /// One of these.
    pub fn one_of<'a, T>(&mut self, of: &'a [T]) -> &'a T {
        &of[self.0.usize(..of.len())]
    }
}
