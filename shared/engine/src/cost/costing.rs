//! Costing: what a finished instance has cost.

use std::collections::BTreeSet;

use dayfly_config::{Volume, VolumeType};
use dayfly_records::costs::{Compute, Tariff};
use dayfly_records::prices::{self, Price, PriceSource, Rates, SpotPrice, VolumePrice};
use dayfly_records::{Cost, Ending, Job, JobState, Launched, LedgerId, Purpose, Runner};
use dayfly_types::capacity::{InstanceLifecycle, Pool};
use dayfly_types::deadlines::{Deadlines, FREE_HOUR, MAX_RETRY_PAUSE};
use dayfly_types::ids::{InstanceId, Repository, Zone};
use dayfly_types::money::MicroDollars;
use dayfly_types::time::Timestamp;

use crate::cost::caps::{self, UNKNOWN_DISK_GIB};
use crate::rerun;

/// The items of a DynamoDB transaction.
///
/// <https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/transaction-apis.html>
pub const MOST_CHANGES: usize = 100;

/// The time that an instance is billed for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Billed {
    pub from: Timestamp,
    pub to: Timestamp,
}

/// Returns the time that a runner's instance was billed for: by EC2's events or, where those were lost, from its launch
/// until we had terminated it, which is no shorter.
#[must_use]
pub fn billed(runner: &Runner, launched: &Launched, now: Timestamp) -> Billed {
    let from = runner.running_at.map_or(launched.at, |at| at.max(launched.at));
    let to = runner.instance_ended_at.or(runner.terminated_at).unwrap_or(now);
    Billed { from, to: to.max(from) }
}

/// What EC2 has to be asked before an instance's cost is known.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ec2Questions {
    /// Whether its zone is unknown.
    pub zone: bool,
    /// The spot prices of its pool in this time.
    pub prices: Option<(Pool, Billed)>,
    /// Whether it matters that EC2 ended it: then its first hour is free.
    pub end_cause: bool,
}

#[must_use]
pub fn ec2_questions(runner: &Runner, now: Timestamp) -> Ec2Questions {
    let Some(launched) = runner
        .launched
        .as_ref()
        .filter(|one| one.lifecycle == InstanceLifecycle::Spot)
    else {
        return Ec2Questions::default();
    };
    let billed = billed(runner, launched, now);
    Ec2Questions {
        zone: launched.zone.is_unknown(),
        // The price may have changed between the launch and the start.
        prices: Some((launched.pool(), billed)),
        end_cause: billed.to <= billed.from.after(FREE_HOUR) && may_be_taken_back(runner),
    }
}

/// Whether EC2 may have ended a runner's instance: it gave notice, or the end is unexplained. EC2 may end one without a
/// notice, and events may be lost.
fn may_be_taken_back(runner: &Runner) -> bool {
    let lost = matches!(
        runner.ending,
        Some(Ending::Vanished | Ending::HeartbeatLost | Ending::NeverBooted)
    );
    runner.interrupted_at.is_some() || lost || runner.instance_ended_at.is_none()
}

/// Returns the volume type of a runner's instance.
#[must_use]
pub fn volume_kind(runner: Option<&Runner>) -> VolumeType {
    let volume = runner.map_or_else(Volume::default, |runner| runner.plan.spec().volume);
    prices::kind_of(volume)
}

/// Whether EC2's answers are not waited for any longer: the cost is computed from what is known then.
#[must_use]
pub fn is_overdue(runner: &Runner, now: Timestamp, deadlines: &Deadlines) -> bool {
    now >= runner.since.after(deadlines.costing)
}

/// Returns when EC2 is asked again after it gave no answer: ever later, but not after it stops being waited for.
#[must_use]
pub fn ask_again_at(runner: &Runner, now: Timestamp, deadlines: &Deadlines) -> Timestamp {
    let pause = (now.since(runner.since) / 2).clamp(deadlines.retry(1), MAX_RETRY_PAUSE.max(deadlines.retry(1)));
    now.after(pause).min(runner.since.after(deadlines.costing))
}

/// Splits settlements into consecutive transactions of a valid size, and returns how many go into each. A settlement has
/// items of its own, and ledgers that it may share with others.
#[must_use]
pub fn batch_sizes<'a>(settlements: impl IntoIterator<Item = (usize, &'a [LedgerId])>) -> Vec<usize> {
    let mut batches = Vec::new();
    let (mut count, mut own) = (0, 0);
    let mut shared: BTreeSet<&LedgerId> = BTreeSet::new();
    for (items, ledgers) in settlements {
        let with: BTreeSet<&LedgerId> = shared.iter().copied().chain(ledgers).collect();
        if count > 0 && own + items + with.len() > MOST_CHANGES {
            batches.push(count);
            (count, own, shared) = (0, 0, ledgers.iter().collect());
        } else {
            shared = with;
        }
        (count, own) = (count + 1, own + items);
    }
    if count > 0 {
        batches.push(count);
    }
    batches
}

