//! Spot prices, and whether EC2 itself ended a spot instance.

use aws_sdk_ec2::error::ProvideErrorMetadata as _;
use aws_sdk_ec2::primitives::DateTime;
use aws_sdk_ec2::types::{InstanceType as SdkInstanceType, Reservation, SpotPrice as SdkSpotPrice};
use dayfly_ports::FleetError;
use dayfly_records::prices::SpotPrice;
use dayfly_types::capacity::Pool;
use dayfly_types::ids::InstanceId;
use dayfly_types::money::MicroDollars;
use dayfly_types::time::Timestamp;

use crate::{Ec2Fleet, call_error, unexpected};

/// The prefix of state reasons for which EC2 itself ends a spot instance.
///
/// <https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_StateReason.html>
const BY_EC2: &str = "Server.SpotInstance";

impl Ec2Fleet {
    pub(crate) async fn spot_prices_of(
        &self,
        pool: &Pool,
        from: Timestamp,
        to: Timestamp,
    ) -> Result<Vec<SpotPrice>, FleetError> {
        // EC2 lists the prices set within the span, and the one in force at its start.
        let mut pages = self
            .client
            .describe_spot_price_history()
            .instance_types(SdkInstanceType::from(pool.instance_type.as_str()))
            .product_descriptions("Linux/UNIX")
            .availability_zone(pool.zone.as_str())
            .start_time(DateTime::from_millis(from.millis()))
            .end_time(DateTime::from_millis(to.millis()))
            .into_paginator()
            .items()
            .send();
        let mut found = Vec::new();
        while let Some(price) = pages.next().await {
            match price {
                Ok(price) => found.extend(read(&price)?),
                // An emulator of EC2 without this action.
                Err(error) if error.code() == Some("InvalidAction") => return Ok(Vec::new()),
                Err(error) => return Err(call_error(&error)),
            }
        }
        found.sort_by_key(|price| price.since);
        Ok(found)
    }

    pub(crate) async fn was_ended_by_ec2(&self, instance: &InstanceId) -> Result<bool, FleetError> {
        let answer = self
            .client
            .describe_instances()
            .filters(self.stack_filter())
            .filters(crate::filter("instance-id", [instance.as_str()]))
            .send()
            .await
            .map_err(|error| call_error(&error))?;
        let mut found = answer.reservations().iter().flat_map(Reservation::instances);
        let code = found.find_map(|one| one.state_reason()?.code());
        Ok(code.is_some_and(|code| code.starts_with(BY_EC2)))
    }
}

fn read(price: &SdkSpotPrice) -> Result<Option<SpotPrice>, FleetError> {
    let (Some(text), Some(at)) = (price.spot_price(), price.timestamp()) else {
        return Ok(None);
    };
    let per_hour = MicroDollars::from_decimal(text).map_err(|error| unexpected(&error.to_string()))?;
    let since = at.to_millis().map_err(|error| unexpected(&error.to_string()))?;
    Ok(Some(SpotPrice {
        per_hour,
        since: Timestamp::from_millis(since),
    }))
}
