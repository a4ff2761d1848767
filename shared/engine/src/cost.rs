//! What instances cost: caps and their ledgers, the costing of finished instances, spend thresholds.

pub mod caps;
pub mod costing;
pub mod thresholds;
