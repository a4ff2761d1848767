//! What the host asks of EC2 and STS, and what it tells them.

use std::time::SystemTime;

use crate::event::Ending;

/// A call that failed. The host tries again at its next look.
pub type CloudError = Box<dyn std::error::Error + Send + Sync>;

/// Where EC2 says that an instance stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CloudState {
    /// Not up yet.
    Pending,
    /// Up.
    Running,
    /// Ending, ended or stopped: nothing of it may run.
    Ended,
}

impl CloudState {
    /// The state by EC2's name for it; one that is not known counts as not up yet.
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
    /// `i-…`.
    pub id: String,
    /// Where it stands.
    pub state: CloudState,
    /// Such as `g5.xlarge`.
    pub instance_type: String,
    /// Such as `eu-west-1b`.
    pub zone: String,
}

/// Credentials of the instance's role, in a session that is named after the instance.
#[derive(Clone)]
pub struct RoleSession {
    /// `AKIA…` or `ASIA…`.
    pub access_key: String,
    /// The secret key.
    pub secret_key: String,
    /// The session token.
    pub token: String,
    /// When it ends.
    pub expires: SystemTime,
}

/// EC2 and STS, as far as a host needs them.
pub trait Cloud: Send + Sync + 'static {
    /// The instances to host: those of one stack. One that was ended may be left out.
    fn instances(&self) -> impl Future<Output = Result<Vec<CloudInstance>, CloudError>> + Send;

    /// The user data that the instance was launched with, decoded.
    fn user_data(&self, instance: &str) -> impl Future<Output = Result<String, CloudError>> + Send;

    /// A session of the instance's role, named `instance`.
    fn role_session(&self, instance: &str) -> impl Future<Output = Result<RoleSession, CloudError>> + Send;

    /// Tells EC2 that the instance has ended, and how. Ending it twice is no error.
    fn terminate(&self, instance: &str, ending: Ending) -> impl Future<Output = Result<(), CloudError>> + Send;
}
