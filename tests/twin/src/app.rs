//! The GitHub App: its identity, its key, and the judgement of its JWTs.

use std::collections::BTreeMap;
use std::fmt;

use aws_lc_rs::encoding::{AsDer, Pkcs8V1Der};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{self, KeyPair as _, RsaKeyPair, UnparsedPublicKey};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use jiff::Timestamp;
use serde_json::{Value, json};

use crate::model::{Account, AppId};

/// The longest that a JWT may be valid, in seconds.
const LONGEST_JWT_S: i64 = 600;
/// How far apart the App's clock and GitHub's may be, in seconds.
const CLOCK_DRIFT_S: i64 = 60;

/// Who the App is.
#[derive(Debug, Clone)]
pub struct AppInfo {
    /// Its id: the JWT's `iss`.
    pub id: AppId,
    /// Its client id: GitHub takes it as `iss` too.
    pub client_id: String,
    pub slug: String,
    pub name: String,
    pub owner: Account,
    pub hook_id: u64,
    /// Its permissions where it is installed.
    pub permissions: BTreeMap<String, String>,
    pub events: Vec<String>,
    pub created_at: Timestamp,
}

pub struct AppKey {
    pair: RsaKeyPair,
    pem: String,
}

impl fmt::Debug for AppKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("AppKey")
    }
}

/// Why an App key cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// Not PEM, or not base64 in it.
    #[error("the App's key is not PEM")]
    NotPem,
    /// Not an RSA private key.
    #[error("the App's key is not an RSA private key")]
    NotRsa,
    #[error("no RSA key could be generated")]
    Generation,
}

impl AppKey {
    /// A fresh 2048-bit key.
    ///
    /// # Errors
    /// When the system gives no randomness.
    pub fn generate() -> Result<Self, KeyError> {
        let pair = RsaKeyPair::generate(KeySize::Rsa2048).map_err(|_| KeyError::Generation)?;
        let der: Pkcs8V1Der<'_> = pair.as_der().map_err(|_| KeyError::Generation)?;
        let pkcs1 = pkcs1_of_pkcs8(der.as_ref()).ok_or(KeyError::NotRsa)?;
        let pem = pem("RSA PRIVATE KEY", pkcs1);
        Ok(Self { pair, pem })
    }

    /// A key given in PEM, PKCS#1 or PKCS#8.
    ///
    /// # Errors
    /// When it isn't one.
    pub fn from_pem(text: &str) -> Result<Self, KeyError> {
        let body: String = text
            .lines()
            .filter(|line| !line.starts_with("-----"))
            .map(str::trim)
            .collect();
        let der = STANDARD.decode(body).map_err(|_| KeyError::NotPem)?;
        let pair = RsaKeyPair::from_der(&der)
            .or_else(|_| RsaKeyPair::from_pkcs8(&der))
            .map_err(|_| KeyError::NotRsa)?;
        Ok(Self {
            pair,
            pem: text.to_owned(),
        })
    }

    /// The private key in PEM, as GitHub lets one download it (PKCS#1).
    #[must_use]
    pub fn pem(&self) -> &str {
        &self.pem
    }

    /// Signs claims as an App does.
    ///
    /// # Errors
    /// When the signature fails, which only a broken key makes it do.
    pub fn sign(&self, claims: &Value) -> Result<String, KeyError> {
        let header = URL_SAFE_NO_PAD.encode(json!({"alg": "RS256", "typ": "JWT"}).to_string());
        let body = URL_SAFE_NO_PAD.encode(claims.to_string());
        let signed = format!("{header}.{body}");
        let mut signature = vec![0; self.pair.public_modulus_len()];
        self.pair
            .sign(
                &signature::RSA_PKCS1_SHA256,
                &SystemRandom::new(),
                signed.as_bytes(),
                &mut signature,
            )
            .map_err(|_| KeyError::NotRsa)?;
        Ok(format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature)))
    }

    /// Judges a JWT as GitHub does.
    ///
    /// # Errors
    /// With GitHub's message.
    pub fn verify(&self, jwt: &str, app: &AppInfo, now: Timestamp) -> Result<Value, JwtRefusal> {
        let mut parts = jwt.split('.');
        let (Some(header), Some(body), Some(mac), None) = (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return Err(JwtRefusal::Undecodable);
        };
        if decoded(header)?["alg"] != "RS256" {
            return Err(JwtRefusal::Undecodable);
        }
        let claims = decoded(body)?;
        let mac = URL_SAFE_NO_PAD.decode(mac).map_err(|_| JwtRefusal::Undecodable)?;
        UnparsedPublicKey::new(&signature::RSA_PKCS1_2048_8192_SHA256, self.pair.public_key().as_ref())
            .verify(&jwt.as_bytes()[..header.len() + 1 + body.len()], &mac)
            .map_err(|_| JwtRefusal::Undecodable)?;
        judge_claims(&claims, app, now)?;
        Ok(claims)
    }
}

