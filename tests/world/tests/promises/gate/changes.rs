//! Changes of limits, and damaged gates.

use std::collections::BTreeMap;
use std::time::Duration;

use dayfly_policy::Policy;
use dayfly_ports::Store as _;
use dayfly_records::{Change, Gate, RepositorySlots, SlotRequest};
use dayfly_types::ids::RunnerName;

use super::{MATRIX, SINGLE};
use crate::stage::{Call, POLICY, Stage};

#[test]
fn lowered_limits_stop_no_runner_and_admit_none_until_room() {
    let stage = Stage::new();
    stage.limit("{stack: {runners: 3}}");
    stage.matrix(11..=13);
    stage.limit("{stack: {runners: 1}}");
    stage.queue_in(SINGLE, 21);
    for left in [2, 1] {
        stage.end_one(MATRIX);
        assert_eq!(stage.running(), BTreeMap::from([(MATRIX.to_owned(), left)]));
    }
    stage.end_one(MATRIX);
    assert_eq!(stage.running(), BTreeMap::from([(SINGLE.to_owned(), 1)]));
}

#[test]
fn new_limits_count_running_jobs() {
    let stage = Stage::new();
    stage.matrix(11..=13);
    stage.limit("{stack: {runners: 3}}");
    stage.queue_in(SINGLE, 21);
    assert_eq!(stage.running(), BTreeMap::from([(MATRIX.to_owned(), 3)]));
    stage.end_one(MATRIX);
    stage.minutes(5);
    assert_eq!(stage.running().get(SINGLE), Some(&1));
    // Removed and set again: those that came meanwhile count too.
    stage.no_limits();
    stage.matrix(31..=34);
    assert_eq!(stage.count(), 7);
    stage.limit("{stack: {runners: 7}}");
    stage.queue_in(SINGLE, 22);
    assert_eq!(stage.count(), 7);
}

#[test]
fn removed_or_raised_limits_release_all_waiting_jobs() {
    for raised in [None, Some("{stack: {runners: 50}}")] {
        let stage = Stage::new();
        stage.limit("{stack: {runners: 1}}");
        stage.matrix(11..=50);
        assert_eq!(stage.count(), 1);
        match raised {
            None => stage.no_limits(),
            Some(limits) => stage.limit(limits),
        }
        stage.minutes(4);
        assert_eq!(stage.count(), 40, "{raised:?}");
        stage.run_all(|_| {});
        assert_eq!(stage.ended(), 40);
        stage.minutes(25);
        assert_eq!(stage.left(), Vec::<String>::new(), "{raised:?}");
    }
}

#[test]
fn slots_and_entries_of_gone_runners_are_removed() {
    let stage = Stage::new();
    stage.limit("{stack: {runners: 2}}");
    let gone = |job: u64| RunnerName::of(stage.job(job).key(), 1);
    let line = RepositorySlots {
        slots: BTreeMap::from([(gone(71), 4), (gone(72), 4)]),
        waiting: BTreeMap::from([(
            gone(73),
            SlotRequest {
                vcpus: 4,
                since: stage.now(),
                called_at: None,
                reported: None,
            },
        )]),
        last_turn_at: None,
    };
    let known = Gate {
        limits: Policy::parse("version: 1\nlimits: {stack: {runners: 2}}\n")
            .unwrap()
            .limits,
        repositories: BTreeMap::from([("octo/lost".parse().unwrap(), line)]),
        due_at: Some(stage.now().after(Duration::from_mins(1))),
    };
    stage
        .world
        .run(stage.world.commit(vec![Change::create(known)]))
        .unwrap();
    stage.queue_in(SINGLE, 11);
    assert_eq!(stage.count(), 0);
    stage.minutes(3);
    assert_eq!(stage.running(), BTreeMap::from([(SINGLE.to_owned(), 1)]));
    stage.run_all(|_| {});
    stage.minutes(25);
    assert_eq!(stage.left(), Vec::<String>::new());
}

#[test]
fn a_lost_gate_is_rebuilt_from_living_runners() {
    let stage = Stage::new();
    stage.limit("{stack: {runners: 2}}");
    stage.matrix(11..=14);
    let known = stage.world.run(stage.world.gate()).unwrap().unwrap();
    let lost = Change::delete(known.version, known.record);
    stage.world.run(stage.world.commit(vec![lost])).unwrap();
    stage.queue_in(SINGLE, 21);
    assert_eq!(stage.running(), BTreeMap::from([(MATRIX.to_owned(), 2)]));
    stage.minutes(35);
    assert_eq!(
        stage
            .gate()
            .repositories
            .values()
            .map(|line| line.waiting.len())
            .sum::<usize>(),
        3
    );
    stage.run_all(|stage| assert!(stage.count() <= 2));
}

#[test]
fn an_unreadable_policy_launches_and_forgets_no_job() {
    let stage = Stage::new();
    stage.limit("{stack: {runners: 1}}");
    stage.queue_in(MATRIX, 11);
    stage.queue_in(SINGLE, 12);
    stage.world.set_parameter(POLICY, "limits: none\n");
    let call = stage.last_moment(MATRIX);
    stage.make(call);
    while let Some(event) = stage.world.next_event() {
        let _ = stage.make_fallible(Call::Launch(event));
    }
    assert_eq!(stage.count(), 0);
    stage.limit("{stack: {runners: 1}}");
    stage.minutes(5);
    assert_eq!(stage.running(), BTreeMap::from([(SINGLE.to_owned(), 1)]));
}
