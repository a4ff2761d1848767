//! The stack's topic for alerts to people.

use aws_sdk_sns::Client;
use dayfly_ports::{AlertError, Alerts};

use crate::{SdkConfig, failure};

#[derive(Clone, Debug)]
pub struct SnsTopic {
    client: Client,
    arn: String,
}

impl SnsTopic {
    /// Nothing is sent yet.
    #[must_use]
    pub fn new(config: &SdkConfig, arn: impl Into<String>) -> Self {
        Self {
            client: Client::new(config),
            arn: arn.into(),
        }
    }
}

impl Alerts for SnsTopic {
    async fn send(&self, subject: &str, text: &str) -> Result<(), AlertError> {
        let request = self
            .client
            .publish()
            .topic_arn(&self.arn)
            .subject(subject)
            .message(text);
        match request.send().await {
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
    async fn alerts_are_published_to_the_topic() {
        let answer = "<PublishResponse xmlns=\"http://sns.amazonaws.com/doc/2010-03-31/\"><PublishResult>\
            <MessageId>m-1</MessageId></PublishResult></PublishResponse>";
        let (server, topic) = topic(ResponseTemplate::new(200).set_body_string(answer)).await;
        topic.send("half is spent", "of octo/gpu").await.unwrap();
        let requests = server.received_requests().await.unwrap();
        let sent: BTreeMap<String, String> = form_urlencoded::parse(&requests[0].body).into_owned().collect();
        assert_eq!(
            (
                sent["TopicArn"].as_str(),
                sent["Subject"].as_str(),
                sent["Message"].as_str()
            ),
            (TOPIC, "half is spent", "of octo/gpu")
        );
    }

    #[tokio::test]
    async fn a_refusal_has_the_topics_message() {
        let answer =
            "<ErrorResponse><Error><Code>AuthorizationError</Code><Message>not you</Message></Error></ErrorResponse>";
        let (_server, topic) = topic(ResponseTemplate::new(403).set_body_string(answer)).await;
        let error = topic.send("a", "b").await.unwrap_err().to_string();
        assert!(error.contains("not you"), "{error}");
    }
}
