//! The webhook's secret: read once, and again when it may have changed.

use std::cell::RefCell;
use std::time::Duration;

use dayfly_ports::{ParameterError, Parameters};
use dayfly_types::time::Timestamp;
use secrecy::SecretString;

/// How often a wrong signature makes the secret be read again: strangers must not cause calls to SSM at will.
const REFRESH_EVERY: Duration = Duration::from_secs(60);

/// The secret, cached while the function's process lives. A failed read is not cached.
pub struct Secret<P> {
    parameters: P,
    name: String,
    cached: RefCell<Option<(SecretString, Timestamp)>>,
}

impl<P: Parameters> Secret<P> {
    pub fn new(parameters: P, name: String) -> Self {
        Self {
            parameters,
            name,
            cached: RefCell::new(None),
        }
    }

    /// Returns the secret as it was last read.
    pub async fn get(&self, now: Timestamp) -> Result<SecretString, ParameterError> {
        let cached = self.cached.borrow().clone();
        match cached {
            Some((secret, _)) => Ok(secret),
            None => self.read(now).await,
        }
    }

    /// Returns the current secret, or the cached one if it was read just before.
    pub async fn refresh(&self, now: Timestamp) -> Result<SecretString, ParameterError> {
        let cached = self.cached.borrow().clone();
        match cached {
            Some((secret, read_at)) if now.since(read_at) < REFRESH_EVERY => Ok(secret),
            _ => self.read(now).await,
        }
    }

    async fn read(&self, now: Timestamp) -> Result<SecretString, ParameterError> {
        let secret = self.parameters.read(&self.name).await?;
        *self.cached.borrow_mut() = Some((secret.clone(), now));
        Ok(secret)
    }
}
