//! Money: the prices of the market, EC2's own bill, second by second, and the promises on what is spent.

use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::Duration;

use dayfly_core::capacity::{InstanceLifecycle, Pool};
use dayfly_core::ids::{InstanceId, InstanceType};
use dayfly_core::machines::Table;
use dayfly_core::money::MicroDollars;
use dayfly_core::month::Month;
use dayfly_core::policy::Caps;
use dayfly_core::prices::SpotPrice;
use dayfly_core::record::{Cost, Ledger, RecordId};
use dayfly_core::time::Timestamp;

use crate::cloud::Instance;
use crate::dice::Dice;
use crate::plan::{Item, Outage, Plan, Trouble};
use crate::promises::CONTROL;
use crate::sim::Sim;

/// Told where money is counted.
pub const CAPPED: &str = "9: what is spent and what is reserved never pass a cap";
/// See [`CAPPED`].
pub const SETTLED: &str = "9: what is settled is what EC2 bills";
/// See [`CAPPED`].
pub const RETURNED: &str = "9: nothing is reserved where nothing lives";
/// See [`CAPPED`].
pub const TOLD_ONCE: &str = "9: each threshold of a cap is told, and once";

/// How long a spot price holds.
const HOLDS: Duration = Duration::from_mins(47);

/// What a month of a GiB of a volume costs, and an hour of an address, as the program reckons in another
/// region than its table's.
const GIB_MONTH: u64 = 2 * 80_000;
const ADDRESS_HOUR: u64 = 5_000;

/// The volume of every instance: the image's own.
const GIB: u64 = 60;

const HOUR_MILLIS: i64 = 3_600_000;

/// So many parts has a micro-dollar while a bill is added up.
const NANO: i128 = 1_000_000_000;

/// In the middle of a month.
pub(crate) const MIDDLE: Timestamp = Timestamp::from_seconds(1_800_000_000);

/// The caps of a seed's stack.
pub fn draw(seed: u64) -> Caps {
    let mut dice = Dice::of(seed, "caps", "");
    if !dice.happens(0.3) {
        return Caps::default();
    }
    let mut amount = |from: u64, to: u64| Some(MicroDollars(dice.number(from, to) * 100_000));
    let stack = amount(5, 400);
    let repository = amount(5, 200);
    let none = Caps::default();
    *dice.one_of(&[
        Caps { stack, ..none },
        Caps { repository, ..none },
        Caps {
            stack,
            repository,
            ..none
        },
        Caps {
            organization: stack,
            repository,
            ..none
        },
    ])
}

/// When a seed's history begins: in the middle of a month, or some time before its end.
pub fn start(seed: u64) -> Timestamp {
    let mut dice = Dice::of(seed, "start", "");
    if !dice.happens(0.3) {
        return MIDDLE;
    }
    let ends = Month::of(MIDDLE).ends();
    let before = dice.seconds(60, 4 * 3600);
    Timestamp::from_millis(ends.millis() - i64::try_from(before.as_millis()).unwrap_or(0))
}

impl Plan {
    /// What the policy says of caps.
    #[must_use]
    pub(crate) fn caps_said(&self) -> String {
        let caps = [
            ("stack", self.caps.stack),
            ("organization", self.caps.organization),
            ("repository", self.caps.repository),
        ];
        let lines: String = caps
            .into_iter()
            .filter_map(|(key, cap)| cap.map(|cap| format!("  {key}: {cap}\n")))
            .collect();
        if lines.is_empty() {
            lines
        } else {
            format!("caps:\n{lines}")
        }
    }
}

/// What AWS's price list says.
pub(crate) fn on_demand(name: &InstanceType) -> Option<MicroDollars> {
    // A region a tenth dearer than the one of the table.
    let price = Table::embedded().ok()?.get(name)?.price?;
    Some(MicroDollars(price.0 * 11 / 10))
}

