//! Those who are launched alike are launched together, by whoever holds their queue.
//!
//! A job that comes alone is claimed, and its call recorded, in one transaction, and the call is made
//! at once. Whoever finds the queue held writes down that he waits and leaves: the holder looks again
//! after each call, and once more after it has let go. Whoever dies leaves a call that is due, or
//! runners that are, for the sweeper to find.
//!
//! In a stack whose policy has limits, whoever begins a call first passes with its runners through the
//! [gate](crate::gate), in the same transaction.

use std::collections::{BTreeSet, VecDeque};
use std::time::Duration;

use dayfly_engine::fleet;
use dayfly_flows::{FlowError, bucket_with_one_taken};
use dayfly_ports::{Bus, Clock, Fleet, GitHub, Parameters, Quotas, Schedule, Store, StoreError};
use dayfly_records::event::{Event, QueueDue};
use dayfly_records::{BucketId, Change, FleetCall, LaunchQueue, Runner, Stored, Version, Waiting};
use dayfly_types::ids::{QueueId, RunnerName};
use dayfly_types::time::Timestamp;
use futures_util::future::try_join_all;

use crate::Function;
use crate::gate::{self, Away, Passage};

/// How long one call of the function begins new calls to EC2: with the longest of those behind it,
/// it still ends in time.
const SHIFT: Duration = Duration::from_secs(15);

/// How many entries are taken away in one transaction.
const AT_ONCE: usize = 90;

/// A call that is recorded and is to be made, with its runners.
pub(crate) struct Begun {
    pub(crate) call: Stored<FleetCall>,
    pub(crate) runners: Vec<Stored<Runner>>,
}

