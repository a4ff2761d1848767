//! Liveness by time: how long after the last fault each promise took to hold.

use std::collections::BTreeMap;
use std::time::Duration;

/// For each promise, how long it did not hold in each history in which it did not hold at once: the longest
/// time, without faults that excuse it, that an inspection saw. Inspections are half a minute apart.
#[derive(Clone, Debug, Default)]
pub struct Recoveries(BTreeMap<&'static str, BTreeMap<u64, Duration>>);

/// How long a promise took to hold, over many histories.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recovery {
    pub promise: &'static str,
    /// The histories in which an inspection saw it not hold.
    pub histories: usize,
    pub median: Duration,
    /// All but one of a hundred histories took no longer.
    pub p99: Duration,
    /// The longest ones, with their seeds.
    pub longest: Vec<(u64, Duration)>,
}

/// How many of the longest are kept.
const LONGEST: usize = 10;

impl Recoveries {
    /// A promise has not held for so long in the history of a seed.
    pub fn lasted(&mut self, seed: u64, promise: &'static str, lasted: Duration) {
        if lasted.is_zero() {
            return;
        }
        let of_seed = self.0.entry(promise).or_default().entry(seed).or_default();
        *of_seed = lasted.max(*of_seed);
    }

    pub fn add(&mut self, other: &Self) {
        for (promise, seeds) in &other.0 {
            for (seed, lasted) in seeds {
                self.lasted(*seed, promise, *lasted);
            }
        }
    }

    #[must_use]
    pub fn summary(&self) -> Vec<Recovery> {
        self.0
            .iter()
            .map(|(promise, seeds)| of_promise(promise, seeds))
            .collect()
    }
}

fn of_promise(promise: &'static str, seeds: &BTreeMap<u64, Duration>) -> Recovery {
    let mut all: Vec<(u64, Duration)> = seeds.iter().map(|(seed, lasted)| (*seed, *lasted)).collect();
    all.sort_by_key(|(seed, lasted)| (*lasted, *seed));
    let at = |percent: usize| {
        all.get((all.len() * percent).div_ceil(100).saturating_sub(1))
            .map_or(Duration::ZERO, |one| one.1)
    };
    Recovery {
        promise,
        histories: all.len(),
        median: at(50),
        p99: at(99),
        longest: all.iter().rev().take(LONGEST).copied().collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_history_counts_once_with_its_longest_time() {
        let mut recoveries = Recoveries::default();
        for seed in 1..=200 {
            recoveries.lasted(seed, "it holds", Duration::from_secs(seed));
            recoveries.lasted(seed, "it holds", Duration::from_secs(1));
        }
        recoveries.lasted(201, "it holds", Duration::ZERO);
        let summary = recoveries.summary();
        let seconds = |span: Duration| span.as_secs();
        let found = (
            summary[0].histories,
            seconds(summary[0].median),
            seconds(summary[0].p99),
        );
        assert_eq!(found, (200, 100, 198));
        assert_eq!(summary[0].longest[0], (200, Duration::from_secs(200)));
        assert_eq!(summary[0].longest.len(), LONGEST);
    }
}
