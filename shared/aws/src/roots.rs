//! The trusted certificate authorities.
//!
//! AWS's endpoints have certificates from Amazon Trust Services, whose roots are these five
//! (<https://www.amazontrust.com/repository/>). Reading only them, not the 150 that browsers trust, saves
//! most of a function's start-up. They come from Debian's `ca-certificates` 20230311+deb12u1, which takes
//! them from Mozilla; tests compare them with Amazon's published fingerprints and Mozilla's current list.

use std::borrow::Cow;
use std::path::PathBuf;

use rustls::RootCertStore;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;

use crate::ConfigError;

const OF_AWS: &str = concat!(
    include_str!("roots/amazon_root_ca_1.pem"),
    include_str!("roots/amazon_root_ca_2.pem"),
    include_str!("roots/amazon_root_ca_3.pem"),
    include_str!("roots/amazon_root_ca_4.pem"),
    include_str!("roots/starfield_services_root_g2.pem"),
);

/// Readable PEM certificates.
#[derive(Clone, Debug)]
pub(crate) struct Roots(Cow<'static, str>);

impl Roots {
    /// The roots of AWS's own endpoints.
    pub(crate) fn of_aws() -> Self {
        Self(Cow::Borrowed(OF_AWS))
    }

    /// The roots of a file, in place of AWS's own, as the SDKs treat `AWS_CA_BUNDLE`. The file is checked here,
    /// because TLS setup would panic on a broken one.
    pub(crate) fn from_file(path: PathBuf) -> Result<Self, ConfigError> {
        let checked = std::fs::read_to_string(&path)
            .map_err(|error| error.to_string())
            .and_then(|pem| check(&pem).map(|()| pem));
        match checked {
            Ok(pem) => Ok(Self(Cow::Owned(pem))),
            Err(error) => Err(ConfigError::CaBundle { path, error }),
        }
    }

    pub(crate) fn pem(&self) -> &[u8] {
        self.0.as_bytes()
    }
}

fn check(pem: &str) -> Result<(), String> {
    let mut store = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(pem.as_bytes()) {
        let certificate = certificate.map_err(|error| error.to_string())?;
        store.add(certificate).map_err(|error| error.to_string())?;
    }
    if store.is_empty() {
        return Err("it has no certificate".to_owned());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use sha2::{Digest, Sha256};

    use super::*;

    /// As published at <https://www.amazontrust.com/repository/>.
    const FINGERPRINTS: [&str; 5] = [
        "8ecde6884f3d87b1125ba31ac3fcb13d7016de7f57cc904fe1cb97c6ae98196e",
        "1ba5b2aa8c65401a82960118f80bec4f62304d83cec4713a19c39c011ea46db4",
        "18ce6cfe7bf14e60b2e347b8dfe868cb31d02ebb3ada271569f50343b46db3a4",
        "e35d28419ed02025cfa69038cd623962458da5c695fbdea3c22b0bfb25897092",
        "568d6905a2c88708a4b3025190edcfedb1974a606a13c6e5290fcb2ae63edab5",
    ];

    fn certificates() -> Vec<CertificateDer<'static>> {
        CertificateDer::pem_slice_iter(OF_AWS.as_bytes())
            .collect::<Result<_, _>>()
            .unwrap()
    }

    #[test]
    fn the_roots_are_those_that_amazon_publishes() {
        let fingerprints: Vec<_> = certificates()
            .iter()
            .map(|certificate| hex::encode(Sha256::digest(certificate)))
            .collect();
        assert_eq!(fingerprints, FINGERPRINTS);
    }

    #[test]
    fn every_root_is_still_one_that_mozilla_trusts() {
        let mut store = RootCertStore::empty();
        for certificate in certificates() {
            store.add(certificate).unwrap();
        }
        for anchor in &store.roots {
            assert!(webpki_roots::TLS_SERVER_ROOTS.contains(anchor), "{anchor:?}");
        }
    }

    #[test]
    fn a_bundle_is_used_if_it_can_be_read() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("bundle.pem");
        std::fs::write(&path, include_str!("roots/amazon_root_ca_3.pem")).unwrap();
        assert_eq!(
            Roots::from_file(path).unwrap().pem(),
            include_bytes!("roots/amazon_root_ca_3.pem")
        );
    }

    #[test]
    fn an_unusable_bundle_is_refused_before_anything_is_sent() {
        let folder = tempfile::tempdir().unwrap();
        for (name, text) in [
            ("empty.pem", ""),
            (
                "broken.pem",
                "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
            ),
        ] {
            let path = folder.path().join(name);
            std::fs::write(&path, text).unwrap();
            let error = Roots::from_file(path).unwrap_err().to_string();
            assert!(error.contains(name) && error.contains("AWS_CA_BUNDLE"), "{error}");
        }
        let error = Roots::from_file(folder.path().join("none.pem"))
            .unwrap_err()
            .to_string();
        assert!(error.contains("No such file"), "{error}");
    }
}