fn decoded(part: &str) -> Result<Value, JwtRefusal> {
    let bytes = URL_SAFE_NO_PAD.decode(part).map_err(|_| JwtRefusal::Undecodable)?;
    serde_json::from_slice(&bytes).map_err(|_| JwtRefusal::Undecodable)
}

fn judge_claims(claims: &Value, app: &AppInfo, now: Timestamp) -> Result<(), JwtRefusal> {
    let issuer = match &claims["iss"] {
        Value::String(text) => text.clone(),
        Value::Number(number) => number.to_string(),
        _ => return Err(JwtRefusal::NoIssuer),
    };
    if issuer != app.id.to_string() && issuer != app.client_id {
        return Err(JwtRefusal::UnknownApp);
    }
    let now = now.as_second();
    let since = claims["iat"].as_i64().ok_or(JwtRefusal::IssuedAt)?;
    if since > now + CLOCK_DRIFT_S {
        return Err(JwtRefusal::IssuedAt);
    }
    let expires = claims["exp"].as_i64().ok_or(JwtRefusal::Expires)?;
    if expires <= now {
        return Err(JwtRefusal::Expires);
    }
    if expires > now + LONGEST_JWT_S {
        return Err(JwtRefusal::ExpiresTooLate);
    }
    Ok(())
}

/// Why a JWT is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum JwtRefusal {
    /// Not a JWT, not RS256, or not signed by the App's key.
    #[error("A JSON web token could not be decoded")]
    Undecodable,
    /// No `iss`.
    #[error("Missing 'issuer' claim ('iss') in assertion")]
    NoIssuer,
    /// An `iss` that is no App.
    #[error("Integration not found")]
    UnknownApp,
    /// No `iat`, or one in the future.
    #[error("'Issued at' claim ('iat') must be an Integer representing the time that the assertion was issued")]
    IssuedAt,
    /// No `exp`, or one in the past.
    #[error(
        "'Expiration time' claim ('exp') must be a numeric value representing the future time at which the assertion expires"
    )]
    Expires,
    /// An `exp` more than ten minutes ahead.
    #[error("'Expiration time' claim ('exp') is too far in the future")]
    ExpiresTooLate,
    /// No `jti`, or another JWT's.
    #[error("'JWT ID' claim ('jti') must be unique")]
    Reused,
}

fn pem(label: &str, der: &[u8]) -> String {
    use std::fmt::Write as _;
    let body = STANDARD.encode(der);
    let mut text = format!("-----BEGIN {label}-----\n");
    for line in body.as_bytes().chunks(64) {
        let _ = writeln!(text, "{}", String::from_utf8_lossy(line));
    }
    let _ = writeln!(text, "-----END {label}-----");
    text
}

/// PKCS#8 is `SEQUENCE { INTEGER, SEQUENCE, OCTET STRING { PKCS#1 } }`.
fn pkcs1_of_pkcs8(der: &[u8]) -> Option<&[u8]> {
    let (outer, _) = der_value(der)?;
    let (_, rest) = der_value(outer)?;
    let (_, rest) = der_value(rest)?;
    let (key, _) = der_value(rest)?;
    Some(key)
}

/// The contents of the first DER value, and what follows it.
fn der_value(der: &[u8]) -> Option<(&[u8], &[u8])> {
    let (_tag, rest) = der.split_first()?;
    let (first, rest) = rest.split_first()?;
    let (len, rest) = if *first < 0x80 {
        (usize::from(*first), rest)
    } else {
        let (bytes, rest) = rest.split_at_checked(usize::from(first & 0x7f))?;
        let len = bytes.iter().fold(0, |len, byte| len << 8 | usize::from(*byte));
        (len, rest)
    };
    rest.split_at_checked(len)
}
