//! Caps that hold: what a launch can cost at most is set aside before it is made, in the ledgers of all
//! who pay for it, and what it did cost takes its place when nothing of it is left.

use std::collections::BTreeMap;

use dayfly_config::RunnerSpec;
use dayfly_policy::{Caps, Refused};
use dayfly_records::costs::{Amounts, ByMonth, Tariff};
use dayfly_records::prices::{self, Price, PriceSource, Rates, VolumePrice, VolumeRate};
use dayfly_records::{Attribution, Change, LaunchOption, Ledger, LedgerId, Reservation, Runner, Stored, Threshold};
use dayfly_types::budget::Budget;
use dayfly_types::capacity::InstanceLifecycle;
use dayfly_types::deadlines::{Deadlines, OUTLIVES};
use dayfly_types::ids::{InstanceType, Repository, RunnerName};
use dayfly_types::money::MicroDollars;
use dayfly_types::month::Month;
use dayfly_types::time::Timestamp;

use crate::thresholds;

/// The size of a root volume of which neither the configuration nor the image says one, in GiB.
pub(super) const UNKNOWN_DISK_GIB: u32 = 200;

/// What a month of an attempt's root volume costs at a rate. Of one whose size nobody knows a large one is
/// reckoned with.
#[must_use]
pub fn disk_month(option: &LaunchOption, rates: &Rates, rate: &VolumeRate) -> MicroDollars {
    let gib = option.spec.disk_gib.or(option.image_gib).unwrap_or(UNKNOWN_DISK_GIB);
    rates.month_of(option.spec.volume, gib, rate)
}

/// What an instance of an attempt costs at most while it runs, whichever of these types it is, with a volume
/// of this price. `price` knows what they cost on demand, which spot capacity never costs more than.
///
/// # Errors
/// The type of which nobody knows what it costs.
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

/// The most that an hour of a type costs: EC2 keeps spot capacity below the limit that it was named, and
/// below the on-demand price anyway. On-demand capacity costs its price, for a limit holds on average only
/// ([`price_limit`](super::price_limit)).
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

/// Who pays for whatever is launched for a repository; nobody but the stack, if it is not known for which.
/// However its name is written, they are the same.
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

/// A pull request's money.
#[must_use]
pub fn budget_of_pull(repository: &Repository, number: u64) -> Budget {
    Budget::PullRequest {
        repository: repository.lowercase(),
        number,
    }
}

/// Who pays for a runner.
#[must_use]
pub fn budgets(runner: &Runner, caps: &Caps) -> Vec<Budget> {
    let own = own_budgets(runner).into_iter().filter(|budget| match budget {
        Budget::PullRequest { .. } => caps.pull_request.is_some(),
        _ => caps.actor.is_some(),
    });
    budgets_of(Some(&runner.repository)).into_iter().chain(own).collect()
}

/// The pull request and the user for whom a runner is. These are many, and what they spend is kept only
/// where it is asked for.
#[must_use]
pub fn own_budgets(runner: &Runner) -> Vec<Budget> {
    let Attribution { actor, pull, .. } = &runner.attribution;
    let pull = pull.map(|number| budget_of_pull(&runner.repository, number));
    let actor = actor.as_ref().map(|login| Budget::Actor {
        login: login.to_lowercase(),
    });
    pull.into_iter().chain(actor).collect()
}

/// What is to be set aside for a runner whose instance is asked for now.
#[must_use]
pub fn reservation(runner: &Runner, tariff: Tariff, caps: &Caps, now: Timestamp, deadlines: &Deadlines) -> Reservation {
    let longest = runner.max_lifetime(deadlines) + OUTLIVES;
    // A call whose answer is not clear is made again, and may launch it as late as that.
    let late = now.after(2 * deadlines.give_up);
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

/// The ledgers that a reservation is in.
pub fn ledgers_of(reservation: &Reservation) -> impl Iterator<Item = LedgerId> {
    let months = reservation.shares.iter().map(|(month, _)| *month);
    months.flat_map(|month| ledgers_in(&reservation.budgets, month))
}

/// The ledgers of those who pay in a month.
pub fn ledgers_in(budgets: &[Budget], month: Month) -> impl Iterator<Item = LedgerId> {
    budgets.iter().map(move |budget| LedgerId {
        budget: budget.clone(),
        month,
    })
}

/// A cap that would be passed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OverCap {
    /// Whose.
    pub budget: Budget,
    /// In which month.
    pub month: Month,
    /// The cap.
    pub cap: MicroDollars,
    /// What is spent of it.
    pub spent: MicroDollars,
    /// What is reserved of it.
    pub reserved: MicroDollars,
    /// What the launch could cost at most in that month.
    pub wanted: MicroDollars,
    /// By which tariff.
    pub tariff: Tariff,
}

impl OverCap {
    /// The ledger that it is about.
    #[must_use]
    pub fn ledger(&self) -> LedgerId {
        LedgerId {
            budget: self.budget.clone(),
            month: self.month,
        }
    }
}

/// The refusal of a type of which nobody knows what it costs, in a stack with caps.
#[must_use]
pub fn unpriced(instance_type: &InstanceType) -> Refused {
    Refused::new(
        "caps",
        format!(
            "it is not known what `{instance_type}` costs on demand in this region, so that no cap would hold: name another instance type, or \
             for spot capacity a `max_price`"
        ),
    )
}

/// Who holds a part of what is reserved.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Holder {
    /// The runner.
    pub runner: RunnerName,
    /// Whom it pays with, and how much of which month.
    pub reserved: Reservation,
    /// Its repository.
    pub repository: String,
}

