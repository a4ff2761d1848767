//! What a launch can cost at most is set aside before it is made, in the transaction that records the call
//! to EC2. What could pass a cap is refused.

use std::collections::{BTreeMap, BTreeSet};

use dayfly_engine::caps::{self, Holder, Ledgers, OverCap};
use dayfly_engine::outcome::Attempted;
use dayfly_engine::{fleet, price_limit, thresholds};
use dayfly_flows::{Effort, FlowError, MAX_CONFLICTS, PriceUnknown, living, load_ledgers, tell_caps};
use dayfly_policy::{Caps, Refused};
use dayfly_ports::{Bus, Clock, Fleet, GitHub, Parameters, Quotas, Schedule, Store, StoreError};
use dayfly_records::costs::Tariff;
use dayfly_records::prices::{self, Price, PriceSource, Rates, RatesError, VolumePrice};
use dayfly_records::{Change, LaunchOption, LedgerId, Reservation, Runner, Stored};
use dayfly_types::capacity::{FleetError, FleetErrorKind, InstanceLifecycle};
use dayfly_types::ids::{InstanceType, RunnerName};
use dayfly_types::money::MicroDollars;
use dayfly_types::time::Timestamp;
use futures_util::future::{join, join_all};

use crate::Function;

/// Those of a queue for whom there is money, and those for whom there is not. All of them ask for the same types.
#[derive(Default)]
pub(crate) struct Affordable {
    /// Those who may be launched together, each with what is to be set aside for it.
    pub(crate) runners: Vec<Stored<Runner>>,
    /// Those who may not, each with what becomes of its attempt.
    pub(crate) away: Vec<(Stored<Runner>, Attempted)>,
    /// The types that may be launched.
    pub(crate) types: Vec<InstanceType>,
    wanted: BTreeMap<RunnerName, Reservation>,
    ledgers: Ledgers,
    caps: Caps,
    news: Vec<OverCap>,
}

