//! The dayfly bus.

use dayfly_records::event::Event;

/// An event that the bus did not take.
#[derive(Debug, thiserror::Error)]
#[error("the event bus did not take `{kind}`: {error}")]
pub struct BusError {
    /// The event's kind.
    pub kind: &'static str,
    /// The bus's words.
    pub error: String,
}

/// The bus between the functions: at least once, in any order.
pub trait Bus {
    /// Puts an event on the bus; an entry that the answer calls failed is an error.
    async fn publish(&self, event: &Event) -> Result<(), BusError>;
}
