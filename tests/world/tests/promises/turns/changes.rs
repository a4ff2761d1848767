//! Limits that change, and a gate that is not as it should be.

use std::collections::BTreeMap;
use std::time::Duration;

use dayfly_policy::Policy;
use dayfly_ports::Store as _;
use dayfly_records::{Change, Gate, Line, Waiter};
use dayfly_types::ids::RunnerName;

use super::{MATRIX, SINGLE};
use crate::stage::{Call, POLICY, Stage};

#[test]
fn limits_that_are_lowered_let_those_run_on_who_run_and_nobody_in_until_there_is_room() {
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
fn limits_that_are_set_count_those_who_run_already() {
    let stage = Stage::new();
    stage.matrix(11..=13);
    stage.limit("{stack: {runners: 3}}");
    stage.queue_in(SINGLE, 21);
    assert_eq!(stage.running(), BTreeMap::from([(MATRIX.to_owned(), 3)]));
    stage.end_one(MATRIX);
    stage.minutes(5);
    assert_eq!(stage.running().get(SINGLE), Some(&1));
    // Taken away and set again: those that came meanwhile are counted too.
    stage.no_limits();
    stage.matrix(31..=34);
    assert_eq!(stage.count(), 7);
    stage.limit("{stack: {runners: 7}}");
    stage.queue_in(SINGLE, 22);
    assert_eq!(stage.count(), 7);
}

#[test]
fn limits_that_are_taken_away_or_raised_let_all_go_who_wait() {
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
fn places_and_entries_of_runners_that_are_gone_are_taken_away() {
    let stage = Stage::new();
    stage.limit("{stack: {runners: 2}}");
    let gone = |job: u64| RunnerName::of(stage.job(job).key(), 1);
    let line = Line {
        places: BTreeMap::from([(gone(71), 4), (gone(72), 4)]),
        waiting: BTreeMap::from([(
            gone(73),
            Waiter {
                vcpus: 4,
                since: stage.now(),
                called: None,
                told: None,
            },
        )]),
        last: None,
    };
    let known = Gate {
        limits: Policy::parse("version: 1\nlimits: {stack: {runners: 2}}\n")
            .unwrap()
            .limits,
        lines: BTreeMap::from([("octo/lost".parse().unwrap(), line)]),
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
fn a_gate_that_was_lost_is_made_again_from_those_who_live() {
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
            .lines
            .values()
            .map(|line| line.waiting.len())
            .sum::<usize>(),
        3
    );
    stage.run_all(|stage| assert!(stage.count() <= 2));
}

#[test]
fn while_it_is_not_known_what_the_policy_says_nobody_is_launched_and_nobody_forgotten() {
    let stage = Stage::new();
    stage.limit("{stack: {runners: 1}}");
    stage.queue_in(MATRIX, 11);
    stage.queue_in(SINGLE, 12);
    stage.world.set_parameter(POLICY, "limits: none\n");
    let call = stage.last_moment(MATRIX);
    stage.make(call);
    while let Some(event) = stage.world.next_event() {
        let _ = stage.make_whatever(Call::Launch(event));
    }
    assert_eq!(stage.count(), 0);
    stage.limit("{stack: {runners: 1}}");
    stage.minutes(5);
    assert_eq!(stage.running(), BTreeMap::from([(SINGLE.to_owned(), 1)]));
}
