//! The gate: admits runners into calls to EC2, as many as the stack policy lets run at once.

use std::time::Duration;

use dayfly_engine::cost::caps::OverCap;
use dayfly_engine::gate::slots::{self, GateDecision};
use dayfly_engine::launch::fleet;
use dayfly_engine::launch::outcome::TryOutcome;
use dayfly_flows::{FlowError, load_slot_holders, publish_turns};
use dayfly_policy::Limits;
use dayfly_ports::Store as _;
use dayfly_records::{Change, Gate, Runner, Stored};
use dayfly_types::ids::{QueueId, RunnerName};
use dayfly_types::time::Timestamp;

use crate::{Function, LaunchPorts};

/// How many runners of a queue come to the gate at once: those that have to wait make room for the rest.
const MOST_CANDIDATES: usize = 300;

/// The runners of a queue that came to the gate, and what becomes of each.
#[derive(Default)]
pub(crate) struct GatePass {
    pub(crate) admitted: Vec<Stored<Runner>>,
    /// The gate's record, to be written together with the call.
    pub(crate) gate: Option<Change>,
    pub(crate) turned_away: TurnedAway,
}

/// The runners that this call does not launch, with the reason for each.
#[derive(Default)]
pub(crate) struct TurnedAway {
    runners: Vec<Stored<Runner>>,
    outcomes: Vec<(RunnerName, TryOutcome)>,
    /// Other runners whose turn it is.
    next: Vec<RunnerName>,
    /// The caps that refuse some of the runners.
    over_caps: Vec<OverCap>,
}

impl TurnedAway {
    /// Adds runners that are refused for what they cost.
    pub(crate) fn add(&mut self, refused: Vec<(Stored<Runner>, TryOutcome)>, over_caps: Vec<OverCap>) {
        for (runner, outcome) in refused {
            self.outcomes.push((runner.record.name.clone(), outcome));
            self.runners.push(runner);
        }
        self.over_caps.extend(over_caps);
    }

    pub(crate) fn names(&self) -> impl Iterator<Item = &RunnerName> {
        self.outcomes.iter().map(|(name, _)| name)
    }
}

impl<P: LaunchPorts> Function<P> {
    /// The stack policy's limits on what runs at once.
    pub(crate) async fn limits(&self, now: Timestamp) -> Result<Limits, FlowError> {
        Ok(self.policies.current(self.ports.parameters(), now).await?.limits)
    }

    /// Admits the runners of a queue whose turn it is, as many as one call launches. Writes nothing yet.
    pub(crate) async fn pass_gate(
        &self,
        limits: &Limits,
        candidates: Vec<Stored<Runner>>,
        now: Timestamp,
    ) -> Result<GatePass, FlowError> {
        let (asking, mut admitted): (Vec<_>, Vec<_>) = candidates.into_iter().partition(|stored| {
            let limited = limits.any() || slots::is_at_gate(&stored.record);
            limited && slots::needs_slot(&stored.record)
        });
        admitted.truncate(fleet::MOST);
        if asking.is_empty() {
            return Ok(GatePass {
                admitted,
                ..GatePass::default()
            });
        }
        let known = self.ports.store().gate().await?;
        let before = self.current_gate(known.as_ref(), limits, now).await?;
        let wanted: Vec<_> = asking
            .iter()
            .map(|stored| slots::slot_request(&stored.record))
            .collect();
        let GateDecision {
            gate,
            go,
            wait,
            never,
            call,
        } = slots::pass(&before, limits, &wanted, fleet::MOST - admitted.len(), now);
        let mut outcomes: Vec<(RunnerName, TryOutcome)> = never
            .into_iter()
            .map(|(name, refused)| (name, TryOutcome::Refused(refused)))
            .collect();
        outcomes.extend(wait.into_iter().map(|queued| {
            let name = queued.id.clone();
            (name, TryOutcome::Queued(Box::new(queued)))
        }));
        let (passed, others): (Vec<_>, Vec<_>) =
            asking.into_iter().partition(|stored| go.contains(&stored.record.name));
        admitted.extend(passed.into_iter().map(|stored| Stored {
            record: slots::with_slot(stored.record, now),
            version: stored.version,
        }));
        let is_same = known.as_ref().is_some_and(|stored| stored.record == gate);
        Ok(GatePass {
            admitted,
            gate: (!is_same).then(|| Change::put(known.as_ref(), gate)),
            turned_away: TurnedAway {
                runners: others,
                outcomes,
                next: call,
                over_caps: Vec::new(),
            },
        })
    }

    /// The gate's record. Where it may not know all living runners, they are counted again: the record
    /// was lost, or was not kept until now, or the policy has changed.
    async fn current_gate(
        &self,
        known: Option<&Stored<Gate>>,
        limits: &Limits,
        now: Timestamp,
    ) -> Result<Gate, FlowError> {
        let before = known.map(|known| known.record.clone()).unwrap_or_default();
        if slots::is_kept(&before, limits) {
            return Ok(before);
        }
        let living = load_slot_holders(self.ports.store(), now, &self.deadlines).await?;
        Ok(slots::add_slots(&before, &living))
    }

    /// Records the runners that were turned away, and calls the others whose turn it is. Returns the
    /// queues in which runners wait now for their next launch option.
    pub(crate) async fn turn_away(&self, turned_away: TurnedAway, now: Timestamp) -> Result<Vec<QueueId>, FlowError> {
        let TurnedAway {
            runners,
            outcomes,
            next,
            over_caps,
        } = turned_away;
        let mut queues = Vec::new();
        if !outcomes.is_empty() {
            let names: Vec<&str> = outcomes.iter().map(|(name, _)| name.as_str()).collect();
            tracing::info!(count = names.len(), runners = names.join(" "), "turned runners away");
            // Before the refusals themselves: after a crash in between, the runners are refused again.
            self.report_over_caps(&over_caps, now).await?;
            queues = self.record(None, runners, outcomes, now).await?;
        }
        publish_turns(self.ports.bus(), next).await;
        Ok(queues)
    }
}

/// How many waiting runners of a queue are considered for one call.
pub(crate) fn most_candidates(limits: &Limits) -> usize {
    if limits.any() { MOST_CANDIDATES } else { fleet::MOST }
}

/// How long to wait after losing a write to other queues: 20 to 300 ms, spread by the queue.
pub(crate) fn conflict_backoff(queue: &QueueId, now: Timestamp) -> Duration {
    let seed = now.millis().unsigned_abs();
    let hash = queue
        .as_str()
        .bytes()
        .fold(seed, |hash, byte| hash.wrapping_mul(0x0100_0000_01b3) ^ u64::from(byte));
    Duration::from_millis(20 + hash % 280)
}
