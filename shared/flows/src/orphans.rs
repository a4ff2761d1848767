//! What instances have cost that no live runner owned.

use std::collections::BTreeSet;

use dayfly_engine::caps;
use dayfly_engine::costing::{self, Answered};
use dayfly_engine::thresholds;
use dayfly_ports::{Bus, Fleet, InstanceView, Store, StoreError};
use dayfly_records::costs::{Amounts, ByMonth};
use dayfly_records::{Change, Cost, CostId, Launched, LedgerId, Runner};
use dayfly_types::budget::Budget;
use dayfly_types::capacity::InstanceLifecycle;
use dayfly_types::deadlines::{Deadlines, FREE_HOUR};
use dayfly_types::month::Month;
use dayfly_types::time::Timestamp;

use crate::costing::log;
use crate::{Effort, FlowError, MAX_CONFLICTS, PriceCache, load_ledgers, tell_caps};

/// Counts what an instance has cost that no live runner owned, and that has ended: once, whoever does it
/// again. Whatever AWS does not tell of prices is counted by the program's own table.
///
/// # Errors
/// If the table does not answer. Patrol counts it as long as EC2 names the instance.
pub async fn cost_orphan<S: Store, F: Fleet, B: Bus>(
    (store, fleet, bus, prices): (&S, &F, &B, &PriceCache),
    view: &InstanceView,
    runner: Option<&Runner>,
    now: Timestamp,
    deadlines: &Deadlines,
) -> Result<(), FlowError> {
    if runner.is_some_and(|runner| costing::is_counted_with(runner, &view.instance)) {
        return Ok(());
    }
    let id = CostId {
        launched_at: costing::launched_at(runner, &view.instance, view.launched_at),
        instance: view.instance.clone(),
    };
    if store.cost(&id).await?.is_some() {
        return Ok(());
    }
    let until = view.ended_at.unwrap_or(now);
    let (launched, answered) = ask((store, fleet, prices), view, runner, &id, (until, now)).await;
    let repository = match (&view.scope, runner) {
        (Some(scope), _) => Some(&scope.repository),
        (None, runner) => runner.map(|runner| &runner.repository),
    };
    let Some(cost) = costing::orphan(&launched, runner, repository, &answered, until) else {
        return Ok(());
    };
    let budgets = if let Some(reserved) = runner.and_then(|runner| runner.reserved.as_ref()) {
        reserved.budgets.clone()
    } else {
        let own = own_budgets(store, runner, &cost).await?;
        caps::budgets_of(repository).into_iter().chain(own).collect()
    };
    let due = thresholds::due_again(now, deadlines);
    count((store, bus), &cost, &budgets, due).await
}

/// What is known of the instance and its prices.
async fn ask<S: Store, F: Fleet>(
    (store, fleet, prices): (&S, &F, &PriceCache),
    view: &InstanceView,
    runner: Option<&Runner>,
    id: &CostId,
    (until, now): (Timestamp, Timestamp),
) -> (Launched, Answered) {
    let ends = (store, fleet);
    let on_demand = prices.on_demand(ends, &view.instance_type, Effort::Ask, now).await;
    let launched = Launched {
        instance: view.instance.clone(),
        instance_type: view.instance_type.clone(),
        zone: view.zone.clone(),
        lifecycle: view.lifecycle,
        price_per_hour: None,
        on_demand: on_demand.ok().flatten(),
        at: id.launched_at,
        at_by_ec2: true,
    };
    let kind = costing::volume_kind(runner);
    let mut answered = Answered {
        volume: prices.volume(ends, kind, Effort::Ask, now).await.ok(),
        ..Answered::default()
    };
    if view.lifecycle == InstanceLifecycle::Spot && !view.zone.is_unknown() {
        match fleet.spot_prices(&launched.pool(), launched.at, until).await {
            Ok(prices) => answered.prices = prices,
            Err(error) => {
                tracing::warn!(instance = %view.instance, %error, "EC2 does not tell what it has cost: the most is counted");
            }
        }
    }
    let may_be_free = view.lifecycle == InstanceLifecycle::Spot && until <= launched.at.after(FREE_HOUR);
    if view.state.is_ended() && may_be_free {
        match fleet.ended_by_ec2(&view.instance).await {
            Ok(ended) => answered.ended_by_ec2 = ended,
            Err(error) => {
                tracing::warn!(instance = %view.instance, %error, "EC2 does not tell whether it ended it");
            }
        }
    }
    (launched, answered)
}

/// Those of the pull request and the user for whom an instance was there of whom it is kept what they spend:
/// something of theirs is written down in a month of it.
async fn own_budgets<S: Store>(store: &S, runner: Option<&Runner>, cost: &Cost) -> Result<Vec<Budget>, StoreError> {
    let Some(runner) = runner else {
        return Ok(Vec::new());
    };
    let months = of_months(&cost.amounts).chain([Month::of(runner.requested_at)]);
    let months: BTreeSet<Month> = months.collect();
    let mut kept = Vec::new();
    for budget in caps::own_budgets(runner) {
        for month in &months {
            let id = LedgerId {
                budget: budget.clone(),
                month: *month,
            };
            if store.ledger(&id).await?.is_some() {
                kept.push(budget);
                break;
            }
        }
    }
    Ok(kept)
}

fn of_months(amounts: &ByMonth<Amounts>) -> impl Iterator<Item = Month> {
    amounts.iter().map(|(month, _)| *month)
}

async fn count<S: Store, B: Bus>(
    (store, bus): (&S, &B),
    cost: &Cost,
    budgets: &[Budget],
    due: Timestamp,
) -> Result<(), FlowError> {
    for _ in 0..MAX_CONFLICTS {
        if store.cost(&cost.id()).await?.is_some() {
            return Ok(());
        }
        let ids = of_months(&cost.amounts).flat_map(|month| caps::ledgers_in(budgets, month));
        let mut ledgers = load_ledgers(store, ids.collect()).await?;
        ledgers.spend(budgets, &cost.amounts, due);
        let news: Vec<LedgerId> = ledgers.with_news().collect();
        let mut changes = ledgers.changes();
        changes.push(Change::create(cost.clone()));
        match store.commit(changes).await {
            Err(StoreError::Conflict) => {}
            done => {
                done?;
                log(cost);
                tell_caps(bus, news).await;
                return Ok(());
            }
        }
    }
    Err(StoreError::Conflict.into())
}
