//! The cost of instances that no live runner owned, counted once EC2 lists their ends.

use std::collections::BTreeSet;

use dayfly_engine::patrol::orphans;
use dayfly_flows::{FlowError, settle_orphan};
use dayfly_ports::{InstanceState, InstanceView, Ports, Schedule, Scope};
use dayfly_records::{Orphan, Patrol};
use dayfly_types::ids::InstanceId;
use dayfly_types::time::Timestamp;

use super::instances::Owner;
use crate::{Function, Swept};

impl<P: Ports, C: Schedule> Function<P, C> {
    /// Records an orphan before patrol ends it. EC2 forgets an ended instance after an hour, in which no other patrol
    /// may succeed.
    pub(super) async fn keep_orphan(&self, view: &InstanceView) -> Result<(), FlowError> {
        self.update_record(|next| next.keep_orphan(&view.instance, orphan_of(view)))
            .await
    }

    /// Counts the cost of ended instances that was not counted: patrol ended them, or they had no record and ended by
    /// themselves. Those that patrol ended and EC2 has forgotten since are counted until now, as nothing else tells
    /// when they ended.
    pub(super) async fn count_ended(
        &self,
        known: &Patrol,
        living: &[InstanceView],
        mut ended: Vec<InstanceView>,
        swept: &mut Swept,
        now: Timestamp,
    ) -> Result<(), FlowError> {
        let mut kept = known.orphans.clone();
        let listed: BTreeSet<&InstanceId> = living.iter().chain(&ended).map(|view| &view.instance).collect();
        let forgotten = kept.iter().filter(|(instance, _)| !listed.contains(instance));
        let forgotten: Vec<InstanceView> = forgotten
            .map(|(instance, one)| forgotten_view(instance, one, now))
            .collect();
        ended.extend(forgotten);
        kept.retain(|instance, _| ended.iter().any(|view| view.instance == *instance));
        for view in &ended {
            if !self.count(view, swept, now).await? {
                kept.remove(&view.instance);
            }
        }
        if kept.is_empty() {
            return Ok(());
        }
        self.update_record(|next| next.orphans.retain(|instance, _| !kept.contains_key(instance)))
            .await
    }

    /// Counts the cost of an ended instance, if that is left to patrol. Returns `false` if it has to be tried again.
    async fn count(&self, view: &InstanceView, swept: &mut Swept, now: Timestamp) -> Result<bool, FlowError> {
        let Owner::Known(runner) = self.owner_of(view).await? else {
            return Ok(false);
        };
        let runner = runner.as_deref();
        let age = now.since(view.launched_at);
        if !orphans::is_orphan_cost(runner, &view.instance, age, &self.deadlines) {
            return Ok(true);
        }
        let settled = settle_orphan(&self.ports, &self.prices, view, runner, now, &self.deadlines);
        let settled = Box::pin(settled).await;
        if let Err(error) = &settled {
            tracing::error!(instance = %view.instance, %error, "the next patrol counts the instance's cost");
            swept.uncounted += 1;
        }
        Ok(settled.is_ok())
    }
}

fn orphan_of(view: &InstanceView) -> Orphan {
    Orphan {
        instance_type: view.instance_type.clone(),
        zone: view.zone.clone(),
        lifecycle: view.lifecycle,
        launched_at: view.launched_at,
        scope: view
            .scope
            .as_ref()
            .map(|scope| (scope.installation, scope.repository.clone())),
    }
}

fn forgotten_view(instance: &InstanceId, orphan: &Orphan, now: Timestamp) -> InstanceView {
    let Orphan {
        instance_type,
        zone,
        lifecycle,
        launched_at,
        scope,
    } = orphan.clone();
    InstanceView {
        instance: instance.clone(),
        state: InstanceState::Terminated,
        instance_type,
        zone,
        lifecycle,
        launched_at,
        ended_at: Some(now),
        fleet: None,
        scope: scope.map(|(installation, repository)| Scope {
            installation,
            repository,
        }),
    }
}
