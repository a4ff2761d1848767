//! A small signed AWS client: the lab's view of ministack, in three protocols, without the SDKs.
//!
//! The EC2 SDK alone takes minutes to build; the lab needs some thirty calls and shows their answers,
//! so it signs and sends them itself.

mod calls;
mod ec2;
mod xml;

pub use calls::{Bucket, Invocation, LogEvent, Session};
pub use ec2::Ec2Instance;
pub use xml::{Item, Xml};

use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use reqwest::Method;
use serde_json::Value;

use crate::sigv4::{self, Credentials, Scope};

/// The error of a call to AWS.
#[derive(Debug, thiserror::Error)]
pub enum AwsError {
    /// AWS refused.
    #[error("{action}: {code} ({status}): {message}")]
    Refused {
        /// The call, such as `ec2:DescribeInstances`.
        action: String,
        status: u16,
        /// AWS's code, such as `AccessDeniedException`.
        code: String,
        /// AWS's message.
        message: String,
    },
    #[error("{action}: {source}")]
    Unreachable { action: String, source: reqwest::Error },
    /// An answer of another shape than AWS documents.
    #[error("{action}: the answer has no {missing}: {answer}")]
    Shape {
        action: String,
        missing: String,
        answer: String,
    },
}

impl AwsError {
    /// AWS's error code, if AWS answered.
    #[must_use]
    pub fn code(&self) -> Option<&str> {
        match self {
            Self::Refused { code, .. } => Some(code),
            _ => None,
        }
    }

    /// Whether IAM denied the call.
    #[must_use]
    pub fn is_denied(&self) -> bool {
        matches!(
            self.code(),
            Some("AccessDenied" | "AccessDeniedException" | "UnauthorizedOperation")
        )
    }
}

#[derive(Clone, Debug)]
pub struct Answer {
    pub status: u16,
    /// The answer's headers, names in lower case.
    pub headers: Vec<(String, String)>,
    pub body: Bytes,
}

impl Answer {
    /// The first header of this (lower case) name.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers
            .iter()
            .find(|(known, _)| known == name)
            .map(|(_, value)| value.as_str())
    }
}

#[derive(Clone, Debug)]
pub struct Rest<'a> {
    pub service: &'a str,
    /// HTTP method.
    pub method: Method,
    /// Percent-encoded path, with the query if there is one.
    pub path: String,
    /// Besides host and signature.
    pub headers: Vec<(String, String)>,
    pub body: Bytes,
}

/// A caller at an endpoint in a region.
#[derive(Clone, Debug)]
pub struct Aws {
    http: reqwest::Client,
    endpoint: Arc<str>,
    region: Arc<str>,
    credentials: Credentials,
}

impl Aws {
    /// Returns a client of `endpoint` (`http://host:port`).
    ///
    /// # Errors
    /// If the HTTP client cannot be set up.
    pub fn new(endpoint: &str, region: &str, credentials: Credentials) -> anyhow::Result<Self> {
        Ok(Self {
            http: reqwest::Client::builder().no_proxy().build()?,
            endpoint: endpoint.trim_end_matches('/').into(),
            region: region.into(),
            credentials,
        })
    }

    /// Returns a client of the same endpoint with other credentials.
    #[must_use]
    pub fn as_caller(&self, credentials: Credentials) -> Self {
        Self {
            credentials,
            ..self.clone()
        }
    }

    /// Returns a client of another endpoint with the same credentials.
    #[must_use]
    pub fn at(&self, endpoint: &str) -> Self {
        Self {
            endpoint: endpoint.trim_end_matches('/').into(),
            ..self.clone()
        }
    }

    #[must_use]
    pub fn region(&self) -> &str {
        &self.region
    }

    #[must_use]
    pub fn endpoint(&self) -> &str {
        &self.endpoint
    }

    /// Makes a call of the query protocol (EC2, STS, IAM, CloudFormation).
    ///
    /// # Errors
    /// [`AwsError`].
    pub async fn query(&self, service: &str, action: &str, parameters: &[(&str, &str)]) -> Result<Xml, AwsError> {
        let version = match service {
            "ec2" => "2016-11-15",
            "sts" => "2011-06-15",
            "iam" => "2010-05-08",
            _ => "2010-05-15",
        };
        let body = form_urlencoded::Serializer::new(String::new())
            .append_pair("Action", action)
            .append_pair("Version", version)
            .extend_pairs(parameters)
            .finish();
        let name = format!("{service}:{action}");
        let answer = self
            .rest(
                &name,
                Rest {
                    service,
                    method: Method::POST,
                    path: "/".to_owned(),
                    headers: vec![(
                        "content-type".to_owned(),
                        "application/x-www-form-urlencoded; charset=utf-8".to_owned(),
                    )],
                    body: body.into(),
                },
            )
            .await?;
        Xml::read(&name, &answer.body)
    }

    /// Makes a call of the JSON protocols (`DynamoDB`, SSM, Events, Logs). `target` is the prefix of
    /// `X-Amz-Target`, such as `DynamoDB_20120810`.
    ///
    /// # Errors
    /// [`AwsError`].
    pub async fn json(&self, service: &str, target: &str, operation: &str, body: &Value) -> Result<Value, AwsError> {
        let protocol = if service == "dynamodb" { "1.0" } else { "1.1" };
        let name = format!("{service}:{operation}");
        let answer = self
            .rest(
                &name,
                Rest {
                    service,
                    method: Method::POST,
                    path: "/".to_owned(),
                    headers: vec![
                        ("content-type".to_owned(), format!("application/x-amz-json-{protocol}")),
                        ("x-amz-target".to_owned(), format!("{target}.{operation}")),
                    ],
                    body: body.to_string().into(),
                },
            )
            .await?;
        read_json(&name, &answer.body)
    }

