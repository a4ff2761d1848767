//! Caps: the most that a launch can cost is reserved in all its budgets' ledgers before the launch, and replaced by the
//! real cost at the end.

use std::collections::BTreeMap;

use dayfly_config::RunnerSpec;
use dayfly_policy::{Caps, Refused};
use dayfly_records::costs::{Amounts, ByMonth, Tariff};
use dayfly_records::prices::{self, Price, PriceSource, Rates, VolumePrice, VolumeRate};
use dayfly_records::{Attribution, Change, LaunchOption, Ledger, LedgerId, Reservation, Runner, Stored, Threshold};
use dayfly_types::budget::Budget;
use dayfly_types::capacity::InstanceLifecycle;
use dayfly_types::deadlines::{Deadlines, LONGEST_CALL, MAX_OVERRUN};
use dayfly_types::ids::{InstanceType, Repository, RunnerName};
use dayfly_types::money::MicroDollars;
use dayfly_types::month::Month;
use dayfly_types::time::Timestamp;

use crate::cost::thresholds;
use crate::launch::fleet;

/// The assumed size of a root volume if neither the configuration nor the image gives one, in GiB.
pub(super) const UNKNOWN_DISK_GIB: u32 = 200;

/// Returns what a launch option's root volume costs a month at this rate. An unknown size counts as large.
#[must_use]
pub fn disk_month(option: &LaunchOption, rates: &Rates, rate: &VolumeRate) -> MicroDollars {
    let gib = option.spec.disk_gib.or(option.image_gib).unwrap_or(UNKNOWN_DISK_GIB);
    rates.month_of(option.spec.volume, gib, rate)
}

/// Returns the most that an instance of a launch option costs while it runs, whichever of these types it is, with a
/// volume of this price. `price` returns on-demand prices, which spot capacity never exceeds.
///
/// # Errors
/// The type whose price is unknown.
pub fn tariff(
    option: &LaunchOption,
    types: &[InstanceType],
    rates: &Rates,
    volume: &VolumePrice,
    price: impl Fn(&InstanceType) -> Option<Price>,
) -> Result<Tariff, InstanceType> {
    let spec = &option.spec;
    let mut compute = MicroDollars::default();
    let mut source = volume.source;
    for instance_type in types {
        let most = dearest(spec, option.lifecycle, price(instance_type)).ok_or_else(|| instance_type.clone())?;
        compute = compute.max(most.per_hour);
        source = source.max(most.source);
    }
    Ok(Tariff {
        compute,
        disk_month: disk_month(option, rates, &volume.rate),
        address: rates.address(),
        source,
    })
}

/// Returns the most that an hour of a type costs. EC2 keeps spot capacity below the requested limit, and below the
/// on-demand price anyway. On-demand capacity costs its price, as its limit holds on average only
/// ([`price_limit`](crate::launch::price_limit)).
fn dearest(spec: &RunnerSpec, lifecycle: InstanceLifecycle, price: Option<Price>) -> Option<Price> {
    let of_spot = spec.max_price.filter(|_| lifecycle == InstanceLifecycle::Spot);
    match (of_spot, price) {
        (Some(limit), price) if price.is_none_or(|price| limit < price.per_hour) => Some(Price {
            per_hour: limit,
            source: PriceSource::Aws,
        }),
        (_, price) => price,
    }
}

/// Returns the budgets that pay for a repository's launches, in any case of its name; only the stack's if the repository
/// is unknown.
#[must_use]
pub fn budgets_of(repository: Option<&Repository>) -> Vec<Budget> {
    let mut budgets = vec![Budget::Stack];
    if let Some(repository) = repository.map(Repository::lowercase) {
        budgets.push(Budget::Organization {
            name: repository.owner().to_owned(),
        });
        budgets.push(Budget::Repository { repository });
    }
    budgets
}

#[must_use]
pub fn budget_of_pull(repository: &Repository, number: u64) -> Budget {
    Budget::PullRequest {
        repository: repository.lowercase(),
        number,
    }
}

/// Returns the budgets that pay for a runner.
#[must_use]
pub fn budgets(runner: &Runner, caps: &Caps) -> Vec<Budget> {
    let own = own_budgets(runner).into_iter().filter(|budget| match budget {
        Budget::PullRequest { .. } => caps.pull_request.is_some(),
        _ => caps.actor.is_some(),
    });
    budgets_of(Some(&runner.repository)).into_iter().chain(own).collect()
}

/// Returns the budgets of a runner's pull request and user. These are many, so they are kept only where there is a cap.
#[must_use]
pub fn own_budgets(runner: &Runner) -> Vec<Budget> {
    let Attribution { actor, pull, .. } = &runner.attribution;
    let pull = pull.map(|number| budget_of_pull(&runner.repository, number));
    let actor = actor.as_ref().map(|login| Budget::Actor {
        login: login.to_lowercase(),
    });
    pull.into_iter().chain(actor).collect()
}

