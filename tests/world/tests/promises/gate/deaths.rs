//! Functions at the gate die between any two of their calls.

use std::time::Duration;

use dayfly_records::event::{Event, LaunchDue};

use super::{MATRIX, SINGLE};
use crate::stage::{Call, Stage};

/// No handler makes more calls than this.
const MOST_CALLS: u32 = 80;

/// Prepares a stage of two slots on which `call` is due, lets the call die before each of its own calls
/// in turn, repeats it, and plays on to the end of all jobs.
fn dies_anywhere(jobs: usize, set: impl Fn(&Stage) -> Call) {
    for fatal in 0..MOST_CALLS {
        let stage = Stage::new();
        stage.limit("{stack: {runners: 2}}");
        let call = set(&stage);
        let died = stage.make_and_die(call.clone(), fatal);
        let context = format!("after a death before call {fatal}");
        assert!(stage.count() <= 2, "{context}: {:?}", stage.running());
        stage.deliver();
        stage.minutes(1);
        stage.make(call);
        stage.deliver();
        for _ in 0..6 {
            stage.minutes(3);
            stage.run_all(|stage| assert!(stage.count() <= 2, "{context}: {:?}", stage.running()));
        }
        assert_eq!(stage.ended(), jobs, "{context}");
        stage.minutes(25);
        assert_eq!(stage.left(), Vec::<String>::new(), "{context}");
        if !died {
            assert!(fatal > 5, "the call made few calls of its own");
            return;
        }
    }
    panic!("the call never came to its end");
}

#[test]
fn a_launch_without_a_slot_may_die_anywhere() {
    dies_anywhere(3, |stage| {
        stage.matrix(11..=12);
        stage.queued_in(SINGLE, 21)
    });
}

#[test]
fn a_launch_that_takes_the_last_slot_may_die_anywhere() {
    dies_anywhere(2, |stage| {
        stage.matrix(11..=11);
        stage.queued_in(SINGLE, 21)
    });
}

#[test]
fn returning_a_slot_may_die_anywhere() {
    dies_anywhere(4, |stage| {
        stage.matrix(11..=13);
        stage.queue_in(SINGLE, 21);
        stage.last_moment(MATRIX)
    });
}

#[test]
fn a_called_job_may_die_anywhere() {
    dies_anywhere(3, |stage| {
        stage.matrix(11..=12);
        stage.queue_in(SINGLE, 21);
        let call = stage.last_moment(MATRIX);
        stage.make(call);
        let due = |event: &Event| matches!(event, Event::LaunchDue(LaunchDue { runner: Some(_), .. }));
        loop {
            let event = stage.world.next_event().expect("somebody is called");
            if due(&event) {
                return Call::Launch(event);
            }
        }
    });
}

#[test]
fn maintaining_the_gate_may_die_anywhere() {
    dies_anywhere(4, |stage| {
        stage.matrix(11..=13);
        stage.queue_in(SINGLE, 21);
        let call = stage.last_moment(MATRIX);
        // Its slot is free, and no waiting job was called.
        stage.make(call);
        while stage.world.next_event().is_some() {}
        stage.wait(Duration::from_mins(3));
        Call::Sweep
    });
}
