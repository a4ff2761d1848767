//! Service Quotas, which ministack does not have: the scenario's EC2 quotas.

use serde_json::{Value, json};

use super::{Caller, Scenario};
use crate::aws::Aws;
use crate::function_url::Outgoing;
use crate::http::Received;
use crate::policy::{Question, allows};

/// The prefix of Service Quotas' calls in the header.
const TARGET: &str = "ServiceQuotasV20190624.";

/// The signing name of Service Quotas.
pub(super) const SERVICE: &str = "servicequotas";

/// AWS's default of the two quotas for standard instances; all others are 0.
const DEFAULT_FOR_STANDARD: u32 = 5;
const STANDARD: [&str; 2] = ["L-1216C47A", "L-34B43A08"];

/// Returns the call of Service Quotas that a request makes, if any.
pub(super) fn action(request: &Received) -> Option<String> {
    let target = request.headers.iter().find(|(name, _)| name == "x-amz-target")?;
    target.1.strip_prefix(TARGET).map(str::to_owned)
}

/// Returns the requested quota.
pub(super) fn code(request: &Received) -> String {
    let asked: Value = serde_json::from_slice(&request.body).unwrap_or_default();
    asked["QuotaCode"].as_str().unwrap_or_default().to_owned()
}

/// Whether the caller's role may make the call.
pub(super) async fn may(aws: &Aws, caller: &Caller, service: &str, action: &str) -> anyhow::Result<bool> {
    let policies = aws.role_policies(&caller.role).await?;
    let action = format!("{service}:{action}");
    // These calls have no resources.
    let question = Question {
        action: &action,
        resource: "*",
        context: &[],
    };
    Ok(allows(&policies, &question)?)
}

/// Returns a service's answer to an unauthorized caller.
pub(super) fn denied(service: &str, action: &str) -> Outgoing {
    refusal(
        400,
        "AccessDeniedException",
        &format!("not authorized to perform: {service}:{action}"),
    )
}

/// Returns the answer to an authorized caller.
pub(super) fn answer(action: &str, code: &str, scenario: &Scenario) -> Outgoing {
    let value = match action {
        "GetServiceQuota" => scenario.quotas.get(code).copied(),
        "GetAWSDefaultServiceQuota" if STANDARD.contains(&code) => Some(DEFAULT_FOR_STANDARD),
        "GetAWSDefaultServiceQuota" => Some(0),
        _ => return refusal(400, "UnknownOperationException", action),
    };
    value.map_or_else(
        || {
            refusal(
                400,
                "NoSuchResourceException",
                "The request failed because the specified quota does not exist.",
            )
        },
        |value| {
            let quota = json!({"ServiceCode": "ec2", "QuotaCode": code, "Value": f64::from(value), "Unit": "None"});
            json_answer(200, &json!({"Quota": quota}))
        },
    )
}

/// Returns an error in the service's own shape.
pub(super) fn refusal(status: u16, kind: &str, message: &str) -> Outgoing {
    json_answer(status, &json!({"__type": kind, "Message": message}))
}

fn json_answer(status: u16, body: &Value) -> Outgoing {
    Outgoing {
        headers: vec![("content-type".to_owned(), "application/x-amz-json-1.1".to_owned())],
        ..Outgoing::json(status, &body.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_scenario_says_what_the_account_has_and_aws_what_it_begins_with() {
        let mut scenario = Scenario::default();
        scenario.quotas.insert("L-3819A6DF".to_owned(), 8);
        let cases = [
            ("GetServiceQuota", "L-3819A6DF", 200, "\"Value\":8.0"),
            ("GetServiceQuota", "L-7212CCBC", 400, "NoSuchResourceException"),
            ("GetAWSDefaultServiceQuota", "L-7212CCBC", 200, "\"Value\":0.0"),
            ("GetAWSDefaultServiceQuota", "L-34B43A08", 200, "\"Value\":5.0"),
            ("ListServices", "", 400, "UnknownOperationException"),
        ];
        for (action, code, status, words) in cases {
            let outgoing = answer(action, code, &scenario);
            let body = String::from_utf8(outgoing.body).unwrap();
            assert_eq!(outgoing.status, status, "{action} {code}");
            assert!(body.contains(words), "{action} {code}: {body}");
        }
    }
}