impl<S: Store, G: GitHub, F: Fleet, B: Bus, C: Schedule, P: Parameters, K: Clock, Q: Quotas>
    Function<S, G, F, B, C, P, K, Q>
{
    /// Begins a call for one runner alone, if nobody holds its queue. `claim` is written with it, or
    /// nothing is. The answer is nothing if the runner has to wait for others, or somebody else was
    /// faster at something.
    pub(crate) async fn begin_alone(
        &self,
        claim: &[Change],
        runner: &Runner,
        now: Timestamp,
    ) -> Result<Option<Begun>, FlowError> {
        let queue = fleet::queue_of(runner);
        let known = self.store.queue(&queue).await?;
        if !fleet::comes_alone(known.as_ref().map(|stored| &stored.record), now) {
            return Ok(None);
        }
        let Some(Passage { mut go, change, away }) = self.pass_gate_alone(runner, now).await? else {
            return Ok(None);
        };
        let affordable = Box::pin(self.affordable(go.clone(), now)).await?;
        if affordable.runners.is_empty() {
            return Ok(None);
        }
        let booked = affordable.book(&mut go, now);
        let Some(Stored { record: runner, .. }) = go.pop() else {
            return Ok(None);
        };
        let Ok(bucket) = bucket_with_one_taken(&self.store, BucketId::CreateFleet, now).await? else {
            return Ok(None);
        };
        let placements = self.placements(&runner, &affordable.types, now).await?;
        let Some((call, mut runners)) = fleet::open(vec![runner], placements, now, &self.deadlines) else {
            return Ok(None);
        };
        let runner = runners.remove(0);
        let mut changes = claim.to_vec();
        changes.extend([
            Change::create(runner.clone()),
            Change::create(call.clone()),
            Change::put(known.as_ref(), held(&queue, now)),
            bucket,
        ]);
        changes.extend(change);
        changes.extend(booked);
        match self.store.commit(changes).await {
            Err(StoreError::Conflict) => return Ok(None),
            done => done?,
        }
        self.turn_away(away, now).await?;
        Ok(Some(Begun {
            call: Stored {
                record: call,
                version: Version::FIRST,
            },
            runners: vec![Stored {
                record: runner,
                version: Version::FIRST,
            }],
        }))
    }

    /// Lets a runner in that comes alone. Nothing if that cannot be told: it is claimed all the same, and
    /// waits.
    async fn pass_gate_alone(&self, runner: &Runner, now: Timestamp) -> Result<Option<Passage>, FlowError> {
        let alone = Stored {
            record: runner.clone(),
            version: Version::FIRST,
        };
        match self.limits(now).await {
            Ok(limits) => self.pass_gate(&limits, vec![alone], now).await.map(Some),
            Err(error) => {
                tracing::warn!(runner = %runner.name, %error, "it is not known how much may run at once");
                Ok(None)
            }
        }
    }

    /// Launches all that waits in a queue, and in those that its runners go on to, for as long as
    /// nobody else holds them.
    pub(crate) async fn launch_all(&self, queue: QueueId, begun: Option<Begun>) -> Result<(), FlowError> {
        let until = self.clock.now().after(SHIFT);
        let mut queues = VecDeque::from([queue.clone()]);
        let mut holds = begun.is_some();
        if let Some(begun) = begun {
            queues.extend(self.make(begun).await?);
        }
        while let Some(next) = queues.pop_front() {
            if queues.contains(&next) {
                continue;
            }
            let mine = holds && next == queue;
            holds &= !mine;
            queues.extend(self.serve(&next, mine, until).await?);
        }
        Ok(())
    }

    /// Launches all that waits in a queue. Answers which other queues have somebody waiting now.
    async fn serve(&self, queue: &QueueId, mut holds: bool, until: Timestamp) -> Result<Vec<QueueId>, FlowError> {
        let mut others = Vec::new();
        loop {
            if !holds && !self.hold(queue).await? {
                return Ok(others);
            }
            holds = true;
            let waiting = self.store.waiting(queue).await?;
            let now = self.clock.now();
            if waiting.is_empty() {
                if !self.let_go(queue).await? || self.store.waiting(queue).await?.is_empty() {
                    return Ok(others);
                }
                // It came after the last look and found the queue held.
                holds = false;
                continue;
            }
            if now >= until {
                self.let_go(queue).await?;
                let due = QueueDue {
                    queue: queue.clone(),
                    fleet: None,
                };
                self.bus.publish(&Event::QueueDue(due)).await?;
                return Ok(others);
            }
            let since: Vec<Timestamp> = waiting.iter().map(|stored| stored.record.since).collect();
            let ripe = fleet::ripe_at(&since, now);
            if ripe > now {
                self.clock.sleep(ripe.since(now)).await;
                continue;
            }
            match self.begin(queue, waiting).await? {
                Beginning::Begun(begun, away) => {
                    others.extend(self.make(*begun).await?);
                    // Later than the instances that others wait for.
                    others.extend(self.turn_away(*away, now).await?);
                }
                Beginning::Away(queues) => others.extend(queues),
                Beginning::Later(wait) => self.clock.sleep(wait).await,
                Beginning::Again => {}
                Beginning::Lost => return Ok(others),
            }
        }
    }

    /// Takes hold of a queue that nobody holds. Answers whether it is held by us now.
    async fn hold(&self, queue: &QueueId) -> Result<bool, FlowError> {
        let now = self.clock.now();
        let known = self.store.queue(queue).await?;
        if fleet::is_held(known.as_ref().map(|stored| &stored.record), now) {
            return Ok(false);
        }
        match self
            .store
            .commit(vec![Change::put(known.as_ref(), held(queue, now))])
            .await
        {
            Err(StoreError::Conflict) => Ok(false),
            done => Ok(done.map(|()| true)?),
        }
    }

    /// Lets go of a queue. Answers whether nobody else had taken it already.
    async fn let_go(&self, queue: &QueueId) -> Result<bool, FlowError> {
        let Some(known) = self.store.queue(queue).await? else {
            return Ok(false);
        };
        let free = LaunchQueue {
            held_until: self.clock.now(),
            ..known.record
        };
        match self.store.commit(vec![Change::update(known.version, free)]).await {
            Err(StoreError::Conflict) => Ok(false),
            done => Ok(done.map(|()| true)?),
        }
    }

    /// Begins a call for those who have waited longest.
    async fn begin(&self, queue: &QueueId, mut waiting: Vec<Stored<Waiting>>) -> Result<Beginning, FlowError> {
        let now = self.clock.now();
        let limits = self.limits(now).await?;
        waiting.sort_by_key(|stored| stored.record.since);
        waiting.truncate(gate::most_asking(&limits));
        let known = self.store.queue(queue).await?;
        let loads = waiting.iter().map(|stored| self.store.runner(&stored.record.runner));
        let mut wanted: Vec<Stored<Runner>> = try_join_all(loads).await?.into_iter().flatten().collect();
        wanted.retain(|stored| fleet::is_wanted(&stored.record) && fleet::queue_of(&stored.record) == *queue);
        let here: BTreeSet<RunnerName> = wanted.iter().map(|stored| stored.record.name.clone()).collect();
        let mut affordable = Box::pin(self.affordable(wanted, now)).await?;
        let asking = std::mem::take(&mut affordable.runners);
        let Passage {
            mut go,
            change,
            mut away,
        } = self.pass_gate(&limits, asking, now).await?;
        let booked = affordable.book(&mut go, now);
        away.add(std::mem::take(&mut affordable.away), affordable.take_news());
        let (wanted, versions): (Vec<Runner>, Vec<Version>) =
            go.into_iter().map(|stored| (stored.record, stored.version)).unzip();
        // Those for whom this call has no room come with the next.
        let handled: BTreeSet<&RunnerName> = wanted.iter().map(|runner| &runner.name).chain(away.names()).collect();
        let left = |name: &RunnerName| here.contains(name) && !handled.contains(name);
        waiting.retain(|stored| !left(&stored.record.runner));
        let Some(first) = wanted.first() else {
            return self.turn_all_away(queue, waiting, change, away, now).await;
        };
        let bucket = match bucket_with_one_taken(&self.store, BucketId::CreateFleet, now).await? {
            Ok(bucket) => bucket,
            Err(wait) => return Ok(Beginning::Later(wait)),
        };
        let placements = self.placements(first, &affordable.types, now).await?;
        let Some((call, runners)) = fleet::open(wanted, placements, now, &self.deadlines) else {
            return Ok(Beginning::Again);
        };
        let mut changes = vec![
            Change::create(call.clone()),
            Change::put(known.as_ref(), held(queue, now)),
            bucket,
        ];
        let updates = runners.iter().zip(&versions);
        changes.extend(updates.map(|(runner, version)| Change::update(*version, runner.clone())));
        changes.extend(change);
        changes.extend(booked);
        match self.store.commit(changes).await {
            // One of them has moved on, or another queue's call came first; or this queue is not ours
            // any more, which the next look shows.
            Err(StoreError::Conflict) => return Ok(self.lost(queue, known.as_ref(), now).await?),
            done => done?,
        }
        self.strike(&waiting).await?;
        let runners = runners.into_iter().zip(versions);
        let begun = Begun {
            call: Stored {
                record: call,
                version: Version::FIRST,
            },
            runners: runners.map(|(runner, version)| Stored::over(version, runner)).collect(),
        };
        Ok(Beginning::Begun(Box::new(begun), Box::new(away)))
    }

    /// It is the turn of none of those who wait.
    async fn turn_all_away(
        &self,
        queue: &QueueId,
        waiting: Vec<Stored<Waiting>>,
        change: Option<Change>,
        away: Away,
        now: Timestamp,
    ) -> Result<Beginning, FlowError> {
        if let Some(change) = change {
            match self.store.commit(vec![change]).await {
                Err(StoreError::Conflict) => return Ok(Beginning::Later(gate::jitter(queue, now))),
                done => done?,
            }
        }
        let queues = self.turn_away(away, now).await?;
        self.strike(&waiting).await?;
        Ok(Beginning::Away(queues))
    }

    /// Whether a queue that was ours has been taken by somebody else.
    async fn lost(
        &self,
        queue: &QueueId,
        known: Option<&Stored<LaunchQueue>>,
        now: Timestamp,
    ) -> Result<Beginning, StoreError> {
        let current = self.store.queue(queue).await?;
        let same = current.map(|stored| stored.version) == known.map(|stored| stored.version);
        Ok(after_conflict(queue, same, now))
    }

    /// Takes entries away whose runners wait no more. Somebody else may have done so.
    async fn strike(&self, waiting: &[Stored<Waiting>]) -> Result<(), FlowError> {
        for some in waiting.chunks(AT_ONCE) {
            let strikes = some
                .iter()
                .map(|stored| Change::delete(stored.version, stored.record.clone()))
                .collect();
            match self.store.commit(strikes).await {
                Ok(()) => {}
                Err(StoreError::Conflict) => self.strike_singly(some).await?,
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }

    async fn strike_singly(&self, waiting: &[Stored<Waiting>]) -> Result<(), FlowError> {
        for stored in waiting {
            let strike = Change::delete(stored.version, stored.record.clone());
            match self.store.commit(vec![strike]).await {
                Ok(()) | Err(StoreError::Conflict) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }
}

/// What came of beginning a call.
enum Beginning {
    /// It is recorded, and is to be made.
    Begun(Box<Begun>, Box<Away>),
    /// EC2 takes no more calls for so long, or too many are at the gate or in the ledgers.
    Later(Duration),
    /// None: all were turned away, to wait in these queues if anywhere.
    Away(Vec<QueueId>),
    /// Somebody moved: look again.
    Again,
    /// Somebody else holds the queue.
    Lost,
}

/// What follows when others were faster at what a call is recorded with: a queue that still is ours is looked
/// at again, not at once with all those others. They write in the stack's ledger, and pass through one
/// gate.
fn after_conflict(queue: &QueueId, is_ours: bool, now: Timestamp) -> Beginning {
    if is_ours {
        Beginning::Later(gate::jitter(queue, now))
    } else {
        Beginning::Lost
    }
}

fn held(queue: &QueueId, now: Timestamp) -> LaunchQueue {
    LaunchQueue {
        id: queue.clone(),
        held_until: now.after(fleet::HOLD),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn those_who_were_too_late_in_one_ledger_do_not_all_come_again_at_once() {
        let now = Timestamp::from_seconds(1_800_000_000);
        let waits: BTreeSet<Duration> = (0..100)
            .map(
                |queue| match after_conflict(&QueueId::new(format!("octo/gpu-{queue}")), true, now) {
                    Beginning::Later(wait) => wait,
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
        assert!(matches!(after_conflict(&queue, false, now), Beginning::Lost));
    }
}
