//! What the functions ask of the outside world, as traits. Adapters implement them with the real clouds,
//! tests in memory.
#![expect(
    async_fn_in_trait,
    reason = "a function handles one event at a time on one thread, so these futures need not be Send"
)]

mod alerts;
mod bus;
mod clock;
mod fleet;
mod github;
mod parameters;
mod ports;
mod quotas;
mod schedule;
mod store;

pub use alerts::{AlertError, Alerts};
pub use bus::{Bus, BusError};
pub use clock::Clock;
pub use dayfly_types::capacity::{FleetError, FleetErrorKind};
pub use fleet::{
    Fleet, FleetAnswer, FleetInstance, FleetRequest, Image, InstanceOverrides, InstanceState, InstanceView,
};
pub use github::{
    ApiError, ApiErrorKind, CheckView, ConfigFile, FailedDelivery, GitHub, JitConfig, JobStatus, JobView, Minted,
    Removal, RerunAnswer, RunView, RunnerView, Scope,
};
pub use parameters::{ParameterError, Parameters};
pub use ports::{PortSet, Ports};
pub use quotas::{QuotaError, Quotas};
pub use schedule::{Schedule, ScheduleError};
pub use store::{Acquired, Store, StoreError};
