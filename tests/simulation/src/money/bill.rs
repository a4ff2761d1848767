//! EC2's bill: the cost of its instances, second by second in the month in which each second lies, and
//! who has to pay.

use std::collections::{BTreeMap, BTreeSet};

use dayfly_records::{LedgerId, Record, RecordId};
use dayfly_types::budget::Budget;
use dayfly_types::capacity::{InstanceLifecycle, Pool};
use dayfly_types::ids::{InstanceId, InstanceType, RunnerName};
use dayfly_types::money::MicroDollars;
use dayfly_types::month::Month;
use dayfly_types::time::Timestamp;

use super::CAPPED;
use super::market::{ADDRESS_HOUR, GIB_MONTH, on_demand};
use crate::cloud::Instance;
use crate::config::DEARER;
use crate::plan::clock;
use crate::sim::Sim;

/// The volume of every instance: the image's own size.
const GIB: u64 = 60;

/// The assumed volume of an instance without a record.
const UNKNOWN_GIB: u64 = 200;

pub(super) const HOUR_MILLIS: i64 = 3_600_000;

/// The least that is billed.
const LEAST_MILLIS: i64 = 60_000;

/// The parts of a micro-dollar in which a bill is added up.
const NANO: i128 = 1_000_000_000;

/// In micro-dollars, by month.
pub(super) type Bill = BTreeMap<Month, u64>;

/// Which prices are known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum KnownPrices {
    All,
    /// Spot prices are not: on-demand prices count.
    Listed,
    /// No prices are known: the highest possible ones count.
    Nothing,
}

/// What is billed of an instance.
#[derive(Clone, Copy, Debug)]
pub(super) struct Span {
    pub(super) from: Timestamp,
    pub(super) to: Timestamp,
    /// Whether compute is free.
    pub(super) free: bool,
    pub(super) known: KnownPrices,
    /// Whether the size of its volume is unknown.
    pub(super) orphan: bool,
}

/// EC2's bill so far for instances that have ended.
#[derive(Debug, Default)]
pub struct Accrued {
    by: BTreeMap<LedgerId, u64>,
    counted: BTreeSet<InstanceId>,
}

impl Sim {
    /// Returns EC2's bill of an instance, from when it runs until it has ended, or until `until`. A
    /// bill of nothing for one that never ran.
    pub(super) fn bill(&self, one: &Instance, until: Timestamp) -> Bill {
        let to = one.ended_at.unwrap_or(until);
        if to <= one.running_at {
            return Bill::new();
        }
        let short = to.millis() - one.running_at.millis() <= HOUR_MILLIS;
        self.billed(
            one,
            Span {
                from: one.running_at,
                to,
                free: one.was_taken_back() && short,
                known: KnownPrices::All,
                orphan: false,
            },
        )
    }

    /// Returns the bill of any span of its life, hour by hour at the price at the start of each hour.
    pub(super) fn billed(&self, one: &Instance, span: Span) -> Bill {
        let begin = span.from.millis();
        let end = span.to.millis().max(begin + LEAST_MILLIS);
        let (mut at, mut billed) = (begin, BTreeMap::<Month, i128>::new());
        while at < end {
            let hour = begin + (at - begin) / HOUR_MILLIS * HOUR_MILLIS;
            let month = Month::of(Timestamp::from_millis(at));
            let until = end.min(hour + HOUR_MILLIS).min(month.ends().millis());
            let per_hour = self.hour_of(one, span, Timestamp::from_millis(hour));
            let length = i128::try_from(month.length().as_millis()).unwrap_or(i128::MAX);
            let gib_month = if span.known == KnownPrices::Nothing {
                2 * GIB_MONTH
            } else {
                GIB_MONTH
            };
            let hourly = i128::from(per_hour + ADDRESS_HOUR) * i128::from(until - at) * NANO / i128::from(HOUR_MILLIS);
            let gib = if span.orphan { UNKNOWN_GIB } else { GIB };
            let disk = i128::from(gib * gib_month) * i128::from(until - at) * NANO / length;
            *billed.entry(month).or_default() += hourly + disk;
            at = until;
        }
        let whole = |nano: i128| u64::try_from(nano / NANO).unwrap_or(u64::MAX);
        billed.into_iter().map(|(month, nano)| (month, whole(nano))).collect()
    }

