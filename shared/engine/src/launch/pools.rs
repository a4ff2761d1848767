//! Which capacity pools a call asks for, after their recent failures and interruptions.

use std::time::Duration;

use dayfly_config::Breaker;
use dayfly_records::{PoolFailure, PoolInterruption, PoolMemory};
use dayfly_types::capacity::{FleetError, FleetErrorKind, InstanceLifecycle, Placement, Pool};
use dayfly_types::ids::Repository;
use dayfly_types::time::Timestamp;

/// How long a failure or an interruption counts against its pool, less and less.
pub const REMEMBERED: Duration = Duration::from_hours(1);

/// How long interruptions are kept for the breakers, which may stay open for hours.
const KEPT: Duration = Duration::from_hours(7);

/// The failures and the interruptions that are kept: the record must stay small.
const MAX_KEPT: usize = 200;

/// A pool that weighs less counts as good. A failure weighs 1,000 at first, an interruption 2,000.
const GOOD: u64 = 500;

/// Returns the pools to ask for: those with little recent trouble, and at least half of all, so that no
/// pool is barred for good. If all have had trouble, all are asked for.
#[must_use]
pub fn prefer(
    all: Vec<Placement>,
    lifecycle: InstanceLifecycle,
    memory: &PoolMemory,
    now: Timestamp,
) -> Vec<Placement> {
    let mut weighed: Vec<(u64, Placement)> = all
        .into_iter()
        .map(|one| (weight(&one.pool, lifecycle, memory, now), one))
        .collect();
    let good = weighed.iter().filter(|(weight, _)| *weight < GOOD).count();
    if good > 0 {
        weighed.sort_by_key(|(weight, _)| *weight);
        let half = weighed.len().div_ceil(2);
        weighed.truncate(good.max(half));
    }
    weighed.into_iter().map(|(_, one)| one).collect()
}

fn weight(pool: &Pool, lifecycle: InstanceLifecycle, memory: &PoolMemory, now: Timestamp) -> u64 {
    let failures = memory
        .failures
        .iter()
        .filter(|one| one.pool == *pool && one.lifecycle == lifecycle)
        .map(|one| faded(1000, one.at, now));
    let interruptions = memory
        .interruptions
        .iter()
        .filter(|one| one.pool == *pool && lifecycle == InstanceLifecycle::Spot)
        .map(|one| faded(2000, one.at, now));
    failures.chain(interruptions).sum()
}

fn faded(weight: u64, at: Timestamp, now: Timestamp) -> u64 {
    let left = REMEMBERED.saturating_sub(now.since(at));
    weight * left.as_secs() / REMEMBERED.as_secs()
}

/// Returns the memory with the failures of a call, or `None` if none is about a pool.
#[must_use]
pub fn with_failures(
    memory: &PoolMemory,
    lifecycle: InstanceLifecycle,
    errors: &[FleetError],
    now: Timestamp,
) -> Option<PoolMemory> {
    let of_pools: Vec<PoolFailure> = errors
        .iter()
        .filter(|error| matches!(error.kind, FleetErrorKind::Capacity | FleetErrorKind::Price))
        .filter_map(|error| error.pool.clone())
        .map(|pool| PoolFailure {
            pool,
            lifecycle,
            at: now,
        })
        .collect();
    if of_pools.is_empty() {
        return None;
    }
    let mut next = fresh(memory, now);
    next.failures.extend(of_pools);
    let over = next.failures.len().saturating_sub(MAX_KEPT);
    next.failures.drain(..over);
    Some(next)
}

/// Returns the memory with another interruption, or `None` if it has that already.
#[must_use]
pub fn with_interruption(memory: &PoolMemory, interruption: PoolInterruption, now: Timestamp) -> Option<PoolMemory> {
    if memory
        .interruptions
        .iter()
        .any(|known| known.instance == interruption.instance)
    {
        return None;
    }
    let mut next = fresh(memory, now);
    next.interruptions.push(interruption);
    let over = next.interruptions.len().saturating_sub(MAX_KEPT);
    next.interruptions.drain(..over);
    Some(next)
}

fn fresh(memory: &PoolMemory, now: Timestamp) -> PoolMemory {
    let mut next = memory.clone();
    next.failures.retain(|one| now.since(one.at) < REMEMBERED);
    next.interruptions.retain(|one| now.since(one.at) < KEPT);
    next
}

