//! The promise that each threshold of a cap is alerted once.

use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use dayfly_records::LedgerId;
use dayfly_types::money::MicroDollars;

use super::ALERTED_ONCE;
use crate::plan::Outage;
use crate::sim::Sim;

/// The percentages of a cap at which the account's owner is alerted.
const PERCENT: [u64; 3] = [50, 80, 100];

/// Faults that repeat an alert: a function dies, or gets no answer, before it records the alert.
const REPEATS: &[Outage] = &[Outage::LambdaKill, Outage::LambdaDies, Outage::Table, Outage::Alerts];

impl Sim {
    /// Alerts the account's owner.
    pub fn alert_owner(self: &Rc<Self>, subject: &str) {
        self.note("owner told", subject, String::new);
        *self.promises.borrow_mut().alerts.entry(subject.to_owned()).or_default() += 1;
    }

    /// Every reached threshold is alerted, no other is, and none twice.
    pub(super) fn thresholds_are_alerted(&self) {
        let alerts = self.promises.borrow().alerts.clone();
        let wrong = self.missing_or_false(&alerts).or_else(|| self.sent_twice(&alerts));
        if let Some(why) = wrong {
            self.broken(ALERTED_ONCE, why);
        }
    }

    fn missing_or_false(&self, alerts: &BTreeMap<String, u32>) -> Option<String> {
        // After a change of a cap, the moment decides which of the two a threshold belongs to.
        if !self.caps_stay() {
            return None;
        }
        let reached: BTreeSet<String> = self.reached().into_iter().collect();
        let sent: BTreeSet<String> = alerts
            .keys()
            .filter(|what| what.contains(" has spent "))
            .cloned()
            .collect();
        let missing = reached
            .difference(&sent)
            .next()
            .map(|what| format!("not alerted: {what}"));
        missing.or_else(|| {
            let false_alarm = sent.difference(&reached).next();
            false_alarm.map(|what| format!("false alert: {what}"))
        })
    }

    /// Returns the alerts that the instances' costs require.
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

    fn sent_twice(&self, alerts: &BTreeMap<String, u32>) -> Option<String> {
        if self.plan.has_any(REPEATS) {
            return None;
        }
        let twice = alerts.iter().find(|(_, times)| **times > 1);
        twice.map(|(what, times)| format!("{times} times: {what}"))
    }
}
