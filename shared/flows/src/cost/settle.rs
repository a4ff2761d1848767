//! The cost of runners that are gone, counted once, in place of their reservations.

use std::collections::{BTreeMap, BTreeSet};

use dayfly_engine::cost::caps::{self, Ledgers};
use dayfly_engine::cost::costing::{self, Billed, Ec2Answers};
use dayfly_engine::cost::thresholds;
use dayfly_ports::{Bus, Fleet, Ports, Store, StoreError};
use dayfly_records::event::{CapDue, CostDue, Event};
use dayfly_records::prices::{PriceSource, SpotPrice};
use dayfly_records::{Change, Cost, Job, LedgerId, Runner, Stored};
use dayfly_report::story::schedule::StoryUpdate;
use dayfly_types::capacity::{FleetError, Pool};
use dayfly_types::deadlines::Deadlines;
use dayfly_types::ids::{RunnerName, Zone};
use dayfly_types::time::Timestamp;
use futures_util::future::try_join_all;

use super::{PriceCache, PriceLookup};
use crate::{FlowError, commit_if_current, mark_stories_due};

/// Runners that a sweep settles together.
pub const SETTLE_BATCH: usize = 12;

/// Items written for a runner besides ledgers: its cost, and the runner itself.
const OWN_ITEMS: usize = 2;

/// Tries to settle a runner right after its end. Where many end together, a sweep settles them together.
pub const INLINE_SETTLE_TRIES: usize = 2;

/// A runner to settle.
struct Account {
    runner: Stored<Runner>,
    job: Option<Job>,
    answered: Ec2Answers,
}

impl Account {
    /// Returns the cost of the runner's instance, if it had one.
    fn cost(&self, now: Timestamp) -> Option<Cost> {
        costing::cost(&self.runner.record, self.job.as_ref(), &self.answered, now)
    }

    /// Returns the ledgers that settling writes. An instance that could not be ended in time may have cost
    /// something in a month without a reservation.
    fn ledgers(&self, now: Timestamp) -> Vec<LedgerId> {
        let Some(reserved) = &self.runner.record.reserved else {
            return Vec::new();
        };
        let months = self.cost(now).into_iter().flat_map(|cost| cost.amounts);
        let of_cost = months.flat_map(|(month, _)| caps::ledgers_in(&reserved.budgets, month).collect::<Vec<_>>());
        caps::ledgers_of(reserved).chain(of_cost).collect()
    }
}

/// Settles the cost of those runners that are gone. If other calls write to the same ledgers, tries `tries` times;
/// after that the runners stay due. Returns the number of runners for which EC2 named no price; they are due later.
///
/// # Errors
/// The table does not answer. The runners stay due.
pub async fn settle_costs<P: Ports>(
    ports: &P,
    prices: &PriceCache,
    runners: Vec<Stored<Runner>>,
    tries: usize,
    now: Timestamp,
    deadlines: &Deadlines,
) -> Result<usize, FlowError> {
    let mut accounts = Vec::new();
    let store = ports.store();
    let mut asking = Ec2Questions {
        fleet: ports.fleet(),
        history: PriceHistory::default(),
        now,
        deadlines,
    };
    let mut unpriced = 0;
    for runner in runners
        .into_iter()
        .filter(|runner| runner.record.is_costing_due(now, deadlines))
    {
        match asking.ask(&runner.record).await {
            Ok(Some(mut answered)) => {
                ask_price_list(ports, prices, &runner.record, &mut answered, now).await;
                accounts.push(account(store, runner, answered).await?);
            }
            Ok(None) => {
                tracing::info!(runner = %runner.record.name, "EC2 does not list the instance yet: its cost is counted later");
            }
            Err(error) => {
                tracing::warn!(runner = %runner.record.name, %error, "EC2 does not tell what the instance cost: it is asked again");
                unpriced += 1;
                postpone(store, runner, now, deadlines).await?;
            }
        }
    }
    mark_stories_due(store, &story_updates(&accounts), now, deadlines).await?;
    let ledgers: Vec<Vec<LedgerId>> = accounts.iter().map(|account| account.ledgers(now)).collect();
    for count in costing::batch_sizes(ledgers.iter().map(|ledgers| (OWN_ITEMS, ledgers.as_slice()))) {
        let some = accounts.drain(..count).collect();
        settle_batch(ports, some, tries, now, deadlines).await?;
    }
    Ok(unpriced)
}