impl Affordable {
    /// Sets money aside for these of the runners. Answers what is written with their call. One that fitted
    /// only because another holds less than before, which does not come along now, is taken out: it comes
    /// with the next call.
    pub(crate) fn book(&self, runners: &mut Vec<Stored<Runner>>, now: Timestamp) -> Vec<Change> {
        let mut ledgers = self.ledgers.clone();
        runners.retain_mut(|Stored { record, .. }| {
            let Some(wanted) = self.wanted.get(&record.name) else {
                return false;
            };
            let fits = ledgers
                .reserve(record.reserved.as_ref(), wanted, &self.caps, now)
                .is_ok();
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
        let (tariff, types) = match self.tariff(&first.record, &caps, now).await {
            Ok(tariff) => tariff,
            Err(why) => {
                let away = wanted.into_iter().map(|runner| (runner, why.clone())).collect();
                return Ok(Affordable {
                    away,
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
        let mut affordable = Affordable {
            types,
            ..sort(asked, ledgers, caps, now)
        };
        self.name_holders(&mut affordable, now).await?;
        Ok(affordable)
    }

    /// What an instance of the runner's next attempt costs at most while it runs, and of which types it may be. Or
    /// what becomes of an attempt that is not to be made.
    async fn tariff(
        &self,
        runner: &Runner,
        caps: &Caps,
        now: Timestamp,
    ) -> Result<(Tariff, Vec<InstanceType>), Attempted> {
        let option = runner.plan.option();
        let has_limit = option.lifecycle == InstanceLifecycle::OnDemand && option.spec.max_price.is_some();
        let effort = if caps.any() || has_limit {
            Effort::Ask
        } else {
            Effort::Recall
        };
        let ends = (&self.store, &self.fleet);
        let types = join_all(option.spec.instance_types.iter().map(async |name| {
            let price = self.prices.on_demand(ends, name, effort, now).await;
            (name, price)
        }));
        let kind = prices::kind_of(option.spec.volume);
        // Nobody waits for one after the other.
        let (told, volume) = join(types, self.prices.volume(ends, kind, effort, now)).await;
        let unreadable =
            |error: RatesError| Attempted::Unaffordable(Refused::untold(&error.to_string(), "another release"));
        let (rates, volume) = (Rates::embedded().map_err(unreadable)?, volume.map_err(unreadable)?);
        let types = price_limit::within(option, |name| price_of(&told, name))
            .map_err(|error| Attempted::Failed { errors: vec![error] })?;
        Ok((tariff_of(option, &types, (rates, &volume), caps, &told)?, types))
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
        for ((runner, why), over) in affordable.away.iter_mut().zip(&affordable.news) {
            *why = Attempted::Unaffordable(over.refused(&runner.record.name, &holders));
        }
        Ok(())
    }

    /// Notes in their ledgers that caps refuse launches, and has the owner told that, once each.
    pub(crate) async fn tell_refused(&self, over: &[OverCap], now: Timestamp) -> Result<(), FlowError> {
        let ids: BTreeSet<LedgerId> = over.iter().map(OverCap::ledger).collect();
        if ids.is_empty() {
            return Ok(());
        }
        for _ in 0..MAX_CONFLICTS {
            let mut ledgers = load_ledgers(&self.store, ids.clone()).await?;
            for over in over {
                ledgers.refused(over, thresholds::due_again(now, &self.deadlines));
            }
            let (changes, due): (Vec<Change>, Vec<LedgerId>) = (ledgers.changes(), ledgers.with_news().collect());
            if changes.is_empty() {
                return Ok(());
            }
            match self.store.commit(changes).await {
                // Somebody else has written there.
                Err(StoreError::Conflict) => {}
                done => {
                    done?;
                    tell_caps(&self.bus, due).await;
                    return Ok(());
                }
            }
        }
        tracing::warn!(
            ledgers = ids.len(),
            "that a cap refuses launches is told with the next refusal"
        );
        Ok(())
    }
}

/// What AWS has told of a type's price on demand.
type Told<'a> = (&'a InstanceType, Result<Option<Price>, PriceUnknown>);

/// What a type costs on demand, if that is known.
fn price_of(told: &[Told<'_>], name: &InstanceType) -> Option<Price> {
    let found = told.iter().find(|(known, _)| *known == name);
    found.and_then(|(_, price)| price.clone().ok().flatten())
}

/// What an instance of an attempt costs at most while it runs, whichever of these types it is. Without caps
/// nothing depends on it but what reports say, and nobody waits for a price that is not known.
fn tariff_of(
    option: &LaunchOption,
    types: &[InstanceType],
    (rates, volume): (&Rates, &VolumePrice),
    caps: &Caps,
    told: &[Told<'_>],
) -> Result<Tariff, Attempted> {
    let unpriced = match caps::tariff(option, types, rates, volume, |name| price_of(told, name)) {
        Ok(tariff) => return Ok(tariff),
        Err(name) => name,
    };
    if !caps.any() {
        return Ok(Tariff {
            compute: MicroDollars::default(),
            disk_month: caps::disk_month(option, rates, &volume.rate),
            address: rates.address(),
            source: PriceSource::Shipped,
        });
    }
    match told.iter().find(|(name, _)| **name == unpriced) {
        Some((_, Err(unknown))) => Err(Attempted::Failed {
            errors: vec![FleetError {
                kind: FleetErrorKind::Unknown,
                code: "PriceUnknown".to_owned(),
                message: format!(
                    "what `{unpriced}` costs on demand is not known, so that no cap would hold: {unknown}"
                ),
                pool: None,
            }],
        }),
        _ => Err(Attempted::Unaffordable(caps::unpriced(&unpriced))),
    }
}

/// Who may be launched and who is refused. One that would fit alone and not with those before it is in
/// neither: it comes with the next call.
fn sort(asked: Vec<(Stored<Runner>, Reservation)>, ledgers: Ledgers, caps: Caps, now: Timestamp) -> Affordable {
    let mut affordable = Affordable {
        caps,
        ..Affordable::default()
    };
    let mut booked = ledgers.clone();
    for (runner, wanted) in asked {
        let before = runner.record.reserved.as_ref();
        if let Err(over) = ledgers.clone().reserve(before, &wanted, &caps, now) {
            let why = Attempted::Unaffordable(over.refused(&runner.record.name, &[]));
            affordable.away.push((runner, why));
            affordable.news.push(*over);
            continue;
        }
        let mut next = booked.clone();
        let has_room = affordable.runners.len() < fleet::MOST;
        let fits = has_room
            && next.reserve(before, &wanted, &caps, now).is_ok()
            && next.changes().len() <= fleet::MOST_LEDGERS;
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
