//! One check run for many jobs of a run attempt.

use dayfly_engine::check_run::{self, CheckRunCall, CheckRunStep, combined};
use dayfly_flows::FlowError;
use dayfly_ports::{Alerts, Clock, GitHub, Store, StoreError};
use dayfly_records::{Change, CheckRun, CheckRunKey, CheckSubject, Stored, Version};
use dayfly_report::check_run::render;
use dayfly_types::ids::RunKey;
use dayfly_types::time::Timestamp;

use crate::check_run::CheckAnswer;
use crate::{Function, ReportOutcome};

/// How often one invocation publishes what is due, waiting for more each time. What comes later is left to the next
/// sweep, so that the invocation ends in time.
const ROUNDS: usize = 5;

/// Records written at once: a transaction takes a hundred items.
///
/// <https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_TransactWriteItems.html>
const AT_ONCE: usize = 90;

impl<S: Store, G: GitHub, K: Clock, A: Alerts> Function<S, G, K, A> {
    /// Publishes the check run of all jobs of an attempt that have none of their own, unless another invocation is
    /// doing so.
    pub(crate) async fn publish_combined(&self, one: &CheckRun) -> Result<ReportOutcome, FlowError> {
        let run = RunKey {
            run: one.run,
            attempt: one.key.attempt,
        };
        let mut outcome = ReportOutcome::Nothing;
        for _ in 0..ROUNDS {
            let Some(held) = self.hold(run, one).await? else {
                return Ok(outcome);
            };
            self.clock.sleep(combined::GATHER).await;
            let members = self.members(run).await?;
            if !members.iter().any(is_due) {
                self.record(Change::update(held.version, combined::release(&held.record)))
                    .await?;
                return Ok(outcome);
            }
            match self.publish_members(held, &members, self.clock.now()).await? {
                ReportOutcome::Published => outcome = ReportOutcome::Published,
                other => return Ok(other),
            }
            if !self.members(run).await?.iter().any(is_due) {
                return Ok(outcome);
            }
        }
        Ok(outcome)
    }

    /// Acquires the combined check run. Returns `None` if another invocation holds it.
    async fn hold(&self, run: RunKey, one: &CheckRun) -> Result<Option<Stored<CheckRun>>, FlowError> {
        let key = CheckRunKey::new(CheckSubject::Jobs, run.attempt);
        let known = self.store.check_run(run.run, key).await?;
        let before = known.as_ref().map(|stored| &stored.record);
        let Some(held) = combined::hold(before, one, self.clock.now()) else {
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
        members.retain(|stored| combined::is_member(&stored.record));
        members.sort_by_key(|stored| stored.record.key);
        Ok(members)
    }

    /// Publishes these jobs once.
    async fn publish_members(
        &self,
        held: Stored<CheckRun>,
        members: &[Stored<CheckRun>],
        now: Timestamp,
    ) -> Result<ReportOutcome, FlowError> {
        let before = combined::compose(&held.record, members.iter().map(|stored| &stored.record), now);
        let check = render(&before, &self.web_url);
        let CheckRunStep::Call(next, call) = check_run::step(&before, check.conclusion, now) else {
            return Ok(ReportOutcome::Nothing);
        };
        if call != CheckRunCall::Find
            && let Err(wait) = self.acquire(&before, now).await?
        {
            let later = combined::defer(&before, wait, now);
            self.record(Change::update(held.version, later)).await?;
            self.update_due(members, |member| combined::defer(member, wait, now))
                .await?;
            return Ok(ReportOutcome::Postponed);
        }
        if !self.record(Change::update(held.version, (*next).clone())).await? {
            return Ok(ReportOutcome::Nothing);
        }
        // It may be the successor of one that is concluded.
        let check = render(&next, &self.web_url);
        let held = Stored::over(held.version, *next);
        match self.call_checks(&held.record, call, &check).await {
            Ok(CheckAnswer::Published(id)) => {
                self.record_published(&held, id, &check, None, now).await?;
                self.update_due(members, combined::published).await?;
            }
            Ok(CheckAnswer::Found(found)) => {
                let found = found.map(|view| (view.id, view.concluded));
                let next = check_run::found(&held.record, found, now);
                self.record(Change::update(held.version, next)).await?;
            }
            Err(error) => {
                let outcome = self.record_failure(&before, &held, &error, now).await?;
                if outcome == ReportOutcome::GivenUp {
                    self.update_due(members, combined::published).await?;
                } else {
                    let wait = error.wait().unwrap_or(self.deadlines.retry(1));
                    self.update_due(members, |member| combined::defer(member, wait, now))
                        .await?;
                }
                return Ok(outcome);
            }
        }
        Ok(ReportOutcome::Published)
    }

    /// Updates the members that were due. One whose content has changed meanwhile stays due.
    async fn update_due(
        &self,
        members: &[Stored<CheckRun>],
        next: impl Fn(&CheckRun) -> CheckRun,
    ) -> Result<(), FlowError> {
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
