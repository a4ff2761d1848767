//! Many jobs of one run attempt, told by one check run.

use dayfly_engine::check_run::{self, Ask, Step};
use dayfly_engine::combined as decide;
use dayfly_flows::FlowError;
use dayfly_ports::{Alerts, Clock, GitHub, Store, StoreError};
use dayfly_records::{Change, CheckRun, Stored, Version};
use dayfly_report::check_run::render;
use dayfly_types::ids::{JobKey, RunKey};
use dayfly_types::time::Timestamp;

use crate::{Function, Outcome, Told};

/// How often one call tells all that there is, waiting for more each time: those who come after that
/// are told by the next sweep. It still ends in time.
const ROUNDS: usize = 5;

/// How many check runs are written at once: a transaction takes a hundred items.
///
/// <https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_TransactWriteItems.html>
const AT_ONCE: usize = 90;

impl<S: Store, G: GitHub, K: Clock, A: Alerts> Function<S, G, K, A> {
    /// Says what is to be said of all jobs of an attempt that have no check run of their own, unless
    /// somebody else is at it.
    pub(crate) async fn say_together(&self, one: &CheckRun) -> Result<Outcome, FlowError> {
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

    /// Takes hold of the check run of all jobs; nothing if somebody else has.
    async fn hold(&self, run: RunKey, one: &CheckRun) -> Result<Option<Stored<CheckRun>>, FlowError> {
        let known = self.store.check_run(run.run, JobKey::of_all(run.attempt)).await?;
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

    async fn members(&self, run: RunKey) -> Result<Vec<Stored<CheckRun>>, StoreError> {
        let mut members = self.store.check_runs(run, usize::MAX).await?;
        members.retain(|stored| decide::is_member(&stored.record));
        members.sort_by_key(|stored| stored.record.key);
        Ok(members)
    }

    /// Tells these, once.
    async fn round(
        &self,
        held: Stored<CheckRun>,
        members: &[Stored<CheckRun>],
        now: Timestamp,
    ) -> Result<Outcome, FlowError> {
        let before = decide::compose(&held.record, members.iter().map(|stored| &stored.record), now);
        let check = render(&before, &self.web_url);
        let Step::Ask(next, ask) = check_run::step(&before, check.conclusion, now) else {
            return Ok(Outcome::Nothing);
        };
        if ask != Ask::Find
            && let Err(wait) = self.acquire(&before, now).await?
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
                let next = check_run::found(&held.record, found, now);
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
    async fn each(&self, members: &[Stored<CheckRun>], next: impl Fn(&CheckRun) -> CheckRun) -> Result<(), FlowError> {
        let due: Vec<&Stored<CheckRun>> = members.iter().filter(|stored| is_due(stored)).collect();
        let change = |stored: &&Stored<CheckRun>| Change::update(stored.version, next(&stored.record));
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

fn is_due(member: &Stored<CheckRun>) -> bool {
    member.record.due_at.is_some()
}