/// Whether EC2 may still list a runner's instance that it does not list now, because it was just launched.
#[must_use]
pub fn may_be_listed_yet(runner: &Runner, now: Timestamp, deadlines: &Deadlines) -> bool {
    let launched_at = runner.launched.as_ref().map(|launched| launched.at);
    launched_at.is_some_and(|at| now.since(at) < deadlines.absence)
}

/// EC2's answers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ec2Answers {
    /// Its zone, if that was asked.
    pub zone: Option<Zone>,
    /// The spot prices of its pool, the earliest first; empty if not asked or not answered.
    pub prices: Vec<SpotPrice>,
    pub ended_by_ec2: bool,
    /// The price of its volume, if that was asked.
    pub volume: Option<VolumePrice>,
    /// The on-demand price of its type, if that was asked because it was unknown at the launch.
    pub on_demand: Option<Price>,
    /// Whether an answer is missing and not waited for any longer.
    pub unavailable: bool,
}

/// Returns what a runner's instance has cost, or `None` if it had no instance or no reservation. `job` is the job that
/// it ran, or was launched for.
#[must_use]
pub fn cost(runner: &Runner, job: Option<&Job>, answered: &Ec2Answers, now: Timestamp) -> Option<Cost> {
    let launched = runner.launched.as_ref()?;
    let mut tariff = runner.reserved.as_ref()?.tariff;
    let mut of_disk = tariff.source;
    if let (Some(volume), Ok(rates)) = (&answered.volume, Rates::embedded()) {
        tariff.disk_month = caps::disk_month(runner.plan.option(), rates, &volume.rate);
        of_disk = volume.source;
    }
    let on_demand = answered.on_demand.or(launched.on_demand);
    let Billed { from, to } = billed(runner, launched, now);
    let free = answered.ended_by_ec2 && to <= from.after(FREE_HOUR);
    let (compute, source) = match (launched.lifecycle, answered.prices.as_slice(), launched.price_per_hour) {
        (InstanceLifecycle::Spot, prices @ [_, ..], _) => (Compute::Spot(prices), PriceSource::Aws),
        (InstanceLifecycle::Spot, [], Some(price)) if !answered.unavailable => (Compute::Flat(price), PriceSource::Aws),
        (InstanceLifecycle::Spot, [], _) => most(tariff, on_demand),
        (InstanceLifecycle::OnDemand, ..) => on_demand
            .map_or((Compute::Flat(tariff.compute), PriceSource::Shipped), |price| {
                (Compute::Flat(price.per_hour), price.source)
            }),
    };
    let ran = runner.job.or(Some(runner.wanted_by));
    Some(Cost {
        instance: launched.instance.clone(),
        runner: Some(runner.name.clone()),
        job: ran,
        run: Some(runner.job_run.unwrap_or(runner.run)),
        job_name: job.map(|job| job.name.clone()),
        repository: Some(runner.repository.clone()),
        attribution: job.map_or_else(|| runner.attribution.clone(), |job| job.attribution.clone()),
        pool: Pool {
            zone: answered.zone.clone().unwrap_or_else(|| launched.zone.clone()),
            ..launched.pool()
        },
        lifecycle: launched.lifecycle,
        purpose: purpose(runner, job),
        launched_at: launched.at,
        from,
        to,
        amounts: tariff.cost(from, to, &compute, free),
        on_demand: on_demand.map(|price| flat(price.per_hour, from, to)),
        free,
        source: source.max(of_disk).max(of_savings(on_demand)),
    })
}

/// Returns the most that spot capacity of an unknown price can have cost: the on-demand price. Less, such as the price at
/// the launch, could exceed a cap.
fn most(tariff: Tariff, on_demand: Option<Price>) -> (Compute<'static>, PriceSource) {
    let dearest = (tariff.compute, PriceSource::Shipped);
    let (per_hour, source) = on_demand.map_or(dearest, |price| {
        (
            price.per_hour.min(tariff.compute),
            price.source.max(PriceSource::Earlier),
        )
    });
    (Compute::Flat(per_hour), source)
}

