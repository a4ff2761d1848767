//! What things cost: prices as AWS told them, and those that this program came with.

use std::collections::BTreeMap;
use std::sync::LazyLock;
use std::time::Duration;

use dayfly_config::machines::Table;
use dayfly_config::{Volume, VolumeType};
use dayfly_types::ids::InstanceType;
use dayfly_types::money::MicroDollars;
use dayfly_types::time::Timestamp;
use serde::{Deserialize, Serialize};

/// How long a price of AWS's price list is used before AWS is asked for it again.
pub const LISTED_FRESH: Duration = Duration::from_hours(24);

/// The same of the price of spot capacity.
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
    /// AWS's, of the stack's region and of an earlier time: it could not be asked anew.
    Earlier,
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

/// What a month of a volume costs: for each GiB, and for each operation and MiB per second beyond what comes
/// with it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct VolumeRate {
    /// A GiB.
    pub gib_month: MicroDollars,
    /// An operation per second; nothing where they are not sold.
    pub iops_month: MicroDollars,
    /// A MiB per second; nothing where they are not sold.
    pub throughput_month: MicroDollars,
}

/// What a volume costs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct VolumePrice {
    /// So much.
    pub rate: VolumeRate,
    /// Who says so.
    pub source: PriceSource,
}

/// What a volume costs as AWS told it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DatedRate {
    /// What a month of it costs.
    pub rate: VolumeRate,
    /// When it was asked for.
    pub at: Timestamp,
}

/// Whose word it is that AWS told `at` some moment and that is fresh for a while.
fn source_of(at: Timestamp, fresh: Duration, now: Timestamp) -> PriceSource {
    if now.since(at) < fresh {
        PriceSource::Aws
    } else {
        PriceSource::Earlier
    }
}

impl DatedRate {
    /// Whether it is used without asking again.
    #[must_use]
    pub fn is_fresh(&self, now: Timestamp) -> bool {
        source_of(self.at, LISTED_FRESH, now) == PriceSource::Aws
    }
}

/// A price as AWS told it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DatedPrice {
    /// What an hour costs.
    pub per_hour: MicroDollars,
    /// When it was asked for.
    pub at: Timestamp,
}

impl DatedPrice {
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
pub fn on_demand(
    instance_type: &InstanceType,
    told: Option<&DatedPrice>,
    region: &str,
    now: Timestamp,
) -> Option<Price> {
    if let Some(told) = told {
        return Some(Price {
            per_hour: told.per_hour,
            source: source_of(told.at, LISTED_FRESH, now),
        });
    }
    let table = Table::embedded().ok()?;
    let price = table.get(instance_type)?.price?;
    Some(Price {
        per_hour: price.times(dearer(&table.region, region)),
        source: PriceSource::Shipped,
    })
}

/// How many times as much is reckoned with in a region for what is known `of` another.
fn dearer(of: &str, region: &str) -> u64 {
    if of == region { 1 } else { DEAREST_REGION }
}

/// The day, in UTC, that the prices are of which the program came with: the earlier one, where its tables are
/// of two.
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

/// What is to be said where not all prices are AWS's of now.
#[must_use]
pub fn remark(source: PriceSource) -> Option<String> {
    match source {
        PriceSource::Aws => None,
        PriceSource::Earlier => Some(
            "AWS could not be asked for every price anew: the last that it told was used, from before that time"
                .to_owned(),
        ),
        PriceSource::Shipped => Some(format!(
            "AWS could not be asked for every price: the program's own table of {} was used, and may be too high",
            shipped_on()
        )),
    }
}

/// The begin of a day as the tables have it: `2026-02-09`.
fn day(text: &str) -> Option<Timestamp> {
    let mut parts = text.splitn(3, '-').map(str::parse);
    let (Some(Ok(year)), Some(Ok(month)), Some(Ok(day))) = (parts.next(), parts.next(), parts.next()) else {
        return None;
    };
    let begins = Timestamp::from_utc_day(year, month, day);
    (begins.utc_day() == text).then_some(begins)
}

/// The type of a volume, as it comes where none is named.
#[must_use]
pub fn kind_of(volume: Volume) -> VolumeType {
    volume.kind.unwrap_or(USUAL_VOLUME)
}

/// What volumes and addresses cost, by the table that the program came with, and what comes with a volume.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rates {
    region: String,
    at: Timestamp,
    volumes: BTreeMap<VolumeType, Shipped>,
    address: MicroDollars,
}

