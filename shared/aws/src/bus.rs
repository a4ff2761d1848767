//! The dayfly event bus.

use aws_sdk_eventbridge::Client;
use aws_sdk_eventbridge::types::{PutEventsRequestEntry, PutEventsResultEntry};
use dayfly_ports::{Bus, BusError};
use dayfly_records::event::{Event, SOURCE};

use crate::{SdkConfig, failure};

/// The bus of a stack.
#[derive(Clone, Debug)]
pub struct EventBus {
    client: Client,
    name: String,
}

impl EventBus {
    /// The bus of this name. Nothing is sent yet.
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
        let not_taken = |error: String| BusError { kind, error };
        let detail = event.detail().map_err(|error| not_taken(error.to_string()))?;
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
            .map_err(|error| not_taken(failure(&error).to_string()))?;
        // A refused entry comes with HTTP 200; only its own lines tell. One event was sent, so one
        // entry with an id is the only answer that says it was taken.
        match answer.entries() {
            [entry] if answer.failed_entry_count == 0 && entry.event_id.is_some() => {
                tracing::debug!(kind, id = entry.event_id, "published");
                Ok(())
            }
            [entry] => Err(not_taken(refusal(entry))),
            entries => Err(not_taken(format!(
                "one event was sent, and the answer has {} entries, {} of them failed",
                entries.len(),
                answer.failed_entry_count
            ))),
        }
    }
}

/// The bus's words on an entry that it did not take.
fn refusal(entry: &PutEventsResultEntry) -> String {
    format!(
        "{}: {}",
        entry.error_code.as_deref().unwrap_or("no error code"),
        entry.error_message.as_deref().unwrap_or("no error message")
    )
}

#[cfg(test)]
mod tests;
