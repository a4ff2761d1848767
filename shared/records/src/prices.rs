//! Prices: from AWS, or from the tables that the program ships with.

use std::collections::BTreeMap;
use std::sync::LazyLock;
use std::time::Duration;

use dayfly_config::machines::Table;
use dayfly_config::{Volume, VolumeType};
use dayfly_types::ids::InstanceType;
use dayfly_types::money::MicroDollars;
use dayfly_types::time::Timestamp;
use serde::{Deserialize, Serialize};

/// How long a price of AWS's price list stays fresh.
pub const LISTED_FRESH: Duration = Duration::from_hours(24);

/// How long a spot price stays fresh.
pub const SPOT_FRESH: Duration = Duration::from_mins(5);

/// The volume type where none is named.
const DEFAULT_VOLUME: VolumeType = VolumeType::Gp3;

/// How many times more expensive a region may be than the one of the shipped prices.
const REGION_FACTOR: u64 = 2;

const EMBEDDED: &str = include_str!("../data/rates.json");

/// The source of a price, the best first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PriceSource {
    /// AWS's price for the stack's region, fresh when it was used.
    #[default]
    Aws,
    /// AWS's earlier price for the stack's region: AWS could not be asked again.
    Earlier,
    /// The program's own table: AWS could not be asked. The table is of one region and one day, so it is doubled
    /// for other regions.
    Shipped,
}

/// A price per hour.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Price {
    pub per_hour: MicroDollars,
    pub source: PriceSource,
}

/// The monthly rates of a volume type. Operations and throughput are only charged beyond what is included.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct VolumeRate {
    /// Per GiB.
    pub gib_month: MicroDollars,
    /// Per operation per second; zero where not sold.
    pub iops_month: MicroDollars,
    /// Per MiB per second; zero where not sold.
    pub throughput_month: MicroDollars,
}

/// The rate of a volume type and its source.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct VolumePrice {
    pub rate: VolumeRate,
    pub source: PriceSource,
}

/// A volume rate from AWS.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DatedRate {
    pub rate: VolumeRate,
    /// When AWS was asked.
    pub at: Timestamp,
}

/// The source of a price that AWS gave `at` a moment and that stays fresh for `fresh`.
fn source_of(at: Timestamp, fresh: Duration, now: Timestamp) -> PriceSource {
    if now.since(at) < fresh {
        PriceSource::Aws
    } else {
        PriceSource::Earlier
    }
}

impl DatedRate {
    #[must_use]
    pub fn is_fresh(&self, now: Timestamp) -> bool {
        source_of(self.at, LISTED_FRESH, now) == PriceSource::Aws
    }
}

/// A price per hour from AWS.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DatedPrice {
    pub per_hour: MicroDollars,
    /// When AWS was asked.
    pub at: Timestamp,
}

impl DatedPrice {
    #[must_use]
    pub fn is_fresh(&self, fresh: Duration, now: Timestamp) -> bool {
        now.since(self.at) < fresh
    }
}

/// A price per hour of spot capacity.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SpotPrice {
    pub per_hour: MicroDollars,
    pub since: Timestamp,
}

/// Returns the on-demand price of a type in a region: AWS's, or else that of the shipped table, or `None` if
/// neither has it.
#[must_use]
pub fn on_demand(
    instance_type: &InstanceType,
    known: Option<&DatedPrice>,
    region: &str,
    now: Timestamp,
) -> Option<Price> {
    if let Some(known) = known {
        return Some(Price {
            per_hour: known.per_hour,
            source: source_of(known.at, LISTED_FRESH, now),
        });
    }
    let table = Table::embedded().ok()?;
    let price = table.get(instance_type)?.price?;
    Some(Price {
        per_hour: price.times(region_factor(&table.region, region)),
        source: PriceSource::Shipped,
    })
}

/// The factor that turns a price `of` one region into one of another.
fn region_factor(of: &str, region: &str) -> u64 {
    if of == region { 1 } else { REGION_FACTOR }
}

