//! The expected content of the ledgers, added up from what is written to the table: the runners'
//! reservations and the instances' costs. The payers are derived from where a job is queued.

use std::collections::BTreeMap;

use dayfly_records::{Change, Cost, LedgerId, Purpose, Record, RecordId, Reservation, Runner};
use dayfly_types::budget::Budget;
use dayfly_types::deadlines::MAX_OVERRUN;
use dayfly_types::ids::Repository;
use dayfly_types::money::MicroDollars;
use dayfly_types::month::Month;

use crate::guards::Guard;
use crate::money::{CAPPED, RESERVED, SETTLED};
use crate::promises::GITHUB;
use crate::sim::Sim;
use crate::table::{Table, Written};

/// The spent and reserved money of one budget in one month.
#[derive(Clone, Copy, Debug, Default)]
struct Held {
    spent: MicroDollars,
    reserved: MicroDollars,
}

/// The same of all budgets.
#[derive(Debug, Default)]
pub struct Budgets(BTreeMap<LedgerId, Held>);

impl Budgets {
    pub fn clear(&mut self) {
        self.0.clear();
    }

    /// Returns the spent money of each ledger.
    pub(crate) fn spent(&self) -> Vec<(LedgerId, MicroDollars)> {
        self.0.iter().map(|(id, held)| (id.clone(), held.spent)).collect()
    }

    fn hold(
        &mut self,
        was: &mut Was,
        reserved: &Reservation,
        with: impl Fn(MicroDollars, MicroDollars) -> MicroDollars,
    ) {
        for (month, share) in &reserved.shares {
            for budget in &reserved.budgets {
                let held = self.touch(was, budget, *month);
                held.reserved = with(held.reserved, *share);
            }
        }
    }

    fn spend(&mut self, was: &mut Was, cost: &Cost, payers: &[Budget]) {
        for (month, amounts) in &cost.amounts {
            for budget in payers {
                let held = self.touch(was, budget, *month);
                held.spent = held.spent + amounts.total();
            }
        }
    }

    /// Returns a ledger's amounts, and keeps the previous ones in `was`.
    fn touch(&mut self, was: &mut Was, budget: &Budget, month: Month) -> &mut Held {
        let id = LedgerId {
            budget: budget.clone(),
            month,
        };
        let held = self.0.entry(id.clone()).or_default();
        was.entry(id).or_insert(*held);
        held
    }
}

/// The amounts of ledgers before a write that affects them.
type Was = BTreeMap<LedgerId, Held>;

/// Returns the runner of a counted instance as it was before the write.
fn runner_before<'a>(cost: &Cost, written: &'a [Written]) -> Option<&'a Runner> {
    written.iter().find_map(|one| match &one.before.as_ref()?.record {
        Record::Runner(runner) if cost.runner.as_ref() == Some(&runner.name) => Some(&**runner),
        _ => None,
    })
}

/// Returns the payers of an orphan: the stack, and those that its tags name.
pub(crate) fn payers_of_orphan(repository: Option<&Repository>) -> Vec<Budget> {
    let mut payers = vec![Budget::Stack];
    if let Some(repository) = repository {
        payers.push(Budget::Organization {
            name: repository.owner().to_owned(),
        });
        payers.push(Budget::Repository {
            repository: repository.clone(),
        });
    }
    payers
}

/// Returns the reservation of a runner.
fn reserved_by(record: Option<&Record>) -> Option<&Reservation> {
    match record {
        Some(Record::Runner(runner)) => runner.reserved.as_ref(),
        _ => None,
    }
}

impl Sim {
    /// Records were written together: everyone who has to pay does, the ledgers match the runners, and
    /// no cap is exceeded.
    pub(crate) fn budgets_hold(&self, written: &[Written]) {
        let mut was = Was::new();
        for one in written {
            self.counts_in(one, written, &mut was);
        }
        if self.promises.borrow().emptied_at.is_some() {
            return;
        }
        let over = self.exceeds_a_cap(&was);
        if let Some(why) = over.or_else(|| self.costs_more_than_reserved(written)) {
            self.broken(CAPPED, why);
        }
        if let Some(why) = self
            .lacks_reservation(written)
            .or_else(|| self.differs_from_runners(&was))
        {
            self.broken(RESERVED, why);
        }
    }

    fn counts_in(&self, one: &Written, all: &[Written], was: &mut Was) {
        let before = one.before.as_ref().map(|kept| &kept.record);
        let after = one.after.as_ref().map(|kept| &kept.record);
        let mut budgets = self.budgets.borrow_mut();
        if let Some(reserved) = reserved_by(before) {
            budgets.hold(was, reserved, MicroDollars::saturating_sub);
        }
        if let Some(reserved) = reserved_by(after) {
            budgets.hold(was, reserved, |held, share| held + share);
        }
        if let Some(Record::Cost(cost)) = after.filter(|_| before.is_none()) {
            let payers = self.payers_for(cost, all);
            budgets.spend(was, cost, &payers);
            self.heard.borrow_mut().is_settled(&cost.instance, self.now());
        }
    }

