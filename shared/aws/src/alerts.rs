//! The topic on which the stack calls for a person.

use aws_sdk_sns::Client;
use dayfly_ports::{AlertError, Alerts};

use crate::{SdkConfig, failure};

/// The topic.
#[derive(Clone, Debug)]
pub struct SnsTopic {
    client: Client,
    arn: String,
}

impl SnsTopic {
    /// The topic with this ARN. Nothing is sent yet.
    #[must_use]
    pub fn new(config: &SdkConfig, arn: impl Into<String>) -> Self {
        Self {
            client: Client::new(config),
            arn: arn.into(),
        }
    }
}

impl Alerts for SnsTopic {
    async fn tell(&self, subject: &str, text: &str) -> Result<(), AlertError> {
        let told = self
            .client
            .publish()
            .topic_arn(&self.arn)
            .subject(subject)
            .message(text);
        match told.send().await {
            Ok(_) => Ok(()),
            Err(error) => Err(AlertError(failure(&error).to_string())),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use wiremock::matchers::body_string_contains;
    use wiremock::{Mock, MockServer, ResponseTemplate};

    use super::*;

    const TOPIC: &str = "arn:aws:sns:eu-west-1:000000000000:alarms";

    async fn topic(answer: ResponseTemplate) -> (MockServer, SnsTopic) {
        let server = MockServer::start().await;
        Mock::given(body_string_contains("Action=Publish&"))
            .respond_with(answer)
            .mount(&server)
            .await;
        let url = server.uri();
        let config = crate::config_from(move |name| match name {
            "AWS_REGION" => Some("eu-west-1".to_owned()),
            "AWS_ENDPOINT_URL_SNS" => Some(url.clone()),
            "AWS_ACCESS_KEY_ID" | "AWS_SECRET_ACCESS_KEY" => Some("test".to_owned()),
            _ => None,
        });
        let topic = SnsTopic::new(&config.unwrap(), TOPIC);
        (server, topic)
    }

    #[tokio::test]
    async fn words_go_to_the_topic() {
        let answer = "<PublishResponse xmlns=\"http://sns.amazonaws.com/doc/2010-03-31/\"><PublishResult>\
            <MessageId>m-1</MessageId></PublishResult></PublishResponse>";
        let (server, topic) = topic(ResponseTemplate::new(200).set_body_string(answer)).await;
        topic.tell("half is spent", "of octo/gpu").await.unwrap();
        let asked = server.received_requests().await.unwrap();
        let said: BTreeMap<String, String> = form_urlencoded::parse(&asked[0].body).into_owned().collect();
        assert_eq!(
            (
                said["TopicArn"].as_str(),
                said["Subject"].as_str(),
                said["Message"].as_str()
            ),
            (TOPIC, "half is spent", "of octo/gpu")
        );
    }

    #[tokio::test]
    async fn a_topic_that_refuses_is_told_in_its_words() {
        let answer =
            "<ErrorResponse><Error><Code>AuthorizationError</Code><Message>not you</Message></Error></ErrorResponse>";
        let (_server, topic) = topic(ResponseTemplate::new(403).set_body_string(answer)).await;
        let error = topic.tell("a", "b").await.unwrap_err().to_string();
        assert!(error.contains("not you"), "{error}");
    }
}
