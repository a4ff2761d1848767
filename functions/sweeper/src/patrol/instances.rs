//! Instances that no live runner owns, and runners whose instance is gone.

use std::collections::BTreeSet;

use dayfly_engine::interruption;
use dayfly_engine::patrol::{self, Orphan};
use dayfly_flows::{FlowError, cost_orphan, follow_up};
use dayfly_ports::{ApiError, Bus, Fleet, GitHub, InstanceView, Removal, Schedule, Store, StoreError};
use dayfly_records::{Change, Record, Runner, Stored};
use dayfly_types::ids::{InstanceId, RunnerName};
use dayfly_types::time::Timestamp;

use crate::{Function, Swept};

/// How many live records are compared with EC2's instances: more runners than an account has vCPUs.
const MAX_LIVE: usize = 20_000;

impl<S: Store, G: GitHub, F: Fleet, B: Bus, C: Schedule> Function<S, G, F, B, C> {
    /// Compares EC2's instances with the table's runners, both ways.
    pub(super) async fn patrol_instances(&self, swept: &mut Swept, now: Timestamp) -> Result<(), FlowError> {
        let named = self.fleet.named().await?;
        let (ended, living): (Vec<_>, Vec<_>) = named.into_iter().partition(|view| view.state.is_ended());
        for view in &living {
            let runner = self.store.runner_on(&view.instance).await?.map(|stored| stored.record);
            if runner.is_none() && self.is_under_way(view).await? {
                continue;
            }
            let age = now.since(view.launched_at);
            let end = match patrol::orphan(
                runner.as_ref(),
                &view.instance,
                view.scope.is_some(),
                age,
                &self.deadlines,
            ) {
                Orphan::Owned => false,
                Orphan::End => true,
                Orphan::AskGitHub => self.let_go(view).await?,
            };
            if end {
                tracing::warn!(instance = %view.instance, fleet = view.fleet.as_ref().map(tracing::field::display),
                    "ended an instance that no live runner owns");
                self.fleet
                    .terminate(std::slice::from_ref(&view.instance), false)
                    .await?;
                swept.orphans += 1;
                self.count_orphan(view, runner.as_ref(), swept, now).await;
            }
        }
        self.count_ended(&ended, swept, now).await?;
        self.vanished(&living, swept, now).await
    }

    /// Counts what those have cost that have ended, and that nobody has counted: whoever ended them may have
    /// died before that, and those that no record ever named have ended by themselves.
    async fn count_ended(&self, ended: &[InstanceView], swept: &mut Swept, now: Timestamp) -> Result<(), FlowError> {
        for view in ended {
            let runner = self.store.runner_on(&view.instance).await?.map(|stored| stored.record);
            if runner.is_none() && self.is_under_way(view).await? {
                continue;
            }
            let age = now.since(view.launched_at);
            if patrol::is_nobodys_cost(runner.as_ref(), &view.instance, age, &self.deadlines) {
                self.count_orphan(view, runner.as_ref(), swept, now).await;
            }
        }
        Ok(())
    }

    async fn count_orphan(&self, view: &InstanceView, runner: Option<&Runner>, swept: &mut Swept, now: Timestamp) {
        let ends = (&self.store, &self.fleet, &self.bus, &self.prices);
        if let Err(error) = Box::pin(cost_orphan(ends, view, runner, now, &self.deadlines)).await {
            tracing::error!(instance = %view.instance, %error, "the next patrol counts what it has cost");
            swept.uncounted += 1;
        }
    }

    /// Whether the answer of the call that launched an instance is not recorded yet.
    async fn is_under_way(&self, view: &InstanceView) -> Result<bool, StoreError> {
        let Some(fleet) = &view.fleet else {
            return Ok(false);
        };
        let call = self.store.fleet_call(fleet).await?;
        Ok(call.is_some_and(|call| call.record.due_at.is_some()))
    }

    /// Takes the registrations of an instance from GitHub that no record knows. Answers whether none
    /// is left, so that it may end.
    async fn let_go(&self, view: &InstanceView) -> Result<bool, ApiError> {
        let Some(scope) = &view.scope else {
            return Ok(true);
        };
        let registered = self.github.runners(scope).await?;
        let ours = registered
            .into_iter()
            .filter(|runner| RunnerName::is_registered_from(&runner.name, &view.instance));
        for runner in ours {
            if runner.busy || self.github.remove_runner(scope, runner.id).await? == Removal::Busy {
                tracing::warn!(instance = %view.instance, runner = runner.name,
                    "an instance that no record knows runs a job: it is left to end by itself");
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Gives up runners whose instances EC2 names no more.
    async fn vanished(&self, living: &[InstanceView], swept: &mut Swept, now: Timestamp) -> Result<(), FlowError> {
        let named: BTreeSet<&InstanceId> = living.iter().map(|view| &view.instance).collect();
        // Whatever lives is due one day.
        let one_day = now.after(2 * self.deadlines.lifetime);
        for Stored { record, version } in self.store.due(one_day, MAX_LIVE).await? {
            let Record::Runner(runner) = record else {
                continue;
            };
            let is_named = runner.instance().is_some_and(|instance| named.contains(instance));
            if patrol::has_vanished(&runner, is_named, now, &self.deadlines) {
                tracing::warn!(runner = %runner.name, "EC2 names the runner's instance no more");
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
        let Some(next) = interruption::named_no_more(&runner.record, now, &self.deadlines) else {
            return Ok(());
        };
        match self
            .store
            .commit(vec![Change::update(runner.version, next.clone())])
            .await
        {
            // It has moved on: the next patrol looks again.
            Err(StoreError::Conflict) => Ok(()),
            done => {
                done?;
                follow_up(&self.store, &self.bus, &next, now).await
            }
        }
    }
}
