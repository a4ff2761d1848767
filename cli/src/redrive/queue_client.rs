//! The dead-letter queue and the functions, as a trait and on AWS.

use std::time::Duration;

use aws_config::SdkConfig;
use aws_sdk_lambda::primitives::Blob;
use aws_sdk_lambda::types::InvocationType;
use aws_sdk_sqs::types::{Message as Received, MessageSystemAttributeName, QueueAttributeName};

use super::dead_letter::Message;
use crate::error::Error;
use crate::stack::Stack;

/// How long a received message is hidden from others, so that two people do not redrive it both. It is far longer
/// than a batch takes, and an aborted command's messages come back.
pub(crate) const HIDDEN_FOR: Duration = Duration::from_secs(300);

/// SQS's limit of messages in an answer.
pub(crate) const MAX_PER_RECEIVE: usize = 10;

/// The long poll, which asks all of the queue's servers.
const POLL_FOR: Duration = Duration::from_secs(2);

pub(crate) trait QueueClient {
    /// Receives messages and hides them for [`HIDDEN_FOR`]. Returns none if there are no more.
    async fn receive(&self, most: usize) -> Result<Vec<Message>, Error>;
    /// Returns how many messages are hidden.
    async fn hidden(&self) -> Result<u64, Error>;
    /// Sends an event to a function, without waiting for its result.
    async fn invoke(&self, function: &str, event: &str) -> Result<(), Error>;
    async fn delete(&self, message: &Message) -> Result<(), Error>;
    /// Makes a message visible again.
    async fn release(&self, message: &Message) -> Result<(), Error>;
}

#[derive(Debug)]
pub(crate) struct AwsQueueClient {
    queue: aws_sdk_sqs::Client,
    functions: aws_sdk_lambda::Client,
    url: String,
}

impl AwsQueueClient {
    pub(crate) fn new(aws: &SdkConfig, stack: &Stack) -> Self {
        Self {
            queue: aws_sdk_sqs::Client::new(aws),
            functions: aws_sdk_lambda::Client::new(aws),
            url: stack.dead_letters_url.clone(),
        }
    }
}

impl QueueClient for AwsQueueClient {
    async fn receive(&self, most: usize) -> Result<Vec<Message>, Error> {
        let answer = self
            .queue
            .receive_message()
            .queue_url(&self.url)
            .max_number_of_messages(number(most.min(MAX_PER_RECEIVE)))
            .visibility_timeout(number(HIDDEN_FOR.as_secs()))
            .wait_time_seconds(number(POLL_FOR.as_secs()))
            .message_attribute_names("All")
            .message_system_attribute_names(MessageSystemAttributeName::SentTimestamp)
            .send()
            .await
            .map_err(|error| Error::aws(format!("reading the queue {}", self.url), dayfly_aws::failure(&error)))?;
        Ok(answer
            .messages
            .unwrap_or_default()
            .into_iter()
            .map(into_message)
            .collect())
    }

    async fn hidden(&self) -> Result<u64, Error> {
        let name = QueueAttributeName::ApproximateNumberOfMessagesNotVisible;
        let answer = self
            .queue
            .get_queue_attributes()
            .queue_url(&self.url)
            .attribute_names(name.clone())
            .send()
            .await
            .map_err(|error| {
                Error::aws(
                    format!("asking about the queue {}", self.url),
                    dayfly_aws::failure(&error),
                )
            })?;
        let count = answer.attributes().and_then(|attributes| attributes.get(&name));
        Ok(count.and_then(|count| count.parse().ok()).unwrap_or_default())
    }

    async fn invoke(&self, function: &str, event: &str) -> Result<(), Error> {
        self.functions
            .invoke()
            .function_name(function)
            .invocation_type(InvocationType::Event)
            .payload(Blob::new(event))
            .send()
            .await
            .map_err(|error| Error::aws(format!("invoking `{function}`"), dayfly_aws::failure(&error)))?;
        Ok(())
    }

    async fn delete(&self, message: &Message) -> Result<(), Error> {
        self.queue
            .delete_message()
            .queue_url(&self.url)
            .receipt_handle(&message.receipt)
            .send()
            .await
            .map_err(|error| Error::aws("deleting it from the queue", dayfly_aws::failure(&error)))?;
        Ok(())
    }

    async fn release(&self, message: &Message) -> Result<(), Error> {
        self.queue
            .change_message_visibility()
            .queue_url(&self.url)
            .receipt_handle(&message.receipt)
            .visibility_timeout(0)
            .send()
            .await
            .map_err(|error| Error::aws("releasing a message to the queue", dayfly_aws::failure(&error)))?;
        Ok(())
    }
}

/// Converts a small number for SQS.
fn number<N: TryInto<i32>>(number: N) -> i32 {
    number.try_into().unwrap_or(i32::MAX)
}

fn into_message(received: Received) -> Message {
    let sent_at = received
        .attributes
        .as_ref()
        .and_then(|attributes| attributes.get(&MessageSystemAttributeName::SentTimestamp))
        .and_then(|sent| sent.parse().ok());
    let attributes = received.message_attributes.unwrap_or_default();
    Message {
        id: received.message_id.unwrap_or_default(),
        receipt: received.receipt_handle.unwrap_or_default(),
        sent_at,
        body: received.body.unwrap_or_default(),
        attributes: attributes
            .into_iter()
            .filter_map(|(name, value)| Some((name, value.string_value?)))
            .collect(),
    }
}
