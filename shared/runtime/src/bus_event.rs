//! Events as EventBridge delivers them.

use dayfly_records::event::{Event, EventError};
use dayfly_types::time::Timestamp;
use serde::Deserialize;

/// The parts of EventBridge's envelope that we read.
///
/// <https://docs.aws.amazon.com/eventbridge/latest/ref/overiew-event-structure.html>
#[derive(Debug, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Envelope {
    pub detail_type: String,
    pub source: String,
    pub detail: serde_json::Value,
    /// When the event happened, according to its sender.
    #[serde(default)]
    pub time: Option<jiff::Timestamp>,
}

impl Envelope {
    #[must_use]
    pub fn happened_at(&self) -> Option<Timestamp> {
        self.time.map(|time| Timestamp::from_millis(time.as_millisecond()))
    }

    /// Reads one of our own events.
    ///
    /// # Errors
    /// If it is not one of our events.
    pub fn event(self) -> Result<Event, EventError> {
        Event::read(&self.detail_type, self.detail)
    }
}
