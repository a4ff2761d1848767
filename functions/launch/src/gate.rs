//! Where the stack policy limits how much runs at once, runners pass through the gate on their way
//! into a call to EC2.

use std::time::Duration;

use dayfly_engine::caps::OverCap;
use dayfly_engine::fleet;
use dayfly_engine::gate::{self, Passed};
use dayfly_engine::outcome::Attempted;
use dayfly_flows::{FlowError, call_to_gate, count_living};
use dayfly_policy::Limits;
use dayfly_ports::{Bus, Clock, Fleet, GitHub, Parameters, Quotas, Schedule, Store};
use dayfly_records::{Change, Gate, Runner, Stored};
use dayfly_types::ids::{QueueId, RunnerName};
use dayfly_types::time::Timestamp;

use crate::Function;

/// How many of a queue come to the gate at once: those who have to wait make room for the rest.
const MOST_ASKING: usize = 300;

/// Those of a queue who came to be launched, and what becomes of each.
#[derive(Default)]
pub(crate) struct Passage {
    /// Those who may be launched now.
    pub(crate) go: Vec<Stored<Runner>>,
    /// What is written together with their call.
    pub(crate) change: Option<Change>,
    /// Those who were turned away.
    pub(crate) away: Away,
}

/// Those who were turned away at the gate, and others whose turn it is.
#[derive(Default)]
pub(crate) struct Away {
    runners: Vec<Stored<Runner>>,
    outcomes: Vec<(RunnerName, Attempted)>,
    call: Vec<RunnerName>,
    over: Vec<OverCap>,
}

impl Away {
    /// Adds those who are not launched, whatever their turn, and the caps that refuse some of them.
    pub(crate) fn add(&mut self, away: Vec<(Stored<Runner>, Attempted)>, over: Vec<OverCap>) {
        for (runner, why) in away {
            self.outcomes.push((runner.record.name.clone(), why));
            self.runners.push(runner);
        }
        self.over.extend(over);
    }

    /// Who was turned away.
    pub(crate) fn names(&self) -> impl Iterator<Item = &RunnerName> {
        self.outcomes.iter().map(|(name, _)| name)
    }
}

impl<S: Store, G: GitHub, F: Fleet, B: Bus, C: Schedule, P: Parameters, K: Clock, Q: Quotas>
    Function<S, G, F, B, C, P, K, Q>
{
    /// How much the stack policy lets run at once.
    pub(crate) async fn limits(&self, now: Timestamp) -> Result<Limits, FlowError> {
        Ok(self.policies.current(&self.parameters, now).await?.limits)
    }

    /// Lets those of a queue in whose turn it is, as many as one call launches. Nothing is written yet.
    pub(crate) async fn pass_gate(
        &self,
        limits: &Limits,
        wanted: Vec<Stored<Runner>>,
        now: Timestamp,
    ) -> Result<Passage, FlowError> {
        let (asking, mut go): (Vec<_>, Vec<_>) = wanted.into_iter().partition(|stored| {
            let limited = limits.any() || gate::is_at_it(&stored.record);
            limited && gate::needs_place(&stored.record)
        });
        go.truncate(fleet::MOST);
        if asking.is_empty() {
            return Ok(Passage {
                go,
                ..Passage::default()
            });
        }
        let known = self.store.gate().await?;
        let before = self.as_it_stands(known.as_ref(), limits, now).await?;
        let names: Vec<_> = asking.iter().map(|stored| gate::asks(&stored.record)).collect();
        let Passed {
            gate: next,
            go: passed,
            wait,
            never,
            call,
        } = gate::pass(&before, limits, &names, fleet::MOST - go.len(), now);
        let mut outcomes: Vec<(RunnerName, Attempted)> = never
            .into_iter()
            .map(|(name, refused)| (name, Attempted::Refused(refused)))
            .collect();
        outcomes.extend(wait.into_iter().map(|queued| {
            let name = queued.id.clone();
            (name, Attempted::Queued(Box::new(queued)))
        }));
        let (placed, others): (Vec<_>, Vec<_>) = asking
            .into_iter()
            .partition(|stored| passed.contains(&stored.record.name));
        go.extend(placed.into_iter().map(|stored| Stored {
            record: gate::placed(stored.record, now),
            version: stored.version,
        }));
        let is_same = known.as_ref().is_some_and(|stored| stored.record == next);
        Ok(Passage {
            go,
            change: (!is_same).then(|| Change::put(known.as_ref(), next)),
            away: Away {
                runners: others,
                outcomes,
                call,
                over: Vec::new(),
            },
        })
    }

    /// The gate, with all who live if that may not be known to it: it was lost or not kept until now,
    /// or the policy is another.
    async fn as_it_stands(
        &self,
        known: Option<&Stored<Gate>>,
        limits: &Limits,
        now: Timestamp,
    ) -> Result<Gate, FlowError> {
        let before = known.map(|known| known.record.clone()).unwrap_or_default();
        if gate::is_kept(&before, limits) {
            return Ok(before);
        }
        let living = count_living(&self.store, now, &self.deadlines).await?;
        Ok(gate::counted(&before, &living))
    }

    /// Records who was turned away, and calls the others whose turn it is. Answers in which queues somebody
    /// waits now, to be launched in the next way.
    pub(crate) async fn turn_away(&self, away: Away, now: Timestamp) -> Result<Vec<QueueId>, FlowError> {
        let Away {
            runners,
            outcomes,
            call,
            over,
        } = away;
        let mut queues = Vec::new();
        if !outcomes.is_empty() {
            let names: Vec<&str> = outcomes.iter().map(|(name, _)| name.as_str()).collect();
            tracing::info!(count = names.len(), runners = names.join(" "), "turned runners away");
            // Before the refusals themselves: whoever dies in between refuses again.
            self.tell_refused(&over, now).await?;
            queues = self.record(None, runners, outcomes, now).await?;
        }
        call_to_gate(&self.bus, call).await;
        Ok(queues)
    }
}

/// How many who wait in a queue are looked at for one call.
pub(crate) fn most_asking(limits: &Limits) -> usize {
    if limits.any() { MOST_ASKING } else { fleet::MOST }
}

/// How long whoever was too late at the gate waits before the next try: not all for as long.
pub(crate) fn jitter(queue: &QueueId, now: Timestamp) -> Duration {
    let seed = now.millis().unsigned_abs();
    let hash = queue
        .as_str()
        .bytes()
        .fold(seed, |hash, byte| hash.wrapping_mul(0x0100_0000_01b3) ^ u64::from(byte));
    Duration::from_millis(20 + hash % 280)
}
