//! What runners have cost of which nothing is left: counted once, in place of what was set aside for them.

use std::collections::{BTreeMap, BTreeSet};

use dayfly_core::capacity::{InstanceLifecycle, Pool};
use dayfly_core::deadlines::Deadlines;
use dayfly_core::decide::caps::{self, Ledgers};
use dayfly_core::decide::settlement::{self, Answered, Billed};
use dayfly_core::decide::story::News;
use dayfly_core::event::{CapDue, CostDue, Event};
use dayfly_core::ids::{RunnerName, Zone};
use dayfly_core::prices::{Price, PriceSource, SpotPrice};
use dayfly_core::record::{Change, Cost, Job, Launched, LedgerId, Runner, Stored};
use dayfly_core::time::Timestamp;
use dayfly_ports::{Bus, Fleet, InstanceView, Store, StoreError};
use futures_util::future::try_join_all;

use crate::{FlowError, MAX_CONFLICTS, tell_stories};

/// How many runners are settled in one transaction: each with its cost, and at most that many
/// repositories with their ledgers, fit into DynamoDB's 100 items.
pub const SETTLED_AT_ONCE: usize = 12;

/// How often it is tried at once to count what a runner has cost: where many end together, a sweep counts
/// them together.
pub const AT_ONCE_TRIES: usize = 2;

/// A runner with what there is to count.
struct Account {
    runner: Stored<Runner>,
    job: Option<Job>,
    answered: Answered,
}

impl Account {
    /// What the runner's instance has cost, if it had one.
    fn cost(&self, now: Timestamp) -> Option<Cost> {
        settlement::cost(&self.runner.record, self.job.as_ref(), &self.answered, now)
    }

    /// The ledgers that are written in when it is settled. An instance that nobody could end in time may
    /// have cost something in a month of which nothing was set aside for it.
    fn ledgers(&self, now: Timestamp) -> Vec<LedgerId> {
        let Some(reserved) = &self.runner.record.reserved else {
            return Vec::new();
        };
        let months = self.cost(now).into_iter().flat_map(|cost| cost.amounts);
        let of_cost = months.flat_map(|(month, _)| caps::ledgers_in(&reserved.purses, month).collect::<Vec<_>>());
        caps::ledgers_of(reserved).chain(of_cost).collect()
    }
}

/// Settles what these runners have cost, if nothing is left of them. `tries` is how often it is begun anew
/// when others write in the same ledgers; then they stay due.
///
/// # Errors
/// If table or EC2 do not answer. They stay due.
pub async fn settle_costs<S: Store, F: Fleet, B: Bus>(
    (store, fleet, bus): (&S, &F, &B),
    runners: Vec<Stored<Runner>>,
    tries: usize,
    now: Timestamp,
    deadlines: &Deadlines,
) -> Result<(), FlowError> {
    let mut accounts = Vec::new();
    let mut prices = PriceHistory::default();
    for runner in runners
        .into_iter()
        .filter(|runner| runner.record.may_be_settled(now, deadlines))
    {
        let Some(answered) = ask(fleet, &mut prices, &runner.record, now, deadlines).await? else {
            tracing::info!(runner = %runner.record.name, "EC2 does not name its instance yet: what it has cost is counted later");
            continue;
        };
        accounts.push(account(store, runner, answered).await?);
    }
    tell_stories(store, &told_of(&accounts), now, deadlines).await?;
    count((store, bus), accounts, tries, now, deadlines).await
}

/// The jobs of whose story it is part what these runners have cost.
fn told_of(accounts: &[Account]) -> Vec<News<'_>> {
    let news = accounts.iter().filter_map(|account| {
        let job = account.job.as_ref()?;
        Some(News::of(job, Some(&account.runner.record)))
    });
    news.collect()
}

/// Has whoever may ask EC2 settle what a runner has cost, if nothing else is left of it. It is due anyway.
pub async fn settle_soon<B: Bus>(bus: &B, runner: &Runner, now: Timestamp, deadlines: &Deadlines) {
    if !runner.may_be_settled(now, deadlines) {
        return;
    }
    let due = CostDue {
        runner: runner.name.clone(),
    };
    if let Err(error) = bus.publish(&Event::CostDue(due)).await {
        tracing::info!(runner = %runner.name, %error, "what it has cost is counted at the next sweep");
    }
}

async fn account<S: Store>(store: &S, runner: Stored<Runner>, answered: Answered) -> Result<Account, StoreError> {
    let job = store.job(runner.record.job.unwrap_or(runner.record.wanted_by)).await?;
    Ok(Account {
        runner,
        job: job.map(|stored| stored.record),
        answered,
    })
}

