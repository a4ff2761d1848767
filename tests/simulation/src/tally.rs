//! Counts of calls, faults, and the lifecycle steps taken.

use std::collections::{BTreeMap, BTreeSet};

use dayfly_records::steps::{JobStep, LifecycleStep, RunStep, RunnerStep};

use crate::coverage::{Coverage, Fault, Stages};
use crate::lambda::Function;
use crate::plan::{InstanceFault, Outage};
use crate::recovery::Recoveries;

/// The counts of one history, or of many.
#[derive(Clone, Debug, Default)]
pub struct Tally {
    pub histories: u64,
    /// Virtual seconds.
    pub seconds: u64,
    /// Queued jobs.
    pub jobs: u64,
    /// Launched instances.
    pub instances: u64,
    /// Writes over an outdated version.
    pub conflicts: u64,
    /// Calls that EC2 throttled.
    pub throttles: u64,
    /// Events that failed all their tries.
    pub dead_letters: u64,
    pub killed: u64,
    /// In micro-dollars.
    pub settled: u64,
    /// In micro-dollars.
    pub billed: u64,
    /// Instances with complete reports, which had to be settled as billed.
    pub exact: u64,
    /// The largest deviation of such an instance from a bill of a cent or more, in parts of ten
    /// thousand.
    pub most_off: u64,
    /// The most instances that lived at once.
    pub at_once: usize,
    pub functions: BTreeMap<Function, u64>,
    /// Calls of functions while nothing lived.
    pub at_rest: BTreeMap<Function, u64>,
    pub ports: BTreeMap<&'static str, u64>,
    /// Calls of ports, by service.
    pub services: BTreeMap<&'static str, u64>,
    pub outages: BTreeMap<Outage, u64>,
    pub troubles: BTreeMap<InstanceFault, u64>,
    /// The faults, with the states in which they hit.
    pub coverage: Coverage,
    /// How long each promise took to hold.
    pub recoveries: Recoveries,
    /// The steps taken, with their starting states.
    pub steps: BTreeSet<String>,
    fired: u64,
    published: u64,
}

impl Tally {
    pub fn fired(&mut self) -> u64 {
        self.fired += 1;
        self.fired
    }

    pub fn published(&mut self) -> u64 {
        self.published += 1;
        self.published
    }

    pub fn killed(&mut self) {
        self.killed += 1;
    }

    pub fn call(&mut self, function: Function, at_rest: bool) {
        *self.functions.entry(function).or_default() += 1;
        if at_rest {
            *self.at_rest.entry(function).or_default() += 1;
        }
    }

    pub fn port(&mut self, service: &'static str, what: &'static str) {
        *self.services.entry(service).or_default() += 1;
        *self.ports.entry(what).or_default() += 1;
    }

    pub fn outage(&mut self, kind: Outage, stages: Stages) {
        *self.outages.entry(kind).or_default() += 1;
        self.coverage.hit(Fault::Outage(kind), stages);
    }

    pub fn trouble(&mut self, kind: InstanceFault, stages: Stages) {
        *self.troubles.entry(kind).or_default() += 1;
        self.coverage.hit(Fault::Instance(kind), stages);
    }

    pub fn step<S: LifecycleStep>(&mut self, from: Option<S::State>, step: S) {
        let name = name(from, step);
        if !self.steps.contains(&name) {
            self.steps.insert(name);
        }
    }

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
        self.coverage.add(&other.coverage);
        self.recoveries.add(&other.recoveries);
        self.steps.extend(other.steps.iter().cloned());
    }

    /// Returns the steps that were never taken.
    #[must_use]
    pub fn never_taken(&self) -> Vec<String> {
        let mut all = Vec::new();
        names::<RunnerStep>(&mut all);
        names::<JobStep>(&mut all);
        names::<RunStep>(&mut all);
        all.retain(|name| !self.steps.contains(name));
        all
    }

    /// Returns the number of steps.
    #[must_use]
    pub fn all_steps() -> usize {
        let mut all = Vec::new();
        names::<RunnerStep>(&mut all);
        names::<JobStep>(&mut all);
        names::<RunStep>(&mut all);
        all.len()
    }
}

fn names<S: LifecycleStep>(to: &mut Vec<String>) {
    for step in S::ALL {
        if step.from().is_empty() {
            to.push(name(None, *step));
        }
        to.extend(step.from().iter().map(|from| name(Some(*from), *step)));
    }
}

fn name<S: LifecycleStep>(from: Option<S::State>, step: S) -> String {
    match from {
        None => format!("{step:?} -> {:?}", step.to()),
        Some(from) => format!("{from:?} -{step:?}-> {:?}", step.to()),
    }
}
