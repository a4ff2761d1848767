//! The secrets that the twin has given out, for those who search logs for them.

use std::fmt;

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum SecretKind {
    /// The App's private key in PEM.
    AppKey,
    /// A JWT that the App signed and the twin took.
    AppJwt,
    InstallationToken,
    JitConfig,
    /// The credential inside a JIT config.
    RunnerCredential,
    /// The secret that webhooks are signed with.
    WebhookSecret,
    /// A webhook's signature, in hex.
    WebhookSignature,
}

/// A secret. It is not printed, so that a failing search does not leak it either.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Secret {
    pub kind: SecretKind,
    pub value: String,
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.kind)
    }
}