/// What is known of a type of volume.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Shipped {
    rate: VolumeRate,
    /// The operations per second that come with it.
    free_iops: u32,
    /// The MiB per second that come with it.
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

    /// What a public IPv4 address costs per hour, which is the same in all regions.
    ///
    /// <https://aws.amazon.com/vpc/pricing/>
    #[must_use]
    pub fn address(&self) -> MicroDollars {
        self.address
    }

    /// What a type of volume costs in the region of this table.
    #[must_use]
    pub fn of(&self, kind: VolumeType) -> Option<VolumeRate> {
        self.volumes.get(&kind).map(|known| known.rate)
    }

    /// What a type of volume costs in a region: what AWS told of it, or else the program's own table.
    ///
    /// <https://aws.amazon.com/ebs/pricing/>
    #[must_use]
    pub fn volume(&self, kind: VolumeType, told: Option<&DatedRate>, region: &str, now: Timestamp) -> VolumePrice {
        if let Some(told) = told {
            return VolumePrice {
                rate: told.rate,
                source: source_of(told.at, LISTED_FRESH, now),
            };
        }
        let times = dearer(&self.region, region);
        let rate = self
            .volumes
            .get(&kind)
            .map_or_else(VolumeRate::default, |known| VolumeRate {
                gib_month: known.rate.gib_month.times(times),
                iops_month: known.rate.iops_month.times(times),
                throughput_month: known.rate.throughput_month.times(times),
            });
        VolumePrice {
            rate,
            source: PriceSource::Shipped,
        }
    }

    /// What a month of a root volume of so many GiB costs at a rate.
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
    fn what_aws_tells_goes_before_what_the_program_came_with_and_is_said_to_be_old_after_a_day() {
        let g4dn = InstanceType::new("g4dn.xlarge");
        let told = DatedPrice {
            per_hour: MicroDollars(587_000),
            at: at(0),
        };
        for (name, told, region, hours, expected) in [
            (&g4dn, Some(&told), "eu-west-1", 23, Some((587_000, PriceSource::Aws))),
            (
                &g4dn,
                Some(&told),
                "eu-west-1",
                24,
                Some((587_000, PriceSource::Earlier)),
            ),
            (&g4dn, None, "us-east-1", 0, Some((526_000, PriceSource::Shipped))),
            (&g4dn, None, "eu-west-1", 0, Some((1_052_000, PriceSource::Shipped))),
            (&InstanceType::new("g99.huge"), None, "us-east-1", 0, None),
        ] {
            let price = on_demand(name, told, region, at(hours)).map(|price| (price.per_hour.0, price.source));
            assert_eq!(price, expected, "{name} in {region}");
        }
    }

    #[test]
    fn a_source_is_the_less_good_the_less_it_is_aws_of_now() {
        assert!(PriceSource::Aws < PriceSource::Earlier && PriceSource::Earlier < PriceSource::Shipped);
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
    fn a_volume_costs_what_aws_tells_of_its_region() {
        let rates = Rates::embedded().unwrap();
        let told = DatedRate {
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
            let price = rates.volume(VolumeType::Gp3, Some(&told), "eu-west-1", at(hours));
            assert_eq!(price.source, source);
            assert_eq!(rates.month_of(volume, 100, &price.rate).0, 8_800_000 + 5_500 + 44_000);
        }
    }

    #[test]
    fn the_day_of_the_shipped_prices_is_that_of_the_older_table() {
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
