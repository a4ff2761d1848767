//! The public ends of the Function URLs: what AWS does before it calls a function.
//!
//! The webhook's URL is public and is passed on to ministack's own. The check-in's requires a
//! signature: ministack calls the function without naming the caller, so this door checks the signature
//! and the caller's permissions itself and invokes the function with the caller in the event, as AWS
//! does.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::Context;
use reqwest::Method;
use serde_json::Value;

use crate::aws::{Aws, Session, forward, now_seconds};
use crate::function_url::{Incoming, Outgoing, Url, answer, event};
use crate::http::{Handler, Received, Reply, Server};
use crate::policy::{Question, allows};
use crate::sigv4::{self, Scope};

/// How long a role's policies are cached, as IAM does too.
const POLICIES_FRESH: Duration = Duration::from_secs(1);

/// The size limit of a Function URL's requests, in bytes.
const BODY_LIMIT: usize = 6 * 1024 * 1024;

/// The role sessions of instances, as opened by STS.
#[derive(Clone, Debug, Default)]
pub struct Sessions(Arc<Mutex<HashMap<String, Session>>>);

impl Sessions {
    pub fn insert(&self, session: Session) {
        self.lock().insert(session.credentials.access_key.clone(), session);
    }

    /// Returns the session of an access key.
    #[must_use]
    pub fn get(&self, access_key: &str) -> Option<Session> {
        self.lock().get(access_key).cloned()
    }

