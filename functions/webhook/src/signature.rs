//! `X-Hub-Signature-256`: HMAC-SHA256 over the raw body.
//!
//! <https://docs.github.com/en/webhooks/using-webhooks/validating-webhook-deliveries>

use hmac::{Hmac, KeyInit, Mac};
use secrecy::{ExposeSecret, SecretString};
use sha2::Sha256;

pub struct Signature([u8; 32]);

pub fn parse(header: &str) -> Result<Signature, &'static str> {
    let digits = header
        .strip_prefix("sha256=")
        .ok_or("the `X-Hub-Signature-256` header does not begin with `sha256=`")?;
    let mut bytes = [0; 32];
    hex::decode_to_slice(digits, &mut bytes)
        .map_err(|_| "the `X-Hub-Signature-256` header does not hold 64 hexadecimal digits")?;
    Ok(Signature(bytes))
}

/// Whether the body was signed with the secret, in constant time.
pub fn is_valid(secret: &SecretString, body: &[u8], given: &Signature) -> bool {
    let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(secret.expose_secret().as_bytes()) else {
        return false;
    };
    mac.update(body);
    mac.verify_slice(&given.0).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn example_from_githubs_docs_is_valid() {
        let secret = SecretString::from("It's a Secret to Everybody");
        let header = "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17";
        assert!(is_valid(&secret, b"Hello, World!", &parse(header).unwrap()));
        assert!(!is_valid(&secret, b"Hello, World?", &parse(header).unwrap()));
        assert!(!is_valid(
            &SecretString::from("another"),
            b"Hello, World!",
            &parse(header).unwrap()
        ));
    }

    #[test]
    fn malformed_headers_are_rejected() {
        for bad in [
            "",
            "sha256=",
            "sha256=zz",
            "sha1=757107ea",
            &"a".repeat(64),
            &format!("sha256={}", "a".repeat(65)),
        ] {
            assert!(parse(bad).is_err(), "{bad}");
        }
    }
}