/// The day, in UTC, of the shipped prices: that of the older table.
#[must_use]
pub fn shipped_on() -> &'static str {
    static DAY: LazyLock<String> = LazyLock::new(|| {
        let of_types = Table::embedded().ok().and_then(|table| day(&table.prices_at));
        let of_volumes = Rates::embedded().ok().map(|rates| rates.at);
        let earlier = of_types.into_iter().chain(of_volumes).min();
        earlier.map_or_else(|| "an unknown day".to_owned(), Timestamp::utc_day)
    });
    &DAY
}

/// Returns a remark for a report whose prices are not all fresh from AWS.
#[must_use]
pub fn remark(source: PriceSource) -> Option<String> {
    match source {
        PriceSource::Aws => None,
        PriceSource::Earlier => {
            Some("AWS could not be asked again for every price: an earlier price of AWS was used".to_owned())
        }
        PriceSource::Shipped => Some(format!(
            "AWS could not be asked for every price: the program's own table of {} was used, and may be too high",
            shipped_on()
        )),
    }
}

/// Reads the begin of a day as the tables write it: `2026-02-09`.
fn day(text: &str) -> Option<Timestamp> {
    let mut parts = text.splitn(3, '-').map(str::parse);
    let (Some(Ok(year)), Some(Ok(month)), Some(Ok(day))) = (parts.next(), parts.next(), parts.next()) else {
        return None;
    };
    let begins = Timestamp::from_utc_day(year, month, day);
    (begins.utc_day() == text).then_some(begins)
}

/// The type of a volume, or the default if it names none.
#[must_use]
pub fn kind_of(volume: Volume) -> VolumeType {
    volume.kind.unwrap_or(DEFAULT_VOLUME)
}

/// The shipped table of the rates of volumes and addresses, and of what a volume includes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rates {
    region: String,
    at: Timestamp,
    volumes: BTreeMap<VolumeType, Shipped>,
    address: MicroDollars,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Shipped {
    rate: VolumeRate,
    /// The included operations per second.
    free_iops: u32,
    /// The included MiB per second.
    free_throughput: u32,
}

#[derive(Deserialize)]
struct RawRates {
    region: String,
    at: String,
    volumes: BTreeMap<VolumeType, RawVolume>,
    address_hour: String,
}

#[derive(Deserialize)]
struct RawVolume {
    gib_month: String,
    iops_month: Option<String>,
    #[serde(default)]
    free_iops: u32,
    throughput_month: Option<String>,
    #[serde(default)]
    free_throughput: u32,
}

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the table of rates cannot be read: {0}")]
pub struct RatesError(String);

