//! SSM parameters.

use secrecy::SecretString;

/// A parameter that could not be read.
#[derive(Debug, thiserror::Error)]
pub enum ParameterError {
    /// There is none of that name.
    #[error("there is no SSM parameter `{0}`: create it in this account and region")]
    Missing(String),
    /// The stack may not read it.
    #[error("the SSM parameter `{name}` could not be read: {error}")]
    Forbidden {
        /// Its name.
        name: String,
        /// AWS's words.
        error: String,
    },
    /// It could not be read.
    #[error("the SSM parameter `{name}` could not be read: {error}")]
    Unavailable {
        /// Its name.
        name: String,
        /// AWS's words.
        error: String,
    },
}

/// Parameters of the account, and AWS's public ones.
pub trait Parameters {
    /// Reads one, decrypted if it is a `SecureString`.
    async fn read(&self, name: &str) -> Result<SecretString, ParameterError>;
}
