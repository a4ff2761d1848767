//! The AWS half of the lab with stand-ins for the functions, for tests of their surroundings.

use std::fmt::Write as _;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use dayfly_lab::aws::{Session, Xml, now_seconds};
use dayfly_lab::cloud::{Cloud, CloudConfig};
use dayfly_lab::ec2_proxy::Scenario;
use dayfly_lab::functions::{Function, binaries};
use dayfly_lab::lab::checkout;
use dayfly_lab::sigv4::{self, Credentials, Scope};
use serde_json::{Value, json};
use tempfile::TempDir;

/// A Lambda runtime in shell: answers each event with the event itself, and an event with `ec2` in it
/// by sending that to EC2, signed as the function it runs as.
const BOOTSTRAP: &str = r#"#!/bin/bash
api="http://$AWS_LAMBDA_RUNTIME_API/2018-06-01/runtime/invocation"
while :; do
  head=$(mktemp)
  event=$(curl -sS -D "$head" "$api/next") || exit 1
  id=$(tr -d '\r' <"$head" | awk 'tolower($1) == "lambda-runtime-aws-request-id:" {print $2}')
  rm -f "$head"
  echo "stand-in got $event"
  form=$(sed -n 's/.*"ec2": *"\([^"]*\)".*/\1/p' <<<"$event")
  if [ -n "$form" ]; then
    answer=$(curl -sS --aws-sigv4 "aws:amz:$AWS_REGION:ec2" \
      --user "$AWS_ACCESS_KEY_ID:$AWS_SECRET_ACCESS_KEY" \
      -H "x-amz-security-token: $AWS_SESSION_TOKEN" \
      --data "$form" "$AWS_ENDPOINT_URL_EC2/" 2>&1)
    event=$(printf '{"status":%d,"answer":"%s"}' "$?" "$(printf %s "$answer" | base64 -w0)")
  fi
  printf '%s' "$event" | curl -sS -o /dev/null -X POST --data-binary @- "$api/$id/response"
done
"#;

/// Puts a stand-in for every function into `folder`.
fn build(folder: &Path) {
    for function in Function::ALL {
        let path = folder.join(function.binary());
        fs::write(&path, BOOTSTRAP).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    }
}

/// A deployed stack whose functions are stand-ins.
pub struct Foundation {
    pub cloud: Cloud,
    _scratch: TempDir,
}

impl Foundation {
    pub async fn start() -> Self {
        let scratch = tempfile::tempdir().unwrap();
        let binaries = scratch.path().join("bin");
        std::fs::create_dir(&binaries).unwrap();
        build(&binaries);
        Self::deploy(scratch, binaries).await
    }

    /// The same stack with the real functions, and without GitHub.
    pub async fn real() -> Self {
        Self::deploy(tempfile::tempdir().unwrap(), binaries().unwrap()).await
    }

    async fn deploy(scratch: TempDir, binaries: PathBuf) -> Self {
        let parameters = [
            ("GitHubAppId", "1".to_owned()),
            ("AgentSha256X8664", "0".repeat(64)),
            ("AgentSha256Arm64", "0".repeat(64)),
        ];
        let config = CloudConfig {
            checkout: checkout(),
            binaries,
            region: "eu-west-1".into(),
            stack: "dayfly".into(),
            minute: Duration::from_secs(1),
            webhook_secret: "a webhook secret".into(),
            app_private_key: "a private key".into(),
            parameters: parameters.map(|(name, value)| (name.to_owned(), value)).into(),
            scenario: Scenario::default(),
        };
        let cloud = Cloud::start(&config, scratch.path()).await.unwrap();
        Self {
            cloud,
            _scratch: scratch,
        }
    }

    /// Returns a session of the instances' role, as the metadata service issues it to `instance`.
    pub async fn instance_session(&self, instance: &str) -> Session {
        let role = self.cloud.deployment().output("InstanceRoleArn").unwrap();
        self.cloud.aws().assume_role(role, instance).await.unwrap()
    }

