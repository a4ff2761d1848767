//! Opens a call to EC2: one transaction records the call, its runners, their gate slots and reservations,
//! and the token that it takes.

use std::collections::BTreeSet;
use std::time::Duration;

use dayfly_engine::launch::fleet;
use dayfly_flows::{FlowError, take_token};
use dayfly_ports::{Clock as _, Store as _, StoreError};
use dayfly_records::{BucketId, Change, FleetCall, LaunchQueue, QueuedRunner, Runner, Stored, Version};
use dayfly_types::ids::{InstanceType, QueueId, RunnerName};
use dayfly_types::time::Timestamp;
use futures_util::future::try_join_all;

use crate::claim::Claimed;
use crate::gate::{GatePass, TurnedAway, conflict_backoff, most_candidates};
use crate::queue::held_queue;
use crate::{Function, LaunchPorts};

/// A call that is recorded and is to be made.
pub(crate) struct OpenCall {
    pub(crate) call: Stored<FleetCall>,
    pub(crate) runners: Vec<Stored<Runner>>,
}

/// What came of opening a call for a queue.
pub(crate) enum Opening {
    Opened(Box<OpenCall>, Box<TurnedAway>),
    /// No call can be opened for this long: EC2's rate is used up, or too many write to the gate or the
    /// ledgers.
    Wait(Duration),
    /// All were turned away. Some may wait now in these queues.
    AllTurnedAway(Vec<QueueId>),
    /// Another invocation holds the queue.
    Lost,
}

/// A call that is not written yet.
struct Draft {
    call: FleetCall,
    runners: Vec<Stored<Runner>>,
    /// The records of the call, its queue and its token bucket.
    changes: Vec<Change>,
}

impl<P: LaunchPorts> Function<P> {
    /// Opens a call for the runner of a claim alone, in one transaction with the claim. Returns `None`,
    /// with nothing written, if the runner has to wait for others or another invocation was faster.
    pub(crate) async fn open_for_one(&self, claimed: &Claimed, now: Timestamp) -> Result<Option<OpenCall>, FlowError> {
        let runner = &claimed.runner;
        let queue = fleet::queue_of(runner);
        let known = self.ports.store().queue(&queue).await?;
        if !fleet::is_alone(known.as_ref().map(|stored| &stored.record), now) {
            return Ok(None);
        }
        let Some(pass) = self.pass_gate_alone(runner, now).await? else {
            return Ok(None);
        };
        let mut admitted = pass.admitted;
        let reservations = Box::pin(self.reservations(admitted.clone(), now)).await?;
        if reservations.runners.is_empty() {
            return Ok(None);
        }
        let ledgers = reservations.reserve_for(&mut admitted, now);
        let draft = self.draft_call(&queue, known.as_ref(), admitted, &reservations.types, now);
        let Ok(mut draft) = draft.await? else {
            return Ok(None);
        };
        let Some(Stored { record: runner, .. }) = draft.runners.pop() else {
            return Ok(None);
        };
        let mut changes = claimed.changes();
        changes.push(Change::create(runner.clone()));
        changes.extend(draft.changes);
        changes.extend(pass.gate);
        changes.extend(ledgers);
        if !self.commit(changes).await? {
            return Ok(None);
        }
        self.turn_away(pass.turned_away, now).await?;
        Ok(Some(OpenCall {
            call: first_version(draft.call),
            runners: vec![first_version(runner)],
        }))
    }

    /// Admits a runner that comes alone. Returns `None` if the limits are not known: it is claimed all the
    /// same, and waits.
    async fn pass_gate_alone(&self, runner: &Runner, now: Timestamp) -> Result<Option<GatePass>, FlowError> {
        match self.limits(now).await {
            Ok(limits) => {
                let alone = vec![first_version(runner.clone())];
                self.pass_gate(&limits, alone, now).await.map(Some)
            }
            Err(error) => {
                tracing::warn!(runner = %runner.name, %error, "the limits on what runs at once are not known");
                Ok(None)
            }
        }
    }

