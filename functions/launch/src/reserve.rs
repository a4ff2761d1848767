//! Reserves what a launch can cost at most, in the transaction that records the call to EC2. A launch that
//! could pass a cap is refused.

use std::collections::{BTreeMap, BTreeSet};

use dayfly_engine::cost::caps::{self, Ledgers, OverCap, ReservationHolder};
use dayfly_engine::cost::thresholds;
use dayfly_engine::launch::outcome::TryOutcome;
use dayfly_engine::launch::{fleet, price_limit};
use dayfly_flows::{
    FlowError, MAX_CONFLICTS, PriceLookup, PriceUnknown, load_ledgers, load_live_runners, publish_caps_due,
};
use dayfly_policy::{Caps, Refused};
use dayfly_records::costs::Tariff;
use dayfly_records::prices::{self, Price, PriceSource, Rates, RatesError, VolumePrice};
use dayfly_records::{Change, LaunchOption, LedgerId, Reservation, Runner, Stored};
use dayfly_types::capacity::{FleetError, FleetErrorKind, InstanceLifecycle};
use dayfly_types::ids::{InstanceType, RunnerName};
use dayfly_types::money::MicroDollars;
use dayfly_types::time::Timestamp;
use futures_util::future::{join, join_all};

use crate::{Function, LaunchPorts};

/// The runners of one queue that fit within the caps, and those that do not. All of them have the same
/// launch option.
#[derive(Default)]
pub(crate) struct Reservations {
    /// The runners that may be launched together.
    pub(crate) runners: Vec<Stored<Runner>>,
    /// The types that may be launched.
    pub(crate) types: Vec<InstanceType>,
    refused: Vec<(Stored<Runner>, TryOutcome)>,
    /// The caps that refuse them.
    over_caps: Vec<OverCap>,
    wanted: BTreeMap<RunnerName, Reservation>,
    ledgers: Ledgers,
    caps: Caps,
}

impl Reservations {
    /// Splits the runners into those that fit and those that are refused. One that fits alone, but not
    /// together with those before it, is in neither: the next call considers it again.
    fn split(asked: Vec<(Stored<Runner>, Reservation)>, ledgers: Ledgers, caps: Caps, now: Timestamp) -> Self {
        let mut split = Self {
            caps,
            ..Self::default()
        };
        let mut reserved = ledgers.clone();
        for (runner, wanted) in asked {
            let before = runner.record.reserved.as_ref();
            if let Err(over) = ledgers.clone().reserve(before, &wanted, &caps, now) {
                let why = TryOutcome::Unaffordable(over.refused(&runner.record.name, &[]));
                split.refused.push((runner, why));
                split.over_caps.push(*over);
                continue;
            }
            let mut next = reserved.clone();
            let fits = split.runners.len() < fleet::MOST
                && next.reserve(before, &wanted, &caps, now).is_ok()
                && next.changes().len() <= fleet::MOST_LEDGERS;
            if fits {
                reserved = next;
                split.wanted.insert(runner.record.name.clone(), wanted);
                split.runners.push(runner);
            }
        }
        split.ledgers = ledgers;
        split
    }

    /// Reserves for these of the runners, and returns the changed ledgers. A runner that fitted only
    /// because another one gives up part of its reservation is taken out if that one is not among them:
    /// it comes with the next call.
    pub(crate) fn reserve_for(&self, runners: &mut Vec<Stored<Runner>>, now: Timestamp) -> Vec<Change> {
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

    /// Takes out the refused runners, and the caps that refuse them.
    pub(crate) fn take_refused(&mut self) -> (Vec<(Stored<Runner>, TryOutcome)>, Vec<OverCap>) {
        (std::mem::take(&mut self.refused), std::mem::take(&mut self.over_caps))
    }
}

impl<P: LaunchPorts> Function<P> {
    /// Finds the runners of a queue that fit within the caps, in the order given.
    pub(crate) async fn reservations(
        &self,
        candidates: Vec<Stored<Runner>>,
        now: Timestamp,
    ) -> Result<Reservations, FlowError> {
        let caps = self.policies.current(self.ports.parameters(), now).await?.caps;
        let Some(first) = candidates.first() else {
            return Ok(Reservations::default());
        };
        let (tariff, types) = match self.tariff(&first.record, &caps, now).await {
            Ok(tariff) => tariff,
            Err(why) => {
                return Ok(Reservations {
                    refused: candidates.into_iter().map(|runner| (runner, why.clone())).collect(),
                    ..Reservations::default()
                });
            }
        };
        let reservation = |runner: &Runner| caps::reservation(runner, tariff, &caps, now, &self.deadlines);
        let asked: Vec<(Stored<Runner>, Reservation)> = candidates
            .into_iter()
            .map(|runner| {
                let wanted = reservation(&runner.record);
                (runner, wanted)
            })
            .collect();
        let held = asked.iter().filter_map(|(runner, _)| runner.record.reserved.as_ref());
        let all = asked.iter().map(|(_, wanted)| wanted).chain(held);
        let ids: BTreeSet<LedgerId> = all.flat_map(caps::ledgers_of).collect();
        let ledgers = load_ledgers(self.ports.store(), ids).await?;
        let mut reservations = Reservations {
            types,
            ..Reservations::split(asked, ledgers, caps, now)
        };
        self.name_holders(&mut reservations, now).await?;
        Ok(reservations)
    }