impl Rates {
    /// Returns the shipped rates.
    ///
    /// # Errors
    /// Never: the table is our own, and a test reads it.
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
                throughput_month: optional(raw.throughput_month)?,
            };
            let shipped = Shipped {
                rate,
                free_iops: raw.free_iops,
                free_throughput: raw.free_throughput,
            };
            Ok((kind, shipped))
        });
        Ok(Self {
            volumes: volumes.collect::<Result<_, RatesError>>()?,
            address: amount(&raw.address_hour)?,
            at: day(&raw.at).ok_or_else(|| RatesError(format!("`{}` is no day", raw.at)))?,
            region: raw.region,
        })
    }

    /// The price of a public IPv4 address per hour, the same in all regions.
    ///
    /// <https://aws.amazon.com/vpc/pricing/>
    #[must_use]
    pub fn address(&self) -> MicroDollars {
        self.address
    }

    /// The rate of a volume type in the table's own region.
    #[must_use]
    pub fn of(&self, kind: VolumeType) -> Option<VolumeRate> {
        self.volumes.get(&kind).map(|known| known.rate)
    }

    /// Returns the rate of a volume type in a region: AWS's, or else that of the shipped table.
    ///
    /// <https://aws.amazon.com/ebs/pricing/>
    #[must_use]
    pub fn volume(&self, kind: VolumeType, known: Option<&DatedRate>, region: &str, now: Timestamp) -> VolumePrice {
        if let Some(known) = known {
            return VolumePrice {
                rate: known.rate,
                source: source_of(known.at, LISTED_FRESH, now),
            };
        }
        let times = region_factor(&self.region, region);
        let rate = self
            .volumes
            .get(&kind)
            .map_or_else(VolumeRate::default, |shipped| VolumeRate {
                gib_month: shipped.rate.gib_month.times(times),
                iops_month: shipped.rate.iops_month.times(times),
                throughput_month: shipped.rate.throughput_month.times(times),
            });
        VolumePrice {
            rate,
            source: PriceSource::Shipped,
        }
    }

    /// Returns the cost of a month of a root volume of `gib` GiB at a rate.
    #[must_use]
    pub fn month_of(&self, volume: Volume, gib: u32, rate: &VolumeRate) -> MicroDollars {
        let (iops, throughput) = self
            .volumes
            .get(&kind_of(volume))
            .map_or((0, 0), |known| (known.free_iops, known.free_throughput));
        let beyond = |asked: Option<u32>, free: u32| u64::from(asked.unwrap_or(0).saturating_sub(free));
        rate.gib_month.times(u64::from(gib))
            + rate.iops_month.times(beyond(volume.iops, iops))
            + rate.throughput_month.times(beyond(volume.throughput, throughput))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: Duration = Duration::from_hours(1);

    fn at(hours: u32) -> Timestamp {
        Timestamp::from_seconds(0).after(hours * HOUR)
    }

    #[test]
    fn aws_price_comes_first_and_is_old_after_a_day() {
        let g4dn = InstanceType::new("g4dn.xlarge");
        let known = DatedPrice {
            per_hour: MicroDollars(587_000),
            at: at(0),
        };
        for (name, known, region, hours, expected) in [
            (&g4dn, Some(&known), "eu-west-1", 23, Some((587_000, PriceSource::Aws))),
            (
                &g4dn,
                Some(&known),
                "eu-west-1",
                24,
                Some((587_000, PriceSource::Earlier)),
            ),
            (&g4dn, None, "us-east-1", 0, Some((526_000, PriceSource::Shipped))),
            (&g4dn, None, "eu-west-1", 0, Some((1_052_000, PriceSource::Shipped))),
            (&InstanceType::new("g99.huge"), None, "us-east-1", 0, None),
        ] {
            let price = on_demand(name, known, region, at(hours)).map(|price| (price.per_hour.0, price.source));
            assert_eq!(price, expected, "{name} in {region}");
        }
    }

    #[test]
    fn sources_are_ordered_by_quality() {
        assert!(PriceSource::Aws < PriceSource::Earlier && PriceSource::Earlier < PriceSource::Shipped);
    }

    #[test]
    fn volume_costs_its_size_and_what_is_not_included() {
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
            let month = |region| {
                let price = rates.volume(kind_of(volume), None, region, at(0));
                assert_eq!(price.source, PriceSource::Shipped);
                rates.month_of(volume, gib, &price.rate).0
            };
            assert_eq!(month("us-east-1"), micros, "{volume:?}");
            assert_eq!(month("sa-east-1"), 2 * micros, "{volume:?}");
        }
        assert_eq!(rates.address().0, 5000);
    }

    #[test]
    fn volume_costs_the_aws_rate_of_its_region() {
        let rates = Rates::embedded().unwrap();
        let known = DatedRate {
            rate: VolumeRate {
                gib_month: MicroDollars(88_000),
                iops_month: MicroDollars(5_500),
                throughput_month: MicroDollars(44_000),
            },
            at: at(0),
        };
        let volume = Volume {
            kind: None,
            iops: Some(3001),
            throughput: Some(126),
        };
        for (hours, source) in [(1, PriceSource::Aws), (30, PriceSource::Earlier)] {
            let price = rates.volume(VolumeType::Gp3, Some(&known), "eu-west-1", at(hours));
            assert_eq!(price.source, source);
            assert_eq!(rates.month_of(volume, 100, &price.rate).0, 8_800_000 + 5_500 + 44_000);
        }
    }

    #[test]
    fn shipped_prices_are_dated_by_the_older_table() {
        assert_eq!(shipped_on(), "2026-02-09");
        assert!(remark(PriceSource::Shipped).unwrap().contains("table of 2026-02-09"));
        assert!(remark(PriceSource::Earlier).is_some() && remark(PriceSource::Aws).is_none());
        for (text, is_day) in [
            ("2026-02-09", true),
            ("2026-02-30", false),
            ("2026-2-9", false),
            ("soon", false),
        ] {
            assert_eq!(day(text).is_some(), is_day, "{text}");
        }
    }
}
