//! What a message in the dead-letter queue says: which event, who failed at it, and why.
//!
//! Three senders leave messages there, each in a shape of its own:
//! - Lambda, where a function failed at an event: a record around the event
//!   (<https://docs.aws.amazon.com/lambda/latest/dg/invocation-async-retain-records.html>);
//! - EventBridge, where an event did not even reach the function: the event itself, the rest in
//!   attributes (<https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-rule-dlq.html>);
//! - Scheduler, likewise with the schedule's input
//!   (<https://docs.aws.amazon.com/scheduler/latest/UserGuide/configuring-schedule-dlq.html>).

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::arn::Arn;

/// A message as SQS gives it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Message {
    pub(crate) id: String,
    /// What the queue wants to see when it is deleted or given back.
    pub(crate) receipt: String,
    /// In milliseconds since 1970.
    pub(crate) sent_at: Option<i64>,
    pub(crate) body: String,
    pub(crate) attributes: BTreeMap<String, String>,
}

/// A message of one of the three senders.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Letter {
    pub(crate) sender: Sender,
    /// The ARN of the function that the event was for.
    pub(crate) function: String,
    /// The event, as the function is to get it.
    pub(crate) event: String,
    pub(crate) about: About,
    /// AWS's words.
    pub(crate) error: Option<String>,
    /// How often it was tried.
    pub(crate) tries: Option<u64>,
}

/// Who left a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Sender {
    /// Lambda: the function failed.
    Function,
    /// The rule of this name: the function was not reached.
    Rule(String),
    /// The schedule of this name: the function was not reached.
    Schedule(String),
}

/// What an event is about, as far as that can be told. For people only: nothing hangs on it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub(crate) struct About {
    /// `job.queued`, `EC2 Spot Instance Interruption Warning`, `sweep`.
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

/// A message of none of the three shapes.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum NotUnderstood {
    /// It says of itself that it is a rule's or a schedule's, but not for which function.
    #[error("it has no attribute `TARGET_ARN`")]
    NoTarget,
    /// Neither attributes nor body are what AWS writes.
    #[error("neither Lambda, nor a rule, nor a schedule writes such a message: {0}")]
    Shape(String),
}

/// Lambda's record of an event that a function failed at.
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

impl Letter {
    /// Reads a message.
    ///
    /// # Errors
    /// If none of the three senders writes such a message.
    pub(crate) fn read(message: &Message) -> Result<Self, NotUnderstood> {
        let attribute = |name: &str| message.attributes.get(name).map(String::as_str);
        let named = |arn: &str| Arn::read(arn).map_or_else(|| arn.to_owned(), |arn| arn.last().to_owned());
        let sender = match (attribute("RULE_ARN"), attribute("SCHEDULE_ARN")) {
            (Some(rule), _) => Sender::Rule(named(rule)),
            (None, Some(schedule)) => Sender::Schedule(named(schedule)),
            (None, None) => return of_lambda(&message.body),
        };
        // The first try is no retry.
        let retries = attribute("RETRY_ATTEMPTS").and_then(|count| count.parse::<u64>().ok());
        Ok(Self {
            sender,
            function: attribute("TARGET_ARN").ok_or(NotUnderstood::NoTarget)?.to_owned(),
            event: message.body.clone(),
            about: About::of(&serde_json::from_str(&message.body).unwrap_or_default()),
            error: words(attribute("ERROR_CODE"), attribute("ERROR_MESSAGE")),
            tries: retries.map(|count| count.saturating_add(1)),
        })
    }
}

fn of_lambda(body: &str) -> Result<Letter, NotUnderstood> {
    let record: Record = serde_json::from_str(body).map_err(|error| NotUnderstood::Shape(error.to_string()))?;
    let RequestContext {
        function_arn,
        condition,
        approximate_invoke_count,
    } = record.request_context;
    let message = record.response_payload.as_ref().and_then(|answer| {
        let words = answer.get("errorMessage").and_then(Value::as_str)?;
        Some(words.to_owned())
    });
    let message = message.or(record.response_context.and_then(|context| context.function_error));
    // That all tries are used up is the usual case and says nothing; that an event grew too old does.
    let condition = Some(condition).filter(|condition| condition != "RetriesExhausted" || message.is_none());
    Ok(Letter {
        sender: Sender::Function,
        function: function_arn,
        event: record.request_payload.to_string(),
        about: About::of(&record.request_payload),
        error: words(condition.as_deref(), message.as_deref()),
        tries: approximate_invoke_count,
    })
}

/// `code: message`, or what there is of it.
fn words(code: Option<&str>, message: Option<&str>) -> Option<String> {
    match (code, message) {
        (Some(code), Some(message)) => Some(format!("{code}: {message}")),
        (one, other) => one.or(other).map(str::to_owned),
    }
}

impl About {
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

    /// For a table: `octo-org/app, job 11, run 22, attempt 1`.
    pub(crate) fn line(&self) -> String {
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
