//! The stack's event bus.

use aws_sdk_eventbridge::Client;
use aws_sdk_eventbridge::types::{PutEventsRequestEntry, PutEventsResultEntry};
use dayfly_ports::{Bus, BusError};
use dayfly_records::event::{Event, SOURCE};

use crate::{SdkConfig, failure};

#[derive(Clone, Debug)]
pub struct EventBus {
    client: Client,
    name: String,
}

impl EventBus {
    /// Nothing is sent yet.
    #[must_use]
    pub fn new(config: &SdkConfig, name: impl Into<String>) -> Self {
        Self {
            client: Client::new(config),
            name: name.into(),
        }
    }
}

impl Bus for EventBus {
    async fn publish(&self, event: &Event) -> Result<(), BusError> {
        let kind = event.kind();
        let not_published = |error: String| BusError { kind, error };
        let detail = event.detail().map_err(|error| not_published(error.to_string()))?;
        let entry = PutEventsRequestEntry::builder()
            .event_bus_name(&self.name)
            .source(SOURCE)
            .detail_type(kind)
            .detail(detail)
            .build();
        let answer = self
            .client
            .put_events()
            .entries(entry)
            .send()
            .await
            .map_err(|error| not_published(failure(&error).to_string()))?;
        // A refused entry still comes with HTTP 200. One event was sent, so only an answer of one entry with
        // an id means success.
        match answer.entries() {
            [entry] if answer.failed_entry_count == 0 && entry.event_id.is_some() => {
                tracing::debug!(kind, id = entry.event_id, "published");
                Ok(())
            }
            [entry] => Err(not_published(refusal(entry))),
            entries => Err(not_published(format!(
                "one event was sent, and the answer has {} entries, {} of them failed",
                entries.len(),
                answer.failed_entry_count
            ))),
        }
    }
}

/// Returns the bus's error for an entry that it refused.
fn refusal(entry: &PutEventsResultEntry) -> String {
    format!(
        "{}: {}",
        entry.error_code.as_deref().unwrap_or("no error code"),
        entry.error_message.as_deref().unwrap_or("no error message")
    )
}

#[cfg(test)]
mod tests;
