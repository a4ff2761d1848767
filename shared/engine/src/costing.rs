//! What a runner's instance has cost, once nothing of it is left.

use std::collections::BTreeSet;

use dayfly_config::{Volume, VolumeType};
use dayfly_records::costs::{Compute, Tariff};
use dayfly_records::prices::{self, Price, PriceSource, Rates, SpotPrice, VolumePrice};
use dayfly_records::{Cost, Ending, Job, JobState, Launched, LedgerId, Purpose, Runner};
use dayfly_types::capacity::{InstanceLifecycle, Pool};
use dayfly_types::deadlines::{Deadlines, FREE_HOUR, LONGEST_PAUSE};
use dayfly_types::ids::{InstanceId, Repository, Zone};
use dayfly_types::money::MicroDollars;
use dayfly_types::time::Timestamp;

use crate::caps::{self, UNKNOWN_DISK_GIB};
use crate::job_events;

/// How many items DynamoDB writes in one transaction.
///
/// <https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/transaction-apis.html>
pub const MOST_CHANGES: usize = 100;

/// From when to when an instance is billed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Billed {
    /// From when.
    pub from: Timestamp,
    /// Until when.
    pub to: Timestamp,
}

/// From when to when a runner's instance was billed: by EC2's word, or where that was lost from its launch
/// until we had ended it, which is no shorter.
#[must_use]
pub fn billed(runner: &Runner, launched: &Launched, now: Timestamp) -> Billed {
    let from = runner.running_at.map_or(launched.at, |at| at.max(launched.at));
    let to = runner.instance_ended_at.or(runner.terminated_at).unwrap_or(now);
    Billed { from, to: to.max(from) }
}

/// What has to be asked of EC2 before it is known what a runner's instance has cost.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Unknown {
    /// In which zone it was.
    pub zone: bool,
    /// The prices of its pool in this time.
    pub prices: Option<(Pool, Billed)>,
    /// Whether EC2 ended it: then its first hour is free.
    pub whether_ec2_ended_it: bool,
}

/// What has to be asked of EC2.
#[must_use]
pub fn unknown(runner: &Runner, now: Timestamp) -> Unknown {
    let Some(launched) = runner
        .launched
        .as_ref()
        .filter(|one| one.lifecycle == InstanceLifecycle::Spot)
    else {
        return Unknown::default();
    };
    let billed = billed(runner, launched, now);
    Unknown {
        zone: launched.zone.is_unknown(),
        // The price that was told at its launch may have been another by the time it ran.
        prices: Some((launched.pool(), billed)),
        whether_ec2_ended_it: billed.to <= billed.from.after(FREE_HOUR) && may_be_taken_back(runner),
    }
}

/// Whether EC2 may have ended a runner's instance: it said so, or nobody knows what became of it. EC2 may
/// take one without a notice, and a notice may be lost, as its word that the instance has ended.
fn may_be_taken_back(runner: &Runner) -> bool {
    let lost = matches!(
        runner.ending,
        Some(Ending::Vanished | Ending::HeartbeatLost | Ending::NeverBooted)
    );
    runner.interrupted_at.is_some() || lost || runner.instance_ended_at.is_none()
}

/// The type of the volume that a runner's instance had.
#[must_use]
pub fn volume_kind(runner: Option<&Runner>) -> VolumeType {
    let volume = runner.map_or_else(Volume::default, |runner| runner.plan.spec().volume);
    prices::kind_of(volume)
}

/// Whether EC2, which did not tell what a runner's instance has cost, is not waited for any longer: that is
/// counted by what is known then.
#[must_use]
pub fn is_overdue(runner: &Runner, now: Timestamp, deadlines: &Deadlines) -> bool {
    now >= runner.since.after(deadlines.costing)
}

/// When EC2, which did not tell what a runner's instance has cost, is asked again: the later the longer it
/// has not told, and not later than it is waited for.
#[must_use]
pub fn ask_again_at(runner: &Runner, now: Timestamp, deadlines: &Deadlines) -> Timestamp {
    let pause = (now.since(runner.since) / 2).clamp(deadlines.retry(1), LONGEST_PAUSE.max(deadlines.retry(1)));
    now.after(pause).min(runner.since.after(deadlines.costing))
}

/// How many of several accounts are written in one transaction after the other, so that none is too large.
/// Each has items of its own, and ledgers that it may share with others.
#[must_use]
pub fn together<'a>(accounts: impl IntoIterator<Item = (usize, &'a [LedgerId])>) -> Vec<usize> {
    let mut parts = Vec::new();
    let (mut count, mut own) = (0, 0);
    let mut shared: BTreeSet<&LedgerId> = BTreeSet::new();
    for (items, ledgers) in accounts {
        let with: BTreeSet<&LedgerId> = shared.iter().copied().chain(ledgers).collect();
        if count > 0 && own + items + with.len() > MOST_CHANGES {
            parts.push(count);
            (count, own, shared) = (0, 0, ledgers.iter().collect());
        } else {
            shared = with;
        }
        (count, own) = (count + 1, own + items);
    }
    if count > 0 {
        parts.push(count);
    }
    parts
}

