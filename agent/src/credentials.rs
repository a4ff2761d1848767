//! The role's credentials, cached until shortly before they expire.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use aws_credential_types::Credentials;
use aws_smithy_types::DateTime;
use aws_smithy_types::date_time::Format;

use crate::imds::{Imds, ImdsError, RoleCredentials};
use crate::log;

/// IMDS has new credentials this long before the old ones expire.
const REFRESH_BEFORE: Duration = Duration::from_mins(5);

/// Credentials from IMDS, fetched on demand.
#[derive(Debug)]
pub struct CachedCredentials {
    kept: Mutex<Option<Credentials>>,
}

impl Default for CachedCredentials {
    fn default() -> Self {
        Self { kept: Mutex::new(None) }
    }
}

impl CachedCredentials {
    /// Returns credentials that are valid at `now`.
    ///
    /// # Errors
    /// None are cached, and IMDS returns none.
    pub async fn get(&self, imds: &Imds, now: SystemTime) -> Result<Credentials, ImdsError> {
        let kept = self.lock().clone();
        if let Some(kept) = kept.as_ref().filter(|it| outlives(it, now + REFRESH_BEFORE)) {
            return Ok(kept.clone());
        }
        match imds.credentials().await.and_then(into_credentials) {
            Ok(fresh) => {
                *self.lock() = Some(fresh.clone());
                Ok(fresh)
            }
            Err(error) => match kept.filter(|it| outlives(it, now)) {
                Some(kept) => {
                    log::warn("credentials_not_refreshed", &error.to_string(), &[]);
                    Ok(kept)
                }
                None => Err(error),
            },
        }
    }

    /// Drops the cached credentials after AWS refused them.
    pub fn forget(&self) {
        *self.lock() = None;
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Option<Credentials>> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn outlives(credentials: &Credentials, moment: SystemTime) -> bool {
    credentials.expiry().is_none_or(|expiry| expiry > moment)
}

fn into_credentials(role: RoleCredentials) -> Result<Credentials, ImdsError> {
    let expiry = DateTime::from_str(&role.expiration, Format::DateTime)
        .ok()
        .and_then(|it| SystemTime::try_from(it).ok());
    let Some(expiry) = expiry else {
        return Err(ImdsError::Content {
            path: "security-credentials".to_owned(),
            why: format!("`Expiration` is `{}`: expected RFC 3339", role.expiration),
        });
    };
    let RoleCredentials {
        access_key_id,
        secret_access_key,
        token,
        ..
    } = role;
    Ok(Credentials::new(
        access_key_id,
        secret_access_key,
        Some(token),
        Some(expiry),
        "imds",
    ))
}
