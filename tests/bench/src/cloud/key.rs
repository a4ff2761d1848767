//! The App's private key, generated for every run.

use anyhow::Context as _;
use aws_lc_rs::encoding::{AsDer as _, Pkcs8V1Der};
use aws_lc_rs::rsa::{KeyPair, KeySize};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;

/// PKCS #8's prefix of a 2048-bit RSA key: a sequence, a version, the algorithm and the head of an
/// octet string (RFC 5208, section 5).
const PKCS8_PREFIX_BYTES: usize = 26;

/// The line length of a PEM file (RFC 7468, section 2).
const PEM_COLUMNS: usize = 64;

/// Generates a key in GitHub's format: 2048 bits, PKCS #1, PEM.
///
/// # Errors
/// If no key can be generated.
pub fn app_key() -> anyhow::Result<String> {
    let pair = KeyPair::generate(KeySize::Rsa2048).context("no RSA key could be made")?;
    let der: Pkcs8V1Der<'_> = pair.as_der().context("the RSA key has no encoding")?;
    let pkcs1 = der
        .as_ref()
        .get(PKCS8_PREFIX_BYTES..)
        .context("the RSA key is too short")?;
    let text = BASE64.encode(pkcs1);
    let mut pem = String::from("-----BEGIN RSA PRIVATE KEY-----\n");
    let mut rest = text.as_str();
    while !rest.is_empty() {
        let (line, others) = rest.split_at(rest.len().min(PEM_COLUMNS));
        pem.push_str(line);
        pem.push('\n');
        rest = others;
    }
    pem.push_str("-----END RSA PRIVATE KEY-----\n");
    Ok(pem)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_key_is_the_rsa_key_that_its_pem_names() {
        let pem = app_key().unwrap();
        let body: String = pem.lines().filter(|line| !line.starts_with('-')).collect();
        let der = BASE64.decode(body).unwrap();
        assert!(KeyPair::from_der(&der).is_ok());
    }
}
