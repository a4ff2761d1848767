//! What runners have cost of which nothing is left: counted once, in place of what was set aside for them.

use std::collections::{BTreeMap, BTreeSet};

use dayfly_engine::caps::{self, Ledgers};
use dayfly_engine::costing::{self, Answered, Billed};
use dayfly_engine::thresholds;
use dayfly_ports::{Bus, Fleet, Store, StoreError};
use dayfly_records::event::{CapDue, CostDue, Event};
use dayfly_records::prices::{PriceSource, SpotPrice};
use dayfly_records::{Change, Cost, Job, LedgerId, Runner, Stored};
use dayfly_report::story_due::News;
use dayfly_types::capacity::{FleetError, Pool};
use dayfly_types::deadlines::Deadlines;
use dayfly_types::ids::{RunnerName, Zone};
use dayfly_types::time::Timestamp;
use futures_util::future::try_join_all;

use crate::{Effort, FlowError, PriceCache, tell_stories};

/// How many runners are settled together.
pub const SETTLED_AT_ONCE: usize = 12;

/// What is written for a runner itself, besides ledgers: what it has cost, and that it is settled.
const ITS_OWN: usize = 2;

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
        costing::cost(&self.runner.record, self.job.as_ref(), &self.answered, now)
    }

    /// The ledgers that are written in when it is settled. An instance that nobody could end in time may
    /// have cost something in a month of which nothing was set aside for it.
    fn ledgers(&self, now: Timestamp) -> Vec<LedgerId> {
        let Some(reserved) = &self.runner.record.reserved else {
            return Vec::new();
        };
        let months = self.cost(now).into_iter().flat_map(|cost| cost.amounts);
        let of_cost = months.flat_map(|(month, _)| caps::ledgers_in(&reserved.budgets, month).collect::<Vec<_>>());
        caps::ledgers_of(reserved).chain(of_cost).collect()
    }
}

/// Settles what these runners have cost, if nothing is left of them. `tries` is how often it is begun anew
/// when others write in the same ledgers; then they stay due. Answers of how many EC2 did not tell: they are
/// due later.
///
/// # Errors
/// If the table does not answer. They stay due.
pub async fn cost_ended_runners<S: Store, F: Fleet, B: Bus>(
    (store, fleet, bus, prices): (&S, &F, &B, &PriceCache),
    runners: Vec<Stored<Runner>>,
    tries: usize,
    now: Timestamp,
    deadlines: &Deadlines,
) -> Result<usize, FlowError> {
    let mut accounts = Vec::new();
    let mut asking = Asking {
        fleet,
        history: PriceHistory::default(),
        now,
        deadlines,
    };
    let mut untold = 0;
    for runner in runners
        .into_iter()
        .filter(|runner| runner.record.may_be_settled(now, deadlines))
    {
        match asking.ask(&runner.record).await {
            Ok(Some(mut answered)) => {
                ask_list((store, fleet, prices), &runner.record, &mut answered, now).await;
                accounts.push(account(store, runner, answered).await?);
            }
            Ok(None) => {
                tracing::info!(runner = %runner.record.name, "EC2 does not name its instance yet: what it has cost is counted later");
            }
            Err(error) => {
                tracing::warn!(runner = %runner.record.name, %error, "EC2 does not tell what it has cost: it is asked again");
                untold += 1;
                later(store, runner, now, deadlines).await?;
            }
        }
    }
    tell_stories(store, &told_of(&accounts), now, deadlines).await?;
    let ledgers: Vec<Vec<LedgerId>> = accounts.iter().map(|account| account.ledgers(now)).collect();
    for count in costing::together(ledgers.iter().map(|ledgers| (ITS_OWN, ledgers.as_slice()))) {
        let some = accounts.drain(..count).collect();
        count_together((store, bus), some, tries, now, deadlines).await?;
    }
    Ok(untold)
}