/// Makes a runner due later whose price EC2 did not tell, so that others do not wait for it.
async fn postpone<S: Store>(
    store: &S,
    Stored { record, version }: Stored<Runner>,
    now: Timestamp,
    deadlines: &Deadlines,
) -> Result<(), StoreError> {
    let due_at = Some(costing::ask_again_at(&record, now, deadlines));
    // After a conflict another call has settled or postponed it.
    commit_if_current(store, vec![Change::update(version, Runner { due_at, ..record })]).await?;
    Ok(())
}

/// Returns the jobs whose stories include the cost of these runners.
fn story_updates(accounts: &[Account]) -> Vec<StoryUpdate<'_>> {
    let updates = accounts.iter().filter_map(|account| {
        let job = account.job.as_ref()?;
        Some(StoryUpdate::of(job, Some(&account.runner.record)))
    });
    updates.collect()
}

/// Publishes that a runner that is gone is to be settled, for callers that do not reach EC2. It is due anyway.
pub async fn publish_cost_due<B: Bus>(bus: &B, runner: &Runner, now: Timestamp, deadlines: &Deadlines) {
    if !runner.is_costing_due(now, deadlines) {
        return;
    }
    let due = CostDue {
        runner: runner.name.clone(),
    };
    if let Err(error) = bus.publish(&Event::CostDue(due)).await {
        tracing::info!(runner = %runner.name, %error, "the runner's cost is counted at the next sweep");
    }
}

async fn account<S: Store>(store: &S, runner: Stored<Runner>, answered: Ec2Answers) -> Result<Account, StoreError> {
    let job = store.job(runner.record.job.unwrap_or(runner.record.wanted_by)).await?;
    Ok(Account {
        runner,
        job: job.map(|stored| stored.record),
        answered,
    })
}

/// Settles runners whose changes fit into one transaction.
async fn settle_batch<P: Ports>(
    ports: &P,
    mut accounts: Vec<Account>,
    tries: usize,
    now: Timestamp,
    deadlines: &Deadlines,
) -> Result<(), FlowError> {
    let store = ports.store();
    for _ in 0..tries {
        if accounts.is_empty() {
            return Ok(());
        }
        let written = accounts.iter().flat_map(|account| account.ledgers(now));
        let mut ledgers = load_ledgers(store, written.collect()).await?;
        let mut changes = Vec::new();
        for account in &accounts {
            changes.extend(settle(store, account, &mut ledgers, now, deadlines).await?);
        }
        let passed: Vec<LedgerId> = ledgers.newly_due().collect();
        changes.extend(ledgers.changes());
        if commit_if_current(store, changes).await? {
            publish_caps_due(ports.bus(), passed).await;
            return Ok(());
        }
        accounts = reload(store, accounts, now, deadlines).await?;
    }
    tracing::info!(
        runners = accounts.len(),
        "the cost of runners is counted at the next sweep"
    );
    Ok(())
}

/// Spot prices of pools; each pool is asked for once for all runners that are settled together.
#[derive(Default)]
struct PriceHistory(BTreeMap<Pool, (Billed, Vec<SpotPrice>)>);

impl PriceHistory {
    async fn of<F: Fleet>(&mut self, fleet: &F, pool: &Pool, asked: Billed) -> Result<Vec<SpotPrice>, FleetError> {
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

/// Asks EC2 about the runners that are settled together.
struct Ec2Questions<'a, F> {
    fleet: &'a F,
    history: PriceHistory,
    now: Timestamp,
    deadlines: &'a Deadlines,
}

impl<F: Fleet> Ec2Questions<'_, F> {
    /// Asks what is unknown about a runner's instance. Returns `None` if EC2 may just not list it yet. Once an
    /// answer is overdue, the runner is settled without it.
    async fn ask(&mut self, runner: &Runner) -> Result<Option<Ec2Answers>, FleetError> {
        let unknown = costing::ec2_questions(runner, self.now);
        let mut answered = Ec2Answers::default();
        if unknown.zone {
            let zone = zone_of(self.fleet, runner).await;
            answered.zone = self.or_go_without(runner, zone, &mut answered.unavailable)?;
            if answered.zone.is_none() && costing::may_be_listed_yet(runner, self.now, self.deadlines) {
                return Ok(None);
            }
        }
        if let Some((pool, billed)) = unknown.prices {
            let pool = Pool {
                zone: answered.zone.clone().unwrap_or(pool.zone),
                ..pool
            };
            // EC2 refuses a zone that does not exist.
            if !pool.zone.is_unknown() {
                let prices = self.history.of(self.fleet, &pool, billed).await;
                answered.prices = self.or_go_without(runner, prices, &mut answered.unavailable)?;
            }
        }
        if let Some(instance) = runner.instance().filter(|_| unknown.end_cause) {
            let ended = self.fleet.ended_by_ec2(instance).await;
            answered.ended_by_ec2 = self.or_go_without(runner, ended, &mut answered.unavailable)?;
        }
        Ok(Some(answered))
    }

