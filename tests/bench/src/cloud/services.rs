//! The small AWS services: `EventBridge`, SSM and Scheduler.

use std::collections::BTreeMap;

use http::{Method, StatusCode};
use serde_json::{Value, json};
use uuid::Uuid;

use super::reply::{Reply, Request};

/// An event bus that keeps its events.
#[derive(Debug, Default)]
pub struct Bus {
    entries: Vec<Value>,
}

impl Bus {
    /// `PutEvents`.
    pub fn put(&mut self, request: &Value) -> Reply {
        let entries = request["Entries"].as_array().cloned().unwrap_or_default();
        let answers: Vec<Value> = entries
            .iter()
            .map(|_| json!({ "EventId": Uuid::new_v4().to_string() }))
            .collect();
        self.entries.extend(entries);
        Reply::aws(&json!({ "FailedEntryCount": 0, "Entries": answers }))
    }

    /// Takes the events of one detail type off the bus, as a rule's target receives them.
    pub fn take(&mut self, detail_type: &str) -> Vec<Value> {
        let (taken, left) = std::mem::take(&mut self.entries)
            .into_iter()
            .partition(|entry| entry["DetailType"] == detail_type);
        self.entries = left;
        let taken: Vec<Value> = taken;
        taken.iter().map(delivered).collect()
    }
}

/// Returns an event as `EventBridge` delivers it. Source: Amazon `EventBridge` user guide, "AWS service
/// events metadata".
fn delivered(entry: &Value) -> Value {
    let detail = entry["Detail"].as_str().unwrap_or_default();
    json!({
        "version": "0",
        "id": Uuid::new_v4().to_string(),
        "detail-type": entry["DetailType"],
        "source": entry["Source"],
        "account": "123456789012",
        "time": jiff::Timestamp::now().round(jiff::Unit::Second).unwrap_or_default().to_string(),
        "region": "us-east-1",
        "resources": [],
        "detail": serde_json::from_str::<Value>(detail).unwrap_or_default(),
    })
}

/// AWS's price list, with the same price for everything.
#[must_use]
pub fn price_list() -> Reply {
    let parts = [
        ("BoxUsage", "Hrs", "0.5260000000"),
        ("EBS:VolumeUsage.gp3", "GB-Mo", "0.0800000000"),
        ("EBS:VolumeP-IOPS.gp3", "IOPS-Mo", "0.0050000000"),
        ("EBS:VolumeP-Throughput.gp3", "GiBps-mo", "40.9600000000"),
    ];
    let entries = parts.map(|(usage, unit, price)| {
        let dimension = json!({"unit": unit, "pricePerUnit": {"USD": price}});
        let offer = json!({"A.B": {"priceDimensions": {"A.B.C": dimension}}});
        json!({"product": {"attributes": {"usagetype": usage}}, "terms": {"OnDemand": offer}}).to_string()
    });
    Reply::aws(&json!({"FormatVersion": "aws_v1", "PriceList": entries}))
}

/// SSM parameters; `SecureString`s are returned only decrypted.
#[derive(Debug, Default)]
pub struct Parameters {
    values: BTreeMap<String, (&'static str, String)>,
}

impl Parameters {
    /// Adds a `SecureString`.
    pub fn secret(&mut self, name: &str, value: String) {
        self.values.insert(name.to_owned(), ("SecureString", value));
    }

    /// Adds a `String`.
    pub fn plain(&mut self, name: &str, value: &str) {
        self.values.insert(name.to_owned(), ("String", value.to_owned()));
    }

    /// Makes a call; `None` if the operation is not implemented.
    #[must_use]
    pub fn call(&self, operation: &str, request: &Value) -> Option<Reply> {
        let decrypt = request["WithDecryption"] == json!(true);
        match operation {
            "GetParameter" => {
                let name = request["Name"].as_str().unwrap_or_default();
                Some(match self.parameter(name, decrypt) {
                    Some(parameter) => Reply::aws(&json!({ "Parameter": parameter })),
                    None => Reply::aws_error("ParameterNotFound", name, json!({})),
                })
            }
            "GetParameters" => {
                let names = request["Names"].as_array().into_iter().flatten();
                let (mut found, mut invalid) = (Vec::new(), Vec::new());
                for name in names.filter_map(Value::as_str) {
                    match self.parameter(name, decrypt) {
                        Some(parameter) => found.push(parameter),
                        None => invalid.push(name),
                    }
                }
                Some(Reply::aws(
                    &json!({ "Parameters": found, "InvalidParameters": invalid }),
                ))
            }
            _ => None,
        }
    }

