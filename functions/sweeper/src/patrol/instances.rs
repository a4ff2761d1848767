//! Instances without a live runner, and runners whose instance is gone.

use std::collections::BTreeSet;

use dayfly_engine::patrol::orphans::{self, OrphanCheck};
use dayfly_engine::runner::interruption;
use dayfly_flows::{FlowError, commit_if_current, reschedule_job};
use dayfly_ports::{ApiError, Fleet, GitHub, InstanceView, Ports, Removal, Schedule, Store, StoreError};
use dayfly_records::{Change, Patrol, Record, Runner, Stored};
use dayfly_types::ids::{InstanceId, RunnerName};
use dayfly_types::time::Timestamp;

use crate::{Function, Swept};

/// Live records compared with EC2's instances: more runners than an account has vCPUs.
const MAX_LIVE: usize = 20_000;

/// Whose instance it is.
pub(super) enum Owner {
    /// The answer of the fleet call that launched it is not recorded yet.
    Unrecorded,
    /// The runner that it was recorded for, if any.
    Known(Option<Box<Runner>>),
}

impl<P: Ports, C: Schedule> Function<P, C> {
    /// Compares EC2's instances with the table's runners, both ways.
    pub(super) async fn patrol_instances(
        &self,
        known: &Patrol,
        swept: &mut Swept,
        now: Timestamp,
    ) -> Result<(), FlowError> {
        let listed = self.ports.fleet().instances().await?;
        let (ended, living): (Vec<_>, Vec<_>) = listed.into_iter().partition(|view| view.state.is_ended());
        let mut failed = Ok(());
        for view in &living {
            match self.end_if_orphan(view, now).await {
                Ok(is_ended) => swept.orphans += usize::from(is_ended),
                Err(error) => {
                    tracing::warn!(instance = %view.instance, %error, "the next patrol looks at the instance again");
                    failed = Err(error);
                }
            }
        }
        self.give_up_vanished(&living, swept, now).await?;
        // Last, because counting takes longest and its time may be over before that of all is counted.
        self.count_ended(known, &living, ended, swept, now).await?;
        failed
    }

    /// Ends an instance that no live runner owns. Returns `false` if it may live on.
    async fn end_if_orphan(&self, view: &InstanceView, now: Timestamp) -> Result<bool, FlowError> {
        let Owner::Known(runner) = self.owner_of(view).await? else {
            return Ok(false);
        };
        let (age, is_registered) = (now.since(view.launched_at), view.scope.is_some());
        let check = orphans::check_instance(runner.as_deref(), &view.instance, is_registered, age, &self.deadlines);
        let end = match check {
            OrphanCheck::Owned => false,
            OrphanCheck::End => true,
            OrphanCheck::AskGitHub => self.unregister(view).await?,
        };
        if !end {
            return Ok(false);
        }
        self.keep_orphan(view).await?;
        tracing::warn!(instance = %view.instance, fleet = view.fleet.as_ref().map(tracing::field::display),
            "ended an instance that no live runner owns");
        let instances = std::slice::from_ref(&view.instance);
        self.ports.fleet().terminate(instances, false).await?;
        Ok(true)
    }

    /// Returns the runner of an instance, as far as that is certain.
    pub(super) async fn owner_of(&self, view: &InstanceView) -> Result<Owner, StoreError> {
        let mut runner = self.ports.store().runner_on(&view.instance).await?;
        if runner.is_none() {
            if self.is_launching(view).await? {
                return Ok(Owner::Unrecorded);
            }
            // The answer may have been recorded after the first look.
            runner = self.ports.store().runner_on(&view.instance).await?;
        }
        Ok(Owner::Known(runner.map(|stored| Box::new(stored.record))))
    }

    /// Returns whether the answer of the fleet call that launched the instance is not recorded yet.
    async fn is_launching(&self, view: &InstanceView) -> Result<bool, StoreError> {
        let Some(fleet) = &view.fleet else {
            return Ok(false);
        };
        let call = self.ports.store().fleet_call(fleet).await?;
        Ok(call.is_some_and(|call| call.record.due_at.is_some()))
    }

    /// Removes the registrations of an instance without a record from GitHub. Returns whether none is left, so
    /// that the instance may end.
    async fn unregister(&self, view: &InstanceView) -> Result<bool, ApiError> {
        let Some(scope) = &view.scope else {
            return Ok(true);
        };
        let registered = self.ports.github().runners(scope).await?;
        let ours = registered
            .into_iter()
            .filter(|runner| RunnerName::is_registered_from(&runner.name, &view.instance));
        for runner in ours {
            if runner.busy || self.ports.github().remove_runner(scope, runner.id).await? == Removal::Busy {
                tracing::warn!(instance = %view.instance, runner = runner.name,
                    "an instance without a record runs a job: it is left to end by itself");
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Gives up runners whose instances EC2 no longer lists.
    async fn give_up_vanished(
        &self,
        living: &[InstanceView],
        swept: &mut Swept,
        now: Timestamp,
    ) -> Result<(), FlowError> {
        let listed: BTreeSet<&InstanceId> = living.iter().map(|view| &view.instance).collect();
        // Every live record is due by then.
        let horizon = now.after(2 * self.deadlines.lifetime);
        for Stored { record, version } in self.ports.store().due(horizon, MAX_LIVE).await? {
            let Record::Runner(runner) = record else {
                continue;
            };
            let is_listed = runner.instance().is_some_and(|instance| listed.contains(instance));
            if orphans::has_vanished(&runner, is_listed, now, &self.deadlines) {
                tracing::warn!(runner = %runner.name, "EC2 no longer lists the runner's instance");
                swept.vanished += 1;
                self.instance_is_gone(
                    Stored {
                        record: *runner,
                        version,
                    },
                    now,
                )
                .await?;
            }
        }
        Ok(())
    }

    async fn instance_is_gone(&self, runner: Stored<Runner>, now: Timestamp) -> Result<(), FlowError> {
        let Some(next) = interruption::no_longer_listed(&runner.record, now, &self.deadlines) else {
            return Ok(());
        };
        let change = Change::update(runner.version, next.clone());
        // After a conflict it has moved on: the next patrol looks again.
        if commit_if_current(self.ports.store(), vec![change]).await? {
            reschedule_job(self.ports.store(), self.ports.bus(), &next, now).await?;
        }
        Ok(())
    }
}