    /// Makes a call of the REST protocols.
    ///
    /// # Errors
    /// [`AwsError`], also for every status that is not a success.
    pub async fn rest(&self, action: &str, request: Rest<'_>) -> Result<Answer, AwsError> {
        let answer = self.send(action, request).await?;
        if (200..300).contains(&answer.status) {
            Ok(answer)
        } else {
            Err(refusal(action, &answer))
        }
    }

    /// Signs and sends, and returns any answer unchanged.
    ///
    /// # Errors
    /// Only [`AwsError::Unreachable`].
    pub async fn send(&self, action: &str, request: Rest<'_>) -> Result<Answer, AwsError> {
        let (path, query) = request.path.split_once('?').unwrap_or((&request.path, ""));
        let host = self
            .endpoint
            .split_once("://")
            .map_or(&*self.endpoint, |(_, host)| host);
        let mut headers = request.headers.clone();
        headers.push(("host".to_owned(), host.to_owned()));
        let signed = sigv4::Request {
            method: request.method.as_str(),
            path,
            query,
            headers: &headers,
            body: &request.body,
        };
        let scope = Scope {
            region: &self.region,
            service: request.service,
        };
        let added = sigv4::sign(&signed, scope, &self.credentials, now_seconds());
        headers.extend(added);
        let url = format!("{}{}", self.endpoint, request.path);
        forward(&self.http, request.method, &url, &headers, request.body)
            .await
            .map_err(|source| AwsError::Unreachable {
                action: action.to_owned(),
                source,
            })
    }
}

/// Sends a request with exactly these headers and returns the whole answer.
///
/// # Errors
/// If the answer is incomplete.
pub async fn forward(
    http: &reqwest::Client,
    method: Method,
    url: &str,
    headers: &[(String, String)],
    body: Bytes,
) -> Result<Answer, reqwest::Error> {
    let mut request = http.request(method, url).body(body);
    for (name, value) in headers {
        request = request.header(name, value);
    }
    let answer = request.send().await?;
    let status = answer.status().as_u16();
    let headers = answer
        .headers()
        .iter()
        .map(|(name, value)| {
            let value = String::from_utf8_lossy(value.as_bytes()).into_owned();
            (name.as_str().to_owned(), value)
        })
        .collect();
    let body = answer.bytes().await?;
    Ok(Answer { status, headers, body })
}

/// Returns the time for AWS's signatures: seconds since 1970.
#[must_use]
pub fn now_seconds() -> i64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| i64::try_from(since.as_secs()).unwrap_or(i64::MAX))
}

fn read_json(action: &str, body: &[u8]) -> Result<Value, AwsError> {
    if body.is_empty() {
        return Ok(Value::Null);
    }
    serde_json::from_slice(body).map_err(|_| AwsError::Shape {
        action: action.to_owned(),
        missing: "JSON".to_owned(),
        answer: String::from_utf8_lossy(body).into_owned(),
    })
}

/// Reads AWS's code and message from any of its error shapes.
fn refusal(action: &str, answer: &Answer) -> AwsError {
    let text = String::from_utf8_lossy(&answer.body).into_owned();
    let (code, message) = serde_json::from_str::<Value>(&text).map_or_else(
        |_| {
            let tag = |name| Xml::read(action, &answer.body).ok().and_then(|xml| xml.text(name));
            (tag("Code"), tag("Message"))
        },
        |json| {
            let field = |name| Some(json.get(name)?.as_str()?.to_owned());
            (
                field("__type")
                    .or_else(|| field("code"))
                    .or_else(|| answer.header("x-amzn-errortype").map(str::to_owned)),
                field("message").or_else(|| field("Message")),
            )
        },
    );
    let code = code.unwrap_or_else(|| "Unknown".to_owned());
    AwsError::Refused {
        action: action.to_owned(),
        status: answer.status,
        code: code.rsplit('#').next().unwrap_or(&code).to_owned(),
        message: message.unwrap_or(text),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refusals_of_every_protocol_give_code_and_words() {
        let cases = [
            (
                r#"{"__type":"com.amazonaws.dynamodb.v20120810#ResourceNotFoundException","message":"no table"}"#,
                "ResourceNotFoundException",
                "no table",
            ),
            (
                r#"{"__type":"AccessDeniedException","Message":"not yours"}"#,
                "AccessDeniedException",
                "not yours",
            ),
            (
                "<Response><Errors><Error><Code>UnauthorizedOperation</Code><Message>no</Message></Error></Errors></Response>",
                "UnauthorizedOperation",
                "no",
            ),
            ("<html>bad gateway</html>", "Unknown", "<html>bad gateway</html>"),
        ];
        for (body, expected_code, expected_message) in cases {
            let answer = Answer {
                status: 400,
                headers: Vec::new(),
                body: Bytes::from(body),
            };
            let AwsError::Refused { code, message, .. } = refusal("x:Y", &answer) else {
                panic!("not a refusal: {body}");
            };
            assert_eq!((&*code, &*message), (expected_code, expected_message));
        }
    }
}