/// Returns the reservation for a runner that launches now.
#[must_use]
pub fn reservation(runner: &Runner, tariff: Tariff, caps: &Caps, now: Timestamp, deadlines: &Deadlines) -> Reservation {
    let longest = runner.max_lifetime(deadlines) + MAX_OVERRUN;
    // A call with an unclear answer is made again, and may launch the instance as late as this.
    let late = fleet::last_call_at(now, deadlines).after(LONGEST_CALL);
    let mut shares = tariff.worst(now, now.after(longest));
    for (month, share) in tariff.worst(late, late.after(longest)) {
        match shares.iter_mut().find(|(known, _)| *known == month) {
            Some((_, known)) => *known = share.max(*known),
            None => shares.push((month, share)),
        }
    }
    Reservation {
        tariff,
        budgets: budgets(runner, caps),
        shares,
    }
}

/// Returns the ledgers that hold a reservation.
pub fn ledgers_of(reservation: &Reservation) -> impl Iterator<Item = LedgerId> {
    let months = reservation.shares.iter().map(|(month, _)| *month);
    months.flat_map(|month| ledgers_in(&reservation.budgets, month))
}

/// Returns the ledgers of these budgets in a month.
pub fn ledgers_in(budgets: &[Budget], month: Month) -> impl Iterator<Item = LedgerId> {
    budgets.iter().map(move |budget| LedgerId {
        budget: budget.clone(),
        month,
    })
}

/// A cap that a launch could exceed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OverCap {
    pub budget: Budget,
    pub month: Month,
    pub cap: MicroDollars,
    pub spent: MicroDollars,
    pub reserved: MicroDollars,
    /// The most that the launch could cost in the month.
    pub wanted: MicroDollars,
    pub tariff: Tariff,
}

impl OverCap {
    #[must_use]
    pub fn ledger(&self) -> LedgerId {
        LedgerId {
            budget: self.budget.clone(),
            month: self.month,
        }
    }
}

/// Refuses a type with an unknown price, in a stack with caps.
#[must_use]
pub fn unpriced(instance_type: &InstanceType) -> Refused {
    Refused::new(
        "caps",
        format!(
            "the on-demand price of `{instance_type}` in this region is unknown, so no cap would hold: name another instance type, or \
             for spot capacity a `max_price`"
        ),
    )
}

/// A runner with a reservation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReservationHolder {
    pub runner: RunnerName,
    pub reserved: Reservation,
    pub repository: String,
}

/// The holders that a refusal names.
const MAX_NAMED_HOLDERS: usize = 3;

impl OverCap {
    /// Returns the refusal of the job that the runner `asks` for: the cap, what is spent and reserved and by which
    /// other runners, when it resets, and what to do.
    #[must_use]
    pub fn refused(&self, asks: &RunnerName, holders: &[ReservationHolder]) -> Refused {
        let resets = self.month.ends();
        let budget = match &self.budget {
            Budget::PullRequest { .. } => format!("the pull request {}", self.budget),
            _ => self.budget.to_string(),
        };
        let words = format!(
            "{budget} may spend {} in {}; {} are spent and {} reserved{}, and this job could cost up to {}{}. \
             The count resets on {} 00:00 UTC: run the job again then, or sooner if running jobs cost less than \
             was reserved for them. A shorter `max_lifetime` or a lower `max_price` makes the job fit sooner; the owner of the AWS \
             account can raise the cap",
            self.cap,
            self.month,
            self.spent,
            self.reserved,
            self.named_holders(asks, holders),
            self.wanted,
            match self.tariff.source {
                PriceSource::Aws => String::new(),
                PriceSource::Earlier =>
                    " (by AWS prices that are older than a day, because newer ones could not be fetched)".to_owned(),
                PriceSource::Shipped => format!(
                    " (by dayfly's built-in prices of {}, because AWS prices could not be fetched)",
                    prices::shipped_on()
                ),
            },
            resets.utc_day(),
        );
        Refused::new(Caps::key(&self.budget), words)
    }

    fn named_holders(&self, asks: &RunnerName, holders: &[ReservationHolder]) -> String {
        let mut held: Vec<(MicroDollars, &ReservationHolder)> = holders
            .iter()
            .filter(|holder| holder.runner != *asks && holder.reserved.budgets.contains(&self.budget))
            .filter_map(|holder| {
                let share = holder.reserved.shares.iter().find(|(month, _)| *month == self.month);
                share.map(|(_, share)| (*share, holder))
            })
            .collect();
        if held.is_empty() {
            return String::new();
        }
        held.sort_by(|(a, one), (b, other)| b.cmp(a).then_with(|| one.runner.cmp(&other.runner)));
        let named: Vec<String> = held
            .iter()
            .take(MAX_NAMED_HOLDERS)
            .map(|(share, holder)| match holder.runner.job() {
                Some(job) => format!("{share} by job {} of {}", job.job, holder.repository),
                None => format!("{share} by {}", holder.runner),
            })
            .collect();
        let more = held.len().saturating_sub(MAX_NAMED_HOLDERS);
        let more = if more > 0 {
            format!(" and {more} more")
        } else {
            String::new()
        };
        format!(" ({}{more})", named.join(", "))
    }
}