    /// The most that an instance of the runner's launch option costs while it runs, and the types that
    /// it may have; or the outcome, if the option is not to be tried.
    async fn tariff(
        &self,
        runner: &Runner,
        caps: &Caps,
        now: Timestamp,
    ) -> Result<(Tariff, Vec<InstanceType>), TryOutcome> {
        let option = runner.plan.option();
        let has_limit = option.lifecycle == InstanceLifecycle::OnDemand && option.spec.max_price.is_some();
        let lookup = if caps.any() || has_limit {
            PriceLookup::AskAws
        } else {
            PriceLookup::CacheOnly
        };
        let types = join_all(option.spec.instance_types.iter().map(async |name| {
            let price = self.prices.on_demand(&self.ports, name, lookup, now).await;
            (name, price)
        }));
        let kind = prices::kind_of(option.spec.volume);
        // At once, as a job waits for them.
        let (answers, volume) = join(types, self.prices.volume(&self.ports, kind, lookup, now)).await;
        let unreadable =
            |error: RatesError| TryOutcome::Unaffordable(Refused::unverified(&error.to_string(), "another release"));
        let (rates, volume) = (Rates::embedded().map_err(unreadable)?, volume.map_err(unreadable)?);
        let types = price_limit::within(option, |name| price_of(&answers, name))
            .map_err(|error| TryOutcome::Failed { errors: vec![error] })?;
        Ok((tariff_of(option, &types, (rates, &volume), caps, &answers)?, types))
    }

    /// Names in each refusal the runners that hold the rest of the cap.
    async fn name_holders(&self, reservations: &mut Reservations, now: Timestamp) -> Result<(), FlowError> {
        if reservations.over_caps.is_empty() {
            return Ok(());
        }
        let holders: Vec<ReservationHolder> = load_live_runners(self.ports.store(), now, &self.deadlines)
            .await?
            .into_values()
            .filter_map(|runner| {
                Some(ReservationHolder {
                    reserved: runner.reserved?,
                    repository: runner.repository.to_string(),
                    runner: runner.name,
                })
            })
            .collect();
        for ((runner, why), over) in reservations.refused.iter_mut().zip(&reservations.over_caps) {
            *why = TryOutcome::Unaffordable(over.refused(&runner.record.name, &holders));
        }
        Ok(())
    }

    /// Notes in their ledgers that caps refuse launches, which is reported to the owner once for each.
    pub(crate) async fn report_over_caps(&self, over_caps: &[OverCap], now: Timestamp) -> Result<(), FlowError> {
        let ids: BTreeSet<LedgerId> = over_caps.iter().map(OverCap::ledger).collect();
        if ids.is_empty() {
            return Ok(());
        }
        for _ in 0..MAX_CONFLICTS {
            let mut ledgers = load_ledgers(self.ports.store(), ids.clone()).await?;
            for over in over_caps {
                ledgers.refused(over, thresholds::retry_at(now, &self.deadlines));
            }
            let (changes, due): (Vec<Change>, Vec<LedgerId>) = (ledgers.changes(), ledgers.newly_due().collect());
            if changes.is_empty() {
                return Ok(());
            }
            if self.commit(changes).await? {
                publish_caps_due(self.ports.bus(), due).await;
                return Ok(());
            }
        }
        tracing::warn!(
            ledgers = ids.len(),
            "the next refusal reports that a cap refuses launches"
        );
        Ok(())
    }
}

/// A type with its on-demand price, as far as it could be had.
type PriceAnswer<'a> = (&'a InstanceType, Result<Option<Price>, PriceUnknown>);

fn price_of(answers: &[PriceAnswer<'_>], name: &InstanceType) -> Option<Price> {
    let found = answers.iter().find(|(known, _)| *known == name);
    found.and_then(|(_, price)| price.clone().ok().flatten())
}

/// The most that an instance of a launch option costs while it runs, whichever of these types it has.
/// Without caps only reports depend on it, so a price that is not known holds no launch up.
fn tariff_of(
    option: &LaunchOption,
    types: &[InstanceType],
    (rates, volume): (&Rates, &VolumePrice),
    caps: &Caps,
    answers: &[PriceAnswer<'_>],
) -> Result<Tariff, TryOutcome> {
    let unpriced = match caps::tariff(option, types, rates, volume, |name| price_of(answers, name)) {
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
    match answers.iter().find(|(name, _)| **name == unpriced) {
        Some((_, Err(unknown))) => Err(TryOutcome::Failed {
            errors: vec![FleetError {
                kind: FleetErrorKind::Unknown,
                code: "PriceUnknown".to_owned(),
                message: format!("the on-demand price of `{unpriced}` is not known, so no cap would hold: {unknown}"),
                pool: None,
            }],
        }),
        _ => Err(TryOutcome::Unaffordable(caps::unpriced(&unpriced))),
    }
}

#[cfg(test)]
mod tests;