/// Whether an entry of a repository's configuration stays off spot capacity for now, because it was
/// interrupted too often.
#[must_use]
pub fn breaker_is_open(
    breaker: Breaker,
    memory: &PoolMemory,
    repository: &Repository,
    entry: &str,
    now: Timestamp,
) -> bool {
    let mut at: Vec<Timestamp> = memory
        .interruptions
        .iter()
        .filter(|one| one.repository == *repository && one.entry == entry)
        .map(|one| one.at)
        .collect();
    at.sort();
    let count = breaker.interruptions.max(1) as usize;
    at.windows(count).any(|window| {
        let (Some(first), Some(last)) = (window.first(), window.last()) else {
            return false;
        };
        last.since(*first) <= breaker.within && now.since(*last) < breaker.on_demand_for
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use dayfly_types::ids::{InstanceId, InstanceType, SubnetId, Zone};

    fn now() -> Timestamp {
        Timestamp::from_seconds(1_800_000_000)
    }

    fn ago(minutes: i64) -> Timestamp {
        Timestamp::from_seconds(1_800_000_000 - minutes * 60)
    }

    fn pool(zone: &str) -> Pool {
        Pool {
            instance_type: InstanceType::new("g5.xlarge"),
            zone: Zone::new(zone),
        }
    }

    fn all() -> Vec<Placement> {
        ["a", "b", "c", "d"]
            .map(|zone| Placement {
                pool: pool(zone),
                subnet: SubnetId::new(format!("subnet-{zone}")),
            })
            .to_vec()
    }

    fn failure(zone: &str, minutes: i64) -> PoolFailure {
        PoolFailure {
            pool: pool(zone),
            lifecycle: InstanceLifecycle::Spot,
            at: ago(minutes),
        }
    }

    fn interruption(zone: &str, minutes: i64) -> PoolInterruption {
        PoolInterruption {
            instance: InstanceId::new(format!("i-{zone}{minutes}")),
            pool: pool(zone),
            repository: "octo/gpu".parse().unwrap(),
            entry: "gpu".to_owned(),
            at: ago(minutes),
        }
    }

    fn asked(memory: &PoolMemory, lifecycle: InstanceLifecycle) -> String {
        let mut zones: Vec<String> = prefer(all(), lifecycle, memory, now())
            .iter()
            .map(|one| one.pool.zone.as_str().to_owned())
            .collect();
        zones.sort();
        zones.concat()
    }

    #[test]
    fn trouble_counts_against_a_pool_and_fades_and_never_bars_it() {
        let spot = InstanceLifecycle::Spot;
        for (failures, interruptions, expected) in [
            (vec![], vec![], "abcd"),
            (vec![failure("a", 1)], vec![], "bcd"),
            (vec![failure("a", 31)], vec![], "abcd"),
            (vec![failure("a", 31), failure("a", 35)], vec![], "bcd"),
            (vec![], vec![interruption("b", 40)], "acd"),
            (vec![], vec![interruption("b", 50)], "abcd"),
            // Half of all at least, those with the least trouble first.
            (vec![failure("a", 1), failure("b", 20), failure("c", 2)], vec![], "bd"),
            // No pool is good: any of them may have recovered.
            (
                ["a", "b", "c", "d"].map(|zone| failure(zone, 1)).to_vec(),
                vec![],
                "abcd",
            ),
        ] {
            let memory = PoolMemory {
                failures,
                interruptions,
            };
            assert_eq!(asked(&memory, spot), expected, "{memory:?}");
        }
    }

    #[test]
    fn spot_failures_do_not_count_against_on_demand() {
        let memory = PoolMemory {
            failures: vec![failure("a", 1)],
            interruptions: vec![interruption("b", 1)],
        };
        assert_eq!(asked(&memory, InstanceLifecycle::OnDemand), "abcd");
    }

    #[test]
    fn only_errors_of_the_pool_itself_count_against_it() {
        let error = |kind, zone: Option<&str>| FleetError {
            kind,
            code: "X".to_owned(),
            message: String::new(),
            pool: zone.map(pool),
        };
        let errors = [
            error(FleetErrorKind::Capacity, Some("a")),
            error(FleetErrorKind::Capacity, None),
            error(FleetErrorKind::Quota, Some("b")),
        ];
        let known = PoolMemory {
            failures: vec![failure("c", 61)],
            interruptions: vec![],
        };
        let next = with_failures(&known, InstanceLifecycle::Spot, &errors, now()).unwrap();
        assert_eq!(next.failures, [failure("a", 0)]);
        assert_eq!(
            with_failures(&known, InstanceLifecycle::Spot, &errors[1..], now()),
            None
        );
    }

    #[test]
    fn interruption_is_counted_once() {
        let once = with_interruption(&PoolMemory::default(), interruption("a", 0), now()).unwrap();
        assert_eq!(with_interruption(&once, interruption("a", 0), now()), None);
        assert!(with_interruption(&once, interruption("b", 0), now()).is_some());
    }

    #[test]
    fn breaker_opens_after_its_count_and_closes_again() {
        let breaker = Breaker {
            interruptions: 3,
            within: Duration::from_mins(30),
            on_demand_for: Duration::from_hours(2),
        };
        let repository = "octo/gpu".parse().unwrap();
        for (minutes, open) in [
            (vec![5, 10], false),
            (vec![5, 10, 20], true),
            (vec![5, 10, 36], false),
            (vec![100, 110, 119], true),
            (vec![121, 125, 130], false),
        ] {
            let memory = PoolMemory {
                failures: vec![],
                interruptions: minutes.iter().map(|one| interruption("a", *one)).collect(),
            };
            let is_open = |entry| breaker_is_open(breaker, &memory, &repository, entry, now());
            assert_eq!(is_open("gpu"), open, "{minutes:?}");
            assert!(!is_open("other"));
        }
    }
}
