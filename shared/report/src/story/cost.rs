//! What a job cost, and what it would have cost on GitHub's runners.

use std::iter::Sum;
use std::ops::Add as _;
use std::time::Duration;

use dayfly_records::costs::Amounts;
use dayfly_records::prices::PriceSource;
use dayfly_records::{Job, RunnerState};
use dayfly_types::money::MicroDollars;
use dayfly_types::time::Timestamp;
use serde::Serialize;

use super::stages::{self, Reached, Stage};
use super::{Bill, LaunchTry};

/// The price of a minute on GitHub's own GPU runner, `linux_4_core_gpu` with a T4.
///
/// <https://docs.github.com/en/billing/reference/actions-runner-pricing>
pub const GITHUB_GPU_MINUTE: MicroDollars = MicroDollars(52_000);

const MINUTE: Duration = Duration::from_mins(1);

/// Rounds up to whole minutes, as GitHub bills a job.
///
/// <https://docs.github.com/en/billing/reference/actions-runner-pricing>
#[must_use]
pub fn minutes(ran: Duration) -> u64 {
    u64::try_from(ran.as_millis().div_ceil(MINUTE.as_millis())).unwrap_or(u64::MAX)
}

/// What a job cost, or what it has cost so far.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Money {
    /// The cost of the instance that ran the job and of those that were meant for it and ran none.
    pub total: MicroDollars,
    pub amounts: Amounts,
    pub is_final: bool,
    /// The number of instances whose cost is unknown and not in the total.
    pub unknown: usize,
    /// Whether a price is from the table that ships with dayfly.
    pub shipped_prices: bool,
    /// Whether a price is an earlier one of AWS's, because it could not be asked again.
    pub earlier_prices: bool,
    /// The savings compared with on-demand capacity, if that price is known.
    pub saved: Option<MicroDollars>,
    /// The cost of work lost to interruptions.
    pub wasted: MicroDollars,
    /// The minutes as GitHub bills them, if it is known when the job started. A job that a messenger failed ran
    /// none.
    pub minutes: Option<u64>,
    /// The price of those minutes on GitHub's own GPU runner.
    pub on_github: Option<MicroDollars>,
    /// GitHub's charge for those minutes on a self-hosted runner, if there is one.
    pub github_charge: Option<MicroDollars>,
}

impl Money {
    /// Returns the least reliable source of the prices.
    #[must_use]
    pub fn prices_by(&self) -> PriceSource {
        match (self.shipped_prices, self.earlier_prices) {
            (true, _) => PriceSource::Shipped,
            (false, true) => PriceSource::Earlier,
            (false, false) => PriceSource::Aws,
        }
    }

    pub(super) fn of(
        job: &Job,
        launch_tries: &[LaunchTry],
        stages: &[Reached],
        github_per_minute: MicroDollars,
        now: Timestamp,
    ) -> Self {
        let own: Vec<&LaunchTry> = launch_tries.iter().filter(|one| one.is_of(job.key)).collect();
        let all_gone = own.iter().all(|one| one.state == RunnerState::Gone);
        let bills: Vec<&Bill> = own.iter().filter_map(|one| one.bill.as_ref()).collect();
        let amounts: Amounts = bills.iter().map(|bill| bill.amounts).sum();
        let saved: Vec<MicroDollars> = bills.iter().filter_map(|bill| bill.saved).collect();
        let billed = stages::at(stages, Stage::JobStarted).map(|started| {
            let ended = stages::at(stages, Stage::JobFinished).or(job.ended_at);
            minutes(ended.unwrap_or(now).since(started))
        });
        let by_messenger = own.iter().any(|one| one.messenger && one.ran == Some(job.key));
        let minutes = billed.filter(|_| !by_messenger);
        Self {
            total: amounts.total(),
            amounts,
            is_final: (job.state.is_end() || job.state.is_elsewhere())
                && all_gone
                && bills.iter().all(|bill| bill.is_final),
            unknown: own.iter().filter(|one| one.is_unknown()).count(),
            shipped_prices: bills.iter().any(|bill| bill.source == PriceSource::Shipped),
            earlier_prices: bills.iter().any(|bill| bill.source == PriceSource::Earlier),
            saved: (!saved.is_empty()).then(|| saved.into_iter().sum()),
            wasted: bills.iter().map(|bill| bill.wasted).sum(),
            minutes,
            on_github: minutes.map(|minutes| GITHUB_GPU_MINUTE.times(minutes)),
            // GitHub charges whatever the job did with its minutes.
            github_charge: billed
                .map(|minutes| github_per_minute.times(minutes))
                .filter(|charge| *charge > MicroDollars::default()),
        }
    }
}

/// Sums up jobs. Where a part is known for some of them only, it is the sum of those.
impl Sum for Money {
    fn sum<I: Iterator<Item = Self>>(jobs: I) -> Self {
        let none = Self {
            is_final: true,
            ..Self::default()
        };
        jobs.fold(none, |one, other| Self {
            total: one.total + other.total,
            amounts: [one.amounts, other.amounts].into_iter().sum(),
            is_final: one.is_final && other.is_final,
            unknown: one.unknown + other.unknown,
            shipped_prices: one.shipped_prices || other.shipped_prices,
            earlier_prices: one.earlier_prices || other.earlier_prices,
            saved: both(one.saved, other.saved, MicroDollars::add),
            wasted: one.wasted + other.wasted,
            minutes: both(one.minutes, other.minutes, u64::saturating_add),
            on_github: both(one.on_github, other.on_github, MicroDollars::add),
            github_charge: both(one.github_charge, other.github_charge, MicroDollars::add),
        })
    }
}

fn both<T>(one: Option<T>, other: Option<T>, add: fn(T, T) -> T) -> Option<T> {
    match (one, other) {
        (Some(one), Some(other)) => Some(add(one, other)),
        (one, other) => one.or(other),
    }
}