/// The ledgers that a change writes, as read and as changed.
#[derive(Clone, Debug, Default)]
pub struct Ledgers {
    read: BTreeMap<LedgerId, Option<Stored<Ledger>>>,
    changed: BTreeMap<LedgerId, Ledger>,
}

impl Ledgers {
    #[must_use]
    pub fn of(read: BTreeMap<LedgerId, Option<Stored<Ledger>>>) -> Self {
        Self {
            read,
            changed: BTreeMap::new(),
        }
    }

    /// Returns a ledger with its changes.
    #[must_use]
    pub fn get(&self, id: &LedgerId) -> Ledger {
        let read = || {
            self.read
                .get(id)
                .and_then(Option::as_ref)
                .map(|stored| stored.record.clone())
        };
        let changed = self.changed.get(id).cloned();
        changed.or_else(read).unwrap_or_else(|| Ledger::new(id.clone()))
    }

    fn set(&mut self, ledger: Ledger) {
        self.changed.insert(ledger.id(), ledger);
    }

    /// Replaces a runner's reservation, wholly or not at all. If a cap has changed, thresholds that are reached now are
    /// due at once.
    ///
    /// # Errors
    /// The first cap that would be exceeded.
    pub fn reserve(
        &mut self,
        before: Option<&Reservation>,
        wanted: &Reservation,
        caps: &Caps,
        now: Timestamp,
    ) -> Result<(), Box<OverCap>> {
        let mut next = self.clone();
        if let Some(before) = before {
            next.release(before);
        }
        for (month, share) in &wanted.shares {
            for budget in &wanted.budgets {
                let id = LedgerId {
                    budget: budget.clone(),
                    month: *month,
                };
                let mut ledger = next.get(&id);
                thresholds::measure(&mut ledger, caps.of(budget), now);
                let held = before.map_or(MicroDollars::default(), |before| share_of(before, &id));
                let over = caps.of(budget).filter(|cap| ledger.committed() + *share > *cap);
                // No more than it holds already never exceeds a cap.
                if let Some(cap) = over.filter(|_| *share > held) {
                    let current = self.get(&id);
                    return Err(Box::new(OverCap {
                        budget: budget.clone(),
                        month: *month,
                        cap,
                        spent: current.spent,
                        reserved: current.reserved.saturating_sub(held),
                        wanted: *share,
                        tariff: wanted.tariff,
                    }));
                }
                ledger.reserved = ledger.reserved + *share;
                next.set(ledger);
            }
        }
        *self = next;
        Ok(())
    }

    /// Releases a reservation.
    pub fn release(&mut self, reserved: &Reservation) {
        for (month, share) in &reserved.shares {
            for budget in &reserved.budgets {
                let mut ledger = self.get(&LedgerId {
                    budget: budget.clone(),
                    month: *month,
                });
                ledger.reserved = ledger.reserved.saturating_sub(*share);
                self.set(ledger);
            }
        }
    }

    /// Adds an instance's cost and records the thresholds that it reaches. They are `due` then, if they are not published
    /// before.
    pub fn spend(&mut self, budgets: &[Budget], amounts: &ByMonth<Amounts>, due: Timestamp) {
        for (month, amount) in amounts {
            for budget in budgets {
                let mut ledger = self.get(&LedgerId {
                    budget: budget.clone(),
                    month: *month,
                });
                ledger.spent = ledger.spent + amount.total();
                let cap = ledger.cap;
                thresholds::measure(&mut ledger, cap, due);
                self.set(ledger);
            }
        }
    }

    /// Records that a cap refused a launch. That is published once, and `due` then, if it is not published before.
    pub fn refused(&mut self, over: &OverCap, due: Timestamp) {
        let mut ledger = self.get(&over.ledger());
        thresholds::measure(&mut ledger, Some(over.cap), due);
        thresholds::pass(&mut ledger, Threshold::Refused, over.cap, due);
        self.set(ledger);
    }

    /// Returns the ledgers with thresholds to publish that they did not have when they were read.
    pub fn newly_due(&self) -> impl Iterator<Item = LedgerId> {
        let before = |id| self.read.get(id).and_then(Option::as_ref);
        let due = self.changed.iter().filter(move |(id, ledger)| {
            ledger.recorded.len() > before(id).map_or(0, |stored| stored.record.recorded.len())
        });
        due.map(|(id, _)| id.clone())
    }

    /// Returns the changes to write.
    #[must_use]
    pub fn changes(&self) -> Vec<Change> {
        let changed = self.changed.iter().filter_map(|(id, ledger)| {
            let read = self.read.get(id).and_then(Option::as_ref);
            let same = read.is_some_and(|stored| stored.record == *ledger);
            (!same).then(|| Change::put(read, ledger.clone()))
        });
        changed.collect()
    }
}

fn share_of(reserved: &Reservation, id: &LedgerId) -> MicroDollars {
    let pays = reserved.budgets.contains(&id.budget);
    let shares = reserved.shares.iter().filter(|(month, _)| pays && *month == id.month);
    shares.map(|(_, share)| *share).sum()
}

#[cfg(test)]
mod tests;

#[cfg(test)]
mod properties;
