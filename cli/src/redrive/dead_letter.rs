//! A message in the dead-letter queue: its event, the function that it was for, and the error.
//!
//! Three services send such messages, each in its own format:
//! - Lambda, after a function failed: a record around the event
//!   (<https://docs.aws.amazon.com/lambda/latest/dg/invocation-async-retain-records.html>);
//! - EventBridge, if an event did not reach the function: the event, with the rest in attributes
//!   (<https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-rule-dlq.html>);
//! - Scheduler, likewise with the schedule's input
//!   (<https://docs.aws.amazon.com/scheduler/latest/UserGuide/configuring-schedule-dlq.html>).

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::arn::Arn;

/// A message from SQS.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Message {
    pub(crate) id: String,
    /// The receipt for its deletion or release.
    pub(crate) receipt: String,
    /// In milliseconds since 1970.
    pub(crate) sent_at: Option<i64>,
    pub(crate) body: String,
    pub(crate) attributes: BTreeMap<String, String>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct DeadLetter {
    pub(crate) sender: Sender,
    /// The ARN of the function that the event was for.
    pub(crate) function: String,
    /// The event to send to the function.
    pub(crate) event: String,
    pub(crate) subject: EventSubject,
    /// AWS's error message.
    pub(crate) error: Option<String>,
    pub(crate) tries: Option<u64>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Sender {
    /// Lambda, since the function failed.
    Function,
    /// The EventBridge rule with this name, since it did not reach the function.
    Rule(String),
    /// The schedule with this name, since it did not reach the function.
    Schedule(String),
}

/// What an event is about, as far as known. For the report only.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub(crate) struct EventSubject {
    /// Such as `job.queued`, `EC2 Spot Instance Interruption Warning` or `sweep`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) event: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) repository: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) job: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) run: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) attempt: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) instance: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum UnknownFormat {
    #[error("it has no attribute `TARGET_ARN`")]
    NoTarget,
    #[error("it is not a message of Lambda, a rule or a schedule: {0}")]
    Format(String),
}

/// Lambda's record of an event for which a function failed.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Record {
    request_context: RequestContext,
    request_payload: Value,
    #[serde(default)]
    response_context: Option<ResponseContext>,
    #[serde(default)]
    response_payload: Option<Value>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RequestContext {
    function_arn: String,
    condition: String,
    #[serde(default)]
    approximate_invoke_count: Option<u64>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ResponseContext {
    #[serde(default)]
    function_error: Option<String>,
}

impl DeadLetter {
    /// # Errors
    /// The message has none of the three formats.
    pub(crate) fn parse(message: &Message) -> Result<Self, UnknownFormat> {
        let attribute = |name: &str| message.attributes.get(name).map(String::as_str);
        let name = |arn: &str| Arn::parse(arn).map_or_else(|| arn.to_owned(), |arn| arn.resource_name().to_owned());
        let sender = match (attribute("RULE_ARN"), attribute("SCHEDULE_ARN")) {
            (Some(rule), _) => Sender::Rule(name(rule)),
            (None, Some(schedule)) => Sender::Schedule(name(schedule)),
            (None, None) => return parse_lambda_record(&message.body),
        };
        // The first try is not counted.
        let retries = attribute("RETRY_ATTEMPTS").and_then(|count| count.parse::<u64>().ok());
        Ok(Self {
            sender,
            function: attribute("TARGET_ARN").ok_or(UnknownFormat::NoTarget)?.to_owned(),
            event: message.body.clone(),
            subject: EventSubject::of(&serde_json::from_str(&message.body).unwrap_or_default()),
            error: error_text(attribute("ERROR_CODE"), attribute("ERROR_MESSAGE")),
            tries: retries.map(|count| count.saturating_add(1)),
        })
    }
}

fn parse_lambda_record(body: &str) -> Result<DeadLetter, UnknownFormat> {
    let record: Record = serde_json::from_str(body).map_err(|error| UnknownFormat::Format(error.to_string()))?;
    let RequestContext {
        function_arn,
        condition,
        approximate_invoke_count,
    } = record.request_context;
    let message = record.response_payload.as_ref().and_then(|answer| {
        let text = answer.get("errorMessage").and_then(Value::as_str)?;
        Some(text.to_owned())
    });
    let message = message.or(record.response_context.and_then(|context| context.function_error));
    // Exhausted retries are the usual case and say nothing; an event's age does.
    let condition = Some(condition).filter(|condition| condition != "RetriesExhausted" || message.is_none());
    Ok(DeadLetter {
        sender: Sender::Function,
        function: function_arn,
        event: record.request_payload.to_string(),
        subject: EventSubject::of(&record.request_payload),
        error: error_text(condition.as_deref(), message.as_deref()),
        tries: approximate_invoke_count,
    })
}

/// Returns `code: message`, or the one of them that is known.
fn error_text(code: Option<&str>, message: Option<&str>) -> Option<String> {
    match (code, message) {
        (Some(code), Some(message)) => Some(format!("{code}: {message}")),
        (one, other) => one.or(other).map(str::to_owned),
    }
}

impl EventSubject {
    fn of(event: &Value) -> Self {
        let detail = &event["detail"];
        // `launch.due` has the job's key in a field of its own.
        let key = detail.get("key").unwrap_or(detail);
        let text = |value: &Value| value.as_str().map(str::to_owned);
        Self {
            event: text(&event["detail-type"]).or_else(|| text(&event["task"])),
            repository: text(&detail["repository"]),
            job: key["job"].as_u64(),
            run: detail["run"].as_u64(),
            attempt: key["attempt"].as_u64(),
            instance: text(&detail["instance-id"]),
        }
    }

    /// Returns such as `octo-org/app, job 11, run 22, attempt 1`.
    pub(crate) fn describe(&self) -> String {
        let number = |name: &str, value: Option<u64>| value.map(|value| format!("{name} {value}"));
        let parts = [
            self.repository.clone(),
            number("job", self.job),
            number("run", self.run),
            number("attempt", self.attempt),
            self.instance.clone(),
        ];
        parts.into_iter().flatten().collect::<Vec<_>>().join(", ")
    }
}
