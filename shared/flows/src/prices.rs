//! What things cost, asked of AWS seldom: kept in this process, and in the table for the others.

use std::cell::RefCell;
use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use dayfly_config::VolumeType;
use dayfly_ports::{Fleet, FleetError, Store};
use dayfly_records::prices::{
    self, DatedPrice, DatedRate, LISTED_FRESH, Price, Rates, RatesError, SPOT_FRESH, VolumePrice,
};
use dayfly_records::{Change, Prices, Stored, VolumePrices};
use dayfly_types::capacity::Pool;
use dayfly_types::ids::{InstanceType, Region};
use dayfly_types::money::MicroDollars;
use dayfly_types::time::Timestamp;

/// How long AWS is not asked again for what it did not tell.
const ASK_AGAIN: Duration = Duration::from_mins(5);

/// What is known of prices in the stack's region.
#[derive(Debug)]
pub struct PriceCache {
    region: Region,
    known: RefCell<HashMap<InstanceType, Prices>>,
    volumes: RefCell<VolumePrices>,
    untold: RefCell<BTreeMap<Listed, (Timestamp, Untold)>>,
}

/// Something that AWS's price list is asked for.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Listed {
    OnDemand(InstanceType),
    Volume(VolumeType),
}

/// Why AWS's price list did not tell a price.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Untold {
    /// It has none.
    NotListed,
    /// It did not answer.
    Silent(String),
}

/// A price that nobody knows, and that AWS may still tell: it was not asked, or did not answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("AWS's price list was not answered: {0}")]
pub struct PriceUnknown(pub String);

/// Whether AWS is asked for what is not known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effort {
    /// Much depends on it.
    Ask,
    /// Nobody is to wait for it.
    Recall,
}

impl PriceCache {
    /// The prices of a region, of which nothing is known yet.
    #[must_use]
    pub fn new(region: Region) -> Self {
        Self {
            region,
            known: RefCell::default(),
            volumes: RefCell::default(),
            untold: RefCell::default(),
        }
    }

    /// What an hour of a type costs on demand: by AWS's last word, an old one rather than none, or else by the
    /// program's own table. Nothing if AWS has no price for it.
    ///
    /// # Errors
    /// If nobody knows, and AWS may tell later.
    pub async fn on_demand<S: Store, F: Fleet>(
        &self,
        ends: (&S, &F),
        name: &InstanceType,
        effort: Effort,
        now: Timestamp,
    ) -> Result<Option<Price>, PriceUnknown> {
        let told = self.told_on_demand(ends, name, effort, now).await;
        if let Some(price) = prices::on_demand(name, told.as_ref(), self.region.as_str(), now) {
            return Ok(Some(price));
        }
        match self.last_untold(&Listed::OnDemand(name.clone())) {
            Some(Untold::NotListed) => Ok(None),
            Some(Untold::Silent(why)) => Err(PriceUnknown(why)),
            None => Err(PriceUnknown("it was not asked".to_owned())),
        }
    }

    async fn told_on_demand<S: Store, F: Fleet>(
        &self,
        (store, fleet): (&S, &F),
        name: &InstanceType,
        effort: Effort,
        now: Timestamp,
    ) -> Option<DatedPrice> {
        let is_fresh = |prices: &Prices| prices.on_demand.is_some_and(|told| told.is_fresh(LISTED_FRESH, now));
        let known = self.recall(store, name, is_fresh).await;
        let listed = Listed::OnDemand(name.clone());
        if is_fresh(&known) || effort == Effort::Recall || self.was_asked(&listed, now) {
            return known.on_demand;
        }
        let Some(per_hour) = self.heard(listed, fleet.on_demand_price(name).await, now) else {
            return known.on_demand;
        };
        let told = DatedPrice { per_hour, at: now };
        self.remember(store, name, |prices| prices.on_demand = Some(told)).await;
        Some(told)
    }

    /// What a type of volume costs: by AWS's last word, an old one rather than none, or else by the program's
    /// own table.
    ///
    /// # Errors
    /// Never, which a test shows: that table is our own.
    pub async fn volume<S: Store, F: Fleet>(
        &self,
        ends: (&S, &F),
        kind: VolumeType,
        effort: Effort,
        now: Timestamp,
    ) -> Result<VolumePrice, RatesError> {
        let rates = Rates::embedded()?;
        let told = self.told_volume(ends, kind, effort, now).await;
        Ok(rates.volume(kind, told.as_ref(), self.region.as_str(), now))
    }

    async fn told_volume<S: Store, F: Fleet>(
        &self,
        (store, fleet): (&S, &F),
        kind: VolumeType,
        effort: Effort,
        now: Timestamp,
    ) -> Option<DatedRate> {
        let in_process = self.volumes.borrow().rates.get(&kind).copied();
        if in_process.is_some_and(|told| told.is_fresh(now)) {
            return in_process;
        }
        let stored = self.stored_volumes(store).await;
        let known = stored
            .as_ref()
            .and_then(|stored| stored.record.rates.get(&kind).copied());
        let known = known.or(in_process);
        let listed = Listed::Volume(kind);
        if known.is_some_and(|told| told.is_fresh(now)) || effort == Effort::Recall || self.was_asked(&listed, now) {
            return known;
        }
        let Some(rate) = self.heard(listed, fleet.volume_rate(kind).await, now) else {
            return known;
        };
        let told = DatedRate { rate, at: now };
        let mut next = stored.as_ref().map(|stored| stored.record.clone()).unwrap_or_default();
        next.rates.insert(kind, told);
        *self.volumes.borrow_mut() = next.clone();
        if let Err(error) = store.commit(vec![Change::put(stored.as_ref(), next)]).await {
            tracing::info!(?kind, %error, "what volumes cost could not be written down");
        }
        Some(told)
    }

    async fn stored_volumes<S: Store>(&self, store: &S) -> Option<Stored<VolumePrices>> {
        match store.volume_prices().await {
            Ok(found) => {
                if let Some(found) = &found {
                    self.volumes.borrow_mut().clone_from(&found.record);
                }
                found
            }
            Err(error) => {
                tracing::warn!(%error, "the table does not tell what volumes cost");
                None
            }
        }
    }

    /// Whether AWS was asked for it just now, and did not tell.
    fn was_asked(&self, listed: &Listed, now: Timestamp) -> bool {
        let untold = self.untold.borrow();
        untold.get(listed).is_some_and(|(at, _)| now.since(*at) < ASK_AGAIN)
    }

    fn last_untold(&self, listed: &Listed) -> Option<Untold> {
        self.untold.borrow().get(listed).map(|(_, why)| why.clone())
    }

    /// What AWS's price list answered, if it told anything.
    fn heard<T>(&self, listed: Listed, answer: Result<Option<T>, FleetError>, now: Timestamp) -> Option<T> {
        let why = match answer {
            Ok(Some(told)) => return Some(told),
            Ok(None) => Untold::NotListed,
            Err(error) => Untold::Silent(error.to_string()),
        };
        tracing::warn!(?listed, ?why, "AWS's price list does not tell a price");
        self.untold.borrow_mut().insert(listed, (now, why));
        None
    }

    /// What an hour of a pool's spot capacity costs now, if EC2 tells.
    pub async fn spot<S: Store, F: Fleet>(
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
        let told = DatedPrice { per_hour, at: now };
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