    /// Returns the price of an instance hour that began at a moment.
    fn hour_of(&self, one: &Instance, span: Span, began: Timestamp) -> u64 {
        let listed = on_demand(&one.view.instance_type).unwrap_or_default().0;
        match one.view.lifecycle {
            _ if span.free => 0,
            // If no price is known, twice the built-in price of the most expensive requested type.
            _ if span.known == KnownPrices::Nothing => 2 * on_demand(&InstanceType::new(DEARER)).unwrap_or_default().0,
            InstanceLifecycle::Spot if span.known == KnownPrices::All => {
                let pool = Pool {
                    instance_type: one.view.instance_type.clone(),
                    zone: one.view.zone.clone(),
                };
                let prices = self.spot_prices(&pool, began, began);
                prices.last().map_or(0, |price| price.per_hour.0)
            }
            InstanceLifecycle::OnDemand | InstanceLifecycle::Spot => listed,
        }
    }

    /// Returns who pays for a runner's launches.
    pub(crate) fn payers(&self, runner: &RunnerName) -> Vec<Budget> {
        let hub = self.hub.borrow();
        let run = runner.job().and_then(|key| hub.jobs.get(&key.job)).map(|job| job.run);
        let Some((run, repository)) = run.and_then(|id| Some((id, hub.runs.get(&id)?.repository.clone()))) else {
            return vec![Budget::Stack];
        };
        drop(hub);
        let mut payers = vec![
            Budget::Stack,
            Budget::Organization {
                name: repository.owner().to_owned(),
            },
        ];
        if let Some(number) = self.pull_of(run) {
            payers.push(Budget::PullRequest {
                repository: repository.clone(),
                number,
            });
        }
        payers.push(Budget::Repository { repository });
        payers.push(Budget::Actor {
            login: self.actor_of(run).to_owned(),
        });
        // There are many of these, and they are kept only where they are wanted.
        let is_kept = |budget: &Budget| match budget {
            Budget::Stack | Budget::Organization { .. } | Budget::Repository { .. } => true,
            Budget::PullRequest { .. } | Budget::Actor { .. } => self.cap_of(budget).is_some(),
        };
        payers.retain(is_kept);
        payers
    }

    /// Returns the runner of an instance.
    pub(super) fn runner_of(&self, instance: &InstanceId) -> Option<RunnerName> {
        match self.table.borrow().peek(&RecordId::Instance(instance.clone())) {
            Some(Record::Instance(instance)) => Some(instance.runner.clone()),
            _ => None,
        }
    }

    /// Returns who pays for an instance. Without a record, which a function that died may have caused,
    /// only the stack is known to.
    fn payers_of(&self, one: &Instance) -> Vec<Budget> {
        match self.runner_of(&one.view.instance) {
            Some(runner) => self.payers(&runner),
            None => vec![Budget::Stack],
        }
    }

    /// EC2's bill so far is within every cap; ended instances are added up once.
    pub(crate) fn bill_is_capped(&self) {
        if !self.plan.caps.any() || self.promises.borrow().emptied_at.is_some() {
            return;
        }
        let now = self.now();
        let cloud = self.cloud.borrow();
        let mut accrued = self.accrued.borrow_mut();
        for one in cloud.recent().filter(|one| one.ended_at.is_some()) {
            if accrued.counted.insert(one.view.instance.clone()) {
                self.charge(&mut accrued.by, one, now);
            }
        }
        let mut so_far = accrued.by.clone();
        drop(accrued);
        for one in cloud.living() {
            self.charge(&mut so_far, one, now);
        }
        let over = so_far.iter().find_map(|(id, billed)| {
            let cap = self.cap_of(&id.budget)?;
            let billed = MicroDollars(*billed);
            (billed > cap).then(|| {
                format!(
                    "EC2 has billed {billed} for {} in {}, of {cap}, {} after the beginning",
                    id.budget,
                    id.month,
                    clock(self.elapsed())
                )
            })
        });
        drop(cloud);
        // A lowered cap does not reduce what was spent.
        if let Some(why) = over.filter(|_| self.caps_stay()) {
            self.broken(CAPPED, why);
        }
    }

    fn charge(&self, by: &mut BTreeMap<LedgerId, u64>, one: &Instance, now: Timestamp) {
        let payers = self.payers_of(one);
        for (month, amount) in self.bill(one, now) {
            for budget in &payers {
                let id = LedgerId {
                    budget: budget.clone(),
                    month,
                };
                *by.entry(id).or_default() += amount;
            }
        }
    }
}
