//! What the functions' shells share.

pub mod answer;
pub mod bus_event;
pub mod clock;
pub mod span;
