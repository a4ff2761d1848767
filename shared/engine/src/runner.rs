//! A launched runner's life: registration, check-ins, interruptions, timeouts and its end.

pub(crate) mod availability;
pub mod checkin;
pub mod ending;
pub mod interruption;
pub mod registration;
pub mod timeouts;
