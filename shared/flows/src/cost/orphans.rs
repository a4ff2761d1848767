//! The cost of instances that no live runner owned.

use std::collections::BTreeSet;

use dayfly_engine::cost::caps;
use dayfly_engine::cost::costing::{self, Ec2Answers};
use dayfly_engine::cost::thresholds;
use dayfly_ports::{Fleet, InstanceView, Ports, Store, StoreError};
use dayfly_records::costs::{Amounts, ByMonth};
use dayfly_records::{Change, Cost, CostId, Launched, LedgerId, Runner};
use dayfly_types::budget::Budget;
use dayfly_types::capacity::InstanceLifecycle;
use dayfly_types::deadlines::{Deadlines, FREE_HOUR};
use dayfly_types::month::Month;
use dayfly_types::time::Timestamp;

use super::settle::log_cost;
use super::{PriceCache, PriceLookup, load_ledgers, publish_caps_due};
use crate::{FlowError, commit_retrying};

/// Counts, once, what an ended instance cost that no live runner owned. A price that AWS does not tell is
/// taken from the built-in table.
///
/// # Errors
/// The table does not answer. Patrol tries again as long as EC2 lists the instance.
pub async fn settle_orphan<P: Ports>(
    ports: &P,
    prices: &PriceCache,
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
    if ports.store().cost(&id).await?.is_some() {
        return Ok(());
    }
    let until = view.ended_at.unwrap_or(now);
    let (launched, answered) = ask(ports, prices, view, runner, &id, (until, now)).await;
    let repository = match (&view.scope, runner) {
        (Some(scope), _) => Some(&scope.repository),
        (None, runner) => runner.map(|runner| &runner.repository),
    };
    let Some(cost) = costing::orphan_cost(&launched, runner, repository, &answered, until) else {
        return Ok(());
    };
    let budgets = if let Some(reserved) = runner.and_then(|runner| runner.reserved.as_ref()) {
        reserved.budgets.clone()
    } else {
        let own = own_budgets(ports.store(), runner, &cost).await?;
        caps::budgets_of(repository).into_iter().chain(own).collect()
    };
    let due = thresholds::retry_at(now, deadlines);
    count(ports, &cost, &budgets, due).await
}

/// Asks AWS about the instance and its prices.
async fn ask<P: Ports>(
    ports: &P,
    prices: &PriceCache,
    view: &InstanceView,
    runner: Option<&Runner>,
    id: &CostId,
    (until, now): (Timestamp, Timestamp),
) -> (Launched, Ec2Answers) {
    let on_demand = prices
        .on_demand(ports, &view.instance_type, PriceLookup::AskAws, now)
        .await;
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
    let mut answered = Ec2Answers {
        volume: prices.volume(ports, kind, PriceLookup::AskAws, now).await.ok(),
        ..Ec2Answers::default()
    };
    if view.lifecycle == InstanceLifecycle::Spot && !view.zone.is_unknown() {
        match ports.fleet().spot_prices(&launched.pool(), launched.at, until).await {
            Ok(prices) => answered.prices = prices,
            Err(error) => {
                tracing::warn!(instance = %view.instance, %error, "EC2 does not tell the spot price: the maximum is counted");
            }
        }
    }
    let may_be_free = view.lifecycle == InstanceLifecycle::Spot && until <= launched.at.after(FREE_HOUR);
    if view.state.is_ended() && may_be_free {
        match ports.fleet().ended_by_ec2(&view.instance).await {
            Ok(ended) => answered.ended_by_ec2 = ended,
            Err(error) => {
                tracing::warn!(instance = %view.instance, %error, "EC2 does not tell whether it ended the instance");
            }
        }
    }
    (launched, answered)
}

/// Returns the budgets of the pull request and the user whose spending is tracked: those with a ledger in a
/// month of the instance's life.
async fn own_budgets<S: Store>(store: &S, runner: Option<&Runner>, cost: &Cost) -> Result<Vec<Budget>, StoreError> {
    let Some(runner) = runner else {
        return Ok(Vec::new());
    };
    let months: BTreeSet<Month> = months_of(&cost.amounts)
        .chain([Month::of(runner.requested_at)])
        .collect();
    let mut tracked = Vec::new();
    for budget in caps::own_budgets(runner) {
        for month in &months {
            let id = LedgerId {
                budget: budget.clone(),
                month: *month,
            };
            if store.ledger(&id).await?.is_some() {
                tracked.push(budget);
                break;
            }
        }
    }
    Ok(tracked)
}

fn months_of(amounts: &ByMonth<Amounts>) -> impl Iterator<Item = Month> {
    amounts.iter().map(|(month, _)| *month)
}

async fn count<P: Ports>(ports: &P, cost: &Cost, budgets: &[Budget], due: Timestamp) -> Result<(), FlowError> {
    let store = ports.store();
    let passed = commit_retrying(store, async || {
        if store.cost(&cost.id()).await?.is_some() {
            return Ok::<_, StoreError>((Vec::new(), None));
        }
        let ids = months_of(&cost.amounts).flat_map(|month| caps::ledgers_in(budgets, month));
        let mut ledgers = load_ledgers(store, ids.collect()).await?;
        ledgers.spend(budgets, &cost.amounts, due);
        let passed: Vec<LedgerId> = ledgers.newly_due().collect();
        let mut changes = ledgers.changes();
        changes.push(Change::create(cost.clone()));
        Ok((changes, Some(passed)))
    })
    .await?;
    if let Some(passed) = passed {
        log_cost(cost);
        publish_caps_due(ports.bus(), passed).await;
    }
    Ok(())
}