/// Returns the source of the savings. Without an on-demand price there are none, so no source counts.
fn of_savings(on_demand: Option<Price>) -> PriceSource {
    on_demand.map_or(PriceSource::Aws, |price| price.source)
}

/// Returns what an orphan has cost until it was ended. `runner` is the record that its tag leads to. Without it the size
/// of the volume is unknown, and a large one counts.
#[must_use]
pub fn orphan_cost(
    launched: &Launched,
    runner: Option<&Runner>,
    repository: Option<&Repository>,
    answered: &Ec2Answers,
    until: Timestamp,
) -> Option<Cost> {
    let rates = Rates::embedded().ok()?;
    let volume = answered.volume?;
    let Launched {
        at: from, on_demand, ..
    } = *launched;
    let to = until.max(from);
    let (compute, source) = match (launched.lifecycle, answered.prices.as_slice()) {
        (InstanceLifecycle::Spot, prices @ [_, ..]) => (Compute::Spot(prices), PriceSource::Aws),
        // The maximum, as the spot price is unknown.
        _ => on_demand.map_or(
            (Compute::Flat(MicroDollars::default()), PriceSource::Shipped),
            |price| (Compute::Flat(price.per_hour), price.source),
        ),
    };
    let source = source.max(volume.source).max(of_savings(on_demand));
    let tariff = Tariff {
        compute: on_demand.map_or(MicroDollars::default(), |price| price.per_hour),
        disk_month: match runner {
            Some(runner) => caps::disk_month(runner.plan.option(), rates, &volume.rate),
            None => rates.month_of(Volume::default(), UNKNOWN_DISK_GIB, &volume.rate),
        },
        address: rates.address(),
        source,
    };
    let free = answered.ended_by_ec2 && to <= from.after(FREE_HOUR);
    Some(Cost {
        instance: launched.instance.clone(),
        runner: runner.map(|runner| runner.name.clone()),
        job: runner.map(|runner| runner.wanted_by),
        run: runner.map(|runner| runner.run),
        job_name: None,
        repository: repository.cloned(),
        attribution: runner.map(|runner| runner.attribution.clone()).unwrap_or_default(),
        pool: launched.pool(),
        lifecycle: launched.lifecycle,
        purpose: Purpose::Orphan,
        launched_at: from,
        from,
        to,
        amounts: tariff.cost(from, to, &compute, free),
        on_demand: on_demand.map(|price| flat(price.per_hour, from, to)),
        free,
        source,
    })
}

/// Whether an instance's cost is counted with its runner, so that the patrol, which saw the instance live, does not count
/// it a second time.
#[must_use]
pub fn is_counted_with(runner: &Runner, instance: &InstanceId) -> bool {
    runner.reserved.is_some() && runner.instance() == Some(instance)
}

/// Returns when an orphan was launched, by which its cost is identified: the time in a runner's record, which may be
/// older than EC2's listing, or else EC2's time. So one instance has one cost.
#[must_use]
pub fn launched_at(runner: Option<&Runner>, instance: &InstanceId, listed_at: Timestamp) -> Timestamp {
    let launched = runner.and_then(|runner| runner.launched.as_ref());
    launched
        .filter(|launched| launched.instance == *instance)
        .map_or(listed_at, |launched| launched.at)
}

fn flat(per_hour: MicroDollars, from: Timestamp, to: Timestamp) -> MicroDollars {
    per_hour.per_hour_over(to.max(from.after(dayfly_records::costs::MIN_BILLED)).since(from))
}

/// Returns what a runner's instance was for, as far as is known. `job` is the job that it ran, or was launched for.
#[must_use]
pub fn purpose(runner: &Runner, job: Option<&Job>) -> Purpose {
    match (&runner.message, runner.job) {
        (Some(_), _) => Purpose::Message,
        (None, None) => Purpose::Idle,
        (None, Some(ran)) if was_interrupted(runner, job.filter(|job| job.key == ran)) => Purpose::Interrupted,
        (None, Some(_)) => Purpose::Job,
    }
}

/// Whether a runner's work for its job is lost. A job that finished in the time between EC2's notice and the end of the
/// instance was not interrupted.
fn was_interrupted(runner: &Runner, job: Option<&Job>) -> bool {
    let ending = runner.ending.as_ref();
    let lost = ending.is_some_and(dayfly_records::Ending::interrupts_its_job);
    lost && job.is_none_or(|job| match job.state {
        JobState::Finished { conclusion } => rerun::needs_rerun(conclusion),
        _ => true,
    })
}

#[cfg(test)]
mod tests;
