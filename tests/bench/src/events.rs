//! The functions' events, as AWS delivers them.
//!
//! Sources: AWS Lambda developer guide, "Function URL request and response payloads"; GitHub, "Webhook
//! events and payloads"; Amazon EC2 user guide, "Spot Instance interruption notices".

use hmac::{Hmac, KeyInit as _, Mac as _};
use serde_json::{Value, json};
use sha2::Sha256;
use uuid::Uuid;

use crate::cloud::github::{account, repository};

/// The secret that webhooks are signed with.
pub const WEBHOOK_SECRET: &str = "a secret that only GitHub and dayfly know";

const ACCOUNT: &str = "123456789012";

/// A job of a workflow, in a run of its own.
#[derive(Clone, Debug)]
pub struct Job {
    /// GitHub's id of the job.
    pub id: u64,
    /// Its repository, `owner/name`.
    pub repository: String,
    /// The runner that took it: name and id.
    pub runner: Option<(String, u64)>,
}

impl Job {
    /// A waiting job.
    #[must_use]
    pub fn queued(number: usize, repository: impl Into<String>) -> Self {
        // As large as GitHub's ids are today, because their digits are stored and parsed.
        let id = 51_000_000_000 + u64::try_from(number).unwrap_or_default();
        Self {
            id,
            repository: repository.into(),
            runner: None,
        }
    }

    /// Returns the job that a runner was launched for: `dayfly-<job>-<run
    /// attempt>-<launch>-i<instance>`.
    #[must_use]
    pub fn of_runner(name: &str, id: u64, repository: &str) -> Option<Self> {
        let job = name.strip_prefix("dayfly-")?.split('-').next()?;
        Some(Self {
            id: job.parse().ok()?,
            repository: repository.to_owned(),
            runner: Some((name.to_owned(), id)),
        })
    }

    /// Returns the body of the `workflow_job` webhook with this action.
    #[must_use]
    pub fn payload(&self, action: &str) -> Value {
        let run = self.id - 1_000_000_000;
        let name = &self.repository;
        let api = format!("https://api.github.com/repos/{name}");
        let (runner_name, runner_id) = self.runner.clone().unzip();
        json!({
            "action": action,
            "workflow_job": {
                "id": self.id, "run_id": run, "run_attempt": 1, "workflow_name": "gpu",
                "name": "test (3.12, cuda)", "node_id": "CR_kwDOAAqucc8AAAAL",
                "head_branch": "main", "head_sha": "7c1f5e9a2b3d4f6081920a1b2c3d4e5f60718293",
                "status": action, "conclusion": (action == "completed").then_some("success"),
                "labels": ["self-hosted", "dayfly-gpu"], "steps": steps(action),
                "created_at": now(), "started_at": now(),
                "completed_at": (action == "completed").then_some("2026-01-01T00:01:00Z"),
                "runner_id": runner_id, "runner_name": runner_name,
                "runner_group_id": runner_id.map(|_| 1),
                "runner_group_name": runner_id.map(|_| "Default"),
                "run_url": format!("{api}/actions/runs/{run}"),
                "url": format!("{api}/actions/jobs/{}", self.id),
                "html_url": format!("https://github.com/{name}/actions/runs/{run}/job/{}", self.id),
                "check_run_url": format!("{api}/check-runs/{}", self.id),
            },
            "repository": repository(name),
            "organization": account("octo-org"),
            "sender": account("octocat"),
            "installation": { "id": 42, "node_id": "MDIzOkludGVncmF0aW9uSW5zdGFsbGF0aW9uNDI=" },
        })
    }

    /// Returns the signed webhook with this action, as the Function URL passes it to the function.
    /// Every call is a new delivery.
    #[must_use]
    pub fn webhook(&self, action: &str) -> Value {
        let body = self.payload(action).to_string();
        let mut event = url_request("/", &body);
        for (name, value) in [
            ("user-agent", "GitHub-Hookshot/1a2b3c4".to_owned()),
            ("x-github-delivery", Uuid::new_v4().to_string()),
            ("x-github-event", "workflow_job".to_owned()),
            ("x-github-hook-id", "480000000".to_owned()),
            ("x-github-hook-installation-target-id", "1".to_owned()),
            ("x-github-hook-installation-target-type", "integration".to_owned()),
            ("x-hub-signature-256", signature(&body)),
        ] {
            event["headers"][name] = json!(value);
        }
        event
    }
}

fn steps(action: &str) -> Value {
    if action == "queued" {
        return json!([]);
    }
    let names = ["Set up job", "Run actions/checkout@v4", "Run pytest", "Complete job"];
    names
        .iter()
        .zip(1..)
        .map(|(name, number)| {
            json!({
                "name": name, "number": number, "status": action,
                "conclusion": (action == "completed").then_some("success"),
                "started_at": "2026-01-01T00:00:00Z", "completed_at": null,
            })
        })
        .collect()
}

