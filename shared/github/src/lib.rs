//! The GitHub App's client: it caches tokens for their hour, retries calls in one place, and classifies
//! refusals for its callers.
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used))]

mod admission;
mod answers;
mod call;
mod calls;
mod checks;
mod comments;
mod concurrency;
mod etags;
mod failure;
mod limits;
mod patrol;
mod sign_in;
mod transport;

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use dayfly_ports::Parameters;
use dayfly_runtime::clock;
use http::StatusCode;
use secrecy::SecretString;
use serde::de::DeserializeOwned;
use tokio::time::timeout;

pub use dayfly_settings::GitHubSettings;

use answers::Page;
use call::{Answer, Call};
use failure::Failure;
use limits::Identity;
use sign_in::SignIn;
use transport::Transport;

/// The time limit of a call with sign-in and retries. A function that waits longer is billed for it, and
/// its own caller has given up by then.
const CALL_LIMIT: Duration = Duration::from_secs(25);

/// GitHub's maximum.
const PER_PAGE: usize = 100;

/// More than any list we read has; an endless list must not hold a function.
const MAX_PAGES: usize = 100;

#[derive(Debug)]
pub struct GitHubApp<P> {
    transport: Transport,
    sign_in: SignIn<P>,
}

impl<P: Parameters> GitHubApp<P> {
    /// A client whose private key is read from `parameters`. Nothing is read or sent yet.
    #[must_use]
    pub fn new(settings: GitHubSettings, parameters: P) -> Self {
        Self {
            transport: Transport::new(settings.api_url),
            sign_in: SignIn::new(settings.app_id, settings.key_parameter, parameters),
        }
    }

    async fn call(&self, identity: impl Into<Identity>, call: Call) -> Result<Answer, Failure> {
        let (identity, what) = (identity.into(), call.what);
        let whole = async {
            self.transport.check_limit(identity, what)?;
            let token = self.token(identity).await?;
            match self.transport.send(identity, &call, &token).await {
                // The token was revoked, or the App's permissions changed: retry once with a new one.
                Err(refused) if refused.status == Some(StatusCode::UNAUTHORIZED) => {
                    self.forget_token(identity);
                    let token = self.token(identity).await?;
                    self.transport.send(identity, &call, &token).await
                }
                other => other,
            }
        };
        timeout(CALL_LIMIT, whole)
            .await
            .unwrap_or_else(|_| Err(Failure::timed_out(what, CALL_LIMIT)))
    }

    async fn token(&self, identity: Identity) -> Result<SecretString, Failure> {
        match identity {
            Identity::App => self.sign_in.jwt().await,
            Identity::Installation(id) => self.sign_in.token(&self.transport, id).await,
        }
    }

    fn forget_token(&self, identity: Identity) {
        match identity {
            Identity::App => self.sign_in.forget_key(),
            Identity::Installation(id) => self.sign_in.forget_token(id),
        }
    }

    /// Makes a call and reads its answer as JSON.
    async fn read<T: DeserializeOwned>(&self, identity: impl Into<Identity>, call: Call) -> Result<T, Failure> {
        let what = call.what;
        self.call(identity, call).await?.json(what)
    }

    /// Reads all pages of a list, most of them unchanged since the last read.
    ///
    /// <https://docs.github.com/en/rest/using-the-rest-api/using-pagination-in-the-rest-api>
    async fn pages<L: Page>(
        &self,
        identity: impl Into<Identity>,
        what: &'static str,
        path: &str,
    ) -> Result<Vec<L::Item>, Failure> {
        let identity = identity.into();
        let start = if path.contains('?') { '&' } else { '?' };
        let mut items = Vec::new();
        for page in 1..=MAX_PAGES {
            let path = format!("{path}{start}per_page={PER_PAGE}&page={page}");
            let answer: L = self.read(identity, Call::get(what, path).reusable()).await?;
            let page = answer.items();
            let last = page.len() < PER_PAGE;
            items.extend(page);
            if last {
                return Ok(items);
            }
        }
        tracing::warn!(path, MAX_PAGES, "a list has more pages than are read");
        Ok(items)
    }
}

/// Locks even after a panic: the values behind these locks are consistent at any moment.
fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The time since the Unix epoch, as GitHub writes it.
fn since_1970() -> Duration {
    Duration::from_millis(u64::try_from(clock::now().millis()).unwrap_or_default())
}

#[cfg(test)]
mod tests;
