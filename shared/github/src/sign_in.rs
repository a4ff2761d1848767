//! Signs in as the App: a JWT signed with its private key is exchanged for an installation token that
//! lasts an hour.
//!
//! <https://docs.github.com/en/apps/creating-github-apps/authenticating-with-a-github-app/generating-a-json-web-token-jwt-for-a-github-app>

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use dayfly_ports::{ApiError, ApiErrorKind, Parameters};
use dayfly_types::ids::InstallationId;
use http::StatusCode;
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use secrecy::{ExposeSecret, SecretString};
use serde::Serialize;
use uuid::Uuid;

use crate::answers::InstallationToken;
use crate::call::Call;
use crate::failure::{Failure, chain};
use crate::limits::Identity;
use crate::transport::Transport;
use crate::{locked, since_1970};

const WHAT: &str = "sign in as the App";

/// How far our clock and GitHub's may differ.
const CLOCK_DRIFT: Duration = Duration::from_secs(60);

/// GitHub accepts ten minutes at most. A JWT is used at once.
const JWT_LIFETIME: Duration = Duration::from_secs(5 * 60);

/// A token is not used in its last minute, so that it does not expire between two tries of a call.
const TOKEN_MARGIN: Duration = Duration::from_secs(60);

/// The App's identity, with its cached key and tokens.
pub(crate) struct SignIn<P> {
    app_id: u64,
    key_parameter: String,
    parameters: P,
    key: Mutex<Option<Arc<EncodingKey>>>,
    tokens: Mutex<HashMap<InstallationId, Token>>,
}

struct Token {
    secret: SecretString,
    /// Since the Unix epoch.
    expires_at: Duration,
}

#[derive(Serialize)]
struct Claims {
    iss: String,
    iat: u64,
    exp: u64,
    /// Makes JWTs of the same second differ: GitHub refuses a JWT that it has seen.
    jti: String,
}

impl<P> fmt::Debug for SignIn<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SignIn")
            .field("app_id", &self.app_id)
            .field("key_parameter", &self.key_parameter)
            .finish_non_exhaustive()
    }
}

impl<P: Parameters> SignIn<P> {
    pub(crate) fn new(app_id: u64, key_parameter: String, parameters: P) -> Self {
        Self {
            app_id,
            key_parameter,
            parameters,
            key: Mutex::default(),
            tokens: Mutex::default(),
        }
    }

    pub(crate) fn app_id(&self) -> u64 {
        self.app_id
    }

    /// Returns the cached token of the installation, or a new one.
    pub(crate) async fn token(
        &self,
        transport: &Transport,
        installation: InstallationId,
    ) -> Result<SecretString, Failure> {
        if let Some(token) = self.cached_token(installation) {
            return Ok(token);
        }
        transport.check_limit(Identity::App, WHAT)?;
        let jwt = self.jwt().await?;
        let call = Call::post(WHAT, format!("/app/installations/{installation}/access_tokens"), None).repeatable();
        let answer = match transport.send(Identity::App, &call, &jwt).await {
            Ok(answer) => answer,
            Err(refused) => {
                if refused.status == Some(StatusCode::UNAUTHORIZED) {
                    self.forget_key();
                }
                return Err(self.explained(refused, installation));
            }
        };
        let InstallationToken { token, expires_at } = answer.json(WHAT)?;
        let secret = SecretString::from(token);
        let cached = Token {
            secret: secret.clone(),
            expires_at: Duration::from_millis(u64::try_from(expires_at.as_millisecond()).unwrap_or_default()),
        };
        locked(&self.tokens).insert(installation, cached);
        Ok(secret)
    }

    /// Drops a token that GitHub no longer accepts.
    pub(crate) fn forget_token(&self, installation: InstallationId) {
        locked(&self.tokens).remove(&installation);
    }

    /// Drops the key: it may have been replaced since it was read.
    pub(crate) fn forget_key(&self) {
        *locked(&self.key) = None;
    }

    fn cached_token(&self, installation: InstallationId) -> Option<SecretString> {
        let tokens = locked(&self.tokens);
        let token = tokens.get(&installation)?;
        let usable = since_1970() + TOKEN_MARGIN < token.expires_at;
        usable.then(|| token.secret.clone())
    }

    /// Signs a JWT for one call as the App.
    pub(crate) async fn jwt(&self) -> Result<SecretString, Failure> {
        let key = self.key().await?;
        let now = since_1970();
        let claims = Claims {
            iss: self.app_id.to_string(),
            iat: now.saturating_sub(CLOCK_DRIFT).as_secs(),
            exp: now.saturating_add(JWT_LIFETIME).as_secs(),
            jti: Uuid::new_v4().to_string(),
        };
        jsonwebtoken::encode(&Header::new(Algorithm::RS256), &claims, &key)
            .map(SecretString::from)
            .map_err(|error| self.unusable_key(&chain(&error)))
    }

    /// Returns the App's key, read once. A failed read is not cached.
    async fn key(&self) -> Result<Arc<EncodingKey>, Failure> {
        if let Some(key) = locked(&self.key).clone() {
            return Ok(key);
        }
        let pem = self
            .parameters
            .read(&self.key_parameter)
            .await
            .map_err(|error| Failure::unanswered(WHAT, error.to_string()))?;
        let key = EncodingKey::from_rsa_pem(pem.expose_secret().trim().as_bytes())
            .map_err(|_| self.unusable_key("it is not an RSA key in PEM"))?;
        let key = Arc::new(key);
        *locked(&self.key) = Some(Arc::clone(&key));
        Ok(key)
    }

    fn unusable_key(&self, reason: &str) -> Failure {
        let parameter = &self.key_parameter;
        Failure::unanswered(
            WHAT,
            format!(
                "the private key in the SSM parameter `{parameter}` cannot be used: {reason}. \
                 Store the whole `.pem` file from the App's settings page"
            ),
        )
    }

    /// Adds what to check to GitHub's message on a refused sign-in.
    fn explained(&self, refused: Failure, installation: InstallationId) -> Failure {
        let hint = match refused.error.kind {
            ApiErrorKind::Forbidden => format!(
                "App id {} and the key in the SSM parameter `{}` must belong together",
                self.app_id, self.key_parameter
            ),
            ApiErrorKind::NotFound => {
                format!(
                    "App {} has no installation {installation}; is it uninstalled?",
                    self.app_id
                )
            }
            _ => return refused,
        };
        Failure {
            // The status is the sign-in's, not that of the call which needed the token.
            status: None,
            limited: None,
            error: ApiError {
                message: format!("{}. {hint}", refused.error.message),
                ..refused.error
            },
        }
    }
}
