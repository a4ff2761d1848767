//! Messages to the owner of the account.

#[derive(Debug, thiserror::Error)]
#[error("the owner of the account could not be notified: {0}")]
pub struct AlertError(pub String);

/// The topic on which the stack calls for a person.
pub trait Alerts {
    /// Sends a subject of one line and a text.
    async fn send(&self, subject: &str, text: &str) -> Result<(), AlertError>;
}