/// Returns an instance's call to the check-in URL, as the Function URL passes it on after checking the
/// signature.
#[must_use]
pub fn checkin(instance: &str, verb: &str, mut body: Value) -> Value {
    body["instance"] = json!(instance);
    let mut event = url_request(&format!("/{verb}"), &body.to_string());
    event["requestContext"]["accountId"] = json!(ACCOUNT);
    event["requestContext"]["authorizer"] = json!({ "iam": {
        "accessKey": "ASIAIOSFODNN7EXAMPLE", "accountId": ACCOUNT, "cognitoIdentity": null,
        "callerId": format!("AROAEXAMPLEEXAMPLE001:{instance}"), "principalOrgId": null,
        "userArn": format!("arn:aws:sts::{ACCOUNT}:assumed-role/dayfly-instance/{instance}"),
        "userId": format!("AROAEXAMPLEEXAMPLE001:{instance}"),
    }});
    event
}

/// Returns EC2's interruption notice of two minutes.
#[must_use]
pub fn interruption_warning(instance: &str) -> Value {
    json!({
        "version": "0", "id": Uuid::new_v4().to_string(), "source": "aws.ec2",
        "detail-type": "EC2 Spot Instance Interruption Warning", "account": ACCOUNT,
        "time": now(), "region": "us-east-1",
        "resources": [format!("arn:aws:ec2:us-east-1a:instance/{instance}")],
        "detail": { "instance-id": instance, "instance-action": "terminate" },
    })
}

/// Returns the minute schedule's event.
#[must_use]
pub fn sweep() -> Value {
    json!({ "task": "sweep" })
}

fn url_request(path: &str, body: &str) -> Value {
    let id = "abcdefghijklmnopqrstuvwxyz012345";
    let host = format!("{id}.lambda-url.us-east-1.on.aws");
    json!({
        "version": "2.0", "routeKey": "$default", "rawPath": path, "rawQueryString": "",
        "headers": {
            "accept": "*/*", "content-type": "application/json", "host": host,
            "content-length": body.len().to_string(), "x-forwarded-for": "192.0.2.1",
            "x-forwarded-port": "443", "x-forwarded-proto": "https",
            "x-amzn-trace-id": "Root=1-5e6722a7-cc56xmpl46db7ae02d4da47e",
        },
        "requestContext": {
            "accountId": "anonymous", "apiId": id, "domainName": host, "domainPrefix": id,
            "http": {
                "method": "POST", "path": path, "protocol": "HTTP/1.1", "sourceIp": "192.0.2.1",
                "userAgent": "bench",
            },
            "requestId": Uuid::new_v4().to_string(), "routeKey": "$default", "stage": "$default",
            "time": "01/Jan/2026:00:00:00 +0000", "timeEpoch": 1_767_225_600_000_u64,
        },
        "body": body, "isBase64Encoded": false,
    })
}

fn signature(body: &str) -> String {
    let mut mac = Hmac::<Sha256>::new_from_slice(WEBHOOK_SECRET.as_bytes()).unwrap_or_else(|_| {
        // HMAC takes a key of any length.
        unreachable!()
    });
    mac.update(body.as_bytes());
    format!("sha256={}", hex::encode(mac.finalize().into_bytes()))
}

fn now() -> String {
    let now = jiff::Timestamp::now();
    now.round(jiff::Unit::Second).unwrap_or(now).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_webhook_is_signed_over_its_body_and_no_two_are_one_delivery() {
        let job = Job::queued(1, "octo-org/gpu");
        let (one, other) = (job.webhook("queued"), job.webhook("queued"));
        let body = one["body"].as_str().unwrap();
        assert_eq!(one["headers"]["x-hub-signature-256"], signature(body).as_str());
        assert_eq!(one["body"], other["body"]);
        assert_ne!(
            one["headers"]["x-github-delivery"],
            other["headers"]["x-github-delivery"]
        );
    }

    #[test]
    fn a_payload_is_about_as_large_as_githubs() {
        let length = Job::queued(1, "octo-org/gpu").payload("queued").to_string().len();
        assert!((5_000..20_000).contains(&length), "{length} bytes");
    }

    #[test]
    fn a_runner_leads_back_to_its_job() {
        let job = Job::of_runner("dayfly-51000000007-1-1-i0123456789abcdef0-m2", 9, "octo-org/gpu").unwrap();
        assert_eq!(job.id, Job::queued(7, "octo-org/gpu").id);
        assert_eq!(job.payload("in_progress")["workflow_job"]["runner_id"], 9);
        assert!(Job::of_runner("somebody-else", 9, "octo-org/gpu").is_none());
    }

    #[test]
    fn who_checks_in_is_said_by_the_role_session() {
        let event = checkin("i-1", "claim", json!({ "agent_version": "1" }));
        let user = &event["requestContext"]["authorizer"]["iam"]["userId"];
        assert!(user.as_str().unwrap().ends_with(":i-1"));
        assert_eq!(event["rawPath"], "/claim");
        assert!(event["body"].as_str().unwrap().contains("\"i-1\""));
    }
}
