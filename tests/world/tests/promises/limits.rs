//! GitHub's rate limits: a burst becomes a queue, never a storm.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use dayfly_types::ids::InstanceId;
use dayfly_types::time::Timestamp;

use crate::stage::{Answer, Stage};

/// The most jobs of a matrix.
pub(crate) const MATRIX: u64 = 256;

/// Returns how many of these moments lie within the busiest span of this length.
pub(crate) fn most_within(moments: &[Timestamp], span: Duration) -> usize {
    let within = |from: &Timestamp| {
        moments
            .iter()
            .filter(|at| *at >= from && at.since(*from) < span)
            .count()
    };
    moments.iter().map(within).max().unwrap_or(0)
}

#[test]
fn a_burst_of_claims_is_registered_in_turn() {
    let stage = Stage::new();
    for job in 1..=MATRIX {
        stage.queue(job);
    }
    stage.wait(Duration::from_secs(30));
    let begun = stage.now();
    let mut asks: BTreeMap<Timestamp, Vec<InstanceId>> = BTreeMap::from([(begun, stage.instances())]);
    let (mut registered, mut asked) = (Vec::new(), 0);
    while let Some((at, instances)) = asks.pop_first() {
        stage.wait(at.since(stage.now()));
        for instance in instances {
            asked += 1;
            match stage.claim(&instance) {
                Answer::Http(200, _) => registered.push(stage.now()),
                Answer::Http(409, body) => {
                    let seconds = body["retry_after_seconds"]
                        .as_u64()
                        .expect("the answer says when to come back");
                    let back = stage.now().after(Duration::from_secs(seconds));
                    asks.entry(back).or_default().push(instance);
                }
                other => panic!("{other:?}"),
            }
        }
    }
    assert_eq!(registered.len(), 256);
    assert!(
        most_within(&registered, Duration::from_mins(1)) <= 180,
        "900 points a minute, 5 each"
    );
    assert!(
        stage.now().since(begun) < Duration::from_secs(100),
        "{:?}",
        stage.now().since(begun)
    );
    assert_eq!(asked, 20 + 2 * 236);
    // Each acquires once, and no conflict occurs.
    assert_eq!(stage.world.calls("draw"), 256);
    let names: BTreeSet<String> = stage.world.hub().runners.values().map(|one| one.name.clone()).collect();
    assert_eq!(names.len(), 256);
}

#[test]
fn a_claim_that_misses_its_turn_gets_another() {
    let stage = Stage::new();
    for job in 1..=MATRIX {
        stage.queue(job);
    }
    let instances = stage.instances();
    for instance in &instances {
        stage.claim(instance);
    }
    // Long after its turn, and longer than a boot may take after the launch.
    stage.minutes(11);
    let last = instances.last().unwrap();
    assert!(stage.instances().contains(last), "it is waited for, from its turn on");
    assert!(matches!(stage.claim(last), Answer::Http(200, _)));
    // One more for reporting the costs.
    assert_eq!(stage.world.calls("draw"), 258);
}
