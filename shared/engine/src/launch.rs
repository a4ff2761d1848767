//! From a queued job to its instance, or to the reason that there is none.

pub mod claim;
pub mod entries;
pub mod fallback_chain;
pub mod fleet;
pub mod outcome;
pub mod pools;
pub mod price_limit;
