//! EC2.

use std::collections::BTreeMap;

use dayfly_config::machines::Arch;
use dayfly_config::{AllocationStrategy, ImageName, Volume, VolumeType};
use dayfly_records::prices::{SpotPrice, VolumeRate};
use dayfly_types::capacity::{FleetError, InstanceLifecycle, Placement, Pool};
use dayfly_types::ids::{FleetId, ImageId, InstanceId, InstanceType, SecurityGroupId, SubnetId, Zone};
use dayfly_types::money::MicroDollars;
use dayfly_types::time::Timestamp;

use crate::Scope;

/// One `CreateFleet` call of type `instant`. All of it is recorded before the call: a repeated call must be
/// identical.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FleetRequest {
    /// The client token, which makes a repeated call the same call. It becomes a tag.
    pub fleet: FleetId,
    /// Where the runners register. It becomes tags, so that it is known without the table.
    pub scope: Scope,
    /// The number of instances; fewer may launch.
    pub count: u32,
    /// The acceptable pools.
    pub placements: Vec<Placement>,
    pub image: ImageId,
    pub root_device: String,
    /// The size of the root volume in GiB, if not the image's own.
    pub disk_gib: Option<u32>,
    pub volume: Volume,
    /// Tags of the instances and their volumes, besides dayfly's own.
    pub tags: BTreeMap<String, String>,
    pub overrides: InstanceOverrides,
    pub lifecycle: InstanceLifecycle,
    /// How EC2 picks among spot pools.
    pub strategy: AllocationStrategy,
    /// The maximum price of one instance per hour.
    pub max_price: Option<MicroDollars>,
}

/// What a fleet's instances use in place of the stack's own.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct InstanceOverrides {
    /// Empty for the stack's own.
    pub security_groups: Vec<SecurityGroupId>,
    /// A name or ARN; `None` for the stack's own.
    pub instance_profile: Option<String>,
}

impl InstanceOverrides {
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// The answer to a fleet call. It may have both instances and errors, or neither.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FleetAnswer {
    pub instances: Vec<FleetInstance>,
    pub errors: Vec<FleetError>,
}

/// An instance of a fleet's answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FleetInstance {
    pub instance: InstanceId,
    pub instance_type: InstanceType,
    /// EC2 sometimes leaves it out.
    pub zone: Option<Zone>,
    pub lifecycle: InstanceLifecycle,
}

/// The properties of an image that a launch needs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Image {
    pub image: ImageId,
    /// The name of its root device, such as `/dev/sda1`.
    pub root_device: String,
    /// The size of its root volume in GiB, if EC2 tells.
    pub gib: Option<u32>,
}

/// The state of an instance, as EC2 tells it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InstanceState {
    Pending,
    Running,
    ShuttingDown,
    Terminated,
    /// Stopping or stopped, which none of ours should ever be.
    Stopped,
}

impl InstanceState {
    /// Returns whether the instance has ended or is ending.
    #[must_use]
    pub fn is_ended(self) -> bool {
        matches!(self, Self::ShuttingDown | Self::Terminated)
    }
}

/// An instance, as EC2 describes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InstanceView {
    pub instance: InstanceId,
    pub state: InstanceState,
    pub instance_type: InstanceType,
    pub zone: Zone,
    pub lifecycle: InstanceLifecycle,
    pub launched_at: Timestamp,
    /// The end, if it has ended and EC2 tells when.
    pub ended_at: Option<Timestamp>,
    /// The fleet call that its tag names.
    pub fleet: Option<FleetId>,
    /// Where its runner registers, by its tags.
    pub scope: Option<Scope>,
}

/// EC2, as far as dayfly uses it. Only instances with this stack's tag are listed or ended.
pub trait Fleet {
    async fn create(&self, request: &FleetRequest) -> Result<FleetAnswer, FleetError>;

    /// Terminates instances. With `at_once`, without waiting for their operating systems, for instances whose
    /// runner is gone already. An instance that is gone already is no error.
    async fn terminate(&self, instances: &[InstanceId], at_once: bool) -> Result<(), FleetError>;

    /// Lists the instances of a fleet call. Ended ones are listed for about an hour.
    async fn instances_of(&self, fleet: &FleetId) -> Result<Vec<InstanceView>, FleetError>;

    /// Returns the zones of subnets. A subnet that does not exist is left out.
    async fn zones(&self, subnets: &[SubnetId]) -> Result<Vec<(SubnetId, Zone)>, FleetError>;

    /// Lists the instances of the stack. Ended ones are listed for about an hour.
    async fn instances(&self) -> Result<Vec<InstanceView>, FleetError>;

    async fn image(&self, image: &ImageId) -> Result<Image, FleetError>;

    /// Returns the newest image of a name for an architecture.
    async fn newest_image(&self, name: &ImageName, arch: Arch) -> Result<Image, FleetError>;

    /// Returns the spot prices of a pool in a time span, earliest first, or none if EC2 does not tell.
    async fn spot_prices(&self, pool: &Pool, from: Timestamp, to: Timestamp) -> Result<Vec<SpotPrice>, FleetError>;

    /// Returns the hourly on-demand price of a type, with Linux on shared hardware, if AWS's price list has it.
    async fn on_demand_price(&self, instance_type: &InstanceType) -> Result<Option<MicroDollars>, FleetError>;

    /// Returns the price of a volume type, if AWS's price list has it.
    async fn volume_rate(&self, kind: VolumeType) -> Result<Option<VolumeRate>, FleetError>;

    /// Returns whether EC2 itself ended an instance, for lack of capacity or for its price; `false` for an
    /// instance that has not ended or is no longer listed.
    async fn ended_by_ec2(&self, instance: &InstanceId) -> Result<bool, FleetError>;
}
