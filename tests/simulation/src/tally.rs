//! What is counted: calls, faults, and which steps of the lifecycles were taken.

use std::collections::{BTreeMap, BTreeSet};

use dayfly_records::lifecycle::{JobStep, RunStep, RunnerStep, Step};

use crate::lambda::Function;
use crate::plan::{Outage, Trouble};

/// The counts of one history, or of many.
#[derive(Clone, Debug, Default)]
pub struct Tally {
    /// Histories.
    pub histories: u64,
    /// Virtual seconds.
    pub seconds: u64,
    /// Jobs that were queued.
    pub jobs: u64,
    /// Instances that were launched.
    pub instances: u64,
    /// Writes that found another version.
    pub conflicts: u64,
    /// Calls that EC2 throttled.
    pub throttles: u64,
    /// Events that no try could handle.
    pub dead_letters: u64,
    /// Functions that were killed.
    pub killed: u64,
    /// What was settled, in micro-dollars.
    pub settled: u64,
    /// What EC2 billed, in micro-dollars.
    pub billed: u64,
    /// The instances of which everything was heard, so that they had to be settled as they were billed.
    pub exact: u64,
    /// The most that one of them was settled off its bill of a cent or more, in parts of ten thousand.
    pub most_off: u64,
    /// The most instances that lived at once.
    pub at_once: usize,
    /// Calls of functions.
    pub functions: BTreeMap<Function, u64>,
    /// Calls of functions while nothing lived any more.
    pub at_rest: BTreeMap<Function, u64>,
    /// Calls of ports.
    pub ports: BTreeMap<&'static str, u64>,
    /// The same by whose port it is.
    pub services: BTreeMap<&'static str, u64>,
    /// Calls that an outage hit.
    pub outages: BTreeMap<Outage, u64>,
    /// Instances that a trouble befell.
    pub troubles: BTreeMap<Trouble, u64>,
    /// Steps taken, with where they led from.
    pub steps: BTreeSet<String>,
    fired: u64,
    published: u64,
}

impl Tally {
    /// A schedule fires.
    pub fn fired(&mut self) -> u64 {
        self.fired += 1;
        self.fired
    }

    /// An event is put on the bus.
    pub fn published(&mut self) -> u64 {
        self.published += 1;
        self.published
    }

    /// A function is killed.
    pub fn killed(&mut self) {
        self.killed += 1;
    }

    /// A function is called.
    pub fn call(&mut self, function: Function, at_rest: bool) {
        *self.functions.entry(function).or_default() += 1;
        if at_rest {
            *self.at_rest.entry(function).or_default() += 1;
        }
    }

    /// A port is called.
    pub fn port(&mut self, service: &'static str, what: &'static str) {
        *self.services.entry(service).or_default() += 1;
        *self.ports.entry(what).or_default() += 1;
    }

    /// An outage hits a call.
    pub fn outage(&mut self, kind: Outage) {
        *self.outages.entry(kind).or_default() += 1;
    }

    /// A trouble befalls an instance.
    pub fn trouble(&mut self, kind: Trouble) {
        *self.troubles.entry(kind).or_default() += 1;
    }

    /// A step is taken.
    pub fn step<S: Step>(&mut self, from: Option<S::State>, step: S) {
        let name = name(from, step);
        if !self.steps.contains(&name) {
            self.steps.insert(name);
        }
    }

    /// Adds another's counts.
    pub fn add(&mut self, other: &Self) {
        fn all<K: Ord + Copy>(to: &mut BTreeMap<K, u64>, from: &BTreeMap<K, u64>) {
            for (key, count) in from {
                *to.entry(*key).or_default() += count;
            }
        }
        self.histories += other.histories;
        self.seconds += other.seconds;
        self.jobs += other.jobs;
        self.instances += other.instances;
        self.conflicts += other.conflicts;
        self.throttles += other.throttles;
        self.dead_letters += other.dead_letters;
        self.killed += other.killed;
        self.settled += other.settled;
        self.billed += other.billed;
        self.exact += other.exact;
        self.most_off = self.most_off.max(other.most_off);
        self.at_once = self.at_once.max(other.at_once);
        all(&mut self.services, &other.services);
        all(&mut self.functions, &other.functions);
        all(&mut self.at_rest, &other.at_rest);
        all(&mut self.ports, &other.ports);
        all(&mut self.outages, &other.outages);
        all(&mut self.troubles, &other.troubles);
        self.steps.extend(other.steps.iter().cloned());
    }

    /// The steps that were never taken.
    #[must_use]
    pub fn never_taken(&self) -> Vec<String> {
        let mut all = Vec::new();
        names::<RunnerStep>(&mut all);
        names::<JobStep>(&mut all);
        names::<RunStep>(&mut all);
        all.retain(|name| !self.steps.contains(name));
        all
    }

    /// How many steps there are.
    #[must_use]
    pub fn all_steps() -> usize {
        let mut all = Vec::new();
        names::<RunnerStep>(&mut all);
        names::<JobStep>(&mut all);
        names::<RunStep>(&mut all);
        all.len()
    }
}

fn names<S: Step>(to: &mut Vec<String>) {
    for step in S::ALL {
        if step.from().is_empty() {
            to.push(name(None, *step));
        }
        to.extend(step.from().iter().map(|from| name(Some(*from), *step)));
    }
}

fn name<S: Step>(from: Option<S::State>, step: S) -> String {
    match from {
        None => format!("{step:?} -> {:?}", step.to()),
        Some(from) => format!("{from:?} -{step:?}-> {:?}", step.to()),
    }
}
