//! AWS Signature Version 4: signing (the lab's own calls) and verifying (the lab's front door).
//!
//! Source: "Create a signed AWS API request" in the IAM user guide. The tests compare with AWS's
//! published example; ministack verifies our signatures, and this code verifies those of the agent and
//! of the functions' SDK, so no side verifies itself.

use std::fmt;

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

/// How far a request's date may be from now, in seconds (five minutes for most AWS services).
pub const CLOCK_SKEW_SECONDS: i64 = 300;

/// Returns the SHA-256 of `bytes` in hex. `sha2` is not used: hashing the functions' code takes seconds
/// in an unoptimised build of it.
#[must_use]
pub fn sha256_hex(bytes: &[u8]) -> String {
    hex::encode(aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, bytes))
}

const ALGORITHM: &str = "AWS4-HMAC-SHA256";
const UNSIGNED: &str = "UNSIGNED-PAYLOAD";

/// An access key with its secret and, for a role's session, its token.
#[derive(Clone, PartialEq, Eq)]
pub struct Credentials {
    /// `AKIA…` of a user, `ASIA…` of a session.
    pub access_key: String,
    /// Never printed.
    pub secret: String,
    /// Only a session has one. Never printed.
    pub token: Option<String>,
}

impl Credentials {
    /// The account's owner in ministack: all permissions, and an unchecked signature.
    #[must_use]
    pub fn owner() -> Self {
        Self {
            access_key: "test".into(),
            secret: "test".into(),
            token: None,
        }
    }
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credentials")
            .field("access_key", &self.access_key)
            .finish_non_exhaustive()
    }
}

/// The region and service of a signature.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Scope<'a> {
    /// Such as `eu-west-1`.
    pub region: &'a str,
    /// Such as `lambda`.
    pub service: &'a str,
}

/// The signed parts of a request.
#[derive(Clone, Copy, Debug)]
pub struct Request<'a> {
    /// Upper case.
    pub method: &'a str,
    /// As sent: percent-encoded, without the query.
    pub path: &'a str,
    /// As sent, without the question mark.
    pub query: &'a str,
    /// Names in any case, possibly repeated.
    pub headers: &'a [(String, String)],
    pub body: &'a [u8],
}

impl Request<'_> {
    fn header(&self, name: &str) -> Option<String> {
        let values: Vec<String> = self
            .headers
            .iter()
            .filter(|(known, _)| known.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.split_whitespace().collect::<Vec<_>>().join(" "))
            .collect();
        (!values.is_empty()).then(|| values.join(","))
    }
}

/// An invalid signature.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SignatureFault {
    /// No `Authorization` header of this algorithm.
    #[error("the request is not signed")]
    Unsigned,
    /// The header or the date lacks a part.
    #[error("the Authorization header lacks {0}")]
    Incomplete(&'static str),
    #[error("the access key is not known")]
    UnknownKey,
    /// Signed for another region, service or day.
    #[error("signed for another scope")]
    WrongScope,
    /// The caller's clock is off, or the request is old.
    #[error("the request's date is too far from now")]
    Skewed,
    /// The session token is missing, wrong, or not among the signed headers.
    #[error("the session token does not belong to the access key")]
    WrongToken,
    /// `x-amz-content-sha256` does not match the body.
    #[error("the body is not the one that was signed")]
    WrongBody,
    /// The signature does not match the secret.
    #[error("the signature does not match")]
    Mismatch,
}