    /// Returns a session of one of the stack's roles, by its logical id.
    pub async fn session_of(&self, role: &str) -> Session {
        let name = self.cloud.deployment().resource(role).unwrap();
        let arn = format!("arn:aws:iam::000000000000:role/{name}");
        self.cloud.aws().assume_role(&arn, "a-test").await.unwrap()
    }

    /// Sends `form` to EC2 as the launch function.
    pub async fn ec2(&self, form: &str) -> Ec2Answer {
        let invocation = self
            .cloud
            .invoke(Function::Launch, &json!({"ec2": form}))
            .await
            .unwrap();
        let status = invocation.payload["status"]
            .as_i64()
            .unwrap_or_else(|| panic!("{invocation:?}"));
        let body = STANDARD.decode(invocation.payload["answer"].as_str().unwrap()).unwrap();
        Ec2Answer {
            curl_status: status,
            text: String::from_utf8(body).unwrap(),
        }
    }

    /// Returns a `CreateFleet` for one spot instance.
    pub fn fleet(&self, token: &str) -> String {
        let deployment = self.cloud.deployment();
        let mut form = format!(
            "Action=CreateFleet&Version=2016-11-15&Type=instant&ClientToken={token}\
             &TargetCapacitySpecification.TotalTargetCapacity=1\
             &TargetCapacitySpecification.DefaultTargetCapacityType=spot\
             &LaunchTemplateConfigs.1.LaunchTemplateSpecification.LaunchTemplateId={}\
             &LaunchTemplateConfigs.1.LaunchTemplateSpecification.Version=$Latest\
             &TagSpecification.1.ResourceType=instance\
             &TagSpecification.1.Tag.1.Key=dayfly:stack&TagSpecification.1.Tag.1.Value=dayfly",
            deployment.output("LaunchTemplateId").unwrap()
        );
        // The cheapest zone comes last.
        for (number, subnet) in deployment.output("SubnetIds").unwrap().split(',').rev().enumerate() {
            let prefix = format!("&LaunchTemplateConfigs.1.Overrides.{}.", number + 1);
            write!(form, "{prefix}InstanceType=g4dn.xlarge{prefix}SubnetId={subnet}").unwrap();
        }
        form
    }

    pub async fn stop(self) {
        self.cloud.stop().await.unwrap();
    }
}

/// EC2's answer.
pub struct Ec2Answer {
    /// curl's exit status.
    pub curl_status: i64,
    pub text: String,
}

impl Ec2Answer {
    pub fn xml(&self) -> Xml {
        Xml::read("ec2", self.text.as_bytes()).unwrap_or_else(|error| panic!("{error}"))
    }
}

/// Sends a claim of `instance` to the check-in door.
pub async fn claim(url: &str, instance: &str, credentials: Option<&Credentials>) -> (u16, Value) {
    let host = url.strip_prefix("http://").unwrap();
    let mut headers = vec![
        ("host".to_owned(), host.to_owned()),
        ("content-type".to_owned(), "application/json".to_owned()),
    ];
    let body = json!({"instance": instance, "agent_version": "0.1.0"}).to_string();
    let body = body.as_bytes();
    if let Some(credentials) = credentials {
        let request = sigv4::Request {
            method: "POST",
            path: "/claim",
            query: "",
            headers: &headers,
            body,
        };
        let scope = Scope {
            region: "eu-west-1",
            service: "lambda",
        };
        headers.extend(sigv4::sign(&request, scope, credentials, now_seconds()));
    }
    let http = reqwest::Client::builder().no_proxy().build().unwrap();
    let mut request = http.post(format!("{url}/claim")).body(body.to_vec());
    for (name, value) in headers {
        request = request.header(name, value);
    }
    let answer = request.send().await.unwrap();
    (answer.status().as_u16(), answer.json().await.unwrap())
}