async fn count<S: Store, B: Bus>(
    (store, bus): (&S, &B),
    mut accounts: Vec<Account>,
    tries: usize,
    now: Timestamp,
    deadlines: &Deadlines,
) -> Result<(), FlowError> {
    for _ in 0..tries {
        if accounts.is_empty() {
            return Ok(());
        }
        let written = accounts.iter().flat_map(|account| account.ledgers(now));
        let mut ledgers = load_ledgers(store, written.collect()).await?;
        let mut changes = Vec::new();
        for account in &accounts {
            changes.extend(settle(store, account, &mut ledgers, now).await?);
        }
        let news: Vec<LedgerId> = ledgers.with_news().collect();
        changes.extend(ledgers.changes());
        match store.commit(changes).await {
            Err(StoreError::Conflict) => accounts = reload(store, accounts, now, deadlines).await?,
            done => {
                done?;
                tell_caps(bus, news).await;
                return Ok(());
            }
        }
    }
    tracing::info!(
        runners = accounts.len(),
        "what runners have cost is counted at the next sweep"
    );
    Ok(())
}

/// What EC2 told of the prices of pools, each asked for once for all who are settled together.
#[derive(Default)]
struct PriceHistory(BTreeMap<Pool, (Billed, Vec<SpotPrice>)>);

impl PriceHistory {
    async fn of<F: Fleet>(&mut self, fleet: &F, pool: &Pool, asked: Billed) -> Result<Vec<SpotPrice>, FlowError> {
        if let Some((known, prices)) = self.0.get(pool)
            && known.from <= asked.from
            && asked.to <= known.to
        {
            return Ok(prices.clone());
        }
        let prices = fleet.spot_prices(pool, asked.from, asked.to).await?;
        self.0.insert(pool.clone(), (asked, prices.clone()));
        Ok(prices)
    }
}

/// What EC2 tells of a runner's instance; nothing if it may only not name it yet.
async fn ask<F: Fleet>(
    fleet: &F,
    prices: &mut PriceHistory,
    runner: &Runner,
    now: Timestamp,
    deadlines: &Deadlines,
) -> Result<Option<Answered>, FlowError> {
    let unknown = settlement::unknown(runner, now);
    let mut answered = Answered::default();
    if unknown.zone {
        answered.zone = zone_of(fleet, runner).await?;
        if answered.zone.is_none() && settlement::may_be_named_yet(runner, now, deadlines) {
            return Ok(None);
        }
    }
    if let Some((pool, billed)) = unknown.prices {
        let pool = Pool {
            zone: answered.zone.clone().unwrap_or(pool.zone),
            ..pool
        };
        // EC2 refuses to tell of a zone that there is not.
        if !pool.zone.is_unknown() {
            answered.prices = prices.of(fleet, &pool, billed).await?;
        }
    }
    if let Some(instance) = runner.instance().filter(|_| unknown.whether_ec2_ended_it) {
        answered.ended_by_ec2 = fleet.ended_by_ec2(instance).await?;
    }
    Ok(Some(answered))
}

/// Where EC2 says that a runner's instance was, of which it did not say so when it launched it.
async fn zone_of<F: Fleet>(fleet: &F, runner: &Runner) -> Result<Option<Zone>, FlowError> {
    let (Some(call), Some(instance)) = (&runner.fleet, runner.instance()) else {
        return Ok(None);
    };
    let views = fleet.of_fleet(call).await?;
    let its = views.into_iter().find(|view| view.instance == *instance);
    Ok(its.map(|view| view.zone))
}

/// What is written for one of them, besides the ledgers.
async fn settle<S: Store>(
    store: &S,
    account: &Account,
    ledgers: &mut Ledgers,
    now: Timestamp,
) -> Result<Vec<Change>, StoreError> {
    let Stored { record, version } = &account.runner;
    let Some(reserved) = &record.reserved else {
        return Ok(Vec::new());
    };
    let mut changes = Vec::new();
    ledgers.release(reserved);
    if let Some(cost) = account.cost(now)
        && store.cost(&cost.id()).await?.is_none()
    {
        ledgers.spend(&reserved.purses, &cost.amounts, now);
        log(&cost);
        changes.push(Change::create(cost));
    }
    let mut settled = record.clone();
    settled.reserved = None;
    settled.due_at = None;
    changes.push(Change::update(*version, settled));
    Ok(changes)
}

