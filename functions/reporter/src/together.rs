//! Many jobs of one run attempt, told by one check run.

use dayfly_engine::notice::{self, Ask, Step};
use dayfly_engine::together as decide;
use dayfly_flows::FlowError;
use dayfly_ports::{Alerts, Clock, GitHub, Store, StoreError};
use dayfly_records::{Change, Notice, Stored, Version};
use dayfly_report::notice::render;
use dayfly_types::ids::{JobKey, RunKey};
use dayfly_types::time::Timestamp;

use crate::{Function, Outcome, Told};

/// How often one call tells all that there is, waiting for more each time: those who come after that
/// are told by the next sweep. It still ends in time.
const ROUNDS: usize = 5;

/// How many notices are written at once: a transaction takes a hundred items.
///
/// <https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_TransactWriteItems.html>
const AT_ONCE: usize = 90;

impl<S: Store, G: GitHub, K: Clock, A: Alerts> Function<S, G, K, A> {
    /// Says what is to be said of all jobs of an attempt that have no check run of their own, unless
    /// somebody else is at it.
    pub(crate) async fn say_together(&self, one: &Notice) -> Result<Outcome, FlowError> {
        let run = RunKey {
            run: one.run,
            attempt: one.key.attempt,
        };
        let mut outcome = Outcome::Nothing;
        for _ in 0..ROUNDS {
            let Some(held) = self.hold(run, one).await? else {
                return Ok(outcome);
            };
            self.clock.sleep(decide::GATHER).await;
            let members = self.members(run).await?;
            if !members.iter().any(is_due) {
                self.record(Change::update(held.version, decide::let_go(&held.record)))
                    .await?;
                return Ok(outcome);
            }
            match self.round(held, &members, self.clock.now()).await? {
                Outcome::Said => outcome = Outcome::Said,
                other => return Ok(other),
            }
            if !self.members(run).await?.iter().any(is_due) {
                return Ok(outcome);
            }
        }
        Ok(outcome)
    }

    /// Takes hold of the notice of all jobs; nothing if somebody else has.
    async fn hold(&self, run: RunKey, one: &Notice) -> Result<Option<Stored<Notice>>, FlowError> {
        let known = self.store.notice(run.run, JobKey::of_all(run.attempt)).await?;
        let before = known.as_ref().map(|stored| &stored.record);
        let Some(held) = decide::hold(before, one, self.clock.now()) else {
            return Ok(None);
        };
        let taken = self.record(Change::put(known.as_ref(), held.clone())).await?;
        Ok(taken.then(|| match known {
            Some(known) => Stored::over(known.version, held),
            None => Stored {
                record: held,
                version: Version::FIRST,
            },
        }))
    }

    async fn members(&self, run: RunKey) -> Result<Vec<Stored<Notice>>, StoreError> {
        let mut members = self.store.notices(run, usize::MAX).await?;
        members.retain(|stored| decide::is_member(&stored.record));
        members.sort_by_key(|stored| stored.record.key);
        Ok(members)
    }

    /// Tells these, once.
    async fn round(
        &self,
        held: Stored<Notice>,
        members: &[Stored<Notice>],
        now: Timestamp,
    ) -> Result<Outcome, FlowError> {
        let before = decide::compose(&held.record, members.iter().map(|stored| &stored.record), now);
        let check = render(&before, &self.web_url);
        let Step::Ask(next, ask) = notice::step(&before, check.conclusion, now) else {
            return Ok(Outcome::Nothing);
        };
        if ask != Ask::Find
            && let Err(wait) = self.draw(&before, now).await?
        {
            let later = decide::put_off(&before, wait, now);
            self.record(Change::update(held.version, later)).await?;
            self.each(members, |member| decide::put_off(member, wait, now)).await?;
            return Ok(Outcome::Postponed);
        }
        if !self.record(Change::update(held.version, (*next).clone())).await? {
            return Ok(Outcome::Nothing);
        }
        // It may be another one that takes the place of one that is concluded.
        let check = render(&next, &self.web_url);
        let held = Stored::over(held.version, *next);
        match self.ask(&held.record, ask, &check).await {
            Ok(Told::Said(id)) => {
                self.said(&held, id, &check, None, now).await?;
                self.each(members, decide::told).await?;
            }
            Ok(Told::Found(found)) => {
                let found = found.map(|view| (view.id, view.concluded));
                let next = notice::found(&held.record, found, now);
                self.record(Change::update(held.version, next)).await?;
            }
            Err(error) => {
                let outcome = self.failed(&before, &held, &error, now).await?;
                if outcome == Outcome::GivenUp {
                    self.each(members, decide::told).await?;
                } else {
                    let wait = error.wait().unwrap_or(self.deadlines.retry(1));
                    self.each(members, |member| decide::put_off(member, wait, now)).await?;
                }
                return Ok(outcome);
            }
        }
        Ok(Outcome::Said)
    }

    /// Records what became of those that were due. One of which something else is to be said by now
    /// stays due.
    async fn each(&self, members: &[Stored<Notice>], next: impl Fn(&Notice) -> Notice) -> Result<(), FlowError> {
        let due: Vec<&Stored<Notice>> = members.iter().filter(|stored| is_due(stored)).collect();
        let change = |stored: &&Stored<Notice>| Change::update(stored.version, next(&stored.record));
        for some in due.chunks(AT_ONCE) {
            match self.store.commit(some.iter().map(change).collect()).await {
                Ok(()) => {}
                Err(StoreError::Conflict) => {
                    for one in some {
                        self.record(change(one)).await?;
                    }
                }
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }
}

fn is_due(member: &Stored<Notice>) -> bool {
    member.record.due_at.is_some()
}
