//! EC2: instances, their client tokens, and the capacity.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use dayfly_config::machines::{Arch, Table};
use dayfly_config::{ImageName, VolumeType};
use dayfly_ports::{
    AlertError, Alerts, Fleet, FleetAnswer, FleetError, FleetErrorKind, FleetInstance, FleetRequest, Image,
    InstanceState, InstanceView, QuotaError, Quotas,
};
use dayfly_records::prices::{SpotPrice, VolumeRate};
use dayfly_types::capacity::{InstanceLifecycle, Pool};
use dayfly_types::ids::{FleetId, ImageId, InstanceId, InstanceType, SubnetId, Zone};
use dayfly_types::money::MicroDollars;
use dayfly_types::time::Timestamp;

use crate::World;

/// How long EC2 lists an instance that has ended.
const REMEMBERED: Duration = Duration::from_hours(1);

#[derive(Debug, Default)]
pub struct Cloud {
    instances: BTreeMap<InstanceId, InstanceView>,
    tokens: BTreeMap<FleetId, (FleetRequest, FleetAnswer)>,
    asked: Vec<FleetRequest>,
    empty: BTreeSet<(Pool, InstanceLifecycle)>,
    refusals: VecDeque<FleetError>,
    pub images: BTreeMap<(ImageName, Arch), ImageId>,
    pub missing_subnets: BTreeSet<SubnetId>,
    /// The values in Service Quotas: vCPUs by quota code.
    pub quotas: BTreeMap<String, u32>,
    /// On-demand prices in the price list, besides those of the program's table.
    pub listed: BTreeMap<InstanceType, MicroDollars>,
    /// Instances for which EC2 refuses to say if it ended them.
    pub end_reason_denied: BTreeSet<InstanceId>,
    pub ended_by_ec2: BTreeSet<InstanceId>,
    /// Whether EC2 lists no instances yet, and leaves zones out of its answers.
    pub lists_no_instances: bool,
    /// Messages to the account's owner: subject and text.
    pub alerts: Vec<(String, String)>,
    time: Option<Timestamp>,
}

impl Cloud {
    /// Returns the instances that have not ended.
    pub fn living(&self) -> impl Iterator<Item = &InstanceView> {
        self.instances.values().filter(|view| !view.state.is_ended())
    }

    /// Returns how many instances were ever launched.
    #[must_use]
    pub fn launched_total(&self) -> usize {
        self.instances.len()
    }

    /// Returns every `CreateFleet` call, without repeated ones.
    #[must_use]
    pub fn asked(&self) -> &[FleetRequest] {
        &self.asked
    }

    /// Takes away a pool's capacity of one kind.
    pub fn empty(&mut self, instance_type: &str, zone: &str, lifecycle: InstanceLifecycle) {
        let pool = Pool {
            instance_type: InstanceType::new(instance_type),
            zone: Zone::new(zone),
        };
        self.empty.insert((pool, lifecycle));
    }

    /// Gives all pools capacity again.
    pub fn refill(&mut self) {
        self.empty.clear();
    }