    /// Returns EC2's answer, or the default once an answer is overdue.
    fn or_go_without<T: Default>(
        &self,
        runner: &Runner,
        answer: Result<T, FleetError>,
        is_missing: &mut bool,
    ) -> Result<T, FleetError> {
        match answer {
            Err(error) if costing::is_overdue(runner, self.now, self.deadlines) => {
                tracing::error!(runner = %runner.name, %error, "EC2 has not told for long what the instance cost: its cost is counted by what is known");
                *is_missing = true;
                Ok(T::default())
            }
            answer => answer,
        }
    }
}

/// Asks AWS's price list about a runner's instance. The built-in table fills the gaps.
async fn ask_price_list<P: Ports>(
    ports: &P,
    prices: &PriceCache,
    runner: &Runner,
    answered: &mut Ec2Answers,
    now: Timestamp,
) {
    let Some(launched) = &runner.launched else {
        return;
    };
    let kind = costing::volume_kind(Some(runner));
    answered.volume = prices.volume(ports, kind, PriceLookup::AskAws, now).await.ok();
    if launched.on_demand.is_none_or(|price| price.source != PriceSource::Aws) {
        let price = prices
            .on_demand(ports, &launched.instance_type, PriceLookup::AskAws, now)
            .await;
        answered.on_demand = price.ok().flatten();
    }
}

/// Asks EC2 for the zone of an instance, where the launch did not tell it.
async fn zone_of<F: Fleet>(fleet: &F, runner: &Runner) -> Result<Option<Zone>, FleetError> {
    let (Some(call), Some(instance)) = (&runner.fleet, runner.instance()) else {
        return Ok(None);
    };
    let views = fleet.instances_of(call).await?;
    let its = views.into_iter().find(|view| view.instance == *instance);
    Ok(its.map(|view| view.zone))
}

/// Returns the changes of one runner besides the ledgers.
async fn settle<S: Store>(
    store: &S,
    account: &Account,
    ledgers: &mut Ledgers,
    now: Timestamp,
    deadlines: &Deadlines,
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
        let due = thresholds::retry_at(now, deadlines);
        ledgers.spend(&reserved.budgets, &cost.amounts, due);
        log_cost(&cost);
        changes.push(Change::create(cost));
    }
    let mut settled = record.clone();
    settled.reserved = None;
    settled.due_at = None;
    changes.push(Change::update(*version, settled));
    Ok(changes)
}

/// Logs what an instance cost.
pub(super) fn log_cost(cost: &Cost) {
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
        "settled the cost of an instance"
    );
}

/// Loads these ledgers.
///
/// # Errors
/// The table does not answer.
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
        if let Some(runner) = runner.filter(|runner| runner.record.is_costing_due(now, deadlines)) {
            // Its job, too: GitHub may have reported meanwhile which one it ran.
            again.push(self::account(store, runner, account.answered).await?);
        }
    }
    Ok(again)
}

/// Publishes the caps whose thresholds were passed, so that the owner of the account is notified. A cap that
/// is not published is found when its ledger is due.
pub async fn publish_caps_due<B: Bus>(bus: &B, ledgers: Vec<LedgerId>) {
    for LedgerId { budget, month } in ledgers {
        let due = CapDue { budget, month };
        if let Err(error) = bus.publish(&Event::CapDue(due)).await {
            tracing::warn!(%error, "a passed threshold is reported at the next sweep");
        }
    }
}
