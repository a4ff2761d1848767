//! The market prices of compute and volumes.

use std::time::Duration;

use dayfly_config::VolumeType;
use dayfly_config::machines::Table;
use dayfly_records::prices::{Rates, SpotPrice, VolumeRate};
use dayfly_types::capacity::Pool;
use dayfly_types::ids::InstanceType;
use dayfly_types::money::MicroDollars;
use dayfly_types::time::Timestamp;

use crate::dice::Dice;
use crate::sim::Sim;

/// How long a spot price holds.
const HOLDS: Duration = Duration::from_mins(47);

/// A gp3 volume's price per GiB and month in this region: a tenth more than in the table's.
pub(super) const GIB_MONTH: u64 = 88_000;

/// The price of a public address per hour in all regions.
pub(super) const ADDRESS_HOUR: u64 = 5_000;

/// Returns the price list's on-demand price.
pub(crate) fn on_demand(name: &InstanceType) -> Option<MicroDollars> {
    // The region is a tenth more expensive than the table's.
    let price = Table::embedded().ok()?.get(name)?.price?;
    Some(MicroDollars(price.0 * 11 / 10))
}

/// Returns the most that an hour of an instance of one of these types costs, with its address and
/// without its volume.
pub(crate) fn most_of_an_hour<'a>(types: impl Iterator<Item = &'a InstanceType>) -> MicroDollars {
    let dearest = types.filter_map(on_demand).max().unwrap_or_default();
    dearest + MicroDollars(ADDRESS_HOUR)
}

/// Returns the price list's rate of a volume type.
pub(crate) fn volume_rate(kind: VolumeType) -> Option<VolumeRate> {
    let shipped = Rates::embedded().ok()?.of(kind)?;
    let dearer = |price: MicroDollars| MicroDollars(price.0 * 11 / 10);
    Some(VolumeRate {
        gib_month: dearer(shipped.gib_month),
        iops_month: dearer(shipped.iops_month),
        throughput_month: dearer(shipped.throughput_month),
    })
}

impl Sim {
    /// Returns the prices of a pool that held in a span.
    pub fn spot_prices(&self, pool: &Pool, from: Timestamp, to: Timestamp) -> Vec<SpotPrice> {
        let holds = i64::try_from(HOLDS.as_millis()).unwrap_or(1);
        let (first, last) = (from.millis().div_euclid(holds), to.millis().div_euclid(holds));
        (first..=last)
            .map(|index| SpotPrice {
                per_hour: self.spot_price(pool, index),
                since: Timestamp::from_millis(index * holds),
            })
            .collect()
    }

    fn spot_price(&self, pool: &Pool, index: i64) -> MicroDollars {
        let of = on_demand(&pool.instance_type).unwrap_or_default();
        let percent = Dice::of(self.plan.seed, "spot", &format!("{pool} {index}")).number(25, 70);
        MicroDollars(of.0 * percent / 100)
    }
}
