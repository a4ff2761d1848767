//! The promise that each threshold of a cap is told, and once.

use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use dayfly_records::LedgerId;
use dayfly_types::money::MicroDollars;

use super::TOLD_ONCE;
use crate::plan::Outage;
use crate::sim::Sim;

/// How much of a cap must be spent for the owner of the account to be told.
const PERCENT: [u64; 3] = [50, 80, 100];

/// What makes somebody tell again who has told: he dies, or hears no answer, before that is written down.
const FORGETS: &[Outage] = &[Outage::LambdaKill, Outage::Table, Outage::Alerts];

impl Sim {
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

    /// Every threshold that was reached is told, no other is, and none twice.
    pub(super) fn thresholds_are_told(&self) {
        let told = self.promises.borrow().owner_told.clone();
        let wrong = self.untold(&told).or_else(|| self.told_twice(&told));
        if let Some(why) = wrong {
            self.broken(TOLD_ONCE, why);
        }
    }

    fn untold(&self, told: &BTreeMap<String, u32>) -> Option<String> {
        // Where a cap was changed it depends on the moment which one a threshold is of.
        if !self.caps_stay() {
            return None;
        }
        let reached: BTreeSet<String> = self.reached().into_iter().collect();
        let told: BTreeSet<String> = told
            .keys()
            .filter(|what| what.contains(" has spent "))
            .cloned()
            .collect();
        let missing = reached
            .difference(&told)
            .next()
            .map(|what| format!("nobody was told: {what}"));
        missing.or_else(|| {
            let false_alarm = told.difference(&reached).next();
            false_alarm.map(|what| format!("the owner was told what is not so: {what}"))
        })
    }

    /// What there is to tell, by what instances have cost.
    fn reached(&self) -> Vec<String> {
        let spent = self.budgets.borrow().spent();
        let reached = |(id, spent): (LedgerId, MicroDollars)| {
            let cap = self.cap_of(&id.budget).unwrap_or_default();
            let passed =
                move |percent: &u64| cap.0 > 0 && u128::from(spent.0) * 100 >= u128::from(cap.0) * u128::from(*percent);
            PERCENT.into_iter().filter(passed).map(move |percent| {
                format!(
                    "dayfly dayfly: {} has spent {percent} % of its cap of {cap} in {}",
                    id.budget, id.month
                )
            })
        };
        spent.into_iter().flat_map(reached).collect()
    }

    fn told_twice(&self, told: &BTreeMap<String, u32>) -> Option<String> {
        if self.plan.has_any(FORGETS) {
            return None;
        }
        let twice = told.iter().find(|(_, times)| **times > 1);
        twice.map(|(what, times)| format!("{times} times: {what}"))
    }
}
