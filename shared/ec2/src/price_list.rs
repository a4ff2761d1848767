//! On-demand and volume prices from AWS's price list.
//!
//! <https://docs.aws.amazon.com/awsaccountbilling/latest/aboutv2/using-price-list-query-api.html>

use std::collections::BTreeMap;

use aws_sdk_pricing::Client;
use aws_sdk_pricing::config::Region;
use aws_sdk_pricing::types::{Filter, FilterType};
use dayfly_aws::SdkConfig;
use dayfly_config::VolumeType;
use dayfly_ports::{FleetError, FleetErrorKind};
use dayfly_records::prices::VolumeRate;
use dayfly_types::ids::InstanceType;
use dayfly_types::money::MicroDollars;
use serde::Deserialize;

use crate::{Ec2Fleet, call_error, unexpected};

/// The region that serves the price list of all regions.
const HOME: &str = "us-east-1";

/// Throughput is listed per GiB and requested in MiB.
const MIB_IN_GIB: u64 = 1024;

/// The list's name for EC2.
const EC2: &str = "AmazonEC2";

/// The price list of one region.
#[derive(Clone, Debug)]
pub(crate) struct PriceList {
    client: Client,
    region: String,
}

impl PriceList {
    pub(crate) fn new(config: &SdkConfig) -> Self {
        let region = config.region().map_or(HOME, Region::as_ref).to_owned();
        let config = aws_sdk_pricing::config::Builder::from(config)
            .region(Region::new(HOME))
            .build();
        Self {
            client: Client::from_conf(config),
            region,
        }
    }
}

#[derive(Deserialize)]
struct PriceEntry {
    #[serde(default)]
    product: Product,
    terms: PriceTerms,
}

#[derive(Default, Deserialize)]
struct Product {
    #[serde(default)]
    attributes: Attributes,
}

#[derive(Default, Deserialize)]
struct Attributes {
    /// Prefixed with a short name of the region: `EU-EBS:VolumeUsage.gp3`.
    #[serde(default)]
    usagetype: String,
}

#[derive(Deserialize)]
struct PriceTerms {
    #[serde(rename = "OnDemand", default)]
    on_demand: BTreeMap<String, Offer>,
}

#[derive(Deserialize)]
struct Offer {
    #[serde(rename = "priceDimensions")]
    dimensions: BTreeMap<String, Dimension>,
}

#[derive(Deserialize)]
struct Dimension {
    unit: String,
    #[serde(rename = "pricePerUnit")]
    per_unit: BTreeMap<String, String>,
}

impl PriceEntry {
    fn read(text: &str) -> Result<Self, FleetError> {
        serde_json::from_str(text).map_err(|error| unexpected(&format!("AWS's price list: {error}")))
    }

    /// Returns the price per unit, or `None` if the entry has none: entries for reserved or bundled capacity
    /// list zero.
    fn price_of(&self, unit: &str) -> Result<Option<MicroDollars>, FleetError> {
        let offers = self.terms.on_demand.values();
        let of_unit = offers
            .flat_map(|offer| offer.dimensions.values())
            .filter(|dimension| dimension.unit.eq_ignore_ascii_case(unit));
        for dimension in of_unit {
            let Some(text) = dimension.per_unit.get("USD") else {
                continue;
            };
            let price = MicroDollars::from_decimal(text).map_err(|error| unexpected(&error.to_string()))?;
            if price > MicroDollars::default() {
                return Ok(Some(price));
            }
        }
        Ok(None)
    }

    /// Whether the entry is for this usage type, in any region.
    fn is_for(&self, usage: &str) -> bool {
        let listed = &self.product.attributes.usagetype;
        listed == usage || listed.strip_suffix(usage).is_some_and(|region| region.ends_with('-'))
    }
}

/// The list's names for a volume type and the usage types it is billed by.
struct VolumeListing {
    name: &'static str,
    /// Per GiB.
    gib: &'static str,
    /// Per IOPS, if billed.
    iops: Option<&'static str>,
    /// Per GiB/s, if billed.
    throughput: Option<&'static str>,
}