/// Returns the headers that sign `request` at `now` (epoch seconds): date, body hash, token and
/// `Authorization`. `request.headers` must already contain the host.
#[must_use]
pub fn sign(request: &Request<'_>, scope: Scope<'_>, credentials: &Credentials, now: i64) -> Vec<(String, String)> {
    let date = amz_date(now);
    let payload = sha256_hex(request.body);
    let mut added = vec![
        ("x-amz-date".to_owned(), date.clone()),
        ("x-amz-content-sha256".to_owned(), payload.clone()),
    ];
    if let Some(token) = &credentials.token {
        added.push(("x-amz-security-token".to_owned(), token.clone()));
    }
    let headers: Vec<(String, String)> = request.headers.iter().chain(&added).cloned().collect();
    let all = Request {
        headers: &headers,
        ..*request
    };
    let mut names: Vec<String> = headers.iter().map(|(name, _)| name.to_ascii_lowercase()).collect();
    names.sort();
    names.dedup();
    let signed = names.join(";");
    let signature = signature(&all, &signed, &payload, &date, scope, &credentials.secret);
    let scope = format!("{}/{}/{}/aws4_request", &date[..8], scope.region, scope.service);
    added.push((
        "authorization".to_owned(),
        format!(
            "{ALGORITHM} Credential={}/{scope}, SignedHeaders={signed}, Signature={}",
            credentials.access_key,
            hex::encode(signature)
        ),
    ));
    added
}

/// Returns the access key that a request claims, unchecked.
#[must_use]
pub fn claimed_access_key(headers: &[(String, String)]) -> Option<String> {
    let request = Request {
        method: "",
        path: "",
        query: "",
        headers,
        body: b"",
    };
    Authorization::of(&request)
        .ok()
        .map(|authorization| authorization.access_key)
}

/// Recomputes the signature of `request` with `credentials` and compares.
///
/// # Errors
/// The first [`SignatureFault`] found; [`SignatureFault::UnknownKey`] if `credentials` have another
/// access key than claimed.
pub fn verify(
    request: &Request<'_>,
    scope: Scope<'_>,
    credentials: &Credentials,
    now: i64,
) -> Result<(), SignatureFault> {
    let authorization = Authorization::of(request)?;
    if authorization.access_key != credentials.access_key {
        return Err(SignatureFault::UnknownKey);
    }
    let date = request
        .header("x-amz-date")
        .ok_or(SignatureFault::Incomplete("the date"))?;
    let at = epoch_seconds(&date).ok_or(SignatureFault::Incomplete("a readable date"))?;
    if authorization.region != scope.region || authorization.service != scope.service || authorization.day != date[..8]
    {
        return Err(SignatureFault::WrongScope);
    }
    if (now - at).abs() > CLOCK_SKEW_SECONDS {
        return Err(SignatureFault::Skewed);
    }
    let names: Vec<&str> = authorization.signed_headers.split(';').collect();
    if !names.contains(&"host") || !names.contains(&"x-amz-date") {
        return Err(SignatureFault::Incomplete("host and date among the signed headers"));
    }
    if request.header("x-amz-security-token") != credentials.token {
        return Err(SignatureFault::WrongToken);
    }
    let payload = payload_hash(request)?;
    let ours = signature(
        request,
        &authorization.signed_headers,
        &payload,
        &date,
        scope,
        &credentials.secret,
    );
    let theirs = hex::decode(&authorization.signature).map_err(|_| SignatureFault::Mismatch)?;
    // Compared as two MACs of the same key, so that timing reveals nothing.
    let blind = |bytes: &[u8]| mac(b"compare", bytes);
    if blind(&ours) == blind(&theirs) {
        Ok(())
    } else {
        Err(SignatureFault::Mismatch)
    }
}

fn payload_hash(request: &Request<'_>) -> Result<String, SignatureFault> {
    let actual = sha256_hex(request.body);
    match request.header("x-amz-content-sha256") {
        None => Ok(actual),
        Some(claimed) if claimed == UNSIGNED || claimed == actual => Ok(claimed),
        Some(_) => Err(SignatureFault::WrongBody),
    }
}

struct Authorization {
    access_key: String,
    day: String,
    region: String,
    service: String,
    signed_headers: String,
    signature: String,
}

impl Authorization {
    fn of(request: &Request<'_>) -> Result<Self, SignatureFault> {
        let header = request.header("authorization").ok_or(SignatureFault::Unsigned)?;
        let fields = header.strip_prefix(ALGORITHM).ok_or(SignatureFault::Unsigned)?;
        let field = |name: &'static str| {
            fields
                .split(',')
                .filter_map(|field| field.trim().split_once('='))
                .find(|(known, _)| *known == name)
                .map(|(_, value)| value.to_owned())
                .ok_or(SignatureFault::Incomplete(name))
        };
        let credential = field("Credential")?;
        let [access_key, day, region, service, "aws4_request"] = credential.split('/').collect::<Vec<_>>()[..] else {
            return Err(SignatureFault::Incomplete("a whole Credential"));
        };
        Ok(Self {
            access_key: access_key.to_owned(),
            day: day.to_owned(),
            region: region.to_owned(),
            service: service.to_owned(),
            signed_headers: field("SignedHeaders")?,
            signature: field("Signature")?,
        })
    }
}