/// So many who hold money are named.
const MOST_HOLDERS: usize = 3;

impl OverCap {
    /// The refusal, in words for the author of the job that the runner `asks` for: the cap, what is spent, what
    /// is reserved and by which others, when it resets, and what to do.
    #[must_use]
    pub fn refused(&self, asks: &RunnerName, holders: &[Holder]) -> Refused {
        let resets = self.month.ends();
        let who = match &self.budget {
            Budget::PullRequest { .. } => format!("the pull request {}", self.budget),
            _ => self.budget.to_string(),
        };
        let words = format!(
            "{who} may spend {} in {}; {} are spent and {} reserved{}, and this job could cost up to {}{}. \
             The count begins anew on {} 00:00 UTC: run the job again then, or sooner if running jobs have cost less than \
             was reserved for them. A shorter `max_lifetime` or a lower `max_price` makes the job fit sooner; the owner of the AWS \
             account can raise the cap",
            self.cap,
            self.month,
            self.spent,
            self.reserved,
            self.by_whom(asks, holders),
            self.wanted,
            match self.tariff.source {
                PriceSource::Aws => String::new(),
                PriceSource::Earlier =>
                    " (by prices of AWS's that are older than a day, as it could not be asked anew)".to_owned(),
                PriceSource::Shipped => format!(
                    " (by prices of {} that dayfly came with, as AWS's could not be asked for)",
                    prices::shipped_on()
                ),
            },
            resets.utc_day(),
        );
        Refused::new(Caps::key(&self.budget), words)
    }

    fn by_whom(&self, asks: &RunnerName, holders: &[Holder]) -> String {
        let mut held: Vec<(MicroDollars, &Holder)> = holders
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
            .take(MOST_HOLDERS)
            .map(|(share, holder)| match holder.runner.job() {
                Some(job) => format!("{share} by job {} of {}", job.job, holder.repository),
                None => format!("{share} by {}", holder.runner),
            })
            .collect();
        let more = held.len().saturating_sub(MOST_HOLDERS);
        let more = if more > 0 {
            format!(" and {more} more")
        } else {
            String::new()
        };
        format!(" ({}{more})", named.join(", "))
    }
}

/// The ledgers that something is written in, as they were read and as they become.
#[derive(Clone, Debug, Default)]
pub struct Ledgers {
    read: BTreeMap<LedgerId, Option<Stored<Ledger>>>,
    now: BTreeMap<LedgerId, Ledger>,
}

impl Ledgers {
    /// These, as they were read.
    #[must_use]
    pub fn of(read: BTreeMap<LedgerId, Option<Stored<Ledger>>>) -> Self {
        Self {
            read,
            now: BTreeMap::new(),
        }
    }

    /// A ledger as it stands.
    #[must_use]
    pub fn get(&self, id: &LedgerId) -> Ledger {
        let read = || {
            self.read
                .get(id)
                .and_then(Option::as_ref)
                .map(|stored| stored.record.clone())
        };
        let now = self.now.get(id).cloned();
        now.or_else(read).unwrap_or_else(|| Ledger::new(id.clone()))
    }

    fn set(&mut self, ledger: Ledger) {
        self.now.insert(ledger.id(), ledger);
    }

    /// Sets aside what a runner can cost, in place of what was set aside for it before. All of it, or
    /// nothing. What a cap that has changed has to tell is due at once.
    ///
    /// # Errors
    /// The first cap that would be passed.
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
                // Less than it holds already never passes anything.
                if let Some(cap) = over.filter(|_| *share > held) {
                    let standing = self.get(&id);
                    return Err(Box::new(OverCap {
                        budget: budget.clone(),
                        month: *month,
                        cap,
                        spent: standing.spent,
                        reserved: standing.reserved.less(held),
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

    /// Gives back what was set aside.
    pub fn release(&mut self, reserved: &Reservation) {
        for (month, share) in &reserved.shares {
            for budget in &reserved.budgets {
                let mut ledger = self.get(&LedgerId {
                    budget: budget.clone(),
                    month: *month,
                });
                ledger.reserved = ledger.reserved.less(*share);
                self.set(ledger);
            }
        }
    }

    /// Counts what an instance has cost, and notes the thresholds that are passed by it. They are `due` then, if
    /// they are not told before.
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

    /// Notes that a launch was refused by a cap, and which that is now. It is told once, and `due` then, if that
    /// is not done before.
    pub fn refused(&mut self, over: &OverCap, due: Timestamp) {
        let mut ledger = self.get(&over.ledger());
        thresholds::measure(&mut ledger, Some(over.cap), due);
        thresholds::pass(&mut ledger, Threshold::Refused, over.cap, due);
        self.set(ledger);
    }

    /// The ledgers that have something to tell which they had not when they were read.
    pub fn with_news(&self) -> impl Iterator<Item = LedgerId> {
        let before = |id| self.read.get(id).and_then(Option::as_ref);
        let news = self
            .now
            .iter()
            .filter(move |(id, ledger)| ledger.noted.len() > before(id).map_or(0, |stored| stored.record.noted.len()));
        news.map(|(id, _)| id.clone())
    }

    /// What is to be written.
    #[must_use]
    pub fn changes(&self) -> Vec<Change> {
        let changed = self.now.iter().filter_map(|(id, ledger)| {
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
#[path = "caps_tests.rs"]
mod tests;

#[cfg(test)]
#[path = "caps_properties.rs"]
mod properties;
