//! Cases of messages, as AWS's user guides show them, and the actions for them.

use serde_json::{Value, json};

use super::super::dead_letter::{DeadLetter, EventSubject, Message, Sender};
use super::super::decide::{MessageAction, decide};
use crate::stack::tests::stack;

fn arn(function: &str) -> String {
    format!("arn:aws:lambda:eu-west-1:123:function:{function}")
}

pub(super) fn queued() -> Value {
    json!({
        "version": "0", "id": "6a7e8feb", "source": "dayfly", "detail-type": "job.queued",
        "account": "123", "time": "2026-01-02T03:04:05Z", "region": "eu-west-1", "resources": [],
        "detail": {"v": 1, "repository": "octo/gpu", "job": 11, "run": 22, "attempt": 1},
    })
}

/// Lambda's record of a function that failed.
pub(super) fn failed(function: &str, event: &Value) -> Message {
    let record = json!({
        "version": "1.0",
        "timestamp": "2026-01-02T03:07:05.000Z",
        "requestContext": {
            "requestId": "e4b46cbf-b738-4f4a-8880-a18cdf61200e",
            "functionArn": format!("{}:$LATEST", arn(function)),
            "condition": "RetriesExhausted",
            "approximateInvokeCount": 3,
        },
        "requestPayload": event,
        "responseContext": {"statusCode": 200, "executedVersion": "$LATEST", "functionError": "Unhandled"},
        "responsePayload": {"errorType": "FlowError", "errorMessage": "the table did not answer"},
    });
    message(&record.to_string(), &[])
}

/// A rule's or a schedule's message.
pub(super) fn message(body: &str, attributes: &[(&str, &str)]) -> Message {
    Message {
        id: "m-1".to_owned(),
        receipt: "r-1".to_owned(),
        sent_at: Some(1_767_323_225_000),
        body: body.to_owned(),
        attributes: attributes
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect(),
    }
}

/// A rule's message about an event that did not reach its function.
pub(super) fn undelivered(function: &str, body: &str) -> Message {
    let target = arn(function);
    message(
        body,
        &[
            ("RULE_ARN", "arn:aws:events:eu-west-1:123:rule/dayfly/JobQueued"),
            ("TARGET_ARN", &target),
            ("ERROR_CODE", "NO_PERMISSIONS"),
            ("ERROR_MESSAGE", "not authorized to invoke it"),
            ("EXHAUSTED_RETRY_CONDITION", "MaximumRetryAttempts"),
            ("RETRY_ATTEMPTS", "20"),
        ],
    )
}

fn undelivered_sweep(body: &str) -> Message {
    let target = arn("dayfly-Sweeper-1");
    message(
        body,
        &[
            (
                "SCHEDULE_ARN",
                "arn:aws:scheduler:eu-west-1:123:schedule/default/dayfly-minute",
            ),
            ("TARGET_ARN", &target),
            ("ERROR_CODE", "AWSLambda.TooManyRequestsException"),
            ("ERROR_MESSAGE", "Rate Exceeded."),
            ("EXECUTION_ID", "d1"),
            ("IS_PAYLOAD_TRUNCATED", "false"),
            ("RETRY_ATTEMPTS", "0"),
            ("SCHEDULED_TIME", "2026-01-02T03:04:00Z"),
        ],
    )
}

fn with(mut record: Message, change: impl FnOnce(&mut Value)) -> Message {
    let mut body: Value = serde_json::from_str(&record.body).unwrap();
    change(&mut body);
    record.body = body.to_string();
    record
}

#[test]
fn each_kind_of_message_has_its_action() {
    let launch = |event: &Value| MessageAction::Invoke {
        function: "dayfly-Launch-1".to_owned(),
        event: event.to_string(),
    };
    let swept = MessageAction::Drop("the next sweep does the same");
    let sweep = json!({"task": "sweep"});
    let too_old = |body: &mut Value| {
        body["requestContext"]["condition"] = "EventAgeExceeded".into();
        body.as_object_mut().unwrap().remove("responsePayload");
    };
    let cases = [
        (
            "a function failed",
            failed("dayfly-Launch-1", &queued()),
            launch(&queued()),
        ),
        (
            "an event grew too old before the function could be run",
            with(failed("dayfly-Launch-1", &queued()), too_old),
            launch(&queued()),
        ),
        (
            "a rule did not reach its function",
            undelivered("dayfly-Launch-1", &queued().to_string()),
            launch(&queued()),
        ),
        (
            "the sweeper failed at a sweep",
            failed("dayfly-Sweeper-1", &sweep),
            swept.clone(),
        ),
        (
            "the sweeper failed at a patrol",
            failed("dayfly-Sweeper-1", &json!({"task": "patrol"})),
            swept.clone(),
        ),
        (
            "a schedule did not reach the sweeper",
            undelivered_sweep(&sweep.to_string()),
            swept.clone(),
        ),
        ("the same with another body", undelivered_sweep("no JSON"), swept),
    ];
    for (what, message, expected) in cases {
        assert_eq!(decide(&DeadLetter::parse(&message), &stack()), expected, "{what}");
    }
}

