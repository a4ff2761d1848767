//! What a launch can cost at most is set aside before it is made, in the transaction that records the call
//! to EC2. What could pass a cap is refused.

use std::collections::{BTreeMap, BTreeSet};

use dayfly_core::capacity::{FleetError, FleetErrorKind};
use dayfly_core::costs::Tariff;
use dayfly_core::decide::caps::{self, Holder, Ledgers, OverCap};
use dayfly_core::decide::fleet;
use dayfly_core::ids::{InstanceType, RunnerName};
use dayfly_core::money::MicroDollars;
use dayfly_core::policy::{Caps, Refused};
use dayfly_core::prices::{self, Price, PriceSource, Rates, RatesError, VolumePrice};
use dayfly_core::record::{Change, LedgerId, Reservation, Rung, Runner, Stored};
use dayfly_core::time::Timestamp;
use dayfly_lifecycle::{Effort, FlowError, PriceUnknown, living, load_ledgers, tell_caps};
use dayfly_ports::{Bus, Clock, Fleet, GitHub, Parameters, Quotas, Schedule, Store, StoreError};
use futures_util::future::{join, join_all};

use crate::Function;

/// Those of a queue for whom there is money, and those for whom there is not.
#[derive(Default)]
pub(crate) struct Affordable {
    /// Those who may be launched together, each with what is to be set aside for it.
    pub(crate) runners: Vec<Stored<Runner>>,
    /// Those who are refused.
    pub(crate) refused: Vec<(Stored<Runner>, Refused)>,
    /// Those of whom it is not known yet what they could cost: their launch is tried again, as any other.
    pub(crate) untold: Vec<(Stored<Runner>, FleetError)>,
    wanted: BTreeMap<RunnerName, Reservation>,
    ledgers: Ledgers,
    caps: Caps,
    news: Vec<OverCap>,
}

impl Affordable {
    /// Sets money aside for these of the runners. Answers what is written with their call. One that fitted
    /// only because another holds less than before, which does not come along now, is taken out: it comes
    /// with the next call.
    pub(crate) fn book(&self, runners: &mut Vec<Stored<Runner>>) -> Vec<Change> {
        let mut ledgers = self.ledgers.clone();
        runners.retain_mut(|Stored { record, .. }| {
            let Some(wanted) = self.wanted.get(&record.name) else {
                return false;
            };
            let fits = ledgers.reserve(record.reserved.as_ref(), wanted, &self.caps).is_ok();
            if fits {
                record.reserved = Some(wanted.clone());
            }
            fits
        });
        ledgers.changes()
    }
}

impl<S: Store, G: GitHub, F: Fleet, B: Bus, C: Schedule, P: Parameters, K: Clock, Q: Quotas>
    Function<S, G, F, B, C, P, K, Q>
{
    /// For which of those who wait in a queue there is money, the first first.
    pub(crate) async fn affordable(
        &self,
        wanted: Vec<Stored<Runner>>,
        now: Timestamp,
    ) -> Result<Affordable, FlowError> {
        let caps = self.policies.current(&self.parameters, now).await?.caps;
        let Some(first) = wanted.first() else {
            return Ok(Affordable::default());
        };
        let tariff = match self.tariff(&first.record, &caps, now).await {
            Ok(tariff) => tariff,
            Err(NoTariff::Refused(refused)) => {
                let refused = wanted.into_iter().map(|runner| (runner, refused.clone())).collect();
                return Ok(Affordable {
                    refused,
                    ..Affordable::default()
                });
            }
            Err(NoTariff::Untold(error)) => {
                let untold = wanted.into_iter().map(|runner| (runner, error.clone())).collect();
                return Ok(Affordable {
                    untold,
                    ..Affordable::default()
                });
            }
        };
        let reserve = |runner: &Runner| caps::reservation(runner, tariff, &caps, now, &self.deadlines);
        let asked: Vec<(Stored<Runner>, Reservation)> = wanted
            .into_iter()
            .map(|runner| (reserve(&runner.record), runner))
            .map(|(wanted, runner)| (runner, wanted))
            .collect();
        let held = asked.iter().filter_map(|(runner, _)| runner.record.reserved.as_ref());
        let all = asked.iter().map(|(_, wanted)| wanted).chain(held);
        let ids: BTreeSet<LedgerId> = all.flat_map(caps::ledgers_of).collect();
        let ledgers = load_ledgers(&self.store, ids).await?;
        let mut affordable = sort(asked, ledgers, caps);
        self.name_holders(&mut affordable, now).await?;
        Ok(affordable)
    }

    /// What an instance of the runner's next attempt costs at most while it runs.
    async fn tariff(&self, runner: &Runner, caps: &Caps, now: Timestamp) -> Result<Tariff, NoTariff> {
        let rung = runner.plan.rung();
        let effort = if caps.any() { Effort::Ask } else { Effort::Recall };
        let ends = (&self.store, &self.fleet);
        let types = join_all(rung.spec.instance_types.iter().map(async |name| {
            let price = self.prices.on_demand(ends, name, effort, now).await;
            (name, price)
        }));
        let kind = prices::kind_of(rung.spec.volume);
        // Nobody waits for one after the other.
        let (told, volume) = join(types, self.prices.volume(ends, kind, effort, now)).await;
        let unreadable = |error: RatesError| NoTariff::Refused(Refused::untold(&error.to_string(), "another release"));
        let (rates, volume) = (Rates::embedded().map_err(unreadable)?, volume.map_err(unreadable)?);
        tariff_of(rung, rates, &volume, caps, &told)
    }

    /// Says of those who are refused who holds the money.
    async fn name_holders(&self, affordable: &mut Affordable, now: Timestamp) -> Result<(), FlowError> {
        if affordable.news.is_empty() {
            return Ok(());
        }
        let holders: Vec<Holder> = living(&self.store, now, &self.deadlines)
            .await?
            .into_values()
            .filter_map(|runner| {
                Some(Holder {
                    reserved: runner.reserved?,
                    repository: runner.repository.to_string(),
                    runner: runner.name,
                })
            })
            .collect();
        for ((_, refused), over) in affordable.refused.iter_mut().zip(&affordable.news) {
            *refused = over.refused(&holders);
        }
        Ok(())
    }

    /// Has the owner told, once, that a cap refuses launches.
    pub(crate) async fn tell_refused(&self, over: &[OverCap], now: Timestamp) -> Result<(), FlowError> {
        let ids: BTreeSet<LedgerId> = over.iter().map(OverCap::ledger).collect();
        if ids.is_empty() {
            return Ok(());
        }
        let mut ledgers = load_ledgers(&self.store, ids).await?;
        let news = over.iter().filter(|over| ledgers.refused(over, now)).count();
        if news == 0 {
            return Ok(());
        }
        let due: Vec<LedgerId> = ledgers.with_news().collect();
        match self.store.commit(ledgers.changes()).await {
            // Somebody else has written there: the next refusal, or what is spent, tells it.
            Err(StoreError::Conflict) => {}
            done => {
                done?;
                tell_caps(&self.bus, due).await;
            }
        }
        Ok(())
    }
}

