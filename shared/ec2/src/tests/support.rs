//! An EC2 with prepared answers that records its calls.

use std::collections::BTreeMap;

use dayfly_types::ids::InstanceId;
use wiremock::matchers::body_string_contains;
use wiremock::{Mock, MockServer, ResponseTemplate};

use crate::{Ec2Fleet, Ec2Settings};

/// Returns the adapter of the stack `dayfly-test` for an EC2 at this address.
pub fn fleet_at(url: String) -> Ec2Fleet {
    fleet_at_with(url, Some("lt-2"))
}

/// Like [`fleet_at`], for a stack with this template for variants.
pub fn fleet_at_with(url: String, variants: Option<&str>) -> Ec2Fleet {
    let config = dayfly_aws::config_from(move |name| match name {
        "AWS_REGION" => Some("eu-west-1".to_owned()),
        "AWS_ENDPOINT_URL_EC2" | "AWS_ENDPOINT_URL_PRICING" => Some(url.clone()),
        "AWS_ACCESS_KEY_ID" | "AWS_SECRET_ACCESS_KEY" => Some("test".to_owned()),
        _ => None,
    });
    let settings = Ec2Settings {
        launch_template: "lt-1".to_owned(),
        launch_template_variants: variants.map(str::to_owned),
        stack: "dayfly-test".to_owned(),
    };
    Ec2Fleet::new(&config.unwrap(), settings)
}

pub struct Ec2 {
    pub server: MockServer,
    pub fleet: Ec2Fleet,
}

impl Ec2 {
    pub async fn start() -> Self {
        let server = MockServer::start().await;
        Self {
            fleet: fleet_at(server.uri()),
            server,
        }
    }

    /// Answers calls of `action` whose body contains `with`.
    pub async fn answers(&self, action: &str, with: &str, inner: &str) {
        let body = format!(
            "<{action}Response xmlns=\"http://ec2.amazonaws.com/doc/2016-11-15/\">\
             <requestId>r-1</requestId>{inner}</{action}Response>"
        );
        self.replies(action, with, ResponseTemplate::new(200).set_body_string(body))
            .await;
    }

    /// Refuses calls of `action` whose body contains `with`.
    pub async fn refuses(&self, action: &str, with: &str, code: &str, message: &str) {
        let body = format!(
            "<Response><Errors><Error><Code>{code}</Code><Message>{message}</Message></Error></Errors>\
             <RequestID>r-1</RequestID></Response>"
        );
        self.replies(action, with, ResponseTemplate::new(400).set_body_string(body))
            .await;
    }

    async fn replies(&self, action: &str, with: &str, reply: ResponseTemplate) {
        Mock::given(body_string_contains(format!("Action={action}&")))
            .and(body_string_contains(with))
            .respond_with(reply)
            .mount(&self.server)
            .await;
    }

    /// Returns the parameters of every call of `action`.
    pub async fn asked(&self, action: &str) -> Vec<BTreeMap<String, String>> {
        let requests = self.server.received_requests().await.unwrap();
        requests
            .iter()
            .map(|request| form_urlencoded::parse(&request.body).into_owned().collect())
            .filter(|call: &BTreeMap<String, String>| call["Action"] == action)
            .collect()
    }
}

/// Returns an instance in `DescribeInstances`' XML.
pub fn described(id: &str, state: &str, tags: &[(&str, &str)]) -> String {
    let tags: Vec<String> = tags
        .iter()
        .map(|(key, value)| format!("<item><key>{key}</key><value>{value}</value></item>"))
        .collect();
    let tags = tags.concat();
    format!(
        "<item><instancesSet><item><instanceId>{id}</instanceId>\
         <instanceState><code>16</code><name>{state}</name></instanceState>\
         <instanceType>g5.xlarge</instanceType><instanceLifecycle>spot</instanceLifecycle>\
         <launchTime>2027-01-15T08:00:00.000Z</launchTime>\
         <placement><availabilityZone>eu-west-1a</availabilityZone></placement>\
         <tagSet>{tags}</tagSet></item></instancesSet></item>"
    )
}

/// Returns a page of `DescribeInstances`.
pub fn page(instances: &[String], next: Option<&str>) -> String {
    let next = next.map_or(String::new(), |token| format!("<nextToken>{token}</nextToken>"));
    format!("<reservationSet>{}</reservationSet>{next}", instances.concat())
}

pub fn ids(ids: &[&str]) -> Vec<InstanceId> {
    ids.iter().map(|id| InstanceId::new(*id)).collect()
}