/// Whether EC2, which does not name a runner's instance, may name it yet: it was launched just now.
#[must_use]
pub fn may_be_named_yet(runner: &Runner, now: Timestamp, deadlines: &Deadlines) -> bool {
    let launched_at = runner.launched.as_ref().map(|launched| launched.at);
    launched_at.is_some_and(|at| now.since(at) < deadlines.absence)
}

/// What EC2 answered.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Answered {
    /// In which zone it was, if that was not known.
    pub zone: Option<Zone>,
    /// The prices of its pool, the earliest first; none if there was no need to ask, or no answer.
    pub prices: Vec<SpotPrice>,
    /// Whether EC2 ended it.
    pub ended_by_ec2: bool,
    /// What its volume costs, if that was asked for.
    pub volume: Option<VolumePrice>,
    /// What its type costs on demand, if that was asked for because AWS had not told it at its launch.
    pub on_demand: Option<Price>,
    /// Whether EC2 did not tell, and is not waited for any longer.
    pub untold: bool,
}

/// What a runner's instance has cost. `job` is the one that it ran, or was launched for. Nothing if it
/// never had an instance, or nothing is set aside for one.
#[must_use]
pub fn cost(runner: &Runner, job: Option<&Job>, answered: &Answered, now: Timestamp) -> Option<Cost> {
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
        (InstanceLifecycle::Spot, [], Some(price)) if !answered.untold => (Compute::Flat(price), PriceSource::Aws),
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

/// The most that spot capacity can have cost of which nobody tells: no more than on demand. Less, as it was at
/// the launch say, would let a cap be passed.
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

/// Whose word it is what was saved: nobody's, if nothing is said of that.
fn of_savings(on_demand: Option<Price>) -> PriceSource {
    on_demand.map_or(PriceSource::Aws, |price| price.source)
}

/// What an instance has cost that no live runner owned, until it was ended. `runner` is the one that it was
/// launched for, if its record is there; without it nobody knows how large its volume was, and a large one
/// is counted.
#[must_use]
pub fn orphan(
    launched: &Launched,
    runner: Option<&Runner>,
    repository: Option<&Repository>,
    answered: &Answered,
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
        // The most that it can have been.
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

/// Whether what an instance has cost is counted with its runner, of which nothing but that is left: patrol,
/// which saw it live, does not count it a second time.
#[must_use]
pub fn is_counted_with(runner: &Runner, instance: &InstanceId) -> bool {
    runner.reserved.is_some() && runner.instance() == Some(instance)
}

/// When an instance was launched that no live runner owns, as its cost is known by: as the record of a runner
/// has it, which may have been written before EC2 named it, or else as EC2 says. One instance has one cost.
#[must_use]
pub fn launched_at(runner: Option<&Runner>, instance: &InstanceId, said: Timestamp) -> Timestamp {
    let launched = runner.and_then(|runner| runner.launched.as_ref());
    launched
        .filter(|launched| launched.instance == *instance)
        .map_or(said, |launched| launched.at)
}

fn flat(per_hour: MicroDollars, from: Timestamp, to: Timestamp) -> MicroDollars {
    per_hour.per_hour_over(to.max(from.after(dayfly_records::costs::LEAST)).since(from))
}

/// What a runner's instance was there for, as far as is known. `job` is the one that it ran, or was launched for.
#[must_use]
pub fn purpose(runner: &Runner, job: Option<&Job>) -> Purpose {
    match (&runner.message, runner.job) {
        (Some(_), _) => Purpose::Message,
        (None, None) => Purpose::Idle,
        (None, Some(ran)) if was_interrupted(runner, job.filter(|job| job.key == ran)) => Purpose::Interrupted,
        (None, Some(_)) => Purpose::Job,
    }
}

/// Whether what a runner did for its job is lost: that ended by itself, should it have come to its end in the time
/// that EC2 leaves between its notice and the instance's end.
fn was_interrupted(runner: &Runner, job: Option<&Job>) -> bool {
    let ending = runner.ending.as_ref();
    let lost = ending.is_some_and(dayfly_records::Ending::interrupts_its_job);
    lost && job.is_none_or(|job| match job.state {
        JobState::Finished { conclusion } => job_events::was_interrupted(conclusion),
        _ => true,
    })
}

#[cfg(test)]
#[path = "costing_tests.rs"]
mod tests;
