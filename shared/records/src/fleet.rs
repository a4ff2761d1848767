//! What is launched: a runner's fallback chain, the queue of runners that are launched alike, and the call that
//! launches them together.

use dayfly_config::RunnerSpec;
use dayfly_types::capacity::{InstanceLifecycle, Placement};
use dayfly_types::ids::{FleetId, ImageId, InstallationId, QueueId, Repository, RunnerName};
use dayfly_types::time::Timestamp;
use serde::{Deserialize, Serialize};

/// An option of a fallback chain: an entry of the configuration, bought in one way.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LaunchOption {
    /// The configuration's entry.
    pub spec: RunnerSpec,
    /// The image, resolved.
    pub image: ImageId,
    /// The name of the image's root device.
    pub root_device: String,
    /// The size of the image's root volume in GiB, if known.
    pub image_gib: Option<u32>,
    pub lifecycle: InstanceLifecycle,
}

/// A runner's fallback chain, and how far its launch tries have come.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LaunchPlan {
    first: LaunchOption,
    rest: Vec<LaunchOption>,
    at: usize,
    /// The current pass through the chain, counted from 1.
    pub round: u32,
    /// Whether a launch try of this round failed for a reason that may pass.
    pub hopeful: bool,
    /// The number of calls, so that each has a token of its own.
    pub calls: u32,
}

impl LaunchPlan {
    #[must_use]
    pub fn new(first: LaunchOption, rest: Vec<LaunchOption>) -> Self {
        Self {
            first,
            rest,
            at: 0,
            round: 1,
            hopeful: false,
            calls: 0,
        }
    }

    /// The option to try next, or the one tried last.
    #[must_use]
    pub fn option(&self) -> &LaunchOption {
        match self.at {
            0 => &self.first,
            at => self.rest.get(at - 1).unwrap_or(&self.first),
        }
    }

    /// The configuration's entry of that option.
    #[must_use]
    pub fn spec(&self) -> &RunnerSpec {
        &self.option().spec
    }

    /// All options in their order.
    pub fn options(&self) -> impl Iterator<Item = &LaunchOption> {
        std::iter::once(&self.first).chain(&self.rest)
    }

    /// Begins another round.
    pub fn begin_again(&mut self) {
        self.at = 0;
        self.round += 1;
        self.hopeful = false;
    }

    /// Moves to the next option, past all options of the same entry if that entry can never succeed. Returns
    /// `false` if there was none, and moves to the first.
    pub fn next(&mut self, past_entry: bool) -> bool {
        let entry = self.spec().name.clone();
        let next = self
            .options()
            .enumerate()
            .skip(self.at + 1)
            .find(|(_, option)| !past_entry || option.spec.name != entry)
            .map(|(index, _)| index);
        self.at = next.unwrap_or(0);
        next.is_some()
    }
}

/// A launch queue. The function that holds it launches all runners in it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LaunchQueue {
    pub id: QueueId,
    pub held_until: Timestamp,
}

/// A runner in a launch queue.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct QueuedRunner {
    pub queue: QueueId,
    pub runner: RunnerName,
    pub since: Timestamp,
}

/// A `CreateFleet` call, recorded before it is made: the same call is repeated until its result is known.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FleetCall {
    /// The client token.
    pub id: FleetId,
    /// The queue that its runners waited in.
    pub queue: QueueId,
    pub installation: InstallationId,
    /// The repository of all its runners.
    pub repository: Repository,
    pub option: LaunchOption,
    /// The allowed pools.
    pub placements: Vec<Placement>,
    /// The runners to launch, one instance each.
    pub runners: Vec<RunnerName>,
    /// The number of calls whose result stayed unknown.
    pub unclear: u32,
    pub requested_at: Timestamp,
    /// When the call is repeated, unless its result is recorded before; `None` once it is.
    pub due_at: Option<Timestamp>,
}
