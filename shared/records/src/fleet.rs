//! What is launched: the fallback chain of attempts of a runner, the queue of those that are launched alike,
//! and the call that launches them together.

use dayfly_config::RunnerSpec;
use dayfly_types::capacity::{InstanceLifecycle, Placement};
use dayfly_types::ids::{FleetId, ImageId, InstallationId, QueueId, Repository, RunnerName};
use dayfly_types::time::Timestamp;
use serde::{Deserialize, Serialize};

/// One attempt to get an instance: an entry of the configuration, bought in one way.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LaunchOption {
    /// The configuration's entry.
    pub spec: RunnerSpec,
    /// The image, resolved.
    pub image: ImageId,
    /// The name of the image's root device.
    pub root_device: String,
    /// How large the image has its root volume, in GiB, if that is known.
    #[serde(default)]
    pub image_gib: Option<u32>,
    /// How the instance is bought.
    pub lifecycle: InstanceLifecycle,
}

/// The attempts to get an instance for a runner, in their order, and how far they have come.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LaunchPlan {
    first: LaunchOption,
    rest: Vec<LaunchOption>,
    at: usize,
    /// How often all of them were gone through, from 1.
    pub round: u32,
    /// Whether any attempt of this round failed for a reason that may pass.
    pub hopeful: bool,
    /// How many calls were made, so that each has a token of its own.
    pub calls: u32,
}

impl LaunchPlan {
    /// A plan that nobody has begun.
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

    /// The attempt that is to be made, or was made last.
    #[must_use]
    pub fn option(&self) -> &LaunchOption {
        match self.at {
            0 => &self.first,
            at => self.rest.get(at - 1).unwrap_or(&self.first),
        }
    }

    /// The configuration's entry of that attempt.
    #[must_use]
    pub fn spec(&self) -> &RunnerSpec {
        &self.option().spec
    }

    /// All attempts, in their order.
    pub fn options(&self) -> impl Iterator<Item = &LaunchOption> {
        std::iter::once(&self.first).chain(&self.rest)
    }

    /// Begins another round.
    pub fn begin_again(&mut self) {
        self.at = 0;
        self.round += 1;
        self.hopeful = false;
    }

    /// Goes on to the next attempt: past all those of the same entry, if that can never succeed.
    /// Answers whether there was one; if not, the first is the next.
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

/// Who launches what stands in a queue: whoever holds it launches for all who wait there.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LaunchQueue {
    /// Which.
    pub id: QueueId,
    /// Until when it is held.
    pub held_until: Timestamp,
}

/// A runner that waits to be launched together with others.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Waiting {
    /// Where.
    pub queue: QueueId,
    /// The runner.
    pub runner: RunnerName,
    /// Since when.
    pub since: Timestamp,
}

/// One `CreateFleet` call, recorded before it is made: it is made again, the same, until it is
/// known what came of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FleetCall {
    /// Its token.
    pub id: FleetId,
    /// The queue that its runners waited in.
    pub queue: QueueId,
    /// The App's installation that sees the repository.
    pub installation: InstallationId,
    /// The repository of all its runners.
    pub repository: Repository,
    /// What is asked for.
    pub option: LaunchOption,
    /// The pools that will do.
    pub placements: Vec<Placement>,
    /// The runners that it launches, one instance each.
    pub runners: Vec<RunnerName>,
    /// How often its answer was not clear.
    pub unclear: u32,
    /// When it was first made.
    pub requested_at: Timestamp,
    /// When it is to be made again, unless whoever makes it records its answer before; nothing once
    /// that is recorded.
    pub due_at: Option<Timestamp>,
}