fn signature(
    request: &Request<'_>,
    signed_headers: &str,
    payload: &str,
    date: &str,
    scope: Scope<'_>,
    secret: &str,
) -> Vec<u8> {
    let canonical = canonical_request(request, signed_headers, payload, scope.service);
    let day = &date[..8];
    let to_sign = format!(
        "{ALGORITHM}\n{date}\n{day}/{}/{}/aws4_request\n{}",
        scope.region,
        scope.service,
        sha256_hex(canonical.as_bytes())
    );
    let mut key = mac(format!("AWS4{secret}").as_bytes(), day.as_bytes());
    for part in [scope.region, scope.service, "aws4_request"] {
        key = mac(&key, part.as_bytes());
    }
    mac(&key, to_sign.as_bytes())
}

fn canonical_request(request: &Request<'_>, signed_headers: &str, payload: &str, service: &str) -> String {
    let mut headers = String::new();
    for name in signed_headers.split(';') {
        headers.push_str(name);
        headers.push(':');
        headers.push_str(&request.header(name).unwrap_or_default());
        headers.push('\n');
    }
    format!(
        "{}\n{}\n{}\n{headers}\n{signed_headers}\n{payload}",
        request.method,
        canonical_path(request.path, service),
        canonical_query(request.query),
    )
}

/// S3 signs the path as sent; every other service normalises it and encodes it once more.
fn canonical_path(path: &str, service: &str) -> String {
    if service == "s3" {
        return path.to_owned();
    }
    let mut segments: Vec<&str> = Vec::new();
    for segment in path.split('/') {
        match segment {
            "" | "." => {}
            ".." => {
                segments.pop();
            }
            other => segments.push(other),
        }
    }
    let mut normal = format!("/{}", segments.join("/"));
    if path.ends_with('/') && !segments.is_empty() {
        normal.push('/');
    }
    encode(&normal, b"/")
}

fn canonical_query(query: &str) -> String {
    let mut pairs: Vec<(String, String)> = form_urlencoded::parse(query.as_bytes())
        .map(|(name, value)| (encode(&name, b""), encode(&value, b"")))
        .collect();
    pairs.sort();
    pairs
        .iter()
        .map(|(name, value)| format!("{name}={value}"))
        .collect::<Vec<_>>()
        .join("&")
}

/// Percent-encodes all but the unreserved characters of RFC 3986 and those in `also`.
#[must_use]
pub fn encode(text: &str, also: &[u8]) -> String {
    use fmt::Write as _;
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte) || also.contains(&byte) {
            out.push(char::from(byte));
        } else {
            // Writing to a String cannot fail.
            let _ = write!(out, "%{byte:02X}");
        }
    }
    out
}

fn mac(key: &[u8], message: &[u8]) -> Vec<u8> {
    #[expect(clippy::expect_used, reason = "HMAC takes a key of any length")]
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("any length of key");
    mac.update(message);
    mac.finalize().into_bytes().to_vec()
}

fn amz_date(now: i64) -> String {
    jiff::Timestamp::from_second(now)
        .unwrap_or(jiff::Timestamp::UNIX_EPOCH)
        .strftime("%Y%m%dT%H%M%SZ")
        .to_string()
}

fn epoch_seconds(amz_date: &str) -> Option<i64> {
    if amz_date.len() != 16 || !amz_date.is_ascii() {
        return None;
    }
    let civil = jiff::civil::DateTime::strptime("%Y%m%dT%H%M%SZ", amz_date).ok()?;
    Some(civil.to_zoned(jiff::tz::TimeZone::UTC).ok()?.timestamp().as_second())
}

#[cfg(test)]
mod tests;
