use dayfly_records::event::LaunchDue;
use dayfly_types::ids::{JobId, JobKey, RunAttempt};
use serde_json::{Value, json};
use wiremock::matchers::{body_partial_json, header, method};
use wiremock::{Mock, MockServer, ResponseTemplate};

use super::*;

fn bus(server: &MockServer) -> EventBus {
    let url = server.uri();
    let config = crate::config_from(move |name| match name {
        "AWS_REGION" => Some("eu-west-1".to_owned()),
        "AWS_ENDPOINT_URL_EVENTBRIDGE" => Some(url.clone()),
        "AWS_ACCESS_KEY_ID" | "AWS_SECRET_ACCESS_KEY" => Some("test".to_owned()),
        _ => None,
    });
    EventBus::new(&config.unwrap(), "dayfly")
}

fn event() -> Event {
    Event::LaunchDue(LaunchDue {
        key: JobKey {
            job: JobId(11),
            attempt: RunAttempt(2),
        },
        runner: None,
    })
}

async fn answered(status: u16, answer: Value) -> Result<(), BusError> {
    let server = MockServer::start().await;
    Mock::given(method("POST"))
        .respond_with(ResponseTemplate::new(status).set_body_json(answer))
        .mount(&server)
        .await;
    bus(&server).publish(&event()).await
}

#[tokio::test]
async fn an_event_is_published_on_the_stacks_bus() {
    let server = MockServer::start().await;
    Mock::given(header("x-amz-target", "AWSEvents.PutEvents"))
        .and(body_partial_json(json!({"Entries": [{
            "EventBusName": "dayfly",
            "Source": "dayfly",
            "DetailType": "launch.due",
            "Detail": event().detail().unwrap(),
        }]})))
        .respond_with(ResponseTemplate::new(200).set_body_json(json!({
            "FailedEntryCount": 0,
            "Entries": [{"EventId": "e-1"}],
        })))
        .expect(1)
        .mount(&server)
        .await;
    bus(&server).publish(&event()).await.unwrap();
}

#[tokio::test]
async fn a_failed_entry_is_an_error_with_the_buss_message() {
    let error = answered(
        200,
        json!({"FailedEntryCount": 1, "Entries": [{"ErrorCode": "InternalFailure", "ErrorMessage": "try again"}]}),
    )
    .await
    .unwrap_err();
    assert_eq!(
        error.to_string(),
        "the event bus did not take `launch.due`: InternalFailure: try again"
    );
}

#[tokio::test]
async fn an_answer_without_an_entry_is_an_error() {
    for answer in [
        json!({"FailedEntryCount": 0, "Entries": []}),
        json!({"FailedEntryCount": 0, "Entries": [{}]}),
    ] {
        assert!(answered(200, answer.clone()).await.is_err(), "{answer}");
    }
}

#[tokio::test]
async fn a_refusal_names_its_reason() {
    let error = answered(
        400,
        json!({"__type": "ResourceNotFoundException", "message": "Event bus dayfly does not exist."}),
    )
    .await
    .unwrap_err();
    assert_eq!(
        error.error,
        "ResourceNotFoundException: Event bus dayfly does not exist."
    );
}
