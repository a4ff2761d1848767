//! Service Quotas.

/// A quota that could not be read.
#[derive(Debug, thiserror::Error)]
#[error("the quota {code} could not be read: {error}")]
pub struct QuotaError {
    /// Its code.
    pub code: String,
    /// AWS's words.
    pub error: String,
}

/// What the account may have of EC2 in this region.
pub trait Quotas {
    /// What the quota with this code is now, in vCPUs. Nothing where AWS does not tell: there is no
    /// such quota in this region, or we may not ask.
    async fn value(&self, code: &str) -> Result<Option<u32>, QuotaError>;
}
