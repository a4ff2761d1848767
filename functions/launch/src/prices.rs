//! What things cost, asked of AWS seldom: kept in this process, and in the table for the others.

use std::cell::RefCell;
use std::collections::HashMap;
use std::time::Duration;

use dayfly_core::capacity::Pool;
use dayfly_core::ids::InstanceType;
use dayfly_core::money::MicroDollars;
use dayfly_core::prices::{ON_DEMAND_FRESH, SPOT_FRESH, Told};
use dayfly_core::record::{Change, Prices, Stored};
use dayfly_core::time::Timestamp;
use dayfly_ports::{Fleet, Store};

/// How long AWS is not asked again for what it did not tell.
const ASK_AGAIN: Duration = Duration::from_mins(5);

/// What is known of prices.
#[derive(Debug, Default)]
pub struct PriceCache {
    known: RefCell<HashMap<InstanceType, Prices>>,
    untold: RefCell<HashMap<InstanceType, Timestamp>>,
}

/// Whether AWS is asked for what is not known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Effort {
    /// Much depends on it.
    Ask,
    /// Nobody is to wait for it.
    Recall,
}

impl PriceCache {
    /// What AWS last told of the price of a type on demand, an old price rather than none.
    pub(crate) async fn on_demand<S: Store, F: Fleet>(
        &self,
        (store, fleet): (&S, &F),
        name: &InstanceType,
        effort: Effort,
        now: Timestamp,
    ) -> Option<Told> {
        let is_fresh = |prices: &Prices| prices.on_demand.is_some_and(|told| told.is_fresh(ON_DEMAND_FRESH, now));
        let known = self.recall(store, name, is_fresh).await;
        let asked = self
            .untold
            .borrow()
            .get(name)
            .is_some_and(|at| now.since(*at) < ASK_AGAIN);
        if is_fresh(&known) || asked || effort == Effort::Recall {
            return known.on_demand;
        }
        let price = match fleet.on_demand_price(name).await {
            Ok(Some(price)) => price,
            untold => {
                tracing::warn!(instance_type = %name, ?untold, "AWS's price list does not tell a price");
                self.untold.borrow_mut().insert(name.clone(), now);
                return known.on_demand;
            }
        };
        let told = Told {
            per_hour: price,
            at: now,
        };
        self.remember(store, name, |prices| prices.on_demand = Some(told)).await;
        Some(told)
    }

    /// What an hour of a pool's spot capacity costs now, if EC2 tells.
    pub(crate) async fn spot<S: Store, F: Fleet>(
        &self,
        (store, fleet): (&S, &F),
        pool: &Pool,
        now: Timestamp,
    ) -> Option<MicroDollars> {
        if pool.zone.is_unknown() {
            // EC2 refuses to tell of a zone that there is not.
            return None;
        }
        let fresh = |prices: &Prices| {
            prices
                .spot
                .get(&pool.zone)
                .copied()
                .filter(|told| told.is_fresh(SPOT_FRESH, now))
        };
        let known = self
            .recall(store, &pool.instance_type, |prices| fresh(prices).is_some())
            .await;
        if let Some(told) = fresh(&known) {
            return Some(told.per_hour);
        }
        let prices = match fleet.spot_prices(pool, now, now).await {
            Ok(prices) => prices,
            Err(error) => {
                tracing::warn!(%pool, %error, "the spot price could not be learnt");
                return None;
            }
        };
        let per_hour = prices.last()?.per_hour;
        let told = Told { per_hour, at: now };
        self.remember(store, &pool.instance_type, |prices| {
            prices.spot.insert(pool.zone.clone(), told);
        })
        .await;
        Some(per_hour)
    }

    /// What this process knows of a type, or else the table.
    async fn recall<S: Store>(&self, store: &S, name: &InstanceType, is_good: impl Fn(&Prices) -> bool) -> Prices {
        let unknown = || Prices::unknown(name.clone());
        let known = self.known.borrow().get(name).cloned().unwrap_or_else(unknown);
        if is_good(&known) {
            return known;
        }
        match store.prices(name).await {
            Ok(Some(found)) => {
                self.known.borrow_mut().insert(name.clone(), found.record.clone());
                found.record
            }
            Ok(None) => known,
            Err(error) => {
                tracing::warn!(instance_type = %name, %error, "the table does not tell what is known of prices");
                known
            }
        }
    }

    /// Keeps a price. Should the table not take it, the next who needs it asks again.
    async fn remember<S: Store>(&self, store: &S, name: &InstanceType, tell: impl Fn(&mut Prices)) {
        let known: Option<Stored<Prices>> = store.prices(name).await.ok().flatten();
        let mut prices = known
            .as_ref()
            .map_or_else(|| Prices::unknown(name.clone()), |known| known.record.clone());
        tell(&mut prices);
        self.known.borrow_mut().insert(name.clone(), prices.clone());
        if let Err(error) = store.commit(vec![Change::put(known.as_ref(), prices)]).await {
            tracing::info!(instance_type = %name, %error, "a price could not be written down");
        }
    }
}
