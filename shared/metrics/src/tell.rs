//! How a metric is told.

use std::collections::BTreeMap;

use dayfly_records::RecordId;
use dayfly_types::capacity::{FleetError, InstanceLifecycle};
use dayfly_types::money::MicroDollars;

use crate::{Bought, Metric, Told};

/// The target of the events that are metrics, and of no others.
pub const TARGET: &str = "dayfly::metric";

impl Metric {
    /// Tells so many of it, or so many milliseconds. What is money or a part of something has a function of its
    /// own.
    pub fn tell(self, number: u64) {
        tell(self, number, 1, None);
    }
}

impl Told {
    /// Tells it, and on the line of which record: no dimension, but there for who asks which job it was.
    pub(crate) fn tell(&self) {
        tell(self.metric, self.number, 1, Some(&self.of));
    }
}

/// An amount is an integer, in parts of its unit. CloudWatch keeps numbers with a fraction only, so it is
/// divided where it is written down and nowhere before.
fn tell(metric: Metric, amount: u64, parts: u64, of: Option<&RecordId>) {
    let dimension = metric.dimension();
    tracing::info!(
        target: TARGET,
        metric = metric.name(),
        unit = metric.unit().as_str(),
        dimension = dimension.map(|(name, _)| name),
        value = dimension.map(|(_, value)| value),
        amount,
        parts,
        record = of.map(tracing::field::display),
    );
}

fn dollars(metric: Metric, amount: MicroDollars) {
    tell(metric, amount.0, 1_000_000, None);
}

/// What a job cost is settled: all of it, what on-demand instances would have cost more, and what of it an
/// interruption made useless.
pub fn settled(total: MicroDollars, saved: MicroDollars, interrupted_waste: MicroDollars) {
    dollars(Metric::Spend, total);
    // Most jobs save nothing or waste nothing, and that would be metrics too.
    for (metric, amount) in [(Metric::Saved, saved), (Metric::Wasted, interrupted_waste)] {
        if amount > MicroDollars::default() {
            dollars(metric, amount);
        }
    }
}

/// A launch was refused because it might pass a cap.
pub fn cap_refused() {
    Metric::CapsRefused.tell(1);
}

/// So much of the stack's monthly cap is spent or reserved now. Without a cap there is nothing to tell.
pub fn cap_used(used: MicroDollars, cap: MicroDollars) {
    let hundredths = u128::from(used.0) * 10_000;
    if let Some(part) = hundredths.checked_div(u128::from(cap.0)) {
        tell(Metric::CapUsed, u64::try_from(part).unwrap_or(u64::MAX), 100, None);
    }
}

/// What EC2 said to a call for instances that were to be bought so. Which pools they are about is said in a
/// log line of each: there are too many pools for a metric.
pub fn launch_errors(lifecycle: InstanceLifecycle, errors: &[FleetError]) {
    let mut counts: BTreeMap<Metric, u64> = BTreeMap::new();
    for error in errors {
        *counts.entry(Metric::LaunchErrors(error.kind.into())).or_default() += 1;
        let class = crate::ErrorClass::from(error.kind).as_str();
        let pool = error.pool.as_ref();
        tracing::warn!(
            class,
            code = error.code,
            lifecycle = lifecycle.as_str(),
            pool = pool.map(tracing::field::display),
            instance_type = pool.map(|pool| pool.instance_type.as_str()),
            zone = pool.map(|pool| pool.zone.as_str()),
            "EC2 refused a launch: {}",
            error.message
        );
        if pool.is_some() {
            *counts.entry(Metric::PoolFailures(Bought::from(lifecycle))).or_default() += 1;
        }
    }
    for (metric, number) in counts {
        metric.tell(number);
    }
}

/// GitHub takes so many calls of an installation before its limit is reset.
pub fn github_calls_left(left: u64) {
    Metric::GitHubCallsLeft.tell(left);
}
