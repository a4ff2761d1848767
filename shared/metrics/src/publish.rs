//! Publishes metrics as `tracing` events.

use std::collections::BTreeMap;

use dayfly_records::RecordId;
use dayfly_types::capacity::{FleetError, InstanceLifecycle};
use dayfly_types::money::MicroDollars;

use crate::{ErrorClass, Measurement, Metric, Purchase};

/// The target of metric events, and of no others.
pub const TARGET: &str = "dayfly::metric";

impl Metric {
    /// Publishes a count or milliseconds. Money and percentages have functions of their own.
    pub fn publish(self, value: u64) {
        publish(self, value, 1, None);
    }
}

impl Measurement {
    /// Publishes it with its record, which is no dimension but can be searched for.
    pub(crate) fn publish(&self) {
        publish(self.metric, self.value, 1, Some(&self.record));
    }
}

/// Publishes an amount as an integer number of `1 / parts` of the unit; only the log line divides it.
fn publish(metric: Metric, amount: u64, parts: u64, record: Option<&RecordId>) {
    let dimension = metric.dimension();
    tracing::info!(
        target: TARGET,
        metric = metric.name(),
        unit = metric.unit().as_str(),
        dimension = dimension.map(|(name, _)| name),
        value = dimension.map(|(_, value)| value),
        amount,
        parts,
        record = record.map(tracing::field::display),
    );
}

fn dollars(metric: Metric, amount: MicroDollars) {
    publish(metric, amount.0, 1_000_000, None);
}

/// Publishes a job's cost: the total, what on-demand instances would have cost on top, and what an interruption
/// wasted.
pub fn cost_settled(total: MicroDollars, saved: MicroDollars, wasted: MicroDollars) {
    dollars(Metric::Spend, total);
    // Zeros are left out: CloudWatch bills a metric for each hour in which it is published.
    for (metric, amount) in [(Metric::Saved, saved), (Metric::Wasted, wasted)] {
        if amount > MicroDollars::default() {
            dollars(metric, amount);
        }
    }
}

/// Counts a launch that was refused because it might exceed a cap.
pub fn cap_refused() {
    Metric::CapsRefused.publish(1);
}

/// Publishes how much of the stack's monthly cap is spent or reserved.
pub fn cap_used(used: MicroDollars, cap: MicroDollars) {
    let hundredths = u128::from(used.0) * 10_000;
    if let Some(part) = hundredths.checked_div(u128::from(cap.0)) {
        publish(Metric::CapUsed, u64::try_from(part).unwrap_or(u64::MAX), 100, None);
    }
}

/// Counts the errors of a launch and logs each with its pool: there are too many pools for a metric.
pub fn launch_errors(lifecycle: InstanceLifecycle, errors: &[FleetError]) {
    let mut counts: BTreeMap<Metric, u64> = BTreeMap::new();
    for error in errors {
        *counts.entry(Metric::LaunchErrors(error.kind.into())).or_default() += 1;
        let class = ErrorClass::from(error.kind).as_str();
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
            *counts
                .entry(Metric::PoolFailures(Purchase::from(lifecycle)))
                .or_default() += 1;
        }
    }
    for (metric, number) in counts {
        metric.publish(number);
    }
}

/// Publishes how many calls an installation has left before its rate limit is reset.
pub fn github_calls_left(left: u64) {
    Metric::GitHubCallsLeft.publish(left);
}
