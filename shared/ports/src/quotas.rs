//! Service Quotas.

/// A quota that could not be read.
#[derive(Debug, thiserror::Error)]
#[error("the quota {code} could not be read: {error}")]
pub struct QuotaError {
    pub code: String,
    pub error: String,
}

/// The account's EC2 quotas in this region.
pub trait Quotas {
    /// Returns the current value of a quota in vCPUs, or `None` where AWS does not tell: the region has no such
    /// quota, or the stack may not ask.
    async fn value(&self, code: &str) -> Result<Option<u32>, QuotaError>;
}