    /// Makes the next launches fail, one by one.
    pub fn refuse(&mut self, errors: impl IntoIterator<Item = (FleetErrorKind, &'static str)>) {
        self.refusals
            .extend(errors.into_iter().map(|(kind, code)| error(kind, code)));
    }

    /// Ends an instance, as EC2 or its own power-off may.
    ///
    /// # Panics
    /// If there is no such instance.
    pub fn end(&mut self, instance: &InstanceId) {
        let now = self.time();
        let view = self.instances.get_mut(instance).expect("the instance exists");
        view.state = InstanceState::Terminated;
        view.ended_at.get_or_insert(now);
    }

    /// Returns the time set last.
    #[must_use]
    pub fn time(&self) -> Timestamp {
        self.time.unwrap_or(Timestamp::from_millis(0))
    }

    /// Sets the launch time of future instances.
    pub fn set_time(&mut self, now: Timestamp) {
        self.time = Some(now);
    }

    fn create(&mut self, request: &FleetRequest) -> Result<FleetAnswer, FleetError> {
        if let Some((before, answer)) = self.tokens.get(&request.fleet) {
            assert_eq!(
                before, request,
                "the same token with another request: IdempotentParameterMismatch"
            );
            return Ok(answer.clone());
        }
        self.asked.push(request.clone());
        let answer = match self.refusals.pop_front() {
            Some(error) if error.kind == FleetErrorKind::Unknown => {
                // It takes effect, and only the answer is lost.
                let answer = self.launch(request);
                self.tokens.insert(request.fleet.clone(), (request.clone(), answer));
                return Err(error);
            }
            Some(error) => FleetAnswer {
                instances: Vec::new(),
                errors: vec![error],
            },
            None => self.launch(request),
        };
        self.tokens
            .insert(request.fleet.clone(), (request.clone(), answer.clone()));
        Ok(answer)
    }

    fn launch(&mut self, request: &FleetRequest) -> FleetAnswer {
        let mut answer = FleetAnswer::default();
        for index in 0..request.count as usize {
            let placement = &request.placements[index % request.placements.len()];
            if !self.empty.contains(&(placement.pool.clone(), request.lifecycle)) {
                answer.instances.push(self.launch_one(request, &placement.pool));
            }
        }
        let empty = request
            .placements
            .iter()
            .filter(|one| self.empty.contains(&(one.pool.clone(), request.lifecycle)));
        answer.errors = empty
            .map(|one| FleetError {
                pool: Some(one.pool.clone()),
                ..error(FleetErrorKind::Capacity, "InsufficientInstanceCapacity")
            })
            .collect();
        answer
    }

    fn launch_one(&mut self, request: &FleetRequest, pool: &Pool) -> FleetInstance {
        let instance = InstanceId::new(format!("i-{:017x}", self.instances.len() + 1));
        let view = InstanceView {
            instance: instance.clone(),
            state: InstanceState::Running,
            instance_type: pool.instance_type.clone(),
            zone: pool.zone.clone(),
            lifecycle: request.lifecycle,
            launched_at: self.time.unwrap_or(Timestamp::from_millis(0)),
            ended_at: None,
            fleet: Some(request.fleet.clone()),
            scope: Some(request.scope.clone()),
        };
        let launched = FleetInstance {
            instance: instance.clone(),
            instance_type: view.instance_type.clone(),
            zone: (!self.lists_no_instances).then(|| view.zone.clone()),
            lifecycle: view.lifecycle,
        };
        self.instances.insert(instance, view);
        launched
    }
}

fn error(kind: FleetErrorKind, code: &str) -> FleetError {
    FleetError {
        kind,
        code: code.to_owned(),
        message: "as the test wants it".to_owned(),
        pool: None,
    }
}

fn down(message: String) -> FleetError {
    FleetError {
        kind: FleetErrorKind::Unknown,
        code: "Timeout".to_owned(),
        message,
        pool: None,
    }
}

impl Fleet for World {
    async fn create(&self, request: &FleetRequest) -> Result<FleetAnswer, FleetError> {
        self.call("create_fleet").await.map_err(down)?;
        self.cloud().create(request)
    }

    async fn terminate(&self, instances: &[InstanceId], _at_once: bool) -> Result<(), FleetError> {
        self.call("terminate").await.map_err(down)?;
        for instance in instances {
            self.cloud().end(instance);
        }
        Ok(())
    }

    async fn instances_of(&self, fleet: &FleetId) -> Result<Vec<InstanceView>, FleetError> {
        self.call("describe").await.map_err(down)?;
        let cloud = self.cloud();
        let named = cloud.instances.values().filter(|_| !cloud.lists_no_instances);
        Ok(named
            .filter(|view| view.fleet.as_ref() == Some(fleet))
            .cloned()
            .collect())
    }