    /// Returns who has to pay for an instance's cost.
    fn payers_for(&self, cost: &Cost, written: &[Written]) -> Vec<Budget> {
        if cost.purpose == Purpose::Message
            && self.plan.has_any(GITHUB)
            && let Some(reserved) = runner_before(cost, written).and_then(|runner| runner.reserved.as_ref())
        {
            // The requester may have stayed unknown.
            return reserved.budgets.clone();
        }
        match &cost.runner {
            Some(runner) => self.payers(runner),
            None => payers_of_orphan(cost.repository.as_ref()),
        }
    }

    /// Returns a budget that has grown and exceeds its cap.
    fn exceeds_a_cap(&self, was: &Was) -> Option<String> {
        let budgets = self.budgets.borrow();
        was.iter().find_map(|(id, was)| {
            let cap = self.cap_of(&id.budget)?;
            let held = budgets.0.get(id)?;
            let committed = held.spent + held.reserved;
            (committed > cap && committed > was.spent + was.reserved).then(|| {
                format!(
                    "{} of {}: {} spent and {} reserved of {cap}",
                    id.budget, id.month, held.spent, held.reserved
                )
            })
        })
    }

    /// Returns an instance that cost more in a month than its reservation, though it lived no longer
    /// than allowed.
    fn costs_more_than_reserved(&self, written: &[Written]) -> Option<String> {
        let after = written.iter().filter_map(|one| one.after.as_ref());
        let mut costs = after.filter_map(|kept| match &kept.record {
            Record::Cost(cost) => Some(cost),
            _ => None,
        });
        costs.find_map(|cost| {
            let runner = runner_before(cost, written)?;
            let released = runner.reserved.as_ref()?;
            let longest = runner.max_lifetime(&self.deadlines) + MAX_OVERRUN;
            let in_time = cost.to.since(cost.launched_at) <= longest;
            let dearer = cost.amounts.iter().find(|(month, amounts)| {
                let share = released.shares.iter().find(|(of, _)| of == month);
                amounts.total() > share.map_or(MicroDollars(0), |(_, share)| *share)
            });
            dearer.filter(|_| in_time).map(|(month, amounts)| {
                format!(
                    "{} cost {} in {month}, of {:?}",
                    cost.instance,
                    amounts.total(),
                    released.shares
                )
            })
        })
    }

    /// Returns a runner that lacks the reservation of a capped budget.
    fn lacks_reservation(&self, written: &[Written]) -> Option<String> {
        written.iter().find_map(|one| {
            let runner: &Runner = match &one.after.as_ref()?.record {
                Record::Runner(runner) => runner,
                _ => return None,
            };
            let reserved = runner.reserved.as_ref()?;
            // Reservations from before a cap are not checked again.
            let new = reserved_by(one.before.as_ref().map(|kept| &kept.record)) != Some(reserved);
            // A message does not wait for GitHub to name its requester.
            let unknown_requester = runner.message.is_some() && self.plan.has_any(GITHUB);
            let missing = self
                .payers(&runner.name)
                .into_iter()
                .find(|budget| !reserved.budgets.contains(budget));
            missing
                .filter(|_| new && !unknown_requester)
                .map(|budget| format!("{} holds nothing of {budget}", runner.name))
        })
    }

    /// Returns a written ledger whose reservations differ from the runners'.
    fn differs_from_runners(&self, was: &Was) -> Option<String> {
        let (table, budgets) = (self.table.borrow(), self.budgets.borrow());
        was.keys().find_map(|id| {
            let held = budgets.0.get(id).map_or(MicroDollars(0), |held| held.reserved);
            let reserved = match table.peek(&RecordId::Ledger(id.clone())) {
                Some(Record::Ledger(ledger)) => ledger.reserved,
                _ => MicroDollars(0),
            };
            (reserved != held).then(|| {
                format!(
                    "{} of {} reserves {reserved}, and runners hold {held}",
                    id.budget, id.month
                )
            })
        })
    }

    /// At the end: each ledger has the costs of its instances.
    pub(crate) fn ledgers_are_settled(&self) {
        let table = self.table.borrow();
        let budgets = self.budgets.borrow();
        let wrong = table.ledgers_of_all().find_map(|ledger| {
            let MicroDollars(costs) = budgets.0.get(&ledger.id()).copied().unwrap_or_default().spent;
            let spent = ledger.spent;
            (spent.0 != costs).then(|| {
                let costs = MicroDollars(costs);
                format!(
                    "{} of {} has spent {spent}, and its instances have cost {costs}",
                    ledger.budget, ledger.month
                )
            })
        });
        drop((table, budgets));
        if let Some(why) = wrong {
            self.broken(SETTLED, why);
        }
    }

