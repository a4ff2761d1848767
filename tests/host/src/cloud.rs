//! The host's interface to EC2 and STS.

use std::time::SystemTime;

use crate::event::InstanceEnd;

/// A failed call. The host retries at its next poll.
pub type CloudError = Box<dyn std::error::Error + Send + Sync>;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CloudState {
    Pending,
    Running,
    /// Ending, ended or stopped: none of its processes may run.
    Ended,
}

impl CloudState {
    /// Returns the state with EC2's name for it. An unknown one counts as pending.
    #[must_use]
    pub fn named(name: &str) -> Self {
        match name {
            "running" => Self::Running,
            "shutting-down" | "terminated" | "stopping" | "stopped" => Self::Ended,
            _ => Self::Pending,
        }
    }
}

/// An instance as EC2 describes it.
#[derive(Clone, Debug)]
pub struct CloudInstance {
    pub id: String,
    pub state: CloudState,
    pub instance_type: String,
    pub zone: String,
}

/// Credentials of the instance's role, in a session with the instance's name.
#[derive(Clone)]
pub struct RoleSession {
    /// `AKIA…` or `ASIA…`.
    pub access_key: String,
    pub secret_key: String,
    pub token: String,
    pub expires: SystemTime,
}

/// EC2 and STS, as far as a host needs them.
pub trait Cloud: Send + Sync + 'static {
    /// Returns the instances to host: those of one stack. Ended ones may be left out.
    fn instances(&self) -> impl Future<Output = Result<Vec<CloudInstance>, CloudError>> + Send;

    /// Returns the instance's user data, decoded.
    fn user_data(&self, instance: &str) -> impl Future<Output = Result<String, CloudError>> + Send;

    /// Returns a session of the instance's role, named `instance`.
    fn role_session(&self, instance: &str) -> impl Future<Output = Result<RoleSession, CloudError>> + Send;

    /// Reports to EC2 that the instance has ended. Doing so twice is no error.
    fn terminate(&self, instance: &str, ending: InstanceEnd) -> impl Future<Output = Result<(), CloudError>> + Send;
}
