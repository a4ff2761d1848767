//! Events as EventBridge hands them to a function.

use dayfly_records::event::{Event, EventError};
use dayfly_types::time::Timestamp;
use serde::Deserialize;

/// The envelope around an event, as far as it is needed.
///
/// <https://docs.aws.amazon.com/eventbridge/latest/ref/overiew-event-structure.html>
#[derive(Debug, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Envelope {
    /// What kind of event it is.
    pub detail_type: String,
    /// Who sent it.
    pub source: String,
    /// The event.
    pub detail: serde_json::Value,
    /// When what it tells of happened, by its sender's word.
    #[serde(default)]
    pub time: Option<jiff::Timestamp>,
}

impl Envelope {
    /// When what it tells of happened, if its sender said so.
    #[must_use]
    pub fn happened_at(&self) -> Option<Timestamp> {
        self.time.map(|time| Timestamp::from_millis(time.as_millisecond()))
    }

    /// Reads one of our own events.
    ///
    /// # Errors
    /// If it is none of ours.
    pub fn event(self) -> Result<Event, EventError> {
        Event::read(&self.detail_type, self.detail)
    }
}
