//! What a launch asks first: whether the job is admitted, what the repository's files say, and which
//! capacity pools failed.

mod admission;
mod blocked;
mod files;
mod pools;
mod requester;

pub use admission::{Admission, AdmissionRequest, Policies, PolicyError};
pub use blocked::Blocked;
pub use files::load_files;
pub(crate) use pools::record_pool_interruption;
pub use pools::update_pool_memory;
pub use requester::{RunRequester, RunnerAccess};
