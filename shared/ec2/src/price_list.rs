//! AWS's price list, as far as it is about instances.
//!
//! <https://docs.aws.amazon.com/awsaccountbilling/latest/aboutv2/using-price-list-query-api.html>

use std::collections::BTreeMap;

use aws_sdk_pricing::Client;
use aws_sdk_pricing::config::Region;
use aws_sdk_pricing::types::{Filter, FilterType};
use dayfly_aws::{SdkConfig, failure};
use dayfly_core::ids::InstanceType;
use dayfly_core::money::MicroDollars;
use dayfly_ports::{FleetError, FleetErrorKind};
use serde::Deserialize;

use crate::{Ec2Fleet, unexpected};

/// Where the price list of all regions is.
const HOME: &str = "us-east-1";

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
    terms: Terms,
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
        let filters = filters.into_iter().map(equals).collect::<Result<Vec<_>, _>>()?;
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
        for entry in answer.price_list() {
            if let Some(price) = price(entry)? {
                return Ok(Some(price));
            }
        }
        Ok(None)
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

/// The price per hour of an entry, if it has one: some are of what is bought otherwise, and cost nothing
/// by the hour.
fn price(entry: &str) -> Result<Option<MicroDollars>, FleetError> {
    let entry: Entry =
        serde_json::from_str(entry).map_err(|error| unexpected(&format!("AWS's price list: {error}")))?;
    let offers = entry.terms.on_demand.into_values();
    let by_the_hour = offers
        .flat_map(|offer| offer.dimensions.into_values())
        .filter(|dimension| dimension.unit == "Hrs");
    for dimension in by_the_hour {
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
