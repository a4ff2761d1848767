//! The promise that settled costs match EC2's bill: per instance, per job, per month of each payer, and
//! in total.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use dayfly_records::prices::PriceSource;
use dayfly_records::{Cost, Ledger, LedgerId, Purpose, Record, RecordId, RunnerState};
use dayfly_types::budget::Budget;
use dayfly_types::ids::{InstanceId, JobKey};
use dayfly_types::month::Month;
use dayfly_types::time::Timestamp;

use super::bill::{Bill, HOUR_MILLIS, KnownPrices, Span};
use super::{RETURNED, SETTLED};
use crate::budgets::payers_of_orphan;
use crate::cloud::{Instance, REMEMBERED};
use crate::plan::{Item, Outage, clock};
use crate::promises::{CONTROL, GITHUB, MINUTE};
use crate::sim::Sim;

/// Below a cent, a micro-dollar here and there is a large share.
const CENT: u64 = 10_000;

/// Amounts are rounded up to a micro-dollar each.
const ROUNDING: u64 = 40;

/// The longest time from a function's decision to end an instance to its end.
const LONGEST_CALL: Duration = Duration::from_mins(2);

/// Outages that keep prices from the functions.
const PRICE_OUTAGES: &[Outage] = &[Outage::Ec2, Outage::Ec2Throttle, Outage::Prices];

/// Faults that delay GitHub's report of which runner has a job.
const REPORT_FAULTS: &[Outage] = &[Outage::WebhookLost, Outage::WebhookFailed, Outage::WebhookLate];

/// The bounds of a settled cost.
#[derive(Clone, Debug, Default)]
struct Bounds {
    least: Bill,
    most: Bill,
}

impl Bounds {
    /// The bounds of each billed month.
    fn months(&self) -> impl Iterator<Item = (Month, u64, u64)> {
        let months: BTreeSet<Month> = self.least.keys().chain(self.most.keys()).copied().collect();
        months.into_iter().map(|month| {
            let of = |bill: &Bill| bill.get(&month).copied().unwrap_or(0);
            (month, of(&self.least), of(&self.most))
        })
    }

    fn add(&mut self, other: &Self) {
        for (month, least, most) in other.months() {
            self.add_month(month, least, most);
        }
    }

    fn add_month(&mut self, month: Month, least: u64, most: u64) {
        *self.least.entry(month).or_default() += least;
        *self.most.entry(month).or_default() += most;
    }

    fn holds(&self, settled: u64) -> bool {
        let (least, most) = (total(&self.least), total(&self.most));
        settled + least / 100 + ROUNDING >= least && settled <= most + most / 100 + ROUNDING
    }
}

/// The sums over the checked instances.
#[derive(Default)]
struct Sums {
    settled: u64,
    billed: u64,
    /// How many have exactly one allowed amount.
    exact: u64,
    /// The largest deviation of those, in hundredths of a percent.
    most_off: u64,
    all: Bounds,
    by: BTreeMap<LedgerId, Bounds>,
    wrong: Option<String>,
}

/// Combines two bills month by month.
fn each(one: &Bill, other: &Bill, which: impl Fn(u64, u64) -> u64) -> Bill {
    let months: BTreeSet<Month> = one.keys().chain(other.keys()).copied().collect();
    let of = |bill: &Bill, month| bill.get(&month).copied().unwrap_or(0);
    let each = months
        .into_iter()
        .map(|month| (month, which(of(one, month), of(other, month))));
    each.collect()
}

fn total(bill: &Bill) -> u64 {
    bill.values().sum()
}

impl Sim {
    /// At the end: every instance is settled as EC2 bills it, and so are each month and the total.
    pub(crate) fn money_is_right(&self) {
        let emptied_at = self.promises.borrow().emptied_at;
        if let Some(emptied_at) = emptied_at {
            self.ended_orphans_are_counted(emptied_at);
            return;
        }
        self.nothing_is_reserved();
        self.ledgers_are_settled();
        self.costs_are_billed();
        self.thresholds_are_alerted();
    }

    /// Nothing is reserved once nothing lives, nor for a runner that is gone.
    pub(crate) fn nothing_is_reserved(&self) {
        if self.promises.borrow().emptied_at.is_some() {
            return;
        }
        let table = self.table.borrow();
        let nothing_lives = table.live().next().is_none();
        let reserved = |ledger: &&Ledger| ledger.reserved.0 > 0;
        let held = table.ledgers_of_all().find(|ledger| nothing_lives && reserved(ledger));
        let held = held.map(|ledger| format!("{} in {} for {}", ledger.reserved, ledger.month, ledger.budget));
        let outlived = table.live().find_map(|record| match record {
            Record::Runner(runner) if runner.state == RunnerState::Gone && runner.reserved.is_some() => {
                let since = self.now().since(runner.ended_at.unwrap_or(runner.requested_at));
                let overdue = self.overdue(RETURNED, since, 80 * MINUTE, &[CONTROL]);
                overdue.then(|| format!("what is set aside for {} outlives it by {}", runner.name, clock(since)))
            }
            _ => None,
        });
        drop(table);
        if let Some(why) = held.or(outlived) {
            self.broken(RETURNED, why);
        }
    }