fn volume_listing(kind: VolumeType) -> VolumeListing {
    let (name, gib, iops, throughput) = match kind {
        VolumeType::Gp3 => (
            "gp3",
            "EBS:VolumeUsage.gp3",
            Some("EBS:VolumeP-IOPS.gp3"),
            Some("EBS:VolumeP-Throughput.gp3"),
        ),
        VolumeType::Gp2 => ("gp2", "EBS:VolumeUsage.gp2", None, None),
        VolumeType::Io1 => ("io1", "EBS:VolumeUsage.piops", Some("EBS:VolumeP-IOPS.piops"), None),
        // IOPS beyond 32,000 cost less but are counted at the first tier's price: no root volume needs them.
        VolumeType::Io2 => ("io2", "EBS:VolumeUsage.io2", Some("EBS:VolumeP-IOPS.io2"), None),
    };
    VolumeListing {
        name,
        gib,
        iops,
        throughput,
    }
}

impl Ec2Fleet {
    pub(crate) async fn listed_price(&self, instance_type: &InstanceType) -> Result<Option<MicroDollars>, FleetError> {
        let filters = [
            ("instanceType", instance_type.as_str()),
            ("regionCode", self.prices.region.as_str()),
            ("operatingSystem", "Linux"),
            ("preInstalledSw", "NA"),
            ("tenancy", "Shared"),
            ("capacitystatus", "Used"),
        ];
        for entry in self.products(&filters).await? {
            if let Some(price) = entry.price_of("Hrs")? {
                return Ok(Some(price));
            }
        }
        Ok(None)
    }

    /// Returns the rate of a volume type, or `None` if the list lacks a part of it.
    pub(crate) async fn listed_rate(&self, kind: VolumeType) -> Result<Option<VolumeRate>, FleetError> {
        let VolumeListing {
            name,
            gib,
            iops,
            throughput,
        } = volume_listing(kind);
        let filters = [("volumeApiName", name), ("regionCode", self.prices.region.as_str())];
        let entries = self.products(&filters).await?;
        let price = |usage: &str, units: &[&str]| -> Result<Option<MicroDollars>, FleetError> {
            for entry in entries.iter().filter(|entry| entry.is_for(usage)) {
                for unit in units {
                    if let Some(price) = entry.price_of(unit)? {
                        return Ok(Some(price));
                    }
                }
            }
            Ok(None)
        };
        // What is not billed costs nothing.
        let part = |usage: Option<&str>, unit: &str| match usage {
            Some(usage) => price(usage, &[unit]),
            None => Ok(Some(MicroDollars::default())),
        };
        let (gib, iops) = (price(gib, &["GB-Mo", "GB-month"])?, part(iops, "IOPS-Mo")?);
        let throughput = match part(throughput, "GiBps-mo")? {
            Some(of_gib) => Some(MicroDollars(of_gib.0.div_ceil(MIB_IN_GIB))),
            None => part(throughput, "MiBps-mo")?,
        };
        Ok(gib
            .zip(iops)
            .zip(throughput)
            .map(|((gib_month, iops_month), throughput_month)| VolumeRate {
                gib_month,
                iops_month,
                throughput_month,
            }))
    }

    async fn products(&self, filters: &[(&str, &str)]) -> Result<Vec<PriceEntry>, FleetError> {
        let filters = filters.iter().copied().map(equals).collect::<Result<Vec<_>, _>>()?;
        let answer = self
            .prices
            .client
            .get_products()
            .service_code(EC2)
            .set_filters(Some(filters))
            .send()
            .await
            .map_err(|error| FleetError {
                kind: FleetErrorKind::Unknown,
                ..call_error(&error)
            })?;
        answer.price_list().iter().map(|text| PriceEntry::read(text)).collect()
    }
}

fn equals((field, value): (&str, &str)) -> Result<Filter, FleetError> {
    Filter::builder()
        .r#type(FilterType::TermMatch)
        .field(field)
        .value(value)
        .build()
        .map_err(|error| unexpected(&error.to_string()))
}
