//! The EC2 adapter: launches fleets, ends instances, and reads instances, images, subnets and prices.
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used))]

mod answer;
mod fleet;
mod images;
mod kind;
mod price_list;
mod spot_prices;
mod subnets;
mod terminate;
mod variants;
mod view;

use std::time::Duration;

use aws_sdk_ec2::Client;
use aws_sdk_ec2::config::timeout::TimeoutConfig;
use aws_sdk_ec2::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_ec2::types::{Filter, Reservation};
use dayfly_aws::{SdkConfig, failure};
use dayfly_config::machines::Arch;
use dayfly_config::{ImageName, VolumeType};
use dayfly_ports::{Fleet, FleetAnswer, FleetError, FleetErrorKind, FleetRequest, Image, InstanceView};
use dayfly_records::prices::{SpotPrice, VolumeRate};
use dayfly_types::capacity::Pool;
use dayfly_types::ids::{FleetId, ImageId, InstanceId, InstanceType, SubnetId, Zone};
use dayfly_types::money::MicroDollars;
use dayfly_types::time::Timestamp;

pub use dayfly_settings::Ec2Settings;

use kind::kind_of;
use price_list::PriceList;
use variants::TemplateCache;

/// Marks the instances of one stack: no others are listed or ended.
pub const TAG_STACK: &str = "dayfly:stack";
/// The call that launched the instance, so that it is found even if the answer is lost.
pub const TAG_FLEET: &str = "dayfly:fleet";
/// The repository that the instance's runner registers in.
pub const TAG_REPOSITORY: &str = "dayfly:repository";
/// The App's installation on that repository.
pub const TAG_INSTALLATION: &str = "dayfly:installation";
/// Marks everything that dayfly manages, in any stack.
pub const TAG_MANAGED: &str = "dayfly:managed";
/// The name that consoles show.
pub const TAG_NAME: &str = "Name";

/// The time limit of one try: `CreateFleet` answers only once instances are found, which takes seconds.
const ATTEMPT_TIMEOUT: Duration = Duration::from_secs(15);

/// The time limit of a call with all its tries: shorter than the time after which another invocation takes
/// over the launch.
const OPERATION_TIMEOUT: Duration = Duration::from_secs(40);

/// The error code of a call that got no answer.
const NO_ANSWER: &str = "NoAnswer";

/// EC2, as one stack sees it.
#[derive(Clone, Debug)]
pub struct Ec2Fleet {
    client: Client,
    prices: PriceList,
    settings: Ec2Settings,
    templates: TemplateCache,
}

impl Ec2Fleet {
    /// Nothing is sent yet.
    #[must_use]
    pub fn new(config: &SdkConfig, settings: Ec2Settings) -> Self {
        let timeouts = TimeoutConfig::builder()
            .operation_attempt_timeout(ATTEMPT_TIMEOUT)
            .operation_timeout(OPERATION_TIMEOUT);
        let timeouts = match dayfly_aws::timeouts().connect_timeout() {
            Some(connect) => timeouts.connect_timeout(connect),
            None => timeouts,
        };
        let prices = PriceList::new(config);
        let config = aws_sdk_ec2::config::Builder::from(config)
            .timeout_config(timeouts.build())
            .build();
        Self {
            client: Client::from_conf(config),
            prices,
            settings,
            templates: TemplateCache::default(),
        }
    }

    fn stack_filter(&self) -> Filter {
        filter(&format!("tag:{TAG_STACK}"), [self.settings.stack.as_str()])
    }

    /// Returns the instances of the stack that match `filters`, from all pages.
    async fn describe(&self, filters: Vec<Filter>) -> Result<Vec<InstanceView>, FleetError> {
        let mut pages = self
            .client
            .describe_instances()
            .set_filters(Some([vec![self.stack_filter()], filters].concat()))
            .into_paginator()
            .send();
        let mut found = Vec::new();
        while let Some(page) = pages.next().await {
            let page = page.map_err(|error| call_error(&error))?;
            for instance in page.reservations().iter().flat_map(Reservation::instances) {
                found.push(view::read(instance)?);
            }
        }
        Ok(found)
    }
}

impl Fleet for Ec2Fleet {
    async fn create(&self, request: &FleetRequest) -> Result<FleetAnswer, FleetError> {
        let template = self.template(&request.overrides).await?;
        let answer = fleet::call(&self.client, &self.settings, template, request)
            .send()
            .await
            .map_err(|error| call_error(&error))?;
        Ok(answer::read(&answer, request))
    }

    async fn terminate(&self, instances: &[InstanceId], at_once: bool) -> Result<(), FleetError> {
        self.terminate_ours(instances, at_once).await
    }

    async fn instances_of(&self, fleet: &FleetId) -> Result<Vec<InstanceView>, FleetError> {
        let of_fleet = filter(&format!("tag:{TAG_FLEET}"), [fleet.as_str()]);
        self.describe(vec![of_fleet]).await
    }

    async fn zones(&self, subnets: &[SubnetId]) -> Result<Vec<(SubnetId, Zone)>, FleetError> {
        self.zones_of(subnets).await
    }

    async fn instances(&self) -> Result<Vec<InstanceView>, FleetError> {
        self.describe(Vec::new()).await
    }

    async fn image(&self, image: &ImageId) -> Result<Image, FleetError> {
        self.image_of(image).await
    }

    async fn newest_image(&self, name: &ImageName, arch: Arch) -> Result<Image, FleetError> {
        self.newest_of(name, arch).await
    }

    async fn spot_prices(&self, pool: &Pool, from: Timestamp, to: Timestamp) -> Result<Vec<SpotPrice>, FleetError> {
        self.spot_prices_of(pool, from, to).await
    }

    async fn on_demand_price(&self, instance_type: &InstanceType) -> Result<Option<MicroDollars>, FleetError> {
        self.listed_price(instance_type).await
    }

    async fn volume_rate(&self, kind: VolumeType) -> Result<Option<VolumeRate>, FleetError> {
        self.listed_rate(kind).await
    }

    async fn ended_by_ec2(&self, instance: &InstanceId) -> Result<bool, FleetError> {
        self.was_ended_by_ec2(instance).await
    }
}

fn filter<'a>(name: &str, values: impl IntoIterator<Item = &'a str>) -> Filter {
    let values = values.into_iter().map(str::to_owned).collect();
    Filter::builder().name(name).set_values(Some(values)).build()
}

/// Classifies a failed call.
fn call_error<E>(error: &SdkError<E>) -> FleetError
where
    E: std::error::Error + ProvideErrorMetadata + 'static,
{
    let failure = failure(error);
    FleetError {
        kind: failure.code.as_deref().map_or(FleetErrorKind::Unknown, kind_of),
        code: failure.code.unwrap_or_else(|| NO_ANSWER.to_owned()),
        message: failure.message,
        pool: None,
    }
}

/// The error of an answer that differs from what EC2 documents.
fn unexpected(message: &str) -> FleetError {
    fleet_error(FleetErrorKind::Unknown, "UnexpectedAnswer", message)
}

fn fleet_error(kind: FleetErrorKind, code: &str, message: impl Into<String>) -> FleetError {
    FleetError {
        kind,
        code: code.to_owned(),
        message: message.into(),
        pool: None,
    }
}

#[cfg(test)]
mod tests;
