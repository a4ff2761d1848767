//! The webhook's secret: read once, and again when it seems to have changed.

use std::cell::RefCell;
use std::time::Duration;

use dayfly_ports::{ParameterError, Parameters};
use dayfly_types::time::Timestamp;
use secrecy::SecretString;

/// A secret that was read is read again for a signature that does not fit only so often: a
/// stranger's signatures must not become calls to SSM.
const READ_AGAIN: Duration = Duration::from_secs(60);

/// The secret, kept while the function's process lives. A failed read is not kept.
pub struct Secret<P> {
    parameters: P,
    name: String,
    known: RefCell<Option<(SecretString, Timestamp)>>,
}

impl<P: Parameters> Secret<P> {
    /// The secret in the parameter `name`.
    pub fn new(parameters: P, name: String) -> Self {
        Self {
            parameters,
            name,
            known: RefCell::new(None),
        }
    }

    /// The secret, as it was last read.
    pub async fn get(&self, now: Timestamp) -> Result<SecretString, ParameterError> {
        let known = self.known.borrow().clone();
        match known {
            Some((secret, _)) => Ok(secret),
            None => self.read(now).await,
        }
    }

    /// The secret as it is now, unless it was read just before.
    pub async fn get_anew(&self, now: Timestamp) -> Result<SecretString, ParameterError> {
        let known = self.known.borrow().clone();
        match known {
            Some((secret, read_at)) if now.since(read_at) < READ_AGAIN => Ok(secret),
            _ => self.read(now).await,
        }
    }

    async fn read(&self, now: Timestamp) -> Result<SecretString, ParameterError> {
        let secret = self.parameters.read(&self.name).await?;
        *self.known.borrow_mut() = Some((secret.clone(), now));
        Ok(secret)
    }
}
