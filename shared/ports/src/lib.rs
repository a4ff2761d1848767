//! What the functions ask of the outside world, as traits. The adapters answer them with the real
//! clouds, the tests with worlds of their own making; the functions can't tell.
#![expect(
    async_fn_in_trait,
    reason = "a function handles one event at a time on one thread, so nobody needs these futures to be Send"
)]

mod alerts;
mod bus;
mod clock;
mod fleet;
mod github;
mod parameters;
mod quotas;
mod schedule;
mod store;

pub use alerts::{AlertError, Alerts};
pub use bus::{Bus, BusError};
pub use clock::Clock;
pub use dayfly_types::capacity::{FleetError, FleetErrorKind};
pub use fleet::{Fleet, FleetAnswer, FleetInstance, FleetRequest, Image, InstanceState, InstanceView, Surroundings};
pub use github::{
    ApiError, ApiErrorKind, CheckView, ConfigFile, FailedDelivery, GitHub, JitConfig, JobStatus, JobView, Minted,
    Removal, RerunAnswer, RunView, RunnerView, Scope,
};
pub use parameters::{ParameterError, Parameters};
pub use quotas::{QuotaError, Quotas};
pub use schedule::{Schedule, ScheduleError};
pub use store::{Acquired, Store, StoreError};
