//! What instances have cost, summed up by what a person asks for.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use dayfly_records::costs::Amounts;
use dayfly_records::prices::PriceSource;
use dayfly_records::{Cost, Ledger, Purpose};
use dayfly_types::budget::Budget;
use dayfly_types::ids::{JobKey, RunId};
use dayfly_types::money::MicroDollars;
use dayfly_types::month::Month;
use serde::Serialize;

use crate::story::minutes;

/// By what costs are summed up.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum By {
    /// The repository.
    #[default]
    Repository,
    /// The repository's workflow.
    Workflow,
    /// The instance type.
    Type,
    /// Who had the run started.
    Actor,
    /// The day, in UTC, on which the instance was launched.
    Day,
}

impl By {
    /// What a cost is counted under, if that is known.
    #[must_use]
    pub fn of(self, cost: &Cost) -> Option<String> {
        match self {
            Self::Repository => Some(cost.repository.as_ref()?.to_string()),
            Self::Workflow => {
                let workflow = cost.attribution.workflow.as_ref()?;
                let repository = cost.repository.as_ref()?;
                Some(format!("{repository} {workflow}"))
            }
            Self::Type => Some(cost.pool.instance_type.to_string()),
            Self::Actor => cost.attribution.actor.clone(),
            Self::Day => Some(cost.launched_at.utc_day()),
        }
    }
}

/// The sums of some instances.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Sums {
    /// How many runs had a job on them.
    pub runs: usize,
    /// How many jobs ran on them.
    pub jobs: usize,
    /// How many instances there were.
    pub instances: usize,
    /// The minutes for which they were billed.
    pub minutes: u64,
    /// The minutes of those on which jobs ran, rounded up for each as GitHub bills a job: no job ran longer.
    pub job_minutes: u64,
    /// What they cost, by what it was for.
    pub amounts: Amounts,
    /// All of it.
    pub total: MicroDollars,
    /// What was saved against on-demand capacity, as far as its prices are known.
    pub saved: MicroDollars,
    /// How many jobs were interrupted.
    pub interrupted: usize,
    /// What was paid for the work that this has lost.
    pub wasted: MicroDollars,
    /// How many instances were counted at a price from the table that the program came with.
    pub by_shipped_prices: usize,
    /// How many were counted at a price that AWS told earlier, as it could not be asked anew.
    pub by_earlier_prices: usize,
}

impl Sums {
    /// The sums of these.
    #[must_use]
    pub fn of<'a>(costs: impl IntoIterator<Item = &'a Cost>) -> Self {
        let mut sums = Self::default();
        let mut runs: BTreeSet<RunId> = BTreeSet::new();
        let mut jobs: BTreeSet<JobKey> = BTreeSet::new();
        let mut billed = Duration::ZERO;
        for cost in costs {
            let time = cost.to.since(cost.from);
            billed += time;
            if matches!(cost.purpose, Purpose::Job | Purpose::Interrupted) {
                runs.extend(cost.run);
                jobs.extend(cost.job);
                sums.job_minutes += minutes(time);
            }
            sums.instances += 1;
            sums.amounts = sums.amounts + cost.amounts.iter().map(|(_, amounts)| *amounts).sum();
            sums.saved = sums.saved + cost.saved();
            sums.wasted = sums.wasted + cost.wasted();
            sums.interrupted += usize::from(cost.purpose == Purpose::Interrupted);
            sums.by_shipped_prices += usize::from(cost.source == PriceSource::Shipped);
            sums.by_earlier_prices += usize::from(cost.source == PriceSource::Earlier);
        }
        sums.total = sums.amounts.total();
        sums.minutes = minutes(billed);
        (sums.runs, sums.jobs) = (runs.len(), jobs.len());
        sums
    }
}

/// A row of a report.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Row {
    /// What it is about; nothing for what is not known of.
    pub name: Option<String>,
    /// Its sums.
    #[serde(flatten)]
    pub sums: Sums,
}

/// The sums of some instances, the dearest first; days in their order.
#[must_use]
pub fn rows(costs: &[Cost], by: By) -> Vec<Row> {
    let mut groups: BTreeMap<Option<String>, Vec<&Cost>> = BTreeMap::new();
    for cost in costs {
        groups.entry(by.of(cost)).or_default().push(cost);
    }
    let sums = groups.into_iter().map(|(name, costs)| Row {
        name,
        sums: Sums::of(costs),
    });
    let mut rows: Vec<Row> = sums.collect();
    if by != By::Day {
        // Stable: what costs the same stays in the order of its names.
        rows.sort_by_key(|row| std::cmp::Reverse(row.sums.total));
    }
    rows
}

/// What is left of a cap in a month.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct CapLeft {
    /// Whose.
    pub budget: Budget,
    /// The month.
    pub month: Month,
    /// The cap that held when something was last reserved.
    pub cap: MicroDollars,
    /// What ended instances have cost.
    pub spent: MicroDollars,
    /// What those that live, or are asked for, can cost at most.
    pub reserved: MicroDollars,
    /// What can still be reserved.
    pub left: MicroDollars,
}

/// What is left of the caps, that of which most is used up first.
#[must_use]
pub fn caps_left(ledgers: &[Ledger]) -> Vec<CapLeft> {
    let capped = ledgers.iter().filter_map(|ledger| {
        let cap = ledger.cap?;
        Some(CapLeft {
            budget: ledger.budget.clone(),
            month: ledger.month,
            cap,
            spent: ledger.spent,
            reserved: ledger.reserved,
            left: cap.less(ledger.committed()),
        })
    });
    let mut caps: Vec<CapLeft> = capped.collect();
    caps.sort_by(|one, other| {
        share(other)
            .cmp(&share(one))
            .then_with(|| one.budget.cmp(&other.budget))
    });
    caps
}

/// How much of it is used up, in millionths.
fn share(cap: &CapLeft) -> u128 {
    let used = u128::from(cap.spent.0) + u128::from(cap.reserved.0);
    used * 1_000_000 / u128::from(cap.cap.0.max(1))
}

#[cfg(test)]
mod tests;
