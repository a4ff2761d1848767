//! Words for the owner of the account.

/// Something could not be told.
#[derive(Debug, thiserror::Error)]
#[error("the owner of the account could not be told: {0}")]
pub struct AlertError(pub String);

/// The topic on which the stack calls for a person.
pub trait Alerts {
    /// Tells something: a subject of one line, and a text.
    async fn tell(&self, subject: &str, text: &str) -> Result<(), AlertError>;
}
