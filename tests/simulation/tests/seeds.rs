//! What the simulation runs with every change: new histories each day, those that found something once,
//! and the proof that it finds what is missing.
#![allow(clippy::expect_used, clippy::unwrap_used, missing_docs)]

use std::io::Write as _;
use std::time::{SystemTime, UNIX_EPOCH};

use simulation::{Broken, Guard, Plan, Stop, clock, first_broken, run, run_many, shrink, sweep_reads};

/// Seeds that once broke a promise, with what they found.
const FOUND: &str = include_str!("../seeds.txt");

fn found() -> impl Iterator<Item = (u64, &'static str)> {
    let lines = FOUND.lines().filter(|line| !line.starts_with('#'));
    lines.map(|line| {
        let (seed, what) = line.split_once(' ').expect("a seed, and what it found");
        (seed.parse().expect("a seed is a number"), what)
    })
}

/// Prints something even if all is well, past the capture of test output.
fn print_always(what: &str) {
    std::io::stderr().write_all(format!("{what}\n").as_bytes()).unwrap();
}

fn describe(seed: u64, broken: &Broken) -> String {
    format!(
        "{} — {} at {}: cargo run --profile soak -p simulation -- --seed {seed}",
        broken.promise,
        broken.why,
        clock(broken.at)
    )
}

#[test]
fn todays_five_hundred_histories_keep_every_promise() {
    let days = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs() / 86_400;
    let from = days * 1000;
    print_always(&format!("today's seeds: {from} to {}", from + 499));
    let many = run_many(from, 500, &[], Stop::Never, |_| {});
    let broken: Vec<String> = many
        .broken
        .iter()
        .map(|(seed, broken)| describe(*seed, broken))
        .collect();
    assert!(broken.is_empty(), "seeds from {from}:\n{}", broken.join("\n"));
    assert_eq!(many.tally.histories, 500);
}

#[test]
fn seeds_that_found_something_stay_fixed() {
    for (seed, what) in found() {
        let broken = run(Plan::draw(seed), &[], false).broken;
        assert!(broken.is_none(), "{what}: {}", describe(seed, &broken.unwrap()));
    }
}

#[test]
fn one_seed_is_one_history() {
    for seed in [1, 2, 407] {
        let here = run(Plan::draw(seed), &[], false);
        let there = std::thread::spawn(move || run(Plan::draw(seed), &[], true))
            .join()
            .map(|outcome| outcome.hash);
        assert_eq!(Some(here.hash), there.ok(), "seed {seed}, describe or not");
    }
    assert_ne!(run(Plan::draw(1), &[], false).hash, run(Plan::draw(2), &[], false).hash);
}

#[test]
fn a_promise_breaks_without_each_guard() {
    for guard in Guard::ALL.iter().filter(|guard| guard.has_teeth()) {
        let Some((seed, broken)) = first_broken(*guard, 1, 4000) else {
            panic!("no promise hangs on {guard} in 4000 seeds");
        };
        assert!(
            !guard.is_of_money() || broken.promise.starts_with("9: "),
            "without {guard}, seed {seed} breaks {}, which is not about money",
            broken.promise
        );
        print_always(&format!(
            "without {guard}, seed {seed} breaks promise {}",
            broken.promise
        ));
    }
}

#[test]
fn a_failing_history_is_shrunk() {
    let without = [Guard::ClientToken];
    let (seed, broken) = first_broken(Guard::ClientToken, 1, 2000).unwrap();
    let plan = Plan::draw(seed);
    let short = shrink(&plan, &without, broken.promise);
    assert!(short.items.len() < plan.items.len());
    assert_eq!(run(short, &without, false).broken.unwrap().promise, broken.promise);
}

#[test]
fn a_sweep_reads_only_due_records() {
    assert_eq!(sweep_reads(10_000, 10), sweep_reads(10, 10));
}