    /// Removes from the changes what disabled ledger guards would have written.
    pub(crate) fn ledgers_guarded(&self, changes: &mut Vec<Change>) {
        let table = self.table.borrow();
        let settles = changes.iter().any(|change| settles(change, &table));
        if !self.has(Guard::Ledgers) {
            overwrite(changes, &table, |record| matches!(record, Record::Ledger(_)));
        }
        if !self.has(Guard::Costing) && settles {
            for change in changes.iter_mut() {
                if let Record::Ledger(ledger) = &mut change.record
                    && let Some(Record::Ledger(known)) = table.peek(&RecordId::Ledger(ledger.id()))
                {
                    ledger.reserved = known.reserved;
                }
            }
        }
        if !self.has(Guard::SettledOnce) && settles {
            overwrite(changes, &table, |_| true);
        }
        if !self.has(Guard::Booking)
            && changes
                .iter()
                .any(|change| matches!(change.record, Record::FleetCall(_)))
        {
            changes.retain(|change| !matches!(change.record, Record::Ledger(_)));
        }
        if !self.has(Guard::Orphans) {
            let orphan =
                |change: &Change| matches!(&change.record, Record::Cost(cost) if cost.purpose == Purpose::Orphan);
            if changes.iter().any(orphan) {
                changes.clear();
            }
        }
        if !self.has(Guard::Rereserve) {
            hold_as_before(changes, &table);
        }
        if !self.has(Guard::Passed) {
            for change in changes.iter_mut() {
                if let Record::Ledger(ledger) = &mut change.record {
                    ledger.passed.clear();
                    ledger.recorded.clear();
                }
            }
        }
    }
}

/// Makes runners with a reservation go on without reserving more.
fn hold_as_before(changes: &mut [Change], table: &Table) {
    let mut instead = Budgets::default();
    let mut was = Was::new();
    for change in changes.iter_mut() {
        let before = reserved_by(table.peek(&change.record.id())).cloned();
        if let Record::Runner(runner) = &mut change.record
            && let (Some(before), Some(after)) = (before, runner.reserved.as_mut())
            && before != *after
        {
            // The rest replaces what the ledger had too much.
            instead.hold(&mut was, after, |held, share| held + share);
            *after = before;
        }
    }
    for change in changes {
        if let Record::Ledger(ledger) = &mut change.record
            && instead.0.contains_key(&ledger.id())
            && let Some(Record::Ledger(known)) = table.peek(&RecordId::Ledger(ledger.id()))
        {
            ledger.reserved = known.reserved;
        }
    }
}

/// Makes changes overwrite any version.
fn overwrite(changes: &mut [Change], table: &Table, of: impl Fn(&Record) -> bool) {
    for change in changes.iter_mut().filter(|change| of(&change.record)) {
        change.expected = table.version(&change.record.id());
    }
}

/// Whether a change settles a runner's reservation.
fn settles(change: &Change, table: &Table) -> bool {
    let Record::Runner(runner) = &change.record else {
        return false;
    };
    let known = table.peek(&change.record.id());
    runner.reserved.is_none() && matches!(known, Some(Record::Runner(known)) if known.reserved.is_some())
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use dayfly_policy::Caps;

    use super::*;
    use crate::plan::{Item, Plan, PlannedRun};
    use crate::run;

    /// Jobs of two hundred repositories at once, against a stack cap that fits only a few.
    fn rush() -> Plan {
        let second = Duration::from_secs(1);
        let runs = (0..200).map(|repository| Item::Run(PlannedRun::simple(repository, second, 300 * second)));
        Plan {
            seed: 1,
            items: runs.enumerate().collect(),
            caps: Caps {
                stack: Some(MicroDollars(100_000_000)),
                ..Caps::default()
            },
            calm_from: 600 * second,
            ..Plan::empty()
        }
    }

    #[test]
    fn a_rush_exceeds_a_cap_only_without_ledger_versions() {
        let kept = run(rush(), &[], false);
        assert!(kept.broken.is_none(), "{:?}", kept.broken);
        assert!(
            kept.tally.instances > 0 && kept.tally.conflicts > 0,
            "they run, and in each other's way"
        );
        let broken = run(rush(), &[Guard::Ledgers], false).broken;
        let promise = broken.map(|broken| broken.promise);
        assert!(matches!(promise, Some(CAPPED | RESERVED)), "{promise:?}");
    }
}
