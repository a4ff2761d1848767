use serde_json::{Value, json};
use wiremock::matchers::{method, path};
use wiremock::{Mock, MockServer, ResponseTemplate};

use super::*;

const PATH: &str = "/schedules/dayfly-minute";

fn schedule(server: &MockServer) -> MinuteSchedule {
    let url = server.uri();
    let config = crate::config_from(move |name| match name {
        "AWS_REGION" => Some("eu-west-1".to_owned()),
        "AWS_ENDPOINT_URL_SCHEDULER" => Some(url.clone()),
        "AWS_ACCESS_KEY_ID" | "AWS_SECRET_ACCESS_KEY" => Some("test".to_owned()),
        _ => None,
    });
    MinuteSchedule::new(&config.unwrap(), "dayfly-minute")
}

/// A schedule with every possible field.
fn described(state: &str) -> Value {
    json!({
        "Arn": "arn:aws:scheduler:eu-west-1:123456789012:schedule/default/dayfly-minute",
        "Name": "dayfly-minute",
        "GroupName": "default",
        "Description": "wakes the sweeper",
        "ScheduleExpression": "rate(1 minute)",
        "ScheduleExpressionTimezone": "Europe/Berlin",
        "StartDate": 1_800_000_000.0,
        "EndDate": 1_900_000_000.0,
        "State": state,
        "KmsKeyArn": "arn:aws:kms:eu-west-1:123456789012:key/1",
        "ActionAfterCompletion": "NONE",
        "FlexibleTimeWindow": {"Mode": "FLEXIBLE", "MaximumWindowInMinutes": 5},
        "Target": {
            "Arn": "arn:aws:lambda:eu-west-1:123456789012:function:sweeper",
            "RoleArn": "arn:aws:iam::123456789012:role/scheduler",
            "Input": "{\"task\":\"sweep\"}",
            "RetryPolicy": {"MaximumEventAgeInSeconds": 60, "MaximumRetryAttempts": 1},
            "DeadLetterConfig": {"Arn": "arn:aws:sqs:eu-west-1:123456789012:dead"},
        },
        "CreationDate": 1_700_000_000.0,
        "LastModificationDate": 1_700_000_000.0,
    })
}

async fn server(state: &str) -> MockServer {
    let server = MockServer::start().await;
    Mock::given(method("GET"))
        .and(path(PATH))
        .respond_with(ResponseTemplate::new(200).set_body_json(described(state)))
        .mount(&server)
        .await;
    Mock::given(method("PUT"))
        .and(path(PATH))
        .respond_with(ResponseTemplate::new(200).set_body_json(json!({"ScheduleArn": "arn"})))
        .mount(&server)
        .await;
    server
}

async fn updates(server: &MockServer) -> Vec<Value> {
    let requests = server.received_requests().await.unwrap();
    requests
        .iter()
        .filter(|request| request.method.as_str() == "PUT")
        .map(|request| request.body_json().unwrap())
        .collect()
}

#[tokio::test]
async fn switching_changes_only_the_state() {
    for (before, on, after) in [("DISABLED", true, "ENABLED"), ("ENABLED", false, "DISABLED")] {
        let server = server(before).await;
        schedule(&server).switch(on).await.unwrap();
        let updates = updates(&server).await;
        let [update] = updates.as_slice() else {
            panic!("{updates:?}")
        };
        let mut expected = described(after);
        let fields = expected.as_object_mut().unwrap();
        for not_updated in ["Arn", "Name", "CreationDate", "LastModificationDate"] {
            fields.remove(not_updated);
        }
        let mut update = update.clone();
        update.as_object_mut().unwrap().remove("ClientToken");
        // The SDK writes whole seconds as integers.
        for date in ["StartDate", "EndDate"] {
            assert_eq!(update[date].as_f64(), expected[date].as_f64());
            update[date] = expected[date].clone();
        }
        assert_eq!(update, expected);
    }
}

#[tokio::test]
async fn switching_to_the_current_state_changes_nothing() {
    for (state, on) in [("ENABLED", true), ("DISABLED", false)] {
        let server = server(state).await;
        schedule(&server).switch(on).await.unwrap();
        assert_eq!(updates(&server).await, [Value::Null; 0]);
    }
}

#[tokio::test]
async fn it_is_on_when_it_is_enabled() {
    assert!(schedule(&server("ENABLED").await).is_on().await.unwrap());
    assert!(!schedule(&server("DISABLED").await).is_on().await.unwrap());
}

#[tokio::test]
async fn a_missing_schedule_is_reported() {
    let server = MockServer::start().await;
    Mock::given(method("GET"))
        .respond_with(
            ResponseTemplate::new(404)
                .insert_header("x-amzn-errortype", "ResourceNotFoundException")
                .set_body_json(json!({"Message": "Schedule dayfly-minute does not exist."})),
        )
        .mount(&server)
        .await;
    let error = schedule(&server).switch(true).await.unwrap_err().to_string();
    assert_eq!(
        error,
        "the minute schedule could not be switched: \
         ResourceNotFoundException: Schedule dayfly-minute does not exist."
    );
}