    /// Once the table is emptied every instance is an orphan, and those that patrol ends are counted.
    fn ended_orphans_are_counted(&self, emptied_at: Timestamp) {
        let table = self.table.borrow();
        let counted: BTreeSet<&InstanceId> = table.costs().map(|cost| &cost.instance).collect();
        let cloud = self.cloud.borrow();
        let uncounted = cloud.instances.iter().find(|(id, one)| {
            let is_later = one.ended_at.is_some_and(|at| at > emptied_at);
            one.ended_by_us && is_later && self.runner_of(id).is_none() && !counted.contains(id)
        });
        let why = uncounted.map(|(id, one)| format!("{id} was ended at {:?} and is not counted", one.ended_at));
        drop(cloud);
        drop(counted);
        drop(table);
        if let Some(why) = why {
            self.broken(SETTLED, why);
        }
    }

    fn costs_are_billed(&self) {
        let table = self.table.borrow();
        let costs: BTreeMap<&InstanceId, &Cost> = table.costs().map(|cost| (&cost.instance, cost)).collect();
        let mut sums = Sums::default();
        for (id, one) in &self.cloud.borrow().instances {
            self.add_up(&mut sums, one, costs.get(id).copied());
        }
        let wrong = twice(table.costs())
            .or_else(|| self.of_another_job(&costs))
            .or(sums.wrong)
            .or_else(|| in_all(&sums.all, sums.settled))
            .or_else(|| sums.by.iter().find_map(|(id, bounds)| self.of_ledger(id, bounds)));
        drop(costs);
        drop(table);
        if let Some(why) = wrong {
            self.broken(SETTLED, why);
        }
        let mut tally = self.tally.borrow_mut();
        tally.settled += sums.settled;
        tally.billed += sums.billed;
        tally.exact += sums.exact;
        tally.most_off = tally.most_off.max(sums.most_off);
    }

    /// Checks one instance, and adds it to the sums.
    fn add_up(&self, sums: &mut Sums, one: &Instance, cost: Option<&Cost>) {
        let bounds = self.bounds(one, cost);
        let (bill, amount) = (total(&bounds.least), cost.map_or(0, |cost| cost.total().0));
        sums.settled += amount;
        sums.billed += bill;
        if bounds.least == bounds.most {
            sums.exact += 1;
            if bill >= CENT {
                sums.most_off = sums.most_off.max(amount.abs_diff(bill) * 10_000 / bill);
            }
        }
        if !bounds.holds(amount) && sums.wrong.is_none() {
            sums.wrong = Some(self.unlike(one, &bounds, cost));
        }
        sums.all.add(&bounds);
        for (budget, is_certain) in self.charged(one, cost) {
            for (month, least, most) in bounds.months() {
                let id = LedgerId {
                    budget: budget.clone(),
                    month,
                };
                let least = if is_certain { least } else { 0 };
                sums.by.entry(id).or_default().add_month(month, least, most);
            }
        }
    }

    /// Returns the ledgers in which an instance is counted, each with whether that is certain.
    fn charged(&self, one: &Instance, cost: Option<&Cost>) -> Vec<(Budget, bool)> {
        let is_orphan = cost.is_some_and(|cost| cost.runner.is_none());
        let owner = self.runner_of(&one.view.instance);
        let mut payers = owner.map(|runner| self.payers(&runner)).unwrap_or_default();
        if is_orphan {
            let tagged = one.view.scope.as_ref().map(|scope| &scope.repository);
            let mut others = payers_of_orphan(tagged);
            others.retain(|budget| !payers.contains(budget));
            payers.extend(others);
        }
        // The requester of a message may have stayed unknown, and so may the payers of an orphan.
        let is_certain = |budget: &Budget| match budget {
            Budget::PullRequest { .. } | Budget::Actor { .. } => !is_orphan && !self.plan.has_any(GITHUB),
            Budget::Stack | Budget::Organization { .. } | Budget::Repository { .. } => true,
        };
        let certain: Vec<bool> = payers.iter().map(is_certain).collect();
        payers.into_iter().zip(certain).collect()
    }

    /// Returns what is wrong with a ledger's spent money, if anything.
    fn of_ledger(&self, id: &LedgerId, bounds: &Bounds) -> Option<String> {
        let spent = match self.table.borrow().peek(&RecordId::Ledger(id.clone())) {
            Some(Record::Ledger(ledger)) => ledger.spent.0,
            _ => 0,
        };
        let (least, most) = (total(&bounds.least), total(&bounds.most));
        (!bounds.holds(spent)).then(|| {
            format!(
                "{} of {} has spent {spent}, and EC2 billed {least} to {most}",
                id.budget, id.month
            )
        })
    }

