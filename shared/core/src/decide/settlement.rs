//! What a runner's instance has cost, once nothing of it is left.

use crate::capacity::{InstanceLifecycle, Pool};
use crate::costs::{Compute, Tariff};
use crate::deadlines::{Deadlines, FREE_HOUR};
use crate::decide::caps::UNKNOWN_DISK_GIB;
use crate::decide::settle;
use crate::ids::{InstanceId, Repository, Zone};
use crate::money::MicroDollars;
use crate::prices::{PriceSource, Rates, SpotPrice};
use crate::record::{Cost, Job, JobState, Launched, Purpose, Runner};
use crate::time::Timestamp;

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
        whether_ec2_ended_it: billed.to <= billed.from.after(FREE_HOUR) && runner.interrupted_at.is_some(),
    }
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
}

/// What a runner's instance has cost. `job` is the one that it ran, or was launched for. Nothing if it
/// never had an instance, or nothing is set aside for one.
#[must_use]
pub fn cost(runner: &Runner, job: Option<&Job>, answered: &Answered, now: Timestamp) -> Option<Cost> {
    let launched = runner.launched.as_ref()?;
    let tariff = runner.reserved.as_ref()?.tariff;
    let Billed { from, to } = billed(runner, launched, now);
    let free = answered.ended_by_ec2 && to <= from.after(FREE_HOUR);
    let (compute, source) = match (launched.lifecycle, answered.prices.as_slice(), launched.price_per_hour) {
        (InstanceLifecycle::Spot, prices @ [_, ..], _) => (Compute::Spot(prices), PriceSource::Aws),
        (InstanceLifecycle::Spot, [], Some(price)) => (Compute::Flat(price), PriceSource::Aws),
        // The most that it can have been, where nobody knows.
        (InstanceLifecycle::Spot, [], None) => (Compute::Flat(tariff.compute), PriceSource::Shipped),
        (InstanceLifecycle::OnDemand, ..) => launched
            .on_demand
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
        on_demand: launched.on_demand.map(|price| flat(price.per_hour, from, to)),
        free,
        source,
    })
}

