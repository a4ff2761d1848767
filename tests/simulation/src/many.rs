//! Many seeds, on all cores.

use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::Instant;

use crate::plan::Plan;
use crate::{Broken, Guard, Outcome, Tally, run};

/// The results of many histories.
pub struct Many {
    pub tally: Tally,
    /// The broken promises, by seed.
    pub broken: Vec<(u64, Broken)>,
    /// A hash of all histories, whatever their order.
    pub hash: u64,
}

/// When to stop before the last seed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stop {
    Never,
    /// At the first broken promise.
    Broken,
    /// With the histories that run at this time.
    At(Instant),
}

impl Stop {
    fn is_due(self, has_broken: bool) -> bool {
        match self {
            Self::Never => false,
            Self::Broken => has_broken,
            Self::At(time) => Instant::now() >= time,
        }
    }
}

/// Runs the seeds `from..from + count`, or as many of them as there are before `stop`. Calls `progress` with
/// the number done.
///
/// # Panics
/// If a history panics.
#[must_use]
pub fn run_many(from: u64, count: u64, without: &[Guard], stop: Stop, progress: impl Fn(u64) + Sync) -> Many {
    let next = AtomicU64::new(from);
    let many = Mutex::new(Many {
        tally: Tally::default(),
        broken: Vec::new(),
        hash: 0,
    });
    let worker = || {
        loop {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            if seed >= from + count {
                return;
            }
            let Outcome {
                broken, tally, hash, ..
            } = run(Plan::draw(seed), without, false);
            let Ok(mut many) = many.lock() else { return };
            many.tally.add(&tally);
            many.hash ^= hash.rotate_left((seed % 64) as u32);
            many.broken.extend(broken.map(|broken| (seed, broken)));
            if stop.is_due(!many.broken.is_empty()) {
                next.store(from + count, Ordering::Relaxed);
            }
            progress(many.tally.histories);
        }
    };
    thread::scope(|scope| {
        for _ in 0..thread::available_parallelism().map_or(1, usize::from) {
            scope.spawn(worker);
        }
    });
    let mut many = many.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner);
    many.broken.sort_by_key(|(seed, _)| *seed);
    many
}

/// Returns the first seed that breaks a promise without a guard. If a second guard has the same effect,
/// it is disabled too, and the seed must break nothing without the second alone.
#[must_use]
pub fn first_broken(guard: Guard, from: u64, count: u64) -> Option<(u64, Broken)> {
    let Some(second) = guard.second() else {
        let many = run_many(from, count, &[guard], Stop::Broken, |_| {});
        return many.broken.into_iter().next();
    };
    let alone = |seed: u64| run(Plan::draw(seed), &[second], false).broken;
    (from..from + count).find_map(|seed| {
        let broken = run(Plan::draw(seed), &[guard, second], false).broken?;
        alone(seed).is_none().then_some((seed, broken))
    })
}