impl Sim {
    /// The prices of a pool that held in a span.
    pub fn spot_prices(&self, pool: &Pool, from: Timestamp, to: Timestamp) -> Vec<SpotPrice> {
        let holds = i64::try_from(HOLDS.as_millis()).unwrap_or(1);
        let (first, last) = (from.millis().div_euclid(holds), to.millis().div_euclid(holds));
        (first..=last)
            .map(|index| SpotPrice {
                per_hour: self.spot_price(pool, index),
                since: Timestamp::from_millis(index * holds),
            })
            .collect()
    }

    fn spot_price(&self, pool: &Pool, index: i64) -> MicroDollars {
        let of = on_demand(&pool.instance_type).unwrap_or_default();
        let percent = Dice::of(self.plan.seed, "spot", &format!("{pool} {index}")).number(25, 70);
        MicroDollars(of.0 * percent / 100)
    }

    /// The owner of the account is told something.
    pub fn told_owner(self: &Rc<Self>, subject: &str) {
        self.note("owner told", subject, String::new);
        *self
            .promises
            .borrow_mut()
            .owner_told
            .entry(subject.to_owned())
            .or_default() += 1;
    }

    /// A ledger was written.
    pub(crate) fn ledger_written(&self, ledger: &Ledger) {
        let Some(cap) = self.plan.caps.of(&ledger.purse) else {
            return;
        };
        if ledger.committed() > cap && self.promises.borrow().emptied_at.is_none() {
            let why = format!(
                "{} of {}: {} spent and {} reserved of {cap}",
                ledger.purse, ledger.month, ledger.spent, ledger.reserved
            );
            self.broken(CAPPED, why);
        }
    }

    /// What EC2 bills for an instance that runs since `from`, in micro-dollars: hour by hour of its life, each in the month in which
    /// it lies.
    pub(crate) fn bill(&self, one: &Instance, from: Timestamp, until: Timestamp) -> u64 {
        let begin = from.millis();
        let end = one.ended_at.unwrap_or(until).millis();
        if end < begin {
            return 0;
        }
        let free = one.ended_by_ec2 && end - begin <= HOUR_MILLIS;
        let end = end.max(begin + 60_000);
        let pool = Pool {
            instance_type: one.view.instance_type.clone(),
            zone: one.view.zone.clone(),
        };
        let (mut at, mut billed) = (begin, 0i128);
        while at < end {
            let hour = begin + (at - begin) / HOUR_MILLIS * HOUR_MILLIS;
            let month = Month::of(Timestamp::from_millis(at));
            let until = end.min(hour + HOUR_MILLIS).min(month.ends().millis());
            let of_hour = Timestamp::from_millis(hour);
            let per_hour = match one.view.lifecycle {
                _ if free => MicroDollars(0),
                InstanceLifecycle::OnDemand => on_demand(&pool.instance_type).unwrap_or_default(),
                InstanceLifecycle::Spot => {
                    let prices = self.spot_prices(&pool, of_hour, of_hour);
                    prices.last().map_or(MicroDollars(0), |price| price.per_hour)
                }
            };
            let span = i128::from(until - at);
            let month = i128::try_from(month.length().as_millis()).unwrap_or(i128::MAX);
            let hourly = i128::from(per_hour.0 + ADDRESS_HOUR) * span * NANO / i128::from(HOUR_MILLIS);
            let disk = i128::from(GIB * GIB_MONTH) * span * NANO / month;
            billed += hourly + disk;
            at = until;
        }
        u64::try_from(billed / NANO).unwrap_or(u64::MAX)
    }

    /// Where nothing lives nothing is reserved.
    pub(crate) fn nothing_is_reserved(&self) {
        let table = self.table.borrow();
        if table.live().next().is_some() {
            return;
        }
        let held = table.ledgers_of_all().find(|ledger| ledger.reserved > MicroDollars(0));
        let why = held.map(|ledger| format!("{} in {} for {}", ledger.reserved, ledger.month, ledger.purse));
        drop(table);
        if let Some(why) = why {
            self.broken(RETURNED, why);
        }
    }

    /// At the end: every instance is settled as EC2 bills it, and so is each month; every threshold is told.
    pub(crate) fn money_is_right(&self) {
        if self.promises.borrow().emptied_at.is_some() {
            return;
        }
        self.nothing_is_reserved();
        self.ledgers_are_settled();
        self.costs_are_billed();
        self.thresholds_are_told();
    }