/// Has a runner looked at later, of which EC2 did not tell: others are not to wait for it.
async fn later<S: Store>(
    store: &S,
    Stored { record, version }: Stored<Runner>,
    now: Timestamp,
    deadlines: &Deadlines,
) -> Result<(), StoreError> {
    let due_at = Some(costing::ask_again_at(&record, now, deadlines));
    match store
        .commit(vec![Change::update(version, Runner { due_at, ..record })])
        .await
    {
        // Somebody else has settled it, or put it off.
        Err(StoreError::Conflict) => Ok(()),
        done => done,
    }
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
pub async fn cost_soon<B: Bus>(bus: &B, runner: &Runner, now: Timestamp, deadlines: &Deadlines) {
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

/// Counts what some have cost whose changes fit into one transaction.
async fn count_together<S: Store, B: Bus>(
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
            changes.extend(settle(store, account, &mut ledgers, now, deadlines).await?);
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

/// Asks EC2 about those who are settled together.
struct Asking<'a, F> {
    fleet: &'a F,
    history: PriceHistory,
    now: Timestamp,
    deadlines: &'a Deadlines,
}

impl<F: Fleet> Asking<'_, F> {
    /// What EC2 tells of a runner's instance; nothing if it may only not name it yet. Of one that it has not
    /// told of for long, what it does tell.
    async fn ask(&mut self, runner: &Runner) -> Result<Option<Answered>, FleetError> {
        let unknown = costing::unknown(runner, self.now);
        let mut answered = Answered::default();
        if unknown.zone {
            let zone = zone_of(self.fleet, runner).await;
            answered.zone = self.or_go_without(runner, zone, &mut answered.untold)?;
            if answered.zone.is_none() && costing::may_be_named_yet(runner, self.now, self.deadlines) {
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
                let prices = self.history.of(self.fleet, &pool, billed).await;
                answered.prices = self.or_go_without(runner, prices, &mut answered.untold)?;
            }
        }
        if let Some(instance) = runner.instance().filter(|_| unknown.whether_ec2_ended_it) {
            let ended = self.fleet.ended_by_ec2(instance).await;
            answered.ended_by_ec2 = self.or_go_without(runner, ended, &mut answered.untold)?;
        }
        Ok(Some(answered))
    }

    /// What EC2 answered; nothing, if it has not for so long that it is not waited for any longer.
    fn or_go_without<T: Default>(
        &self,
        runner: &Runner,
        answer: Result<T, FleetError>,
        untold: &mut bool,
    ) -> Result<T, FleetError> {
        match answer {
            Err(error) if costing::is_overdue(runner, self.now, self.deadlines) => {
                tracing::error!(runner = %runner.name, %error, "EC2 has not told for long what it has cost: it is counted by what is known");
                *untold = true;
                Ok(T::default())
            }
            answer => answer,
        }
    }
}

/// What AWS's price list says of a runner's instance; of what it does not tell, the program's own table.
async fn ask_list<S: Store, F: Fleet>(
    (store, fleet, prices): (&S, &F, &PriceCache),
    runner: &Runner,
    answered: &mut Answered,
    now: Timestamp,
) {
    let Some(launched) = &runner.launched else {
        return;
    };
    let ends = (store, fleet);
    let kind = costing::volume_kind(Some(runner));
    answered.volume = prices.volume(ends, kind, Effort::Ask, now).await.ok();
    if launched.on_demand.is_none_or(|price| price.source != PriceSource::Aws) {
        let told = prices.on_demand(ends, &launched.instance_type, Effort::Ask, now).await;
        answered.on_demand = told.ok().flatten();
    }
}

/// Where EC2 says that a runner's instance was, of which it did not say so when it launched it.
async fn zone_of<F: Fleet>(fleet: &F, runner: &Runner) -> Result<Option<Zone>, FleetError> {
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
        let due = thresholds::due_again(now, deadlines);
        ledgers.spend(&reserved.budgets, &cost.amounts, due);
        log(&cost);
        changes.push(Change::create(cost));
    }
    let mut settled = record.clone();
    settled.reserved = None;
    settled.due_at = None;
    changes.push(Change::update(*version, settled));
    Ok(changes)
}

/// Says in the log what an instance has cost.
pub(crate) fn log(cost: &Cost) {
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

/// Has the owner of the account told of the thresholds that were passed. One that is not reached is told
/// when its ledger is due.
pub async fn tell_caps<B: Bus>(bus: &B, ledgers: Vec<LedgerId>) {
    for LedgerId { budget, month } in ledgers {
        let due = CapDue { budget, month };
        if let Err(error) = bus.publish(&Event::CapDue(due)).await {
            tracing::warn!(%error, "how far a cap is used up is told at the next sweep");
        }
    }
}