    /// Opens a call for the runners that have waited longest in a queue.
    pub(crate) async fn open_for_queue(
        &self,
        queue: &QueueId,
        mut waiting: Vec<Stored<QueuedRunner>>,
    ) -> Result<Opening, FlowError> {
        let now = self.ports.clock().now();
        let limits = self.limits(now).await?;
        waiting.sort_by_key(|stored| stored.record.since);
        waiting.truncate(most_candidates(&limits));
        let known = self.ports.store().queue(queue).await?;
        let loads = waiting
            .iter()
            .map(|stored| self.ports.store().runner(&stored.record.runner));
        let mut candidates: Vec<Stored<Runner>> = try_join_all(loads).await?.into_iter().flatten().collect();
        candidates.retain(|stored| fleet::awaits_launch(&stored.record) && fleet::queue_of(&stored.record) == *queue);
        let present: BTreeSet<RunnerName> = candidates.iter().map(|stored| stored.record.name.clone()).collect();
        let mut reservations = Box::pin(self.reservations(candidates, now)).await?;
        let affordable = std::mem::take(&mut reservations.runners);
        let GatePass {
            mut admitted,
            gate,
            mut turned_away,
        } = self.pass_gate(&limits, affordable, now).await?;
        let ledgers = reservations.reserve_for(&mut admitted, now);
        let (refused, over_caps) = reservations.take_refused();
        turned_away.add(refused, over_caps);
        // The entries of runners for which this call has no room stay for the next one.
        let names = admitted.iter().map(|stored| &stored.record.name);
        let handled: BTreeSet<&RunnerName> = names.chain(turned_away.names()).collect();
        let stays = |name: &RunnerName| present.contains(name) && !handled.contains(name);
        waiting.retain(|stored| !stays(&stored.record.runner));
        if admitted.is_empty() {
            return self.turn_all_away(queue, waiting, gate, turned_away, now).await;
        }
        let draft = self.draft_call(queue, known.as_ref(), admitted, &reservations.types, now);
        let Draft {
            call,
            runners,
            mut changes,
        } = match draft.await? {
            Ok(draft) => draft,
            Err(wait) => return Ok(Opening::Wait(wait)),
        };
        let update = |runner: &Stored<Runner>| Change::update(runner.version, runner.record.clone());
        changes.extend(runners.iter().map(update));
        changes.extend(gate);
        changes.extend(ledgers);
        if !self.commit(changes).await? {
            // A runner has moved on, or another queue's call was faster; or this queue is not ours any
            // more, which loading it again shows.
            return Ok(self.after_lost_write(queue, known.as_ref(), now).await?);
        }
        self.remove_entries(&waiting).await?;
        let runners = runners.into_iter();
        let open = OpenCall {
            call: first_version(call),
            runners: runners
                .map(|runner| Stored::over(runner.version, runner.record))
                .collect(),
        };
        Ok(Opening::Opened(Box::new(open), Box::new(turned_away)))
    }

    /// Drafts a call for runners of one queue, with a token taken from the bucket of such calls. If that is
    /// empty, returns how long to wait.
    async fn draft_call(
        &self,
        queue: &QueueId,
        known: Option<&Stored<LaunchQueue>>,
        runners: Vec<Stored<Runner>>,
        types: &[InstanceType],
        now: Timestamp,
    ) -> Result<Result<Draft, Duration>, FlowError> {
        let no_runners = Ok(Err(Duration::ZERO));
        let Some(first) = runners.first() else {
            return no_runners;
        };
        let bucket = match take_token(self.ports.store(), BucketId::CreateFleet, now).await? {
            Ok(bucket) => bucket,
            Err(wait) => return Ok(Err(wait)),
        };
        let placements = self.placements(&first.record, types, now).await?;
        let (runners, versions): (Vec<Runner>, Vec<Version>) = runners
            .into_iter()
            .map(|runner| (runner.record, runner.version))
            .unzip();
        let Some((call, runners)) = fleet::open_call(runners, placements, now, &self.deadlines) else {
            return no_runners;
        };
        let runners = runners.into_iter().zip(versions);
        Ok(Ok(Draft {
            changes: vec![
                Change::create(call.clone()),
                Change::put(known, held_queue(queue, now)),
                bucket,
            ],
            call,
            runners: runners.map(|(record, version)| Stored { record, version }).collect(),
        }))
    }

    /// Turns all runners of a queue away.
    async fn turn_all_away(
        &self,
        queue: &QueueId,
        waiting: Vec<Stored<QueuedRunner>>,
        gate: Option<Change>,
        turned_away: TurnedAway,
        now: Timestamp,
    ) -> Result<Opening, FlowError> {
        if let Some(gate) = gate
            && !self.commit(vec![gate]).await?
        {
            return Ok(Opening::Wait(conflict_backoff(queue, now)));
        }
        let queues = self.turn_away(turned_away, now).await?;
        self.remove_entries(&waiting).await?;
        Ok(Opening::AllTurnedAway(queues))
    }

    async fn after_lost_write(
        &self,
        queue: &QueueId,
        known: Option<&Stored<LaunchQueue>>,
        now: Timestamp,
    ) -> Result<Opening, StoreError> {
        let current = self.ports.store().queue(queue).await?;
        let is_ours = current.map(|stored| stored.version) == known.map(|stored| stored.version);
        Ok(after_conflict(queue, is_ours, now))
    }
}

/// What follows when other invocations were faster to write what this one is recorded with. If the queue is
/// still ours it is loaded again, but not at once with all those others: all write to the stack's ledger
/// and to one gate.
fn after_conflict(queue: &QueueId, is_ours: bool, now: Timestamp) -> Opening {
    if is_ours {
        Opening::Wait(conflict_backoff(queue, now))
    } else {
        Opening::Lost
    }
}

fn first_version<T>(record: T) -> Stored<T> {
    Stored {
        record,
        version: Version::FIRST,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn queues_that_lost_a_write_spread_their_retries() {
        let now = Timestamp::from_seconds(1_800_000_000);
        let waits: BTreeSet<Duration> = (0..100)
            .map(
                |queue| match after_conflict(&QueueId::new(format!("octo/gpu-{queue}")), true, now) {
                    Opening::Wait(wait) => wait,
                    _ => Duration::ZERO,
                },
            )
            .collect();
        assert!(waits.len() > 50, "{waits:?}");
        assert!(
            waits.iter().all(|wait| (20..300).contains(&wait.as_millis())),
            "{waits:?}"
        );
        let queue = QueueId::new("octo/gpu");
        assert!(matches!(after_conflict(&queue, false, now), Opening::Lost));
    }
}
