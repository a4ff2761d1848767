//! EC2.

use dayfly_core::capacity::FleetError;
use dayfly_core::ids::{ImageId, InstanceId, InstanceType, RunnerName, SubnetId, Zone};
use dayfly_core::money::MicroDollars;
use dayfly_core::time::Timestamp;

use crate::Scope;

/// One `CreateFleet` call of type `instant` for one instance.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FleetRequest {
    /// Makes a repeated call the same call.
    pub client_token: String,
    /// The runner that the instance is for; it becomes a tag.
    pub runner: RunnerName,
    /// Where the runner is to be registered; it becomes tags, so that it is known even if the
    /// table is not.
    pub scope: Scope,
    /// The types that will do.
    pub instance_types: Vec<InstanceType>,
    /// The subnets that will do; each lies in one zone.
    pub subnets: Vec<SubnetId>,
    /// The image.
    pub image: ImageId,
    /// The name of the image's root device.
    pub root_device: String,
    /// The root volume's size in GiB, if not the image's own.
    pub disk_gib: Option<u32>,
    /// Spot capacity, or else on-demand.
    pub spot: bool,
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
    /// Whether it is on spot capacity.
    pub spot: bool,
}

/// An image, as far as a launch needs it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Image {
    /// Its id.
    pub image: ImageId,
    /// The name of its root device, `/dev/sda1` say.
    pub root_device: String,
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
    /// Whether it is on spot capacity.
    pub spot: bool,
    /// When it was launched.
    pub launched_at: Timestamp,
    /// The runner that its tag names.
    pub runner: Option<RunnerName>,
    /// Where its tags say that the runner is registered.
    pub scope: Option<Scope>,
}

/// EC2, as far as this stack uses it. Only instances with this stack's tag are ever seen or ended.
pub trait Fleet {
    /// Launches one instance.
    async fn create(&self, request: &FleetRequest) -> Result<FleetAnswer, FleetError>;

    /// Ends instances. With `at_once`, without waiting for their operating systems: for those
    /// whose runner is gone already. One that is gone already is no error.
    async fn terminate(&self, instances: &[InstanceId], at_once: bool) -> Result<(), FleetError>;

    /// The instances that were launched for a runner, ended ones among them for about an hour.
    async fn of_runner(&self, runner: &RunnerName) -> Result<Vec<InstanceView>, FleetError>;

    /// All instances of the stack that have not ended.
    async fn living(&self) -> Result<Vec<InstanceView>, FleetError>;

    /// Looks an image up.
    async fn image(&self, image: &ImageId) -> Result<Image, FleetError>;

    /// What an hour of spot capacity costs there now, if EC2 tells.
    async fn spot_price(&self, instance_type: &InstanceType, zone: &Zone) -> Result<Option<MicroDollars>, FleetError>;
}
