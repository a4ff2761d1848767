//! Queues: runners that launch alike are launched together, by the invocation that holds their queue.
//!
//! A job that comes alone is claimed and its call recorded in one transaction, and the call is made at
//! once. If another invocation holds the queue, the runner is entered there and this one ends:
//! the holder loads the queue again after each call to EC2, and once more after it has released it. A crash
//! leaves a call or runners that are due, for the sweeper to find.
//!
//! Where the policy has limits, the runners of a call pass the [gate](crate::gate) first, in the same
//! transaction.

use std::collections::VecDeque;
use std::time::Duration;

use dayfly_engine::launch::fleet;
use dayfly_flows::FlowError;
use dayfly_ports::{Bus as _, Clock as _, Store as _};
use dayfly_records::event::{Event, QueueDue};
use dayfly_records::{Change, LaunchQueue, QueuedRunner, Stored};
use dayfly_types::ids::QueueId;
use dayfly_types::time::Timestamp;

use crate::open::{OpenCall, Opening};
use crate::{Function, LaunchPorts};

/// How long one invocation opens new calls to EC2: even with the longest of those after it, the
/// function ends in time.
const SHIFT: Duration = Duration::from_secs(15);

/// How many entries are removed in one transaction.
const REMOVED_AT_ONCE: usize = 90;

impl<P: LaunchPorts> Function<P> {
    /// Makes the open call, if there is one. Then launches all runners that wait in its queue, and in
    /// those that its runners go on to, as long as no other invocation holds them.
    pub(crate) async fn serve_queues(&self, queue: QueueId, open: Option<OpenCall>) -> Result<(), FlowError> {
        let until = self.ports.clock().now().after(SHIFT);
        let mut queues = VecDeque::from([queue.clone()]);
        let mut holds = open.is_some();
        if let Some(open) = open {
            queues.extend(self.run_call(open).await?);
        }
        while let Some(next) = queues.pop_front() {
            if queues.contains(&next) {
                continue;
            }
            let is_held = holds && next == queue;
            holds &= !is_held;
            queues.extend(self.serve_queue(&next, is_held, until).await?);
        }
        Ok(())
    }

    /// Launches all runners that wait in a queue. Returns the other queues in which runners wait now.
    async fn serve_queue(
        &self,
        queue: &QueueId,
        mut is_held: bool,
        until: Timestamp,
    ) -> Result<Vec<QueueId>, FlowError> {
        let mut others = Vec::new();
        loop {
            if !is_held && !self.hold_queue(queue).await? {
                return Ok(others);
            }
            is_held = true;
            let waiting = self.ports.store().waiting(queue).await?;
            let now = self.ports.clock().now();
            if waiting.is_empty() {
                if !self.release_queue(queue).await? || self.ports.store().waiting(queue).await?.is_empty() {
                    return Ok(others);
                }
                // A runner came in between and found the queue held.
                is_held = false;
                continue;
            }
            if now >= until {
                self.release_queue(queue).await?;
                let due = QueueDue {
                    queue: queue.clone(),
                    fleet: None,
                };
                self.ports.bus().publish(&Event::QueueDue(due)).await?;
                return Ok(others);
            }
            let since: Vec<Timestamp> = waiting.iter().map(|stored| stored.record.since).collect();
            let ripe = fleet::ready_at(&since, now);
            if ripe > now {
                self.ports.clock().sleep(ripe.since(now)).await;
                continue;
            }
            match self.open_for_queue(queue, waiting).await? {
                Opening::Opened(open, turned_away) => {
                    others.extend(self.run_call(*open).await?);
                    // After the call, as jobs wait for its instances.
                    others.extend(self.turn_away(*turned_away, now).await?);
                }
                Opening::AllTurnedAway(queues) => others.extend(queues),
                Opening::Wait(wait) => self.ports.clock().sleep(wait).await,
                Opening::Lost => return Ok(others),
            }
        }
    }

    /// Holds a queue. Returns `false` if another invocation holds it.
    async fn hold_queue(&self, queue: &QueueId) -> Result<bool, FlowError> {
        let now = self.ports.clock().now();
        let known = self.ports.store().queue(queue).await?;
        if fleet::is_held(known.as_ref().map(|stored| &stored.record), now) {
            return Ok(false);
        }
        let hold = Change::put(known.as_ref(), held_queue(queue, now));
        Ok(self.commit(vec![hold]).await?)
    }

    /// Releases a queue. Returns `false` if another invocation holds it already.
    async fn release_queue(&self, queue: &QueueId) -> Result<bool, FlowError> {
        let Some(known) = self.ports.store().queue(queue).await? else {
            return Ok(false);
        };
        let free = LaunchQueue {
            held_until: self.ports.clock().now(),
            ..known.record
        };
        Ok(self.commit(vec![Change::update(known.version, free)]).await?)
    }

    /// Removes the entries of runners that wait no more. Another call may have done so.
    pub(crate) async fn remove_entries(&self, entries: &[Stored<QueuedRunner>]) -> Result<(), FlowError> {
        let remove = |entry: &Stored<QueuedRunner>| Change::delete(entry.version, entry.record.clone());
        for some in entries.chunks(REMOVED_AT_ONCE) {
            if !self.commit(some.iter().map(remove).collect()).await? {
                for entry in some {
                    self.commit(vec![remove(entry)]).await?;
                }
            }
        }
        Ok(())
    }
}

pub(crate) fn held_queue(queue: &QueueId, now: Timestamp) -> LaunchQueue {
    LaunchQueue {
        id: queue.clone(),
        held_until: now.after(fleet::HOLD),
    }
}