    fn costs_are_billed(&self) {
        let table = self.table.borrow();
        let cloud = self.cloud.borrow();
        let costs: BTreeMap<&InstanceId, &Cost> = table.costs().map(|cost| (&cost.instance, cost)).collect();
        let told_well = self.plan.ec2_tells_well();
        let (mut settled, mut billed, mut most_off) = (0, 0, 0);
        let mut wrong = twice(table.costs());
        for (id, one) in &cloud.instances {
            let known = costs.get(id);
            let cost = known.map(|cost| cost.total().0);
            // That it runs may be told before it is known as ours, or not at all: then it counts from its
            // launch, or from when that was answered.
            let from = known.map_or(one.running_at, |cost| {
                cost.from.max(one.view.launched_at).min(one.running_at)
            });
            let bill = self.bill(one, from, self.now());
            // Of one that no record ever named, and that ended by itself, nobody knows.
            let unknown = table.peek(&RecordId::Instance(id.clone())).is_none();
            settled += cost.unwrap_or(0);
            billed += bill;
            let off = cost.map_or(0, |cost| cost.abs_diff(bill) * 10_000 / bill.max(1));
            if bill >= CENT {
                most_off = most_off.max(off);
            }
            let percent = bill / 100 + ROUNDING;
            let under = cost.map_or(!unknown, |cost| cost + percent < bill);
            let ran = one.ended_at.is_some_and(|end| end > one.running_at);
            let over = told_well && ran && cost.is_some_and(|cost| cost > bill + percent);
            if under || over {
                wrong = Some(format!(
                    "{id} is billed {bill} micro-dollars from {} to {:?}, and settled as {known:?}",
                    one.running_at.millis(),
                    one.ended_at.map(Timestamp::millis)
                ));
            }
        }
        drop((table, cloud));
        if wrong.is_none() && told_well && settled > billed + billed / 100 + ROUNDING {
            wrong = Some(format!("{settled} are settled in all, and {billed} billed"));
        }
        if let Some(why) = wrong {
            self.broken(SETTLED, why);
        }
        let mut tally = self.tally.borrow_mut();
        tally.settled += settled;
        tally.billed += billed;
        tally.most_off = tally.most_off.max(most_off);
    }

    fn thresholds_are_told(&self) {
        let table = self.table.borrow();
        let promises = self.promises.borrow();
        let passed: usize = table.ledgers_of_all().map(|ledger| ledger.passed.len()).sum();
        let told: usize = promises.owner_told.len();
        let twice = promises.owner_told.iter().find(|(_, times)| **times > 1);
        let wrong = if told < passed {
            Some(format!("{passed} were passed, and {told} told"))
        } else {
            // Whoever dies, or is not answered, between the telling and its record tells again.
            twice
                .filter(|_| self.control_never_fails() && !self.plan.has(Outage::BusDouble))
                .map(|(what, times)| format!("{times} times: {what}"))
        };
        drop((table, promises));
        if let Some(why) = wrong {
            self.broken(TOLD_ONCE, why);
        }
    }
}

/// An instance that was counted twice, if one was.
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

/// Of less than that a micro-dollar here and there is more than it seems.
const CENT: u64 = 10_000;

/// Amounts are rounded up to a micro-dollar, each for itself.
const ROUNDING: u64 = 40;

impl Plan {
    fn has(&self, kind: Outage) -> bool {
        self.items
            .iter()
            .any(|(_, item)| matches!(item, Item::Outage(one, ..) if *one == kind))
    }

    /// Whether what EC2 tells of its instances comes through: where it does not, an instance counts from its
    /// launch until it was ended, which is more than what is billed.
    fn ec2_tells_well(&self) -> bool {
        self.items.iter().all(|(_, item)| match item {
            Item::Outage(kind, ..) => !CONTROL.contains(kind) && *kind != Outage::Ec2EventsLost,
            Item::Emptied(_) => false,
            Item::Trouble(kind, _) => *kind != Trouble::BootFailure,
            Item::Run(_) | Item::AtSweep(..) => true,
        })
    }
}
