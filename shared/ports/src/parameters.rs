//! SSM parameters.

use secrecy::SecretString;

/// A parameter that could not be read.
#[derive(Debug, thiserror::Error)]
pub enum ParameterError {
    #[error("there is no SSM parameter `{0}`: create it in this account and region")]
    Missing(String),
    #[error("the SSM parameter `{name}` could not be read: {error}")]
    Forbidden { name: String, error: String },
    #[error("the SSM parameter `{name}` could not be read: {error}")]
    Unavailable { name: String, error: String },
}

/// Parameters of the account, and AWS's public ones.
pub trait Parameters {
    /// Reads a parameter, decrypted if it is a `SecureString`.
    async fn read(&self, name: &str) -> Result<SecretString, ParameterError>;
}
