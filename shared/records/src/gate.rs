//! Who has a place, and who waits for one, where the stack policy limits how much runs at once.

use std::collections::BTreeMap;

use dayfly_policy::Limits;
use dayfly_types::ids::{Repository, RunnerName};
use dayfly_types::time::Timestamp;
use serde::{Deserialize, Serialize};

/// The one gate that all who are to be launched pass through in a stack whose policy has limits. A place
/// is taken in the transaction that records the call to EC2, so that two who are at it at the same moment
/// cannot both have the last one. In a stack without limits it is never written.
///
/// If the table loses it, the places are counted again: from the live runners when somebody next asks for
/// a place, and from then on whenever it is looked after. Those who wait ask again by themselves, their
/// records being due; until then others may have their turns before them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Gate {
    /// The limits that it was last asked with.
    pub limits: Limits,
    /// The repositories of those who are in it, and some of those that had a turn of late.
    pub lines: BTreeMap<Repository, Line>,
    /// When somebody has to look after it.
    pub due_at: Option<Timestamp>,
}

/// A repository at the gate.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Line {
    /// The runners that have a place, with their vCPUs.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub places: BTreeMap<RunnerName, u32>,
    /// The runners that wait for one.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub waiting: BTreeMap<RunnerName, Waiter>,
    /// When it had its last turn.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last: Option<Timestamp>,
}

impl Line {
    /// Whether nobody of the repository is here.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.places.is_empty() && self.waiting.is_empty()
    }
}

/// A runner that waits for a place.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Waiter {
    /// The vCPUs of the largest instance that it may get.
    pub vcpus: u32,
    /// Since when it is wanted.
    pub since: Timestamp,
    /// When it was last called to ask whether it is its turn.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub called: Option<Timestamp>,
    /// The place in the queue that its author was last told, and when.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub told: Option<(usize, Timestamp)>,
}

/// How a runner stands at the gate.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "is", rename_all = "snake_case")]
pub enum Turn {
    /// It waits until it is called, or until it is due.
    Waits,
    /// It was called, and asks whether it is its turn.
    Asks,
    /// It has a place, or had one when its life was over.
    Has {
        /// The vCPUs that were reckoned with.
        vcpus: u32,
        /// Since when: no attempt to launch it was made before.
        since: Timestamp,
    },
}
