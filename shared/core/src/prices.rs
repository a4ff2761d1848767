//! What things cost: prices as AWS told them, and those that this program came with.

use std::collections::BTreeMap;
use std::sync::LazyLock;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::config::{Volume, VolumeType};
use crate::ids::InstanceType;
use crate::machines::Table;
use crate::money::MicroDollars;
use crate::time::Timestamp;

/// How long the price of on-demand capacity is used before AWS is asked for it again.
pub const ON_DEMAND_FRESH: Duration = Duration::from_hours(24);

/// The same of spot capacity.
pub const SPOT_FRESH: Duration = Duration::from_mins(5);

/// The volume type that an image gets that names none.
const USUAL_VOLUME: VolumeType = VolumeType::Gp3;

/// How much dearer a region may be than the one whose prices the program came with.
const DEAREST_REGION: u64 = 2;

/// The rates that the program came with.
const EMBEDDED: &str = include_str!("../data/rates.json");

/// Whose word a price is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PriceSource {
    /// AWS's, of the stack's region, fresh when it was used.
    #[default]
    Aws,
    /// The program's own table: AWS could not be asked. It is of one region and one date, so that in
    /// another region twice as much is reckoned with.
    Shipped,
}

/// What an hour costs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Price {
    /// So much.
    pub per_hour: MicroDollars,
    /// Who says so.
    pub source: PriceSource,
}

/// A price as AWS told it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Told {
    /// What an hour costs.
    pub per_hour: MicroDollars,
    /// When it was asked for.
    pub at: Timestamp,
}

impl Told {
    /// Whether it is used without asking again, if it is fresh for so long.
    #[must_use]
    pub fn is_fresh(&self, fresh: Duration, now: Timestamp) -> bool {
        now.since(self.at) < fresh
    }
}

/// A price of spot capacity, and since when it holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SpotPrice {
    /// What an hour costs.
    pub per_hour: MicroDollars,
    /// Since when.
    pub since: Timestamp,
}

/// What an hour of a type costs on demand in a region: what AWS told of it, or else the program's own
/// table. Nothing if neither has it.
#[must_use]
pub fn on_demand(instance_type: &InstanceType, told: Option<&Told>, region: &str) -> Option<Price> {
    if let Some(told) = told {
        return Some(Price {
            per_hour: told.per_hour,
            source: PriceSource::Aws,
        });
    }
    let table = Table::embedded().ok()?;
    let price = table.get(instance_type)?.price?;
    Some(Price {
        per_hour: elsewhere(price, &table.region, region),
        source: PriceSource::Shipped,
    })
}

fn elsewhere(price: MicroDollars, of: &str, region: &str) -> MicroDollars {
    if of == region {
        price
    } else {
        price.times(DEAREST_REGION)
    }
}

/// What volumes and addresses cost. They change once in years, so that they are not asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rates {
    region: String,
    volumes: BTreeMap<VolumeType, VolumeRate>,
    address: MicroDollars,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct VolumeRate {
    gib_month: MicroDollars,
    iops_month: MicroDollars,
    free_iops: u32,
    throughput_month: MicroDollars,
    free_throughput: u32,
}

#[derive(Deserialize)]
struct RawRates {
    region: String,
    volumes: BTreeMap<VolumeType, RawVolume>,
    address_hour: String,
}

#[derive(Deserialize)]
struct RawVolume {
    gib_month: String,
    #[serde(default)]
    iops_month: Option<String>,
    #[serde(default)]
    free_iops: u32,
    #[serde(default)]
    throughput_month: Option<String>,
    #[serde(default)]
    free_throughput: u32,
}

/// Rates that cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the table of rates cannot be read: {0}")]
pub struct RatesError(String);