    fn parameter(&self, name: &str, decrypt: bool) -> Option<Value> {
        let (kind, value) = self.values.get(name)?;
        let hidden = *kind == "SecureString" && !decrypt;
        let value = if hidden { "AQICAHencrypted" } else { value };
        Some(json!({
            "Name": name, "Type": kind, "Value": value, "Version": 1,
            "LastModifiedDate": 1_767_225_600.0, "DataType": "text",
            "ARN": format!("arn:aws:ssm:us-east-1:123456789012:parameter/{}", name.trim_start_matches('/')),
        }))
    }
}

/// `EventBridge` Scheduler with one schedule.
#[derive(Debug)]
pub struct Schedule {
    name: String,
    enabled: bool,
}

impl Schedule {
    /// Returns a schedule as in the template: disabled.
    #[must_use]
    pub fn disabled(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            enabled: false,
        }
    }

    /// Whether it is enabled.
    #[must_use]
    pub fn is_enabled(&self) -> bool {
        self.enabled
    }

    /// `GetSchedule` and `UpdateSchedule`; `None` if the call is not implemented.
    pub fn call(&mut self, request: &Request) -> Option<Reply> {
        let name = request.path.strip_prefix("/schedules/")?;
        if name != self.name {
            let body = json!({ "Message": format!("Schedule {name} does not exist.") });
            let reply = Reply::json(StatusCode::NOT_FOUND, &body);
            return Some(reply.with("x-amzn-errortype", "ResourceNotFoundException"));
        }
        match request.method {
            Method::GET => Some(Reply::json(StatusCode::OK, &self.describe())),
            Method::PUT => {
                self.enabled = request.json()["State"] != "DISABLED";
                Some(Reply::json(StatusCode::OK, &json!({ "ScheduleArn": self.arn() })))
            }
            _ => None,
        }
    }

    fn arn(&self) -> String {
        let name = &self.name;
        format!("arn:aws:scheduler:us-east-1:123456789012:schedule/default/{name}")
    }

    fn describe(&self) -> Value {
        json!({
            "Arn": self.arn(), "GroupName": "default", "Name": self.name,
            "ScheduleExpression": "rate(1 minute)", "ScheduleExpressionTimezone": "UTC",
            "State": if self.enabled { "ENABLED" } else { "DISABLED" },
            "FlexibleTimeWindow": { "Mode": "OFF" }, "ActionAfterCompletion": "NONE",
            "CreationDate": 1_767_225_600.0, "LastModificationDate": 1_767_225_600.0,
            "Target": {
                "Arn": "arn:aws:lambda:us-east-1:123456789012:function:sweeper",
                "RoleArn": "arn:aws:iam::123456789012:role/scheduler",
                "Input": r#"{"task":"sweep"}"#,
                "RetryPolicy": { "MaximumEventAgeInSeconds": 60, "MaximumRetryAttempts": 0 },
            },
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rule_gets_its_events_and_leaves_the_others() {
        let mut bus = Bus::default();
        let reply = bus.put(&json!({ "Entries": [
            {"Source": "dayfly", "DetailType": "job.queued", "Detail": "{\"v\":1}"},
            {"Source": "dayfly", "DetailType": "job.completed", "Detail": "{\"v\":1}"},
        ]}));
        assert_eq!(reply.body_json()["FailedEntryCount"], 0);
        assert_eq!(reply.body_json()["Entries"].as_array().unwrap().len(), 2);
        let queued = bus.take("job.queued");
        assert_eq!(queued.len(), 1);
        assert_eq!(queued[0]["detail"], json!({"v": 1}));
        assert_eq!(queued[0]["source"], "dayfly");
        assert!(bus.take("job.queued").is_empty());
        assert_eq!(bus.take("job.completed").len(), 1);
    }

    #[test]
    fn a_secret_is_given_out_decrypted_only_when_asked_for() {
        let mut parameters = Parameters::default();
        parameters.secret("/s", "open".to_owned());
        let get = |request: Value| {
            let reply = parameters.call("GetParameter", &request).unwrap();
            reply.body_json()["Parameter"]["Value"].clone()
        };
        assert_eq!(get(json!({"Name": "/s", "WithDecryption": true})), "open");
        assert_ne!(get(json!({"Name": "/s"})), "open");
    }

    #[test]
    fn a_parameter_that_is_not_there_is_named() {
        let parameters = Parameters::default();
        let reply = parameters.call("GetParameter", &json!({"Name": "/none"}));
        assert_eq!(reply.unwrap().body_json()["__type"], "ParameterNotFound");
        let reply = parameters.call("GetParameters", &json!({"Names": ["/none"]}));
        assert_eq!(reply.unwrap().body_json()["InvalidParameters"][0], "/none");
    }
}
