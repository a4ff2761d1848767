//! Cost sums: what instances have cost, by repository, workflow, type, actor or day.

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

/// What costs are grouped by.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum By {
    #[default]
    Repository,
    Workflow,
    Type,
    Actor,
    /// The UTC day of the launch.
    Day,
}

impl By {
    /// Returns the group of a cost, if it is known.
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

/// The sums of several instances.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Sums {
    /// The runs with a job on the instances.
    pub runs: usize,
    pub jobs: usize,
    pub instances: usize,
    /// The billed minutes.
    pub minutes: u64,
    /// The billed minutes of instances that ran a job, each rounded up as GitHub bills a job: no job ran longer.
    pub job_minutes: u64,
    pub amounts: Amounts,
    pub total: MicroDollars,
    /// The savings compared with on-demand capacity, as far as its prices are known.
    pub saved: MicroDollars,
    /// The interrupted jobs.
    pub interrupted: usize,
    /// The cost of work lost to interruptions.
    pub wasted: MicroDollars,
    /// The instances priced with the table that ships with dayfly.
    pub by_shipped_prices: usize,
    /// The instances priced with an earlier price of AWS's, because it could not be asked again.
    pub by_earlier_prices: usize,
}

impl Sums {
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
    /// The group; `None` for costs whose group is unknown.
    pub name: Option<String>,
    #[serde(flatten)]
    pub sums: Sums,
}

/// Returns a row for each group, the most expensive first; days in their order.
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
        // The sort is stable: equal costs stay in the order of their names.
        rows.sort_by_key(|row| std::cmp::Reverse(row.sums.total));
    }
    rows
}

/// What is left of a monthly cap.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct CapLeft {
    pub budget: Budget,
    pub month: Month,
    /// The cap at the time of the last reservation.
    pub cap: MicroDollars,
    /// The cost of ended instances.
    pub spent: MicroDollars,
    /// The most that live and requested instances can cost.
    pub reserved: MicroDollars,
    pub left: MicroDollars,
}

/// Returns what is left of the caps, the most used one first.
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
            left: cap.saturating_sub(ledger.committed()),
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

/// Returns the used share, in millionths.
fn share(cap: &CapLeft) -> u128 {
    let used = u128::from(cap.spent.0) + u128::from(cap.reserved.0);
    used * 1_000_000 / u128::from(cap.cap.0.max(1))
}

#[cfg(test)]
mod tests;
