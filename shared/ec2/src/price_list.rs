//! AWS's price list, as far as it is about instances and their volumes.
//!
//! <https://docs.aws.amazon.com/awsaccountbilling/latest/aboutv2/using-price-list-query-api.html>

use std::collections::BTreeMap;

use aws_sdk_pricing::Client;
use aws_sdk_pricing::config::Region;
use aws_sdk_pricing::types::{Filter, FilterType};
use dayfly_aws::{SdkConfig, failure};
use dayfly_config::VolumeType;
use dayfly_ports::{FleetError, FleetErrorKind};
use dayfly_records::prices::VolumeRate;
use dayfly_types::ids::InstanceType;
use dayfly_types::money::MicroDollars;
use serde::Deserialize;

use crate::{Ec2Fleet, unexpected};

/// Where the price list of all regions is.
const HOME: &str = "us-east-1";

/// So many MiB are a GiB: throughput is listed by the GiB, and asked for by the MiB.
const MIB_IN_GIB: u64 = 1024;

/// What the list calls EC2.
const EC2: &str = "AmazonEC2";

/// The price list, for one region.
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

/// An entry of the list, as far as it matters here.
#[derive(Deserialize)]
struct Entry {
    #[serde(default)]
    product: Product,
    terms: Terms,
}

#[derive(Default, Deserialize)]
struct Product {
    #[serde(default)]
    attributes: Attributes,
}

#[derive(Default, Deserialize)]
struct Attributes {
    /// What is used, behind a short name of the region: `EU-EBS:VolumeUsage.gp3`.
    #[serde(default)]
    usagetype: String,
}

#[derive(Deserialize)]
struct Terms {
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

impl Entry {
    fn read(text: &str) -> Result<Self, FleetError> {
        serde_json::from_str(text).map_err(|error| unexpected(&format!("AWS's price list: {error}")))
    }

    /// The price of a unit, if the entry has one: some are of what is bought otherwise, or comes with something
    /// else, and cost nothing.
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

    /// Whether it is of this usage, in whichever region.
    fn is_of(&self, usage: &str) -> bool {
        let known = &self.product.attributes.usagetype;
        known == usage || known.strip_suffix(usage).is_some_and(|region| region.ends_with('-'))
    }
}

/// What the list calls a type of volume and its parts.
struct Listed {
    /// The type.
    name: &'static str,
    /// A GiB of it.
    gib: &'static str,
    /// An operation per second, where those are sold.
    iops: Option<&'static str>,
    /// A GiB per second, where that is sold.
    throughput: Option<&'static str>,
}

fn listed(kind: VolumeType) -> Listed {
    let (name, gib, iops, throughput) = match kind {
        VolumeType::Gp3 => (
            "gp3",
            "EBS:VolumeUsage.gp3",
            Some("EBS:VolumeP-IOPS.gp3"),
            Some("EBS:VolumeP-Throughput.gp3"),
        ),
        VolumeType::Gp2 => ("gp2", "EBS:VolumeUsage.gp2", None, None),
        VolumeType::Io1 => ("io1", "EBS:VolumeUsage.piops", Some("EBS:VolumeP-IOPS.piops"), None),
        // Operations beyond 32,000 cost less, and are counted as dear as the first: no root volume needs them.
        VolumeType::Io2 => ("io2", "EBS:VolumeUsage.io2", Some("EBS:VolumeP-IOPS.io2"), None),
    };
    Listed {
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

    /// What a type of volume costs; nothing if the list lacks a part of that.
    pub(crate) async fn listed_rate(&self, kind: VolumeType) -> Result<Option<VolumeRate>, FleetError> {
        let Listed {
            name,
            gib,
            iops,
            throughput,
        } = listed(kind);
        let filters = [("volumeApiName", name), ("regionCode", self.prices.region.as_str())];
        let entries = self.products(&filters).await?;
        let price = |usage: &str, units: &[&str]| -> Result<Option<MicroDollars>, FleetError> {
            for entry in entries.iter().filter(|entry| entry.is_of(usage)) {
                for unit in units {
                    if let Some(price) = entry.price_of(unit)? {
                        return Ok(Some(price));
                    }
                }
            }
            Ok(None)
        };
        // What is not sold costs nothing.
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

    /// The entries of the list that filters let through.
    async fn products(&self, filters: &[(&str, &str)]) -> Result<Vec<Entry>, FleetError> {
        let filters = filters.iter().copied().map(equals).collect::<Result<Vec<_>, _>>()?;
        let answer = self
            .prices
            .client
            .get_products()
            .service_code(EC2)
            .set_filters(Some(filters))
            .send()
            .await
            .map_err(|error| {
                let failure = failure(&error);
                FleetError {
                    kind: FleetErrorKind::Unknown,
                    code: failure.code.unwrap_or_else(|| crate::NO_ANSWER.to_owned()),
                    message: failure.message,
                    pool: None,
                }
            })?;
        answer.price_list().iter().map(|text| Entry::read(text)).collect()
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