fn log(cost: &Cost) {
    tracing::info!(
        runner = cost.runner.as_ref().map(RunnerName::as_str),
        instance = %cost.instance,
        job = cost.job.map(tracing::field::display),
        run = cost.run.map(tracing::field::display),
        cost = %cost.total(),
        saved = %cost.saved(),
        purpose = ?cost.purpose,
        free = cost.free,
        source = ?cost.source,
        "settled what an instance has cost"
    );
}

/// These ledgers.
///
/// # Errors
/// If the table does not answer.
pub async fn load_ledgers<S: Store>(store: &S, ids: BTreeSet<LedgerId>) -> Result<Ledgers, StoreError> {
    let loads = ids.into_iter().map(async |id| {
        let found = store.ledger(&id).await?;
        Ok::<_, StoreError>((id, found))
    });
    let read: BTreeMap<_, _> = try_join_all(loads).await?.into_iter().collect();
    Ok(Ledgers::of(read))
}

async fn reload<S: Store>(
    store: &S,
    accounts: Vec<Account>,
    now: Timestamp,
    deadlines: &Deadlines,
) -> Result<Vec<Account>, StoreError> {
    let mut again = Vec::new();
    for account in accounts {
        let runner = store.runner(&account.runner.record.name).await?;
        again.extend(
            runner
                .filter(|runner| runner.record.may_be_settled(now, deadlines))
                .map(|runner| Account { runner, ..account }),
        );
    }
    Ok(again)
}

/// Counts what an instance has cost that no live runner owned, and that we have ended: once, whoever does
/// it again.
///
/// # Errors
/// If table or EC2 do not answer: what it cost is missing then, and said in the log.
pub async fn settle_stray<S: Store, F: Fleet, B: Bus>(
    (store, fleet, bus): (&S, &F, &B),
    view: &InstanceView,
    runner: Option<&Runner>,
    now: Timestamp,
) -> Result<(), FlowError> {
    if runner.is_some_and(|runner| settlement::is_counted_with(runner, &view.instance)) {
        return Ok(());
    }
    let mut launched = Launched {
        instance: view.instance.clone(),
        instance_type: view.instance_type.clone(),
        zone: view.zone.clone(),
        lifecycle: view.lifecycle,
        price_per_hour: None,
        on_demand: None,
        at: settlement::launched_at(runner, &view.instance, view.launched_at),
        at_by_ec2: true,
    };
    let told = fleet.on_demand_price(&view.instance_type).await?;
    launched.on_demand = told.map(|per_hour| Price {
        per_hour,
        source: PriceSource::Aws,
    });
    let prices = match view.lifecycle {
        InstanceLifecycle::Spot if !launched.zone.is_unknown() => {
            fleet.spot_prices(&launched.pool(), view.launched_at, now).await?
        }
        InstanceLifecycle::Spot | InstanceLifecycle::OnDemand => Vec::new(),
    };
    let repository = view.scope.as_ref().map(|scope| &scope.repository);
    let Some(cost) = settlement::stray(&launched, runner, repository, &prices, now) else {
        return Ok(());
    };
    for _ in 0..MAX_CONFLICTS {
        if store.cost(&cost.id()).await?.is_some() {
            return Ok(());
        }
        let purses = caps::purses_of(repository);
        let months = cost.amounts.iter().map(|(month, _)| *month);
        let ids = months.flat_map(|month| {
            purses.iter().map(move |purse| LedgerId {
                purse: purse.clone(),
                month,
            })
        });
        let mut ledgers = load_ledgers(store, ids.collect()).await?;
        ledgers.spend(&purses, &cost.amounts, now);
        let news: Vec<LedgerId> = ledgers.with_news().collect();
        let mut changes = ledgers.changes();
        changes.push(Change::create(cost.clone()));
        match store.commit(changes).await {
            Err(StoreError::Conflict) => {}
            done => {
                done?;
                log(&cost);
                tell_caps(bus, news).await;
                return Ok(());
            }
        }
    }
    Err(StoreError::Conflict.into())
}

/// Has the owner of the account told of the thresholds that were passed. One that is not reached is told
/// when its ledger is due.
pub async fn tell_caps<B: Bus>(bus: &B, ledgers: Vec<LedgerId>) {
    for LedgerId { purse, month } in ledgers {
        let due = CapDue { purse, month };
        if let Err(error) = bus.publish(&Event::CapDue(due)).await {
            tracing::warn!(%error, "how far a cap is used up is told at the next sweep");
        }
    }
}
