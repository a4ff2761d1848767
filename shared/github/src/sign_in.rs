//! Signing in as the App: a JWT made with its private key is exchanged for a token of the
//! installation, which lasts an hour.
//!
//! <https://docs.github.com/en/apps/creating-github-apps/authenticating-with-a-github-app/generating-a-json-web-token-jwt-for-a-github-app>

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

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

/// Our clock and GitHub's may differ so much.
const CLOCK_DRIFT: Duration = Duration::from_secs(60);

/// How long a JWT is valid; GitHub takes ten minutes at most. It is used at once.
const JWT_LIFETIME: Duration = Duration::from_secs(5 * 60);

/// A token is not used in its last minute, so that it does not end between two tries of a call.
const TOKEN_RESERVE: Duration = Duration::from_secs(60);

/// The App's identity, and what was got with it.
pub(crate) struct SignIn<P> {
    app_id: u64,
    key_parameter: String,
    parameters: P,
    key: Mutex<Option<Arc<EncodingKey>>>,
    tokens: Mutex<HashMap<InstallationId, Token>>,
}

struct Token {
    secret: SecretString,
    expires_at: SystemTime,
}

#[derive(Serialize)]
struct Claims {
    iss: String,
    iat: u64,
    exp: u64,
    /// GitHub refuses the second of two JWTs that are the same, as two of one second would be.
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

    /// The App's number.
    pub(crate) fn app_id(&self) -> u64 {
        self.app_id
    }

    /// A token of the installation: the one that we have, or another.
    pub(crate) async fn token(
        &self,
        transport: &Transport,
        installation: InstallationId,
    ) -> Result<SecretString, Failure> {
        if let Some(token) = self.kept_token(installation) {
            return Ok(token);
        }
        transport.may_ask(Identity::App, WHAT)?;
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
        let kept = Token {
            secret: secret.clone(),
            expires_at: expires_at.into(),
        };
        locked(&self.tokens).insert(installation, kept);
        Ok(secret)
    }

    /// Drops a token that GitHub no longer takes.
    pub(crate) fn forget_token(&self, installation: InstallationId) {
        locked(&self.tokens).remove(&installation);
    }

    /// Drops the key: it may have been replaced since it was read.
    pub(crate) fn forget_key(&self) {
        *locked(&self.key) = None;
    }

    fn kept_token(&self, installation: InstallationId) -> Option<SecretString> {
        let tokens = locked(&self.tokens);
        let token = tokens.get(&installation)?;
        let usable = SystemTime::now() + TOKEN_RESERVE < token.expires_at;
        usable.then(|| token.secret.clone())
    }

    /// A JWT for one call as the App itself.
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
            .map_err(|error| self.key_trouble(&chain(&error)))
    }

    /// The App's key, read once. A read that failed is not remembered.
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
            .map_err(|_| self.key_trouble("it is no RSA key in PEM"))?;
        let key = Arc::new(key);
        *locked(&self.key) = Some(Arc::clone(&key));
        Ok(key)
    }

    fn key_trouble(&self, trouble: &str) -> Failure {
        let parameter = &self.key_parameter;
        Failure::unanswered(
            WHAT,
            format!(
                "the private key in the SSM parameter `{parameter}` cannot be used: {trouble}. \
                 Put the whole `.pem` file in that the App's settings page gives"
            ),
        )
    }

    /// GitHub's words on a refused sign-in, with what to look at.
    fn explained(&self, refused: Failure, installation: InstallationId) -> Failure {
        let look_at = match refused.error.kind {
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
            // Nobody may take this status for one of the call that the token was for.
            status: None,
            shut: None,
            error: ApiError {
                message: format!("{}. {look_at}", refused.error.message),
                ..refused.error
            },
        }
    }
}