    /// Returns every session ever opened, for searches of the logs.
    #[must_use]
    pub fn all(&self) -> Vec<Session> {
        self.lock().values().cloned().collect()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<String, Session>> {
        // A panic cannot leave the map inconsistent.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[derive(Debug)]
pub struct FrontDoor {
    server: Server,
}

impl FrontDoor {
    /// Opens the door of a URL with `AuthType: NONE`.
    ///
    /// # Errors
    /// If the function's own policy does not admit the public by its URL, or no port is available.
    pub async fn open(aws: &Aws, url: Url, function: &str) -> anyhow::Result<Self> {
        let arn = function_arn(aws, function).await?;
        let policy = aws.function_policy(function).await?.unwrap_or_default();
        let admitted = may_call(&[public_statements(&policy)], &arn, "NONE")?;
        anyhow::ensure!(
            admitted,
            "the policy of `{function}` does not let the public call it by its URL: {policy}"
        );
        let door = OpenDoor {
            http: reqwest::Client::builder().no_proxy().build()?,
            endpoint: aws.endpoint().to_owned(),
            url,
        };
        let server = Server::start(Arc::new(door), BODY_LIMIT).await?;
        Ok(Self { server })
    }

    /// Opens the door of a URL with `AuthType: AWS_IAM`, to the holders of `sessions`.
    ///
    /// # Errors
    /// If the function does not exist, or no port is available.
    pub async fn guarded(aws: &Aws, url: Url, function: &str, sessions: Sessions) -> anyhow::Result<Self> {
        let door = GuardedDoor {
            aws: aws.clone(),
            arn: function_arn(aws, function).await?,
            function: function.to_owned(),
            url,
            sessions,
            policies: tokio::sync::Mutex::default(),
        };
        let server = Server::start(Arc::new(door), BODY_LIMIT).await?;
        Ok(Self { server })
    }

    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.server.address()
    }

    /// Returns its URL: `http://127.0.0.1:<port>`.
    #[must_use]
    pub fn url(&self) -> String {
        self.server.url()
    }

    pub async fn stop(self) {
        self.server.stop().await;
    }
}

async fn function_arn(aws: &Aws, function: &str) -> anyhow::Result<String> {
    let configuration = aws.function_configuration(function).await?;
    configuration["FunctionArn"]
        .as_str()
        .map(str::to_owned)
        .with_context(|| format!("`{function}` has no ARN"))
}

/// Since October 2025 a caller needs two permissions: for the URL, and for the function through it.
///
/// Source: "Control access to Lambda function URLs" in the Lambda developer guide.
fn may_call(policies: &[Value], function_arn: &str, auth_type: &str) -> anyhow::Result<bool> {
    let url = Question {
        action: "lambda:InvokeFunctionUrl",
        resource: function_arn,
        context: &[("lambda:FunctionUrlAuthType", auth_type)],
    };
    let function = Question {
        action: "lambda:InvokeFunction",
        resource: function_arn,
        context: &[("lambda:InvokedViaFunctionUrl", "true")],
    };
    Ok(allows(policies, &url)? && allows(policies, &function)?)
}

/// Returns the statements of a resource policy that apply to everyone.
fn public_statements(policy: &Value) -> Value {
    let mut policy = policy.clone();
    if let Some(statements) = policy["Statement"].as_array_mut() {
        statements.retain(|statement| {
            let principal = &statement["Principal"];
            principal == "*" || principal["AWS"] == "*"
        });
    }
    policy
}

#[derive(Debug)]
struct OpenDoor {
    http: reqwest::Client,
    endpoint: String,
    url: Url,
}

impl Handler for OpenDoor {
    async fn handle(&self, request: Received) -> Reply {
        Reply::Whole(self.answer(request).await)
    }
}

impl OpenDoor {
    async fn answer(&self, request: Received) -> Outgoing {
        let mut headers = request.headers.clone();
        headers.retain(|(name, _)| !matches!(&**name, "host" | "connection" | "transfer-encoding" | "content-length"));
        headers.push(("host".to_owned(), self.url.host()));
        let Ok(method) = Method::from_bytes(request.method.as_bytes()) else {
            return Outgoing::json(400, r#"{"Message":"Bad Request"}"#);
        };
        let target = format!("{}{}", self.endpoint, request.target());
        match forward(&self.http, method, &target, &headers, request.body).await {
            Ok(answer) => Outgoing {
                status: answer.status,
                headers: answer.headers,
                body: answer.body.to_vec(),
            },
            Err(error) => {
                tracing::error!("ministack does not answer: {error}");
                Outgoing::json(502, "Internal Server Error")
            }
        }
    }
}

#[derive(Debug)]
struct GuardedDoor {
    aws: Aws,
    arn: String,
    function: String,
    url: Url,
    sessions: Sessions,
    policies: tokio::sync::Mutex<Option<RolePolicies>>,
}

/// A role's cached policies.
#[derive(Clone, Debug)]
struct RolePolicies {
    role: String,
    at: Instant,
    documents: Vec<Value>,
}

impl Handler for GuardedDoor {
    async fn handle(&self, request: Received) -> Reply {
        Reply::Whole(self.answer(&request).await)
    }
}

impl GuardedDoor {
    async fn answer(&self, request: &Received) -> Outgoing {
        match self.admit(request).await {
            Ok(Some(caller)) => self.call(request, &caller).await,
            Ok(None) => Outgoing::forbidden(),
            Err(error) => {
                tracing::error!("the front door cannot tell whether to admit: {error:#}");
                Outgoing::json(500, "Internal Server Error")
            }
        }
    }

    /// Returns the signer, if they may call.
    async fn admit(&self, request: &Received) -> anyhow::Result<Option<Session>> {
        let Some(session) = sigv4::claimed_access_key(&request.headers).and_then(|key| self.sessions.get(&key)) else {
            return Ok(None);
        };
        let signed = sigv4::Request {
            method: &request.method,
            path: &request.path,
            query: &request.query,
            headers: &request.headers,
            body: &request.body,
        };
        let scope = Scope {
            region: &self.url.region,
            service: "lambda",
        };
        if let Err(fault) = sigv4::verify(&signed, scope, &session.credentials, now_seconds()) {
            tracing::warn!("a call of {} was not let in: {fault}", session.user_arn);
            return Ok(None);
        }
        let role = session.role_arn.rsplit('/').next().unwrap_or_default();
        let policies = self.policies_of(role).await?;
        Ok(may_call(&policies, &self.arn, "AWS_IAM")?.then_some(session))
    }

    async fn policies_of(&self, role: &str) -> anyhow::Result<Vec<Value>> {
        let mut known = self.policies.lock().await;
        if let Some(known) = known
            .as_ref()
            .filter(|known| known.role == role && known.at.elapsed() < POLICIES_FRESH)
        {
            return Ok(known.documents.clone());
        }
        let documents = self.aws.role_policies(role).await?;
        *known = Some(RolePolicies {
            role: role.to_owned(),
            at: Instant::now(),
            documents: documents.clone(),
        });
        Ok(documents)
    }

    async fn call(&self, request: &Received, caller: &Session) -> Outgoing {
        let incoming = Incoming {
            method: &request.method,
            path: &request.path,
            query: &request.query,
            headers: &request.headers,
            body: &request.body,
        };
        let event = event(&self.url, &incoming, Some(caller), jiff::Timestamp::now());
        match self.aws.invoke(&self.function, &event).await {
            Ok(invocation) => answer(&invocation),
            Err(error) if error.code() == Some("TooManyRequestsException") => {
                Outgoing::json(429, r#"{"Message":"Rate Exceeded."}"#)
            }
            Err(error) => {
                tracing::error!("the function behind the door cannot be invoked: {error}");
                Outgoing::json(502, "Internal Server Error")
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    const ARN: &str = "arn:aws:lambda:eu-west-1:0:function:f";

    fn statement(action: &str, condition: &Value) -> Value {
        json!({"Effect": "Allow", "Principal": "*", "Action": action, "Resource": ARN, "Condition": condition})
    }

    #[test]
    fn a_caller_needs_both_permissions() {
        let url = statement(
            "lambda:InvokeFunctionUrl",
            &json!({"StringEquals": {"lambda:FunctionUrlAuthType": "AWS_IAM"}}),
        );
        let function = statement(
            "lambda:InvokeFunction",
            &json!({"Bool": {"lambda:InvokedViaFunctionUrl": "true"}}),
        );
        let cases = [
            (vec![], false),
            (vec![url.clone()], false),
            (vec![function.clone()], false),
            (vec![url, function], true),
        ];
        for (statements, expected) in cases {
            let policy = json!({"Statement": statements});
            assert_eq!(
                may_call(std::slice::from_ref(&policy), ARN, "AWS_IAM").unwrap(),
                expected
            );
            assert!(!may_call(&[policy], ARN, "NONE").unwrap());
        }
    }

    #[test]
    fn only_statements_for_everybody_speak_of_the_public() {
        let policy = json!({"Statement": [
            {"Principal": "*", "Sid": "a"},
            {"Principal": {"AWS": "*"}, "Sid": "b"},
            {"Principal": {"Service": "events.amazonaws.com"}, "Sid": "c"},
        ]});
        assert_eq!(public_statements(&policy)["Statement"].as_array().unwrap().len(), 2);
    }
}
