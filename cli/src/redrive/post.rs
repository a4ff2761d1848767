//! The queue and the functions, as they are needed here; and both on AWS.

use std::time::Duration;

use aws_config::SdkConfig;
use aws_sdk_lambda::primitives::Blob;
use aws_sdk_lambda::types::InvocationType;
use aws_sdk_sqs::types::{Message as Received, MessageSystemAttributeName, QueueAttributeName};

use super::letter::Message;
use crate::error::Error;
use crate::stack::Stack;

/// How long a message that was read is nobody else's: two people do not redrive it both, and it is
/// back when one of them gives up in the middle. Far longer than a round takes.
pub(crate) const HIDDEN_FOR: Duration = Duration::from_secs(300);

/// Messages in one answer; SQS gives no more.
pub(crate) const MOST_AT_ONCE: usize = 10;

/// A queue that seems empty is asked on all its servers for so long.
const LOOK_FOR: Duration = Duration::from_secs(2);

/// What the shell does to the world.
pub(crate) trait Post {
    /// Some messages, hidden from all others for [`HIDDEN_FOR`]; none when there are no more.
    async fn receive(&self, most: usize) -> Result<Vec<Message>, Error>;
    /// How many messages somebody else has in hand.
    async fn hidden(&self) -> Result<u64, Error>;
    /// Hands an event to a function, without waiting for what comes of it.
    async fn invoke(&self, function: &str, event: &str) -> Result<(), Error>;
    /// Takes a message out of the queue.
    async fn delete(&self, message: &Message) -> Result<(), Error>;
    /// Lets others see a message again.
    async fn give_back(&self, message: &Message) -> Result<(), Error>;
}

/// On AWS.
#[derive(Debug)]
pub(crate) struct AwsPost {
    queue: aws_sdk_sqs::Client,
    functions: aws_sdk_lambda::Client,
    url: String,
}

impl AwsPost {
    pub(crate) fn new(aws: &SdkConfig, stack: &Stack) -> Self {
        Self {
            queue: aws_sdk_sqs::Client::new(aws),
            functions: aws_sdk_lambda::Client::new(aws),
            url: stack.dead_letters_url.clone(),
        }
    }
}

impl Post for AwsPost {
    async fn receive(&self, most: usize) -> Result<Vec<Message>, Error> {
        let answer = self
            .queue
            .receive_message()
            .queue_url(&self.url)
            .max_number_of_messages(number(most.min(MOST_AT_ONCE)))
            .visibility_timeout(number(HIDDEN_FOR.as_secs()))
            .wait_time_seconds(number(LOOK_FOR.as_secs()))
            .message_attribute_names("All")
            .message_system_attribute_names(MessageSystemAttributeName::SentTimestamp)
            .send()
            .await
            .map_err(|error| Error::aws(format!("reading the queue {}", self.url), dayfly_aws::failure(&error)))?;
        Ok(answer.messages.unwrap_or_default().into_iter().map(read).collect())
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

    async fn give_back(&self, message: &Message) -> Result<(), Error> {
        self.queue
            .change_message_visibility()
            .queue_url(&self.url)
            .receipt_handle(&message.receipt)
            .visibility_timeout(0)
            .send()
            .await
            .map_err(|error| Error::aws("giving a message back to the queue", dayfly_aws::failure(&error)))?;
        Ok(())
    }
}

/// The numbers here are small; SQS takes none that would not fit.
fn number<N: TryInto<i32>>(number: N) -> i32 {
    number.try_into().unwrap_or(i32::MAX)
}

fn read(received: Received) -> Message {
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
