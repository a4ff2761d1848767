//! Prices of AWS, cached in this process, and in the table for the others.

use std::cell::RefCell;
use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use dayfly_config::VolumeType;
use dayfly_ports::{Fleet, FleetError, Ports, Store};
use dayfly_records::prices::{
    self, DatedPrice, DatedRate, LISTED_FRESH, Price, Rates, RatesError, SPOT_FRESH, VolumePrice,
};
use dayfly_records::{Change, Prices, Stored, VolumePrices};
use dayfly_types::capacity::Pool;
use dayfly_types::ids::{InstanceType, Region};
use dayfly_types::money::MicroDollars;
use dayfly_types::time::Timestamp;

/// How long AWS is not asked again for a price that it did not tell.
const ASK_AGAIN: Duration = Duration::from_mins(5);

/// The known prices of the stack's region.
#[derive(Debug)]
pub struct PriceCache {
    region: Region,
    known: RefCell<HashMap<InstanceType, Prices>>,
    volumes: RefCell<VolumePrices>,
    missing: RefCell<BTreeMap<ListItem, (Timestamp, NoPrice)>>,
}

/// An item of AWS's price list.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum ListItem {
    OnDemand(InstanceType),
    Volume(VolumeType),
}

/// Why AWS's price list gave no price.
#[derive(Clone, Debug, PartialEq, Eq)]
enum NoPrice {
    NotListed,
    NoAnswer(String),
}

/// A price that is not known yet: AWS was not asked, or did not answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("AWS's price list did not answer: {0}")]
pub struct PriceUnknown(pub String);

/// What is done about a price that is not cached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PriceLookup {
    AskAws,
    /// Go without: no caller is to wait for it.
    CacheOnly,
}

impl PriceCache {
    #[must_use]
    pub fn new(region: Region) -> Self {
        Self {
            region,
            known: RefCell::default(),
            volumes: RefCell::default(),
            missing: RefCell::default(),
        }
    }

    /// Returns the on-demand price of a type: AWS's last answer, however old, or else the built-in table's.
    /// `None` if AWS has no price for it.
    ///
    /// # Errors
    /// The price is unknown, and AWS may tell it later.
    pub async fn on_demand<P: Ports>(
        &self,
        ports: &P,
        name: &InstanceType,
        lookup: PriceLookup,
        now: Timestamp,
    ) -> Result<Option<Price>, PriceUnknown> {
        let answer = self.listed_on_demand(ports, name, lookup, now).await;
        if let Some(price) = prices::on_demand(name, answer.as_ref(), self.region.as_str(), now) {
            return Ok(Some(price));
        }
        match self.why_missing(&ListItem::OnDemand(name.clone())) {
            Some(NoPrice::NotListed) => Ok(None),
            Some(NoPrice::NoAnswer(why)) => Err(PriceUnknown(why)),
            None => Err(PriceUnknown("it was not asked".to_owned())),
        }
    }

    async fn listed_on_demand<P: Ports>(
        &self,
        ports: &P,
        name: &InstanceType,
        lookup: PriceLookup,
        now: Timestamp,
    ) -> Option<DatedPrice> {
        let is_fresh = |prices: &Prices| prices.on_demand.is_some_and(|price| price.is_fresh(LISTED_FRESH, now));
        let known = self.recall(ports.store(), name, is_fresh).await;
        let item = ListItem::OnDemand(name.clone());
        if is_fresh(&known) || lookup == PriceLookup::CacheOnly || self.was_asked(&item, now) {
            return known.on_demand;
        }
        let Some(per_hour) = self.answered(item, ports.fleet().on_demand_price(name).await, now) else {
            return known.on_demand;
        };
        let price = DatedPrice { per_hour, at: now };
        self.cache(ports.store(), name, |prices| prices.on_demand = Some(price))
            .await;
        Some(price)
    }

    /// Returns the price of a volume type: AWS's last answer, however old, or else the built-in table's.
    ///
    /// # Errors
    /// Never, as a test shows: the table is our own.
    pub async fn volume<P: Ports>(
        &self,
        ports: &P,
        kind: VolumeType,
        lookup: PriceLookup,
        now: Timestamp,
    ) -> Result<VolumePrice, RatesError> {
        let rates = Rates::embedded()?;
        let answer = self.listed_volume(ports, kind, lookup, now).await;
        Ok(rates.volume(kind, answer.as_ref(), self.region.as_str(), now))
    }