/// Why it is not known what an instance could cost at most.
#[derive(Debug, PartialEq, Eq)]
enum NoTariff {
    /// Nobody ever will.
    Refused(Refused),
    /// AWS did not answer.
    Untold(FleetError),
}

/// What AWS has told of a type's price on demand.
type Told<'a> = (&'a InstanceType, Result<Option<Price>, PriceUnknown>);

/// What an instance of an attempt costs at most while it runs. Without caps nothing depends on it but what
/// reports say, and nobody waits for a price that is not known.
fn tariff_of(
    rung: &Rung,
    rates: &Rates,
    volume: &VolumePrice,
    caps: &Caps,
    told: &[Told<'_>],
) -> Result<Tariff, NoTariff> {
    let of = |name: &InstanceType| told.iter().find(|(known, _)| *known == name).map(|(_, price)| price);
    let price = |name: &InstanceType| of(name).and_then(|price| price.clone().ok().flatten());
    let unpriced = match caps::tariff(rung, rates, volume, price) {
        Ok(tariff) => return Ok(tariff),
        Err(name) => name,
    };
    if !caps.any() {
        return Ok(Tariff {
            compute: MicroDollars::default(),
            disk_month: caps::disk_month(rung, rates, &volume.rate),
            address: rates.address(),
            source: PriceSource::Shipped,
        });
    }
    match of(&unpriced) {
        Some(Err(unknown)) => Err(NoTariff::Untold(FleetError {
            kind: FleetErrorKind::Unknown,
            code: "PriceUnknown".to_owned(),
            message: format!("what `{unpriced}` costs on demand is not known, so that no cap would hold: {unknown}"),
            pool: None,
        })),
        _ => Err(NoTariff::Refused(caps::unpriced(&unpriced))),
    }
}

/// Who may be launched and who is refused. One that would fit alone and not with those before it is in
/// neither: it comes with the next call.
fn sort(asked: Vec<(Stored<Runner>, Reservation)>, ledgers: Ledgers, caps: Caps) -> Affordable {
    let mut affordable = Affordable {
        caps,
        ..Affordable::default()
    };
    let mut booked = ledgers.clone();
    for (runner, wanted) in asked {
        let before = runner.record.reserved.as_ref();
        if let Err(over) = ledgers.clone().reserve(before, &wanted, &caps) {
            affordable.refused.push((runner, over.refused(&[])));
            affordable.news.push(*over);
            continue;
        }
        let mut next = booked.clone();
        let has_room = affordable.runners.len() < fleet::MOST;
        let fits =
            has_room && next.reserve(before, &wanted, &caps).is_ok() && next.changes().len() <= fleet::MOST_LEDGERS;
        if fits {
            booked = next;
            affordable.wanted.insert(runner.record.name.clone(), wanted);
            affordable.runners.push(runner);
        }
    }
    affordable.ledgers = ledgers;
    affordable
}

impl Affordable {
    /// The caps that refuse somebody.
    pub(crate) fn take_news(&mut self) -> Vec<OverCap> {
        std::mem::take(&mut self.news)
    }
}

#[cfg(test)]
mod tests;