    async fn zones(&self, subnets: &[SubnetId]) -> Result<Vec<(SubnetId, Zone)>, FleetError> {
        self.call("describe").await.map_err(down)?;
        let zones = ["eu-west-1a", "eu-west-1b", "eu-west-1c"].into_iter().cycle();
        let cloud = self.cloud();
        let there = |subnet: &&SubnetId| !cloud.missing_subnets.contains(*subnet);
        let found: Vec<(SubnetId, Zone)> = subnets
            .iter()
            .filter(there)
            .cloned()
            .zip(zones.map(Zone::new))
            .collect();
        if found.is_empty() && !subnets.is_empty() {
            return Err(error(FleetErrorKind::BadRequest, "InvalidSubnetID.NotFound"));
        }
        Ok(found)
    }

    async fn instances(&self) -> Result<Vec<InstanceView>, FleetError> {
        self.call("describe").await.map_err(down)?;
        let cloud = self.cloud();
        let now = cloud.time();
        let remembered = |view: &&InstanceView| view.ended_at.is_none_or(|at| now.since(at) < REMEMBERED);
        Ok(cloud.instances.values().filter(remembered).cloned().collect())
    }

    async fn image(&self, image: &ImageId) -> Result<Image, FleetError> {
        self.call("image").await.map_err(down)?;
        Ok(Image {
            image: image.clone(),
            root_device: "/dev/sda1".to_owned(),
            gib: Some(60),
        })
    }

    async fn newest_image(&self, name: &ImageName, arch: Arch) -> Result<Image, FleetError> {
        self.call("image").await.map_err(down)?;
        let found = self.cloud().images.get(&(name.clone(), arch)).cloned();
        found
            .map(|image| Image {
                image,
                root_device: "/dev/sda1".to_owned(),
                gib: Some(60),
            })
            .ok_or_else(|| error(FleetErrorKind::BadRequest, "InvalidAMIID.NotFound"))
    }

    async fn spot_prices(&self, pool: &Pool, from: Timestamp, _: Timestamp) -> Result<Vec<SpotPrice>, FleetError> {
        self.call("spot_prices").await.map_err(down)?;
        if pool.zone.is_unknown() {
            return Err(error(FleetErrorKind::BadRequest, "InvalidParameterValue"));
        }
        Ok(vec![SpotPrice {
            per_hour: MicroDollars(157_800),
            since: from,
        }])
    }

    async fn on_demand_price(&self, name: &InstanceType) -> Result<Option<MicroDollars>, FleetError> {
        self.call("on_demand_price").await.map_err(down)?;
        let table = Table::embedded().unwrap();
        let listed = self.cloud().listed.get(name).copied();
        Ok(listed.or_else(|| table.get(name)?.price))
    }

    async fn volume_rate(&self, kind: VolumeType) -> Result<Option<VolumeRate>, FleetError> {
        self.call("volume_rate").await.map_err(down)?;
        // Neither the price of the program's table, nor twice as much.
        Ok((kind == VolumeType::Gp3).then_some(VolumeRate {
            gib_month: MicroDollars(88_000),
            iops_month: MicroDollars(5_500),
            throughput_month: MicroDollars(44_000),
        }))
    }

    async fn ended_by_ec2(&self, instance: &InstanceId) -> Result<bool, FleetError> {
        self.call("ended_by_ec2").await.map_err(down)?;
        if self.cloud().end_reason_denied.contains(instance) {
            return Err(error(FleetErrorKind::Unknown, "UnauthorizedOperation"));
        }
        Ok(self.cloud().ended_by_ec2.contains(instance))
    }
}

impl Alerts for World {
    async fn send(&self, subject: &str, text: &str) -> Result<(), AlertError> {
        self.call("alert").await.map_err(AlertError)?;
        self.cloud().alerts.push((subject.to_owned(), text.to_owned()));
        Ok(())
    }
}

impl Quotas for World {
    async fn value(&self, code: &str) -> Result<Option<u32>, QuotaError> {
        self.call("quota").await.map_err(|error| QuotaError {
            code: code.to_owned(),
            error,
        })?;
        Ok(self.cloud().quotas.get(code).copied())
    }
}
