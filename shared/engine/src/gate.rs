//! The gate: the policy's limits on what may run at once, kept with fair turns between repositories.

pub mod fair_queue;
pub mod slots;
