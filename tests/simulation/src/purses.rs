//! What the ledgers should hold, added up from what they are written with: the reservations of runners and
//! the costs of instances.

use std::collections::BTreeMap;

use dayfly_core::decide::caps;
use dayfly_core::money::MicroDollars;
use dayfly_core::record::{Change, Cost, LedgerId, Record, RecordId, Reservation};

use crate::guards::Guard;
use crate::money::{CAPPED, SETTLED};
use crate::sim::Sim;
use crate::table::{Table, Written};

/// What is spent and what is reserved of one month's money of one purse.
#[derive(Clone, Copy, Debug, Default)]
struct Held {
    spent: MicroDollars,
    reserved: MicroDollars,
}

/// The same of all of them.
#[derive(Debug, Default)]
pub struct Purses(BTreeMap<LedgerId, Held>);

impl Purses {
    /// A record was written. Answers the ledgers that it counts in.
    fn written(&mut self, written: &Written) -> Vec<LedgerId> {
        let before = written.before.as_ref().map(|kept| &kept.record);
        let after = written.after.as_ref().map(|kept| &kept.record);
        let mut touched = Vec::new();
        if let Some(Record::Runner(runner)) = before
            && let Some(reserved) = &runner.reserved
        {
            touched.extend(self.reserved(reserved, MicroDollars::less));
        }
        match after {
            Some(Record::Runner(runner)) => {
                if let Some(reserved) = &runner.reserved {
                    touched.extend(self.reserved(reserved, |held, share| held + share));
                }
            }
            Some(Record::Cost(cost)) if before.is_none() => touched.extend(self.spent(cost)),
            _ => {}
        }
        touched
    }

    fn reserved(
        &mut self,
        reserved: &Reservation,
        with: impl Fn(MicroDollars, MicroDollars) -> MicroDollars,
    ) -> Vec<LedgerId> {
        let ids: Vec<LedgerId> = caps::ledgers_of(reserved).collect();
        for id in &ids {
            let share = reserved.shares.iter().find(|(month, _)| *month == id.month);
            let held = self.0.entry(id.clone()).or_default();
            held.reserved = with(held.reserved, share.map_or(MicroDollars(0), |(_, share)| *share));
        }
        ids
    }

    fn spent(&mut self, cost: &Cost) -> Vec<LedgerId> {
        let purses = caps::purses_of(cost.repository.as_ref());
        let mut ids = Vec::new();
        for (month, amounts) in &cost.amounts {
            for purse in &purses {
                let id = LedgerId {
                    purse: purse.clone(),
                    month: *month,
                };
                let held = self.0.entry(id.clone()).or_default();
                held.spent = held.spent + amounts.total();
                ids.push(id);
            }
        }
        ids
    }

    /// Forgets everything.
    pub fn clear(&mut self) {
        self.0.clear();
    }
}

impl Sim {
    /// Records were written together: what is spent and reserved by them and all others passes no cap.
    pub(crate) fn purses_hold(&self, written: &[Written]) {
        let mut purses = self.purses.borrow_mut();
        let touched: Vec<LedgerId> = written.iter().flat_map(|one| purses.written(one)).collect();
        let over = touched.iter().find_map(|id| {
            let cap = self.plan.caps.of(&id.purse)?;
            let held = purses.0.get(id)?;
            (held.spent + held.reserved > cap).then(|| {
                format!(
                    "{} of {}: {} spent and {} reserved of {cap}",
                    id.purse, id.month, held.spent, held.reserved
                )
            })
        });
        drop(purses);
        if let Some(why) = over.filter(|_| self.promises.borrow().emptied_at.is_none()) {
            self.broken(CAPPED, why);
        }
    }

    /// At the end: each ledger has what its instances have cost.
    pub(crate) fn ledgers_are_settled(&self) {
        let table = self.table.borrow();
        let purses = self.purses.borrow();
        let wrong = table.ledgers_of_all().find_map(|ledger| {
            let MicroDollars(costs) = purses.0.get(&ledger.id()).copied().unwrap_or_default().spent;
            let spent = ledger.spent;
            (spent.0 != costs).then(|| {
                let costs = MicroDollars(costs);
                format!(
                    "{} of {} has spent {spent}, and its instances have cost {costs}",
                    ledger.purse, ledger.month
                )
            })
        });
        drop((table, purses));
        if let Some(why) = wrong {
            self.broken(SETTLED, why);
        }
    }

    /// The changes without what guards of the ledgers that are taken away would have written.
    pub(crate) fn ledgers_guarded(&self, changes: &mut [Change]) {
        let table = self.table.borrow();
        if !self.has(Guard::Ledgers) {
            for change in changes.iter_mut() {
                if matches!(change.record, Record::Ledger(_)) {
                    change.expected = table.version(&change.record.id());
                }
            }
        }
        if !self.has(Guard::Settlement) && changes.iter().any(|change| settles(change, &table)) {
            for change in changes {
                if let Record::Ledger(ledger) = &mut change.record
                    && let Some(Record::Ledger(known)) = table.peek(&RecordId::Ledger(ledger.id()))
                {
                    ledger.reserved = known.reserved;
                }
            }
        }
    }
}

/// Whether a change is of a runner for which nothing is reserved any more.
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

    use dayfly_core::policy::Caps;

    use super::*;
    use crate::plan::{Item, Plan, PlannedRun};
    use crate::run;

    /// Jobs of two hundred repositories at once, against a cap of the stack that fits a few of them.
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
    fn a_rush_passes_no_cap_but_without_the_versions_of_the_ledgers() {
        let kept = run(rush(), &[], false);
        assert!(kept.broken.is_none(), "{:?}", kept.broken);
        assert!(
            kept.tally.instances > 0 && kept.tally.conflicts > 0,
            "they run, and in each other's way"
        );
        let broken = run(rush(), &[Guard::Ledgers], false).broken;
        assert_eq!(broken.map(|broken| broken.promise), Some(CAPPED));
    }
}
