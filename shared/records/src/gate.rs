//! The gate: which runners hold a slot, and which wait for one, where the stack policy limits how much runs at
//! once.

use std::collections::BTreeMap;

use dayfly_policy::Limits;
use dayfly_types::ids::{Repository, RunnerName};
use dayfly_types::time::Timestamp;
use serde::{Deserialize, Serialize};

/// The single gate of a stack whose policy has limits: every launch needs a slot. A slot is taken in the
/// transaction that records the call to EC2, so that two launches at the same moment cannot both take the
/// last one. Without limits the gate is never written.
///
/// If the table loses the gate, the slots are counted again from the live runners: at the next request for a
/// slot, and from then on whenever the gate is due. Waiting runners ask again by themselves, as their records
/// are due; until then others may overtake them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Gate {
    /// The limits at the last request.
    pub limits: Limits,
    /// The repositories that hold or wait for slots, and some that had a turn recently.
    pub repositories: BTreeMap<Repository, RepositorySlots>,
    pub due_at: Option<Timestamp>,
}

/// A repository at the gate.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RepositorySlots {
    /// The runners that hold a slot, with their vCPUs.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub slots: BTreeMap<RunnerName, u32>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub waiting: BTreeMap<RunnerName, SlotRequest>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_turn_at: Option<Timestamp>,
}

impl RepositorySlots {
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.slots.is_empty() && self.waiting.is_empty()
    }
}

/// A runner's request for a slot.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SlotRequest {
    /// The vCPUs of the largest instance that the runner may get.
    pub vcpus: u32,
    pub since: Timestamp,
    /// When the runner was last called to the gate.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub called_at: Option<Timestamp>,
    /// The place in the queue that was last reported to the job's author, and when.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reported: Option<(usize, Timestamp)>,
}

/// The state of a runner at the gate.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "is", rename_all = "snake_case")]
pub enum GateState {
    /// It waits until it is called or due.
    Waiting,
    /// It was called to the gate, to ask for a slot.
    Called,
    /// It holds a slot, or held one until its end.
    Admitted {
        /// The vCPUs that the slot counts.
        vcpus: u32,
        /// No launch was tried before this moment.
        since: Timestamp,
    },
}
