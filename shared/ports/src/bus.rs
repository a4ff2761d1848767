//! The dayfly bus.

use dayfly_records::event::Event;

/// An event that the bus did not take.
#[derive(Debug, thiserror::Error)]
#[error("the event bus did not take `{kind}`: {error}")]
pub struct BusError {
    pub kind: &'static str,
    pub error: String,
}

/// The bus between the functions. It delivers at least once, in any order.
pub trait Bus {
    /// Publishes an event. An entry that the answer calls failed is an error.
    async fn publish(&self, event: &Event) -> Result<(), BusError>;
}