impl Rates {
    /// The rates that the program came with.
    ///
    /// # Errors
    /// Never, which a test shows: the text is our own.
    pub fn embedded() -> Result<&'static Self, RatesError> {
        static RATES: LazyLock<Result<Rates, RatesError>> = LazyLock::new(|| Rates::read(EMBEDDED));
        RATES.as_ref().map_err(Clone::clone)
    }

    fn read(text: &str) -> Result<Self, RatesError> {
        let raw: RawRates = serde_json::from_str(text).map_err(|error| RatesError(error.to_string()))?;
        let amount = |text: &str| MicroDollars::from_decimal(text).map_err(|error| RatesError(error.to_string()));
        let optional = |text: Option<String>| text.map_or(Ok(MicroDollars::default()), |text| amount(&text));
        let volumes = raw.volumes.into_iter().map(|(kind, raw)| {
            let rate = VolumeRate {
                gib_month: amount(&raw.gib_month)?,
                iops_month: optional(raw.iops_month)?,
                free_iops: raw.free_iops,
                throughput_month: optional(raw.throughput_month)?,
                free_throughput: raw.free_throughput,
            };
            Ok((kind, rate))
        });
        Ok(Self {
            volumes: volumes.collect::<Result<_, RatesError>>()?,
            address: amount(&raw.address_hour)?,
            region: raw.region,
        })
    }

    /// What a public IPv4 address costs per hour, which is the same in all regions.
    ///
    /// <https://aws.amazon.com/vpc/pricing/>
    #[must_use]
    pub fn address(&self) -> MicroDollars {
        self.address
    }

    /// What a month of a root volume of so many GiB costs in a region.
    ///
    /// <https://aws.amazon.com/ebs/pricing/>
    #[must_use]
    pub fn volume(&self, volume: Volume, gib: u32, region: &str) -> MicroDollars {
        let kind = volume.kind.unwrap_or(USUAL_VOLUME);
        let Some(rate) = self.volumes.get(&kind) else {
            return MicroDollars::default();
        };
        let beyond = |asked: Option<u32>, free: u32| u64::from(asked.unwrap_or(0).saturating_sub(free));
        let month = rate.gib_month.times(u64::from(gib))
            + rate.iops_month.times(beyond(volume.iops, rate.free_iops))
            + rate
                .throughput_month
                .times(beyond(volume.throughput, rate.free_throughput));
        elsewhere(month, &self.region, region)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_aws_tells_goes_before_what_the_program_came_with() {
        let g4dn = InstanceType::new("g4dn.xlarge");
        let told = Told {
            per_hour: MicroDollars(587_000),
            at: Timestamp::from_seconds(0),
        };
        for (name, told, region, expected) in [
            (&g4dn, Some(&told), "eu-west-1", Some((587_000, PriceSource::Aws))),
            (&g4dn, None, "us-east-1", Some((526_000, PriceSource::Shipped))),
            (&g4dn, None, "eu-west-1", Some((1_052_000, PriceSource::Shipped))),
            (&InstanceType::new("g99.huge"), None, "us-east-1", None),
        ] {
            let price = on_demand(name, told, region).map(|price| (price.per_hour.0, price.source));
            assert_eq!(price, expected, "{name} in {region}");
        }
    }

    #[test]
    fn a_volume_costs_its_size_and_what_it_has_beyond_what_comes_with_it() {
        let rates = Rates::embedded().unwrap();
        let volume = |kind, iops, throughput| Volume { kind, iops, throughput };
        for (volume, gib, micros) in [
            (volume(None, None, None), 100, 8_000_000),
            (volume(Some(VolumeType::Gp3), Some(3000), Some(125)), 100, 8_000_000),
            (
                volume(Some(VolumeType::Gp3), Some(4000), Some(250)),
                100,
                8_000_000 + 5_000_000 + 5_000_000,
            ),
            (
                volume(Some(VolumeType::Io2), Some(1000), None),
                10,
                1_250_000 + 65_000_000,
            ),
        ] {
            assert_eq!(rates.volume(volume, gib, "us-east-1").0, micros, "{volume:?}");
            assert_eq!(rates.volume(volume, gib, "sa-east-1").0, 2 * micros, "{volume:?}");
        }
        assert_eq!(rates.address().0, 5000);
    }
}