    /// Returns the bounds of an instance's cost: EC2's bill, if the functions received all events. For
    /// missing ones they have to assume the worst.
    fn bounds(&self, one: &Instance, cost: Option<&Cost>) -> Bounds {
        let now = self.now();
        let least = self.bill(one, now);
        let heard = self.heard.borrow();
        let id = &one.view.instance;
        let Some(cost) = cost else {
            // It was never recorded, and is gone.
            let unknown = self.runner_of(id).is_none() && !one.ended_by_us;
            let least = if unknown { Bill::new() } else { least };
            return Bounds {
                most: least.clone(),
                least,
            };
        };
        let settled_at = heard.settled_at(id).unwrap_or(now);
        let ended_at = one.ended_at.unwrap_or(settled_at);
        let from = if heard.runs(id) {
            one.running_at
        } else {
            one.view.launched_at
        };
        let to = if heard.ended(id) {
            ended_at
        } else {
            settled_at.max(ended_at).after(LONGEST_CALL)
        };
        // EC2 forgets where an instance was, and why it ended.
        let is_named = settled_at.since(ended_at) < REMEMBERED;
        let is_lost = cost.pool.zone.is_unknown() && !is_named;
        let dearest = cost.source != PriceSource::Aws && (is_lost || self.price_was_unavailable(settled_at));
        let free = one.was_taken_back() && is_named && to.millis() - from.millis() <= HOUR_MILLIS;
        let same = from == one.running_at && to == ended_at && !dearest && cost.runner.is_some();
        if same && (free || !one.was_taken_back()) && !least.is_empty() {
            return Bounds {
                most: least.clone(),
                least,
            };
        }
        // An orphan's price is asked for only once.
        let known = if dearest {
            KnownPrices::Nothing
        } else if cost.runner.is_none() && self.price_was_unavailable(settled_at) {
            KnownPrices::Listed
        } else {
            KnownPrices::All
        };
        let span = Span {
            from,
            to: to.max(from),
            free,
            known,
            orphan: cost.runner.is_none(),
        };
        // Other hours begin with it, which may cost more or less.
        let other = self.billed(one, span);
        Bounds {
            least: each(&least, &other, u64::min),
            most: each(&least, &other, u64::max),
        }
    }

    /// Whether prices were unavailable at some time before.
    fn price_was_unavailable(&self, before: Timestamp) -> bool {
        let before = before.since(self.at(Duration::ZERO));
        self.faults
            .iter()
            .any(|item| matches!(item, Item::Outage(kind, from, ..) if PRICE_OUTAGES.contains(kind) && *from <= before))
    }

    fn unlike(&self, one: &Instance, bounds: &Bounds, cost: Option<&Cost>) -> String {
        let heard = self.heard.borrow();
        let id = &one.view.instance;
        format!(
            "{id} is billed {} to {} micro-dollars from {} to {:?} (heard: runs {}, ended {}), and settled as {cost:?}",
            total(&bounds.least),
            total(&bounds.most),
            one.running_at.millis(),
            one.ended_at.map(Timestamp::millis),
            heard.runs(id),
            heard.ended(id),
        )
    }

    /// Returns a job whose instance is counted for another, though GitHub reported which it ran.
    fn of_another_job(&self, costs: &BTreeMap<&InstanceId, &Cost>) -> Option<String> {
        let delays_reports = |item: &Item| matches!(item, Item::Outage(kind, ..) if REPORT_FAULTS.contains(kind) || CONTROL.contains(kind));
        if self.faults.iter().any(delays_reports) {
            return None;
        }
        let hub = self.hub.borrow();
        hub.jobs.values().filter(|job| job.is_over()).find_map(|job| {
            let cost = costs.get(job.instance.as_ref()?)?;
            let key = JobKey {
                job: job.id,
                attempt: job.attempt,
            };
            let repository = &hub.runs.get(&job.run)?.repository;
            let its = cost.job == Some(key) && cost.repository.as_ref() == Some(repository);
            // A messenger's cost is for the job it was sent to, whichever it took.
            let ran = cost.runner.is_some() && cost.purpose != Purpose::Message;
            (ran && !its).then(|| {
                format!(
                    "job {key} of {repository} ran on {}, counted as {cost:?}",
                    cost.instance
                )
            })
        })
    }
}

/// Returns what is wrong with the total, if anything.
fn in_all(all: &Bounds, settled: u64) -> Option<String> {
    let (least, most) = (total(&all.least), total(&all.most));
    (!all.holds(settled)).then(|| format!("{settled} are settled in all, and {least} to {most} billed"))
}

/// Returns an instance that was counted twice, if any.
fn twice<'a>(costs: impl Iterator<Item = &'a Cost>) -> Option<String> {
    let mut seen: BTreeMap<&InstanceId, &Cost> = BTreeMap::new();
    for cost in costs {
        if let Some(other) = seen.insert(&cost.instance, cost) {
            return Some(format!(
                "{} is settled twice: as {other:?} and as {cost:?}",
                cost.instance
            ));
        }
    }
    None
}
