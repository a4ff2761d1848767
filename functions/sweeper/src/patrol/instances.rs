//! Instances without a live runner, and runners whose instance is gone.

use std::collections::BTreeSet;

use dayfly_engine::patrol::orphans::{self, OrphanCheck};
use dayfly_engine::runner::interruption;
use dayfly_flows::{FlowError, commit_if_current, reschedule_job, settle_orphan};
use dayfly_ports::{ApiError, Fleet, GitHub, InstanceView, Ports, Removal, Schedule, Store, StoreError};
use dayfly_records::{Change, Record, Runner, Stored};
use dayfly_types::ids::{InstanceId, RunnerName};
use dayfly_types::time::Timestamp;

use crate::{Function, Swept};

/// Live records compared with EC2's instances: more runners than an account has vCPUs.
const MAX_LIVE: usize = 20_000;

impl<P: Ports, C: Schedule> Function<P, C> {
    /// Compares EC2's instances with the table's runners, both ways.
    pub(super) async fn patrol_instances(&self, swept: &mut Swept, now: Timestamp) -> Result<(), FlowError> {
        let listed = self.ports.fleet().instances().await?;
        let (ended, living): (Vec<_>, Vec<_>) = listed.into_iter().partition(|view| view.state.is_ended());
        for view in &living {
            let runner = self
                .ports
                .store()
                .runner_on(&view.instance)
                .await?
                .map(|stored| stored.record);
            if runner.is_none() && self.is_launching(view).await? {
                continue;
            }
            let age = now.since(view.launched_at);
            let end = match orphans::check_instance(
                runner.as_ref(),
                &view.instance,
                view.scope.is_some(),
                age,
                &self.deadlines,
            ) {
                OrphanCheck::Owned => false,
                OrphanCheck::End => true,
                OrphanCheck::AskGitHub => self.unregister(view).await?,
            };
            if end {
                tracing::warn!(instance = %view.instance, fleet = view.fleet.as_ref().map(tracing::field::display),
                    "ended an instance that no live runner owns");
                self.ports
                    .fleet()
                    .terminate(std::slice::from_ref(&view.instance), false)
                    .await?;
                swept.orphans += 1;
                self.count_orphan(view, runner.as_ref(), swept, now).await;
            }
        }
        self.count_ended(&ended, swept, now).await?;
        self.give_up_vanished(&living, swept, now).await
    }

    /// Counts the cost of ended instances that was not counted: the function that ended them died before that,
    /// or they had no record and ended by themselves.
    async fn count_ended(&self, ended: &[InstanceView], swept: &mut Swept, now: Timestamp) -> Result<(), FlowError> {
        for view in ended {
            let runner = self
                .ports
                .store()
                .runner_on(&view.instance)
                .await?
                .map(|stored| stored.record);
            if runner.is_none() && self.is_launching(view).await? {
                continue;
            }
            let age = now.since(view.launched_at);
            if orphans::is_orphan_cost(runner.as_ref(), &view.instance, age, &self.deadlines) {
                self.count_orphan(view, runner.as_ref(), swept, now).await;
            }
        }
        Ok(())
    }

    async fn count_orphan(&self, view: &InstanceView, runner: Option<&Runner>, swept: &mut Swept, now: Timestamp) {
        let settled = settle_orphan(&self.ports, &self.prices, view, runner, now, &self.deadlines);
        if let Err(error) = Box::pin(settled).await {
            tracing::error!(instance = %view.instance, %error, "the next patrol counts the instance's cost");
            swept.uncounted += 1;
        }
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
