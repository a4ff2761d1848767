//! The EC2 port.

use dayfly_config::machines::Arch;
use dayfly_config::{ImageName, VolumeType};
use dayfly_ports::{Fleet, FleetAnswer, FleetError, FleetErrorKind, FleetRequest, Image, InstanceView};
use dayfly_records::prices::{SpotPrice, VolumeRate};
use dayfly_types::capacity::Pool;
use dayfly_types::ids::{FleetId, ImageId, InstanceId, InstanceType, SubnetId, Zone};
use dayfly_types::money::MicroDollars;
use dayfly_types::time::Timestamp;

use super::Ports;
use crate::guards::Guard;
use crate::{cloud, money};

impl Fleet for Ports {
    async fn create(&self, request: &FleetRequest) -> Result<FleetAnswer, FleetError> {
        self.ec2_write("create_fleet", |sim, dice| sim.create_fleet(request, dice))
            .await?
    }

    async fn terminate(&self, instances: &[InstanceId], _at_once: bool) -> Result<(), FleetError> {
        self.ec2_write("terminate", |sim, _| {
            for instance in instances {
                sim.terminated_by_us(instance);
            }
        })
        .await
    }

    async fn zones(&self, subnets: &[SubnetId]) -> Result<Vec<(SubnetId, Zone)>, FleetError> {
        self.ec2("zones", |_, _| {
            let zones = ["eu-west-1a", "eu-west-1b", "eu-west-1c"].into_iter().cycle();
            subnets.iter().cloned().zip(zones.map(Zone::new)).collect()
        })
        .await
    }

    async fn instances_of(&self, fleet: &FleetId) -> Result<Vec<InstanceView>, FleetError> {
        self.ec2("describe", |sim, _| {
            let tags = sim.has(Guard::Tags);
            let named = |one: &cloud::Instance| tags && one.view.fleet.as_ref() == Some(fleet);
            sim.cloud.borrow().named(sim.now(), tags, named)
        })
        .await
    }

    async fn instances(&self) -> Result<Vec<InstanceView>, FleetError> {
        self.ec2("describe", |sim, _| {
            let tags = sim.has(Guard::Tags);
            // Without its tags an instance is not recognized as ours at all.
            sim.cloud.borrow().named(sim.now(), tags, |_| tags)
        })
        .await
    }

    async fn image(&self, image: &ImageId) -> Result<Image, FleetError> {
        self.ec2("image", |_, _| Image {
            image: image.clone(),
            root_device: "/dev/sda1".to_owned(),
            gib: Some(60),
        })
        .await
    }

    async fn newest_image(&self, _: &ImageName, _: Arch) -> Result<Image, FleetError> {
        self.ec2("image", |_, _| Image {
            image: ImageId::new("ami-01234567"),
            root_device: "/dev/sda1".to_owned(),
            gib: Some(60),
        })
        .await
    }

    async fn spot_prices(&self, pool: &Pool, from: Timestamp, to: Timestamp) -> Result<Vec<SpotPrice>, FleetError> {
        self.priced("spot_prices", |sim, _| {
            if pool.zone.is_unknown() {
                return Err(cloud::error(FleetErrorKind::BadRequest, "InvalidParameterValue"));
            }
            Ok(sim.spot_prices(pool, from, to))
        })
        .await?
    }

    async fn on_demand_price(&self, name: &InstanceType) -> Result<Option<MicroDollars>, FleetError> {
        self.priced("on_demand_price", |_, _| money::on_demand(name)).await
    }

    async fn volume_rate(&self, kind: VolumeType) -> Result<Option<VolumeRate>, FleetError> {
        self.priced("volume_rate", |_, _| money::volume_rate(kind)).await
    }

    async fn ended_by_ec2(&self, instance: &InstanceId) -> Result<bool, FleetError> {
        self.ec2("describe", |sim, _| {
            let its = |one: &cloud::Instance| one.view.instance == *instance && one.ended_by_ec2;
            !sim.cloud.borrow().named(sim.now(), true, its).is_empty()
        })
        .await
    }
}