/// What an instance has cost that no live runner owned, and that was ended for it. `runner` is the one that
/// it was launched for, if its record is there; without it nobody knows how large its volume was, and a
/// large one is counted.
#[must_use]
pub fn stray(
    launched: &Launched,
    runner: Option<&Runner>,
    repository: Option<&Repository>,
    prices: &[SpotPrice],
    now: Timestamp,
) -> Option<Cost> {
    let region = launched
        .zone
        .as_str()
        .trim_end_matches(|c: char| c.is_ascii_lowercase());
    let rung = runner.map(|runner| runner.plan.rung());
    let gib = rung.and_then(|rung| rung.spec.disk_gib.or(rung.image_gib));
    let volume = rung.map_or_else(Default::default, |rung| rung.spec.volume);
    let rates = Rates::embedded().ok()?;
    let tariff = Tariff {
        compute: launched
            .on_demand
            .map_or(MicroDollars::default(), |price| price.per_hour),
        disk_month: rates.volume(volume, gib.unwrap_or(UNKNOWN_DISK_GIB), region),
        address: rates.address(),
        source: launched.on_demand.map_or(PriceSource::Shipped, |price| price.source),
    };
    let compute = match (launched.lifecycle, prices) {
        (InstanceLifecycle::Spot, [_, ..]) => Compute::Spot(prices),
        _ => Compute::Flat(tariff.compute),
    };
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
        purpose: Purpose::Stray,
        launched_at: launched.at,
        from: launched.at,
        to: now,
        amounts: tariff.cost(launched.at, now, &compute, false),
        on_demand: launched.on_demand.map(|price| flat(price.per_hour, launched.at, now)),
        free: false,
        source: tariff.source,
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
    per_hour.per_hour_over(to.max(from.after(crate::costs::LEAST)).since(from))
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
    let lost = ending.is_some_and(crate::record::Ending::interrupts_its_job);
    lost && job.is_none_or(|job| match job.state {
        JobState::Finished { conclusion } => settle::was_interrupted(conclusion),
        _ => true,
    })
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::decide::fixtures::{claimed, deadlines, now, runner};
    use crate::record::{Ending, Reservation, RunnerState};

    const MINUTE: Duration = Duration::from_mins(1);

    /// A spot runner whose instance ran for so long, 30 seconds after its launch, at $0.18 an hour.
    fn ran(span: Duration) -> Runner {
        let mut runner = runner(RunnerState::Gone);
        let launched = runner.launched.get_or_insert_with(|| unreachable!());
        launched.price_per_hour = Some(MicroDollars(180_000));
        let from = launched.at.after(MINUTE / 2);
        runner.running_at = Some(from);
        runner.instance_ended_at = Some(from.after(span));
        runner.job = Some(runner.wanted_by);
        runner.ending = Some(Ending::JobOver);
        runner.reserved = Some(Reservation {
            tariff: Tariff {
                compute: MicroDollars(1_006_000),
                disk_month: MicroDollars(0),
                address: MicroDollars(0),
                source: PriceSource::Aws,
            },
            purses: Vec::new(),
            shares: Vec::new(),
        });
        runner
    }

    fn total(runner: &Runner, answered: &Answered) -> u64 {
        cost(runner, None, answered, now().after(600 * MINUTE))
            .unwrap()
            .total()
            .0
    }

    #[test]
    fn a_job_costs_the_price_of_its_pool_for_as_long_as_its_instance_ran() {
        let short = ran(20 * MINUTE);
        assert!(unknown(&short, now()).prices.is_some() && !unknown(&short, now()).whether_ec2_ended_it);
        let mut on_demand = short.clone();
        on_demand.launched.as_mut().unwrap().lifecycle = InstanceLifecycle::OnDemand;
        assert_eq!(unknown(&on_demand, now()), Unknown::default());
        assert_eq!(total(&short, &Answered::default()), 60_000);
        let mut unsaid = short.clone();
        unsaid.running_at = None;
        assert_eq!(total(&unsaid, &Answered::default()), 61_500, "from its launch");
        unsaid.instance_ended_at = None;
        assert_eq!(total(&unsaid, &Answered::default()), 1_800_000, "until now");
    }

    #[test]
    fn each_hour_costs_what_the_pool_did_when_it_began() {
        let long = ran(90 * MINUTE);
        let asked = unknown(&long, now());
        assert!(asked.prices.is_some() && !asked.whether_ec2_ended_it);
        let dearer = SpotPrice {
            per_hour: MicroDollars(360_000),
            since: now().after(40 * MINUTE),
        };
        let cheap = SpotPrice {
            per_hour: MicroDollars(180_000),
            since: now(),
        };
        let answered = Answered {
            prices: vec![cheap, dearer],
            ..Answered::default()
        };
        assert_eq!(total(&long, &answered), 180_000 + 180_000);
    }

    #[test]
    fn an_instance_that_ec2_took_in_its_first_hour_costs_nothing_and_any_other_does() {
        for (minutes, by_ec2, micros) in [(40, true, 0), (40, false, 120_000), (61, true, 183_000)] {
            let mut taken = ran(minutes * MINUTE);
            taken.interrupted_at = Some(now());
            taken.ending = Some(Ending::Interrupted);
            assert_eq!(unknown(&taken, now()).whether_ec2_ended_it, minutes < 60);
            let answered = Answered {
                ended_by_ec2: by_ec2,
                ..Answered::default()
            };
            assert_eq!(total(&taken, &answered), micros, "{minutes} min, {by_ec2}");
            let cost = cost(&taken, None, &answered, now()).unwrap();
            assert_eq!(cost.purpose, Purpose::Interrupted);
        }
    }

    #[test]
    fn a_job_that_came_to_its_end_in_time_was_not_interrupted_whatever_befell_its_instance() {
        use crate::event::Conclusion::{Cancelled, Failure, Success, TimedOut};
        let mut taken = ran(20 * MINUTE);
        taken.interrupted_at = Some(now());
        let mut job = claimed(11).0;
        for (ending, conclusion, purpose) in [
            (Ending::Interrupted, Success, Purpose::Job),
            (Ending::Interrupted, Cancelled, Purpose::Job),
            (Ending::Interrupted, Failure, Purpose::Interrupted),
            (Ending::HeartbeatLost, TimedOut, Purpose::Interrupted),
            (Ending::Vanished, Success, Purpose::Job),
            (Ending::JobOver, Failure, Purpose::Job),
        ] {
            taken.ending = Some(ending.clone());
            job.state = JobState::Finished { conclusion };
            let cost = cost(&taken, Some(&job), &Answered::default(), now()).unwrap();
            assert_eq!(cost.purpose, purpose, "{ending:?}, {conclusion:?}");
        }
        taken.ending = Some(Ending::Interrupted);
        job.state = JobState::Running { runner: String::new() };
        assert_eq!(super::purpose(&taken, Some(&job)), Purpose::Interrupted, "as it seems");
        job.key.job = crate::ids::JobId(12);
        job.state = JobState::Finished { conclusion: Success };
        assert_eq!(
            super::purpose(&taken, Some(&job)),
            Purpose::Interrupted,
            "it ran another"
        );
    }

    #[test]
    fn an_instance_has_one_cost_whoever_counts_it() {
        let runner = ran(MINUTE);
        let launched = runner.launched.clone().unwrap();
        let said = launched.at.after(MINUTE);
        let another = InstanceId::new("i-another");
        assert_eq!(launched_at(Some(&runner), &launched.instance, said), launched.at);
        assert_eq!(launched_at(Some(&runner), &another, said), said);
        assert_eq!(launched_at(None, &launched.instance, said), said);
        assert!(is_counted_with(&runner, &launched.instance) && !is_counted_with(&runner, &another));
        let settled = Runner {
            reserved: None,
            ..runner
        };
        assert!(!is_counted_with(&settled, &launched.instance));
    }

    #[test]
    fn what_ec2_does_not_name_may_be_named_yet_for_some_minutes() {
        let runner = ran(MINUTE);
        let launched = runner.launched.as_ref().unwrap().at;
        let absence = deadlines().absence;
        assert!(may_be_named_yet(
            &runner,
            launched.after(absence.saturating_sub(MINUTE)),
            &deadlines()
        ));
        assert!(!may_be_named_yet(&runner, launched.after(absence), &deadlines()));
    }

    #[test]
    fn where_no_price_is_known_the_dearest_is_counted_and_said() {
        let mut unpriced = ran(30 * MINUTE);
        unpriced.launched.as_mut().unwrap().price_per_hour = None;
        assert!(unknown(&unpriced, now()).prices.is_some());
        let cost = cost(&unpriced, None, &Answered::default(), now()).unwrap();
        assert_eq!((cost.total().0, cost.source), (503_000, PriceSource::Shipped));
    }
}
