//! Which faults hit in which states: a mechanism proves nothing against a fault that never met it.

use std::collections::BTreeMap;

use dayfly_records::steps::RerunKind;
use dayfly_records::{JobState, Record, RecordId, RunnerState};
use dayfly_types::ids::InstanceId;

use crate::plan::{InstanceFault, OUTAGES, Outage};
use crate::sim::Sim;

/// A state of a live record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Stage {
    Requested,
    Launched,
    Enrolled,
    Busy,
    Draining,
    Done,
    Lost,
    /// A runner whose instance is ended and whose cost is not counted yet.
    Uncounted,
    /// A job that waits for another try.
    JobWaits,
    /// A run that may have to be re-run.
    RunOpen,
    /// A run whose re-run is decided, and not accepted yet.
    RerunIntended,
}

impl Stage {
    const ALL: [Self; 11] = [
        Self::Requested,
        Self::Launched,
        Self::Enrolled,
        Self::Busy,
        Self::Draining,
        Self::Done,
        Self::Lost,
        Self::Uncounted,
        Self::JobWaits,
        Self::RunOpen,
        Self::RerunIntended,
    ];

    fn of(record: &Record) -> Option<Self> {
        match record {
            Record::Runner(runner) => Some(Self::of_runner(runner.state)),
            Record::Job(job) if job.state == JobState::Queued => Some(Self::JobWaits),
            Record::Run(run) => match RerunKind::from(&run.rerun) {
                RerunKind::NotYet => Some(Self::RunOpen),
                RerunKind::Intended => Some(Self::RerunIntended),
                RerunKind::Accepted | RerunKind::Declined => None,
            },
            _ => None,
        }
    }

    fn of_runner(state: RunnerState) -> Self {
        match state {
            RunnerState::Requested => Self::Requested,
            RunnerState::Launched => Self::Launched,
            RunnerState::Enrolled => Self::Enrolled,
            RunnerState::Busy => Self::Busy,
            RunnerState::Draining => Self::Draining,
            RunnerState::Done => Self::Done,
            RunnerState::Lost => Self::Lost,
            RunnerState::Gone => Self::Uncounted,
        }
    }

    /// Whether the state is of a runner, and so of an instance that a fault can hit.
    fn is_of_instance(self) -> bool {
        self <= Self::Uncounted
    }
}

/// A set of states.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stages(u16);

impl Stages {
    fn insert(&mut self, stage: Stage) {
        self.0 |= 1 << stage as u16;
    }

    fn contains(self, stage: Stage) -> bool {
        self.0 & (1 << stage as u16) != 0
    }

    fn add(&mut self, other: Self) {
        self.0 |= other.0;
    }
}

impl<'a> FromIterator<&'a Record> for Stages {
    fn from_iter<I: IntoIterator<Item = &'a Record>>(records: I) -> Self {
        let mut stages = Self::default();
        for stage in records.into_iter().filter_map(Stage::of) {
            stages.insert(stage);
        }
        stages
    }
}

/// A fault that comes at a moment, and so in a state.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Fault {
    Outage(Outage),
    Instance(InstanceFault),
}

/// The faults of instances that come at a moment. The others are theirs from the beginning.
const SUDDEN: [InstanceFault; 7] = [
    InstanceFault::AgentCrash,
    InstanceFault::Freeze,
    InstanceFault::NetworkCut,
    InstanceFault::Interruption,
    InstanceFault::Rebalance,
    InstanceFault::Vanish,
    InstanceFault::Eviction,
];

/// Pairs that cannot be, with the reason.
const IMPOSSIBLE: &[(&[InstanceFault], &[Stage], &str)] = &[
    (&SUDDEN, &[Stage::Uncounted], "the instance has ended"),
    (
        &SUDDEN,
        &[Stage::Requested],
        "an instance is given to its runner when the launch is recorded",
    ),
    (
        &[InstanceFault::Eviction],
        &[Stage::Launched],
        "no runner is registered for it",
    ),
    (
        &[InstanceFault::Eviction],
        &[Stage::Busy],
        "GitHub removes only runners that wait",
    ),
];

/// The pairs of fault and state that histories reached.
#[derive(Clone, Debug, Default)]
pub struct Coverage(BTreeMap<Fault, Stages>);

impl Coverage {
    pub fn hit(&mut self, fault: Fault, stages: Stages) {
        self.0.entry(fault).or_default().add(stages);
    }

    pub fn add(&mut self, other: &Self) {
        for (fault, stages) in &other.0 {
            self.hit(*fault, *stages);
        }
    }

    /// Returns the number of possible pairs, and those that were never reached.
    #[must_use]
    pub fn never(&self) -> (usize, Vec<String>) {
        let outages = OUTAGES.into_iter().map(Fault::Outage);
        let all: Vec<(Fault, Stage)> = outages
            .chain(SUDDEN.map(Fault::Instance))
            .flat_map(|fault| Stage::ALL.map(|stage| (fault, stage)))
            .filter(|(fault, stage)| is_possible(*fault, *stage))
            .collect();
        let reached = |fault: &Fault, stage: Stage| self.0.get(fault).is_some_and(|stages| stages.contains(stage));
        let never = all.iter().filter(|(fault, stage)| !reached(fault, *stage));
        let never = never.map(|(fault, stage)| match fault {
            Fault::Outage(kind) => format!("{kind:?} × {stage:?}"),
            Fault::Instance(kind) => format!("{kind:?} × {stage:?}"),
        });
        (all.len(), never.collect())
    }
}

fn is_possible(fault: Fault, stage: Stage) -> bool {
    match fault {
        Fault::Outage(_) => true,
        Fault::Instance(kind) => {
            let excluded = IMPOSSIBLE
                .iter()
                .any(|(kinds, stages, _)| kinds.contains(&kind) && stages.contains(&stage));
            stage.is_of_instance() && !excluded
        }
    }
}

impl Sim {
    /// An outage hits a call, whatever is under way.
    pub(crate) fn outage_hits(&self, kind: Outage) {
        let stages = self.table.borrow_mut().stages();
        self.tally.borrow_mut().outage(kind, stages);
    }

    /// A fault hits an instance, and so the runner that it was given to.
    pub(crate) fn instance_fault_hits(&self, instance: &InstanceId, kind: InstanceFault) {
        let table = self.table.borrow();
        let name = match table.peek(&RecordId::Instance(instance.clone())) {
            Some(Record::Instance(given)) => Some(given.runner.clone()),
            _ => None,
        };
        let runner = name.and_then(|name| table.peek(&RecordId::Runner(name)));
        self.tally.borrow_mut().trouble(kind, runner.into_iter().collect());
    }
}