#[test]
fn message_that_cannot_be_redriven_stays_with_a_reason() {
    let without_target = with_attributes(undelivered("f", "{}"), |name| name != "TARGET_ARN");
    let cases = [
        (
            "no JSON",
            message("hello", &[]),
            "not a message of Lambda, a rule or a schedule",
        ),
        (
            "JSON of another kind",
            message("{\"a\": 1}", &[]),
            "not a message of Lambda, a rule or a schedule",
        ),
        (
            "an empty message",
            message("", &[]),
            "not a message of Lambda, a rule or a schedule",
        ),
        ("a rule's without target", without_target, "TARGET_ARN"),
        (
            "another stack's function",
            failed("other-Launch-1", &queued()),
            "not an event function of the stack `dayfly`",
        ),
        (
            "a function that only its URL may call",
            failed("dayfly-Checkin-1", &json!({"rawPath": "/claim"})),
            "not an event function of the stack `dayfly`",
        ),
        ("no event", failed("dayfly-Launch-1", &Value::Null), "contains no event"),
        (
            "a rule's body that is no event",
            undelivered("dayfly-Launch-1", "hello"),
            "contains no event",
        ),
        (
            "an event for the sweeper",
            failed("dayfly-Sweeper-1", &queued()),
            "has no such task",
        ),
    ];
    for (what, message, part) in cases {
        let MessageAction::Keep(why) = decide(&DeadLetter::parse(&message), &stack()) else {
            panic!("{what} does not stay");
        };
        assert!(why.contains(part), "{what}: {why}");
    }
}

fn with_attributes(mut message: Message, keep: impl Fn(&str) -> bool) -> Message {
    message.attributes.retain(|name, _| keep(name));
    message
}

#[test]
fn message_has_sender_subject_and_error() {
    let dead_letter = DeadLetter::parse(&failed("dayfly-Launch-1", &queued())).unwrap();
    assert_eq!(dead_letter.sender, Sender::Function);
    assert_eq!(dead_letter.error.as_deref(), Some("the table did not answer"));
    assert_eq!(dead_letter.tries, Some(3));
    assert_eq!(dead_letter.subject.event.as_deref(), Some("job.queued"));
    assert_eq!(dead_letter.subject.describe(), "octo/gpu, job 11, run 22, attempt 1");

    let dead_letter = DeadLetter::parse(&undelivered("dayfly-Launch-1", &queued().to_string())).unwrap();
    assert_eq!(dead_letter.sender, Sender::Rule("JobQueued".to_owned()));
    assert_eq!(
        dead_letter.error.as_deref(),
        Some("NO_PERMISSIONS: not authorized to invoke it")
    );
    assert_eq!(dead_letter.tries, Some(21), "the first and twenty more");

    let dead_letter = DeadLetter::parse(&undelivered_sweep("{\"task\":\"sweep\"}")).unwrap();
    assert_eq!(dead_letter.sender, Sender::Schedule("dayfly-minute".to_owned()));
    assert_eq!(dead_letter.subject.event.as_deref(), Some("sweep"));
    assert_eq!(dead_letter.tries, Some(1));
}

#[test]
fn every_kind_of_event_has_its_subject() {
    let interruption = "EC2 Spot Instance Interruption Warning";
    let cases = [
        (
            json!({"detail-type": "launch.due", "detail": {"key": {"job": 11, "attempt": 2}}}),
            "job 11, attempt 2",
        ),
        (
            json!({"detail-type": "run.completed", "detail": {"repository": "o/r", "run": 22, "attempt": 1}}),
            "o/r, run 22, attempt 1",
        ),
        (
            json!({"detail-type": interruption, "detail": {"instance-id": "i-1"}}),
            "i-1",
        ),
        (json!({"detail-type": "job.queued", "detail": "poison"}), ""),
        (json!([1, 2]), ""),
    ];
    for (event, line) in cases {
        let dead_letter = DeadLetter::parse(&failed("dayfly-Launch-1", &event)).unwrap();
        assert_eq!(dead_letter.subject.describe(), line, "{event}");
    }
}

#[test]
fn error_is_made_of_code_and_message_if_known() {
    type Change = fn(&mut Value);
    let cases: [(Change, &str); 4] = [
        (|body| body["responsePayload"] = Value::Null, "Unhandled"),
        (
            |body| body["requestContext"]["condition"] = "EventAgeExceeded".into(),
            "EventAgeExceeded: the table did not answer",
        ),
        (
            |body| {
                body["responsePayload"] = Value::Null;
                body["responseContext"] = Value::Null;
            },
            "RetriesExhausted",
        ),
        (|body| body["responsePayload"] = json!("just words"), "Unhandled"),
    ];
    for (change, expected) in cases {
        let dead_letter = DeadLetter::parse(&with(failed("dayfly-Launch-1", &queued()), change)).unwrap();
        assert_eq!(dead_letter.error.as_deref(), Some(expected));
    }
    assert_eq!(EventSubject::default().describe(), "");
}