    async fn listed_volume<P: Ports>(
        &self,
        ports: &P,
        kind: VolumeType,
        lookup: PriceLookup,
        now: Timestamp,
    ) -> Option<DatedRate> {
        let in_process = self.volumes.borrow().rates.get(&kind).copied();
        if in_process.is_some_and(|rate| rate.is_fresh(now)) {
            return in_process;
        }
        let stored = self.stored_volumes(ports.store()).await;
        let known = stored
            .as_ref()
            .and_then(|stored| stored.record.rates.get(&kind).copied());
        let known = known.or(in_process);
        let item = ListItem::Volume(kind);
        if known.is_some_and(|rate| rate.is_fresh(now))
            || lookup == PriceLookup::CacheOnly
            || self.was_asked(&item, now)
        {
            return known;
        }
        let Some(rate) = self.answered(item, ports.fleet().volume_rate(kind).await, now) else {
            return known;
        };
        let rate = DatedRate { rate, at: now };
        let mut next = stored.as_ref().map(|stored| stored.record.clone()).unwrap_or_default();
        next.rates.insert(kind, rate);
        *self.volumes.borrow_mut() = next.clone();
        if let Err(error) = ports.store().commit(vec![Change::put(stored.as_ref(), next)]).await {
            tracing::info!(?kind, %error, "the price of volumes was not cached");
        }
        Some(rate)
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
                tracing::warn!(%error, "the cached price of volumes could not be read");
                None
            }
        }
    }

    /// Returns whether AWS was asked just now and gave no price.
    fn was_asked(&self, item: &ListItem, now: Timestamp) -> bool {
        let missing = self.missing.borrow();
        missing.get(item).is_some_and(|(at, _)| now.since(*at) < ASK_AGAIN)
    }

    fn why_missing(&self, item: &ListItem) -> Option<NoPrice> {
        self.missing.borrow().get(item).map(|(_, why)| why.clone())
    }

    /// Returns the price that AWS's price list answered, or remembers that it gave none.
    fn answered<T>(&self, item: ListItem, answer: Result<Option<T>, FleetError>, now: Timestamp) -> Option<T> {
        let why = match answer {
            Ok(Some(price)) => return Some(price),
            Ok(None) => NoPrice::NotListed,
            Err(error) => NoPrice::NoAnswer(error.to_string()),
        };
        tracing::warn!(?item, ?why, "AWS's price list gives no price");
        self.missing.borrow_mut().insert(item, (now, why));
        None
    }

    /// Returns the current spot price of a pool, if EC2 tells it.
    pub async fn spot<P: Ports>(&self, ports: &P, pool: &Pool, now: Timestamp) -> Option<MicroDollars> {
        if pool.zone.is_unknown() {
            // EC2 refuses a zone that does not exist.
            return None;
        }
        let fresh = |prices: &Prices| {
            prices
                .spot
                .get(&pool.zone)
                .copied()
                .filter(|price| price.is_fresh(SPOT_FRESH, now))
        };
        let known = self
            .recall(ports.store(), &pool.instance_type, |prices| fresh(prices).is_some())
            .await;
        if let Some(price) = fresh(&known) {
            return Some(price.per_hour);
        }
        let prices = match ports.fleet().spot_prices(pool, now, now).await {
            Ok(prices) => prices,
            Err(error) => {
                tracing::warn!(%pool, %error, "the spot price is unknown");
                return None;
            }
        };
        let per_hour = prices.last()?.per_hour;
        let price = DatedPrice { per_hour, at: now };
        self.cache(ports.store(), &pool.instance_type, |prices| {
            prices.spot.insert(pool.zone.clone(), price);
        })
        .await;
        Some(per_hour)
    }

    /// Returns the cached prices of a type, from this process or else from the table.
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
                tracing::warn!(instance_type = %name, %error, "the cached prices could not be read");
                known
            }
        }
    }

    /// Caches a price. If the table does not take it, the next process asks AWS again.
    async fn cache<S: Store>(&self, store: &S, name: &InstanceType, set: impl Fn(&mut Prices)) {
        let known: Option<Stored<Prices>> = store.prices(name).await.ok().flatten();
        let mut prices = known
            .as_ref()
            .map_or_else(|| Prices::unknown(name.clone()), |known| known.record.clone());
        set(&mut prices);
        self.known.borrow_mut().insert(name.clone(), prices.clone());
        if let Err(error) = store.commit(vec![Change::put(known.as_ref(), prices)]).await {
            tracing::info!(instance_type = %name, %error, "a price was not cached");
        }
    }
}
