//! What a job cost, and what it would have cost elsewhere.

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
use super::{Attempt, Bill};

/// What a minute costs on GitHub's own runner with a GPU, the `linux_4_core_gpu` with a T4.
///
/// <https://docs.github.com/en/billing/reference/actions-runner-pricing>
pub const GITHUB_GPU_MINUTE: MicroDollars = MicroDollars(52_000);

const MINUTE: Duration = Duration::from_mins(1);

/// So many minutes does GitHub bill for a job that ran so long: each that was begun.
///
/// <https://docs.github.com/en/billing/reference/actions-runner-pricing>
#[must_use]
pub fn minutes(ran: Duration) -> u64 {
    u64::try_from(ran.as_millis().div_ceil(MINUTE.as_millis())).unwrap_or(u64::MAX)
}

/// What a job cost, or has cost so far.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Money {
    /// What its instances cost: that which ran it, and those that were meant for it and ran none.
    pub total: MicroDollars,
    /// The same by what it is for.
    pub amounts: Amounts,
    /// Whether that is the end of it.
    pub is_final: bool,
    /// How many instances it had whose cost nobody knows: it is not in the sum.
    pub unknown: usize,
    /// Whether a price is from the table that the program came with.
    pub shipped_prices: bool,
    /// Whether a price is AWS's of an earlier time, as it could not be asked anew.
    pub earlier_prices: bool,
    /// What was saved against on-demand capacity, if that price is known.
    pub saved: Option<MicroDollars>,
    /// What was paid for work that interruptions have lost.
    pub wasted: MicroDollars,
    /// The minutes that it ran, as GitHub bills them, if it is known when it began. One that a messenger took in
    /// order to fail it ran none.
    pub minutes: Option<u64>,
    /// What they would have cost on GitHub's own runner with a GPU.
    pub on_github: Option<MicroDollars>,
    /// What GitHub charges for them on ours, if it charges anything.
    pub github_charge: Option<MicroDollars>,
}

impl Money {
    /// Whose word the prices are: the least good source of them.
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
        attempts: &[Attempt],
        stages: &[Reached],
        github_per_minute: MicroDollars,
        now: Timestamp,
    ) -> Self {
        let own = attempts.iter().filter(|attempt| attempt.is_of(job.key));
        let own: Vec<&Attempt> = own.collect();
        let all_gone = own.iter().all(|attempt| attempt.state == RunnerState::Gone);
        let bills: Vec<&Bill> = own.iter().filter_map(|attempt| attempt.bill.as_ref()).collect();
        let amounts: Amounts = bills.iter().map(|bill| bill.amounts).sum();
        let saved: Vec<MicroDollars> = bills.iter().filter_map(|bill| bill.saved).collect();
        let billed = stages::at(stages, Stage::JobStarted).map(|started| {
            let ended = stages::at(stages, Stage::JobFinished).or(job.ended_at);
            minutes(ended.unwrap_or(now).since(started))
        });
        let told_no = own
            .iter()
            .any(|attempt| attempt.messenger && attempt.ran == Some(job.key));
        let minutes = billed.filter(|_| !told_no);
        Self {
            total: amounts.total(),
            amounts,
            is_final: (job.state.is_end() || job.state.is_elsewhere())
                && all_gone
                && bills.iter().all(|bill| bill.is_final),
            unknown: own.iter().filter(|attempt| attempt.is_unknown()).count(),
            shipped_prices: bills.iter().any(|bill| bill.source == PriceSource::Shipped),
            earlier_prices: bills.iter().any(|bill| bill.source == PriceSource::Earlier),
            saved: (!saved.is_empty()).then(|| saved.into_iter().sum()),
            wasted: bills.iter().map(|bill| bill.wasted).sum(),
            minutes,
            on_github: minutes.map(|minutes| GITHUB_GPU_MINUTE.times(minutes)),
            // GitHub asks for it whatever the job did with its minutes.
            github_charge: billed
                .map(|minutes| github_per_minute.times(minutes))
                .filter(|charge| *charge > MicroDollars::default()),
        }
    }
}

/// Of several jobs. What is not known of all of them is the sum of those of which it is.
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

/// What is known of both, or of one of them.
fn both<T>(one: Option<T>, other: Option<T>, add: fn(T, T) -> T) -> Option<T> {
    match (one, other) {
        (Some(one), Some(other)) => Some(add(one, other)),
        (one, other) => one.or(other),
    }
}
