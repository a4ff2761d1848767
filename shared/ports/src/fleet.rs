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

/// One `CreateFleet` call of type `instant`. Everything in it is recorded before the call: a repeated
/// call must say the same to be the same.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FleetRequest {
    /// The client token, which makes a repeated call the same call; it becomes a tag.
    pub fleet: FleetId,
    /// Where the runners are to be registered; it becomes tags, so that it is known even if the
    /// table is not.
    pub scope: Scope,
    /// How many instances: fewer may come.
    pub count: u32,
    /// The pools that will do.
    pub placements: Vec<Placement>,
    /// The image.
    pub image: ImageId,
    /// The name of the image's root device.
    pub root_device: String,
    /// The root volume's size in GiB, if not the image's own.
    pub disk_gib: Option<u32>,
    /// What kind of root volume it is.
    pub volume: Volume,
    /// Tags of the instances and their volumes, besides our own.
    pub tags: BTreeMap<String, String>,
    /// What the instances have in place of the stack's own.
    pub surroundings: Surroundings,
    /// How the instances are bought.
    pub lifecycle: InstanceLifecycle,
    /// How EC2 picks among pools of spot capacity.
    pub strategy: AllocationStrategy,
    /// What an hour of one instance may cost at most.
    pub max_price: Option<MicroDollars>,
}

/// What a fleet's instances have in place of what the stack gives its own.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Surroundings {
    /// Their security groups; the stack's own, if none is given.
    pub security_groups: Vec<SecurityGroupId>,
    /// Their instance profile, by name or ARN; the stack's own, if not given.
    pub instance_profile: Option<String>,
}

impl Surroundings {
    /// Whether nothing is in the place of the stack's own.
    #[must_use]
    pub fn are_the_stacks(&self) -> bool {
        *self == Self::default()
    }
}

/// What a fleet call came to: instances and errors may both be there, or neither.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FleetAnswer {
    /// What was launched.
    pub instances: Vec<FleetInstance>,
    /// What was not, and why.
    pub errors: Vec<FleetError>,
}

/// An instance of a fleet's answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FleetInstance {
    /// The instance.
    pub instance: InstanceId,
    /// Its type.
    pub instance_type: InstanceType,
    /// Its zone; EC2 leaves it out at times.
    pub zone: Option<Zone>,
    /// How it was bought.
    pub lifecycle: InstanceLifecycle,
}

/// An image, as far as a launch needs it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Image {
    /// Its id.
    pub image: ImageId,
    /// The name of its root device, `/dev/sda1` say.
    pub root_device: String,
    /// How large it has its root volume, in GiB, if EC2 says.
    pub gib: Option<u32>,
}

/// Where EC2 says that an instance stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InstanceState {
    /// Starting.
    Pending,
    /// Running.
    Running,
    /// Ending, but still there.
    ShuttingDown,
    /// Gone.
    Terminated,
    /// Stopping or stopped, which none of ours should ever be.
    Stopped,
}

impl InstanceState {
    /// Whether it has ended or is ending for good.
    #[must_use]
    pub fn is_ended(self) -> bool {
        matches!(self, Self::ShuttingDown | Self::Terminated)
    }
}

/// An instance, as EC2 describes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InstanceView {
    /// The instance.
    pub instance: InstanceId,
    /// Where it stands.
    pub state: InstanceState,
    /// Its type.
    pub instance_type: InstanceType,
    /// Its zone.
    pub zone: Zone,
    /// How it was bought.
    pub lifecycle: InstanceLifecycle,
    /// When it was launched.
    pub launched_at: Timestamp,
    /// When it ended, if it has and EC2 says when.
    pub ended_at: Option<Timestamp>,
    /// The call that its tag names.
    pub fleet: Option<FleetId>,
    /// Where its tags say that its runner is registered.
    pub scope: Option<Scope>,
}

/// EC2, as far as this stack uses it. Only instances with this stack's tag are ever seen or ended.
pub trait Fleet {
    /// Launches instances.
    async fn create(&self, request: &FleetRequest) -> Result<FleetAnswer, FleetError>;

    /// Ends instances. With `at_once`, without waiting for their operating systems: for those
    /// whose runner is gone already. One that is gone already is no error.
    async fn terminate(&self, instances: &[InstanceId], at_once: bool) -> Result<(), FleetError>;

    /// The instances that a call launched, ended ones among them for about an hour.
    async fn of_fleet(&self, fleet: &FleetId) -> Result<Vec<InstanceView>, FleetError>;

    /// The zones of subnets: one that does not exist is left out.
    async fn zones(&self, subnets: &[SubnetId]) -> Result<Vec<(SubnetId, Zone)>, FleetError>;

    /// All instances of the stack that EC2 names, ended ones among them for about an hour.
    async fn named(&self) -> Result<Vec<InstanceView>, FleetError>;

    /// Looks an image up.
    async fn image(&self, image: &ImageId) -> Result<Image, FleetError>;

    /// The newest image that goes by a name, for machines of an architecture.
    async fn newest_image(&self, name: &ImageName, arch: Arch) -> Result<Image, FleetError>;

    /// The prices of a pool's spot capacity that held at any moment of a span, the earliest first; none
    /// if EC2 does not tell.
    async fn spot_prices(&self, pool: &Pool, from: Timestamp, to: Timestamp) -> Result<Vec<SpotPrice>, FleetError>;

    /// What an hour of a type costs on demand, with Linux and on shared hardware, if AWS's price list has
    /// it.
    async fn on_demand_price(&self, instance_type: &InstanceType) -> Result<Option<MicroDollars>, FleetError>;

    /// What a volume of a type costs, if AWS's price list has it.
    async fn volume_rate(&self, kind: VolumeType) -> Result<Option<VolumeRate>, FleetError>;

    /// Whether EC2 itself ended an instance, for want of capacity or for its price. That one was not
    /// ended, or is named no more, is no.
    async fn ended_by_ec2(&self, instance: &InstanceId) -> Result<bool, FleetError>;
}
